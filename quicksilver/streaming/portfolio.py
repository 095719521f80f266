"""Events of all of a universe's instruments in, frontiers out.

A frontier depends on the order of prices across instruments. Kafka keeps none, so the producer numbers all events of a
session (header ``g``), and they are put back into that order: a universe is one key, and one process's work.
"""

from typing import Any

import msgspec

from quicksilver import codec
from quicksilver.book import Book
from quicksilver.errors import FrameError, StateError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Price, Trade
from quicksilver.features import FeatureEngine
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.expectations import require_prices_suffice
from quicksilver.portfolio.stage import PortfolioStage
from quicksilver.records import Frontier
from quicksilver.streaming.instruments import config_of
from quicksilver.streaming.machine import DEAD, Numbers, Savable
from quicksilver.streaming.message import Headers, Message, Outgoing
from quicksilver.streaming.patience import Wait
from quicksilver.streaming.sequencer import Begin, Loss, Ordered, Sequencer

BACK_NS = 60_000_000_000  # time that falls by more than this is another recording's
MOST_SESSIONS = 64  # producers of one universe at a time; of more, the one that is silent for longest is forgotten


class Mid:
    """One instrument's mid, as its features have it, without the features."""

    def __init__(self) -> None:
        self._engine = FeatureEngine()

    def step(self, event: AnyEvent) -> float | None:
        """Return the mid after an event (NaN if a side is empty); None if the event says nothing of it.

        Raises:
            FrameError: the price is in doubt from here on.
        """
        try:
            return self._step(event)
        except StateError as error:
            self._engine.gap()
            raise FrameError(str(error)) from error

    def _step(self, event: AnyEvent) -> float | None:
        if isinstance(event, Trade) or (isinstance(event, BookDelta) and not self._engine.book.ready):
            return None
        if isinstance(event, Gap):
            self._engine.gap()
            raise FrameError(event.reason)
        if isinstance(event, Price):
            self._engine.price(event)
        elif not (self._engine.snapshot(event) if isinstance(event, BookSnapshot) else self._engine.delta(event)):
            raise FrameError("the book is crossed")
        return float(self._engine.vector[0])

    def dump(self) -> bytes:
        """Return the state: the book alone, for the mid has no memory."""
        return self._engine.book.block.tobytes()

    def load(self, data: bytes) -> None:
        """Take over a dumped state."""
        self._engine.book = Book.load(data)


class PortfolioMachine(Savable):
    """What ``jobs/flink_portfolio.py`` runs for each universe.

    Producers are independent of each other: each session has its own order, and no certain one to others.
    """

    def __init__(self, key: str) -> None:
        self._universe = key
        self._stage: PortfolioStage | None = None
        self._config: PortfolioConfig | None = None
        self._now_ns = 0
        self._session = ""
        self._numbers = Numbers()
        self._mids: dict[str, Mid] = {}
        self._sessions: dict[str, Sequencer] = {}

    @property
    def waits_for(self) -> Wait | None:
        """What the session waits for in which most events wait; None if none waits.

        Others may wait too, each for a moment: where something is lost, more and more wait.
        """
        worst = self._worst
        return None if worst is None else worst.waits_for

    @property
    def _worst(self) -> Sequencer | None:
        return max(self._sessions.values(), key=lambda one: one.held, default=None)

    def take(self, message: Message) -> list[Outgoing]:
        """Return the frontiers that an event's message causes."""
        try:
            message.require_version()
            if not message.ordinal:
                raise FrameError("without its place in the session (header g): no frontier reads it")
        except FrameError as error:
            return [DEAD.wrap(message.refused(str(error)), message)]
        self._session = self._session or message.headers.s
        session = self._sessions.pop(message.headers.s, None) or Sequencer()
        self._sessions[message.headers.s] = session  # the last: they lie in the order in which they were heard of
        if len(self._sessions) > MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return self._all(session.push(message, message.ordinal))

    def give_up(self) -> list[Outgoing]:
        """Go on without what is waited for."""
        worst = self._worst
        return [] if worst is None else self._all(worst.give_up())

    def _all(self, ordered: list[Ordered]) -> list[Outgoing]:
        return [out for item in ordered if not isinstance(item, Begin) for out in self._ordered(item)]

    def _ordered(self, item: Message | Loss) -> list[Outgoing]:
        if isinstance(item, Loss):
            for key in [*self._mids]:  # whose event it was is not known
                self._doubt(key)
            return []
        try:
            event = codec.decode_event(item.value)
            mid = self._mids.setdefault(item.key, Mid()).step(event)
        except FrameError:  # dead-lettered by the features job
            self._doubt(item.key)
            return []
        if mid is None:
            return []
        stage = self._stage_of(item, event)
        found = stage.on_price(event.venue, event.symbol, mid, event.ts_event_ns, event.ts_recv_ns)
        return [self._wrap(frontier, item) for frontier in found]

    def _doubt(self, key: str) -> None:
        self._mids.pop(key, None)
        if self._stage is not None:
            venue, _, symbol = key.partition(":")
            self._stage.forget(venue, symbol)

    def _stage_of(self, message: Message, event: AnyEvent) -> PortfolioStage:
        """Return the stage; another recording, or rows of another interval, begin with a new one."""
        given = config_of(message.headers.i).portfolio or PortfolioConfig()
        config = msgspec.structs.replace(given, universe=self._universe)
        if self._stage is None or self._config != config or event.ts_event_ns < self._now_ns - BACK_NS:
            require_prices_suffice(config)
            self._stage, self._config, self._now_ns = PortfolioStage(config), config, 0
        self._now_ns = max(self._now_ns, event.ts_event_ns)
        return self._stage

    def _wrap(self, frontier: Frontier, cause: Message) -> Outgoing:
        """Number a frontier through all sessions, under the name of the first: a universe may hold several's."""
        out = self._numbers.wrap(frontier, cause)
        headers = Headers(s=self._session, n=out.headers.n, i=out.headers.i, u=self._universe)
        return msgspec.structs.replace(out, headers=headers)

    def _state(self) -> dict[str, Any]:
        return {
            "stage": self._stage.dump() if self._stage is not None else None,
            "config": self._config,
            "now_ns": self._now_ns,
            "session": self._session,
            "numbers": self._numbers.last,
            "mids": {key: mid.dump() for key, mid in self._mids.items()},
            "sessions": {name: one.dump() for name, one in self._sessions.items()},
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._config = msgspec.convert(state["config"], PortfolioConfig | None)
        self._now_ns, self._session, self._numbers.last = state["now_ns"], state["session"], state["numbers"]
        self._stage = None
        if self._config is not None:
            self._stage = PortfolioStage(self._config)
            self._stage.load(state["stage"])
        for key, block in state["mids"].items():
            self._mids[key] = Mid()
            self._mids[key].load(block)
        for name, saved in state["sessions"].items():
            self._sessions[name] = Sequencer()
            self._sessions[name].load(saved)
