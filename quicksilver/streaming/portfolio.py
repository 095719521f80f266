"""Events of every instrument in, its price out; prices of a universe in, frontiers out.

Instruments are worked on apart, so their prices come in no certain order; a frontier needs the order in which the
producer saw them. So prices wait until everything that was published before them is there (a watermark), and are then
taken in the order of their publication: by time, session, and number within the session.
"""

import math
from heapq import heappop, heappush
from typing import Any

import msgspec

from quicksilver.instrument import InstrumentStage
from quicksilver.portfolio.stage import PortfolioConfig, PortfolioStage
from quicksilver.records import AnyRecord, Features, Frontier, Status
from quicksilver.streaming.instruments import EventMachine, config_of
from quicksilver.streaming.machine import Numbers, Savable
from quicksilver.streaming.message import Headers, Message, Outgoing

BACK_NS = 60_000_000_000  # time that falls by more than this is another recording's
SAMPLES = "samples"  # the stream between the two machines; no topic


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """A price, or that there is none (``price`` None): it is in doubt (``lost``), or a side of the book is empty."""

    venue: str
    symbol: str
    ts_event_ns: int
    ts_recv_ns: int
    price: float | None
    lost: bool


class SampleMachine(EventMachine):
    """One instrument's price, whenever it changes, and once in each period: all that a frontier can depend on."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self._last: float | None = None
        self._tick = -1

    def begin(self) -> list[Outgoing]:
        """Say the first price of the session whatever it is."""
        self._last, self._tick = None, -1
        return []

    def emit(self, stage: InstrumentStage, records: list[AnyRecord], cause: Message) -> list[Outgoing]:
        """Return the samples of an event's records."""
        config, out = stage.config.portfolio or PortfolioConfig(), list[Outgoing]()
        for record in records:
            if isinstance(record, Status) and record.state == "GAP":
                self._last, self._tick = None, -1
                out.append(self._sample(record, None, cause, lost=True))
            elif isinstance(record, Features):
                tick = record.ts_event_ns // config.period_ns
                if record.mid != self._last or tick > self._tick:
                    self._last, self._tick = record.mid, max(tick, self._tick)
                    out.append(self._sample(record, record.mid, cause, lost=False))
        return out

    def _sample(self, record: Status | Features, price: float | None, cause: Message, lost: bool) -> Outgoing:
        sample = Sample(record.venue, record.symbol, record.ts_event_ns, record.ts_recv_ns, price, lost)
        universe = cause.headers.u or (config_of(cause.headers.i).portfolio or PortfolioConfig()).universe
        return Outgoing(SAMPLES, universe, cause.ts_ms, cause.headers, msgspec.msgpack.encode(sample))

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"last": self._last, "tick": self._tick}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self._last, self._tick = state["last"], state["tick"]


class PortfolioMachine(Savable):
    """What ``jobs/flink_portfolio.py`` runs for each universe; its messages are samples."""

    def __init__(self, key: str) -> None:
        self._universe = key
        self._stage: PortfolioStage | None = None
        self._config: PortfolioConfig | None = None
        self._now_ns = 0
        self._number = 0
        self._waiting: list[tuple[int, str, int, int, Message]] = []
        self._arrived = 0

    @property
    def deadline_ms(self) -> int | None:
        """Publish time of the first sample that waits."""
        return self._waiting[0][0] if self._waiting else None

    def take(self, message: Message) -> list[Outgoing]:
        """Let a sample wait for its turn."""
        ordinal = int(message.headers.g) if message.headers.g.isdecimal() else 0
        self._arrived += 1
        heappush(self._waiting, (message.ts_ms, message.headers.s, ordinal, self._arrived, message))
        return []

    def pass_time(self, ts_ms: int) -> list[Outgoing]:
        """Take all samples in that were published until ``ts_ms``; whatever came of that time is there."""
        out: list[Outgoing] = []
        while self._waiting and self._waiting[0][0] <= ts_ms:
            out += self._sampled(heappop(self._waiting)[-1])
        return out

    def _sampled(self, message: Message) -> list[Outgoing]:
        sample = msgspec.msgpack.decode(message.value, type=Sample)
        config = config_of(message.headers.i).portfolio or PortfolioConfig()
        config = msgspec.structs.replace(config, universe=self._universe)
        if self._stage is None or self._config != config or sample.ts_event_ns < self._now_ns - BACK_NS:
            self._stage, self._config, self._now_ns = PortfolioStage(config), config, 0
        self._now_ns = max(self._now_ns, sample.ts_event_ns)
        if sample.lost:
            self._stage.forget(sample.venue, sample.symbol)
            return []
        price = math.nan if sample.price is None else sample.price
        found = self._stage.on_price(sample.venue, sample.symbol, price, sample.ts_event_ns, sample.ts_recv_ns)
        return [self._wrap(frontier, message) for frontier in found]

    def _wrap(self, frontier: Frontier, cause: Message) -> Outgoing:
        """Number a frontier through all sessions: a universe may hold instruments of several."""
        self._number += 1
        numbers = Numbers()
        numbers.last["frontiers"] = self._number - 1
        out = numbers.wrap(frontier, cause)
        return msgspec.structs.replace(out, headers=Headers(n=out.headers.n, i=out.headers.i, u=self._universe))

    def _state(self) -> dict[str, Any]:
        return {
            "stage": self._stage.dump() if self._stage is not None else None,
            "config": self._config,
            "now_ns": self._now_ns,
            "number": self._number,
            "waiting": self._waiting,
            "arrived": self._arrived,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._config = msgspec.convert(state["config"], PortfolioConfig | None)
        self._now_ns, self._number, self._arrived = state["now_ns"], state["number"], state["arrived"]
        self._waiting = msgspec.convert(state["waiting"], list[tuple[int, str, int, int, Message]])
        self._stage = None
        if self._config is not None:
            self._stage = PortfolioStage(self._config)
            self._stage.load(state["stage"])
