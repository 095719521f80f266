"""Events of all of a producer's instruments in, frontiers out.

A frontier depends on the order of prices across instruments. Kafka keeps none, so the producer numbers all events of a
session (header ``g``), and they are put back into that order: what belongs together (header ``u``) is one key, and one
process's work, whatever number of universes (topic ``universes``) are computed of it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from quicksilver import codec
from quicksilver.errors import FrameError, InputError
from quicksilver.events import AnyEvent
from quicksilver.portfolio.config import PortfolioConfig, Universe
from quicksilver.portfolio.expectations import require_prices_suffice
from quicksilver.portfolio.running import RunningUniverses
from quicksilver.portfolio.universes import require_usable
from quicksilver.records import Frontier
from quicksilver.streaming.instruments import config_of
from quicksilver.streaming.machine import DEAD, Numbers, Savable
from quicksilver.streaming.message import Headers, Message, Outgoing
from quicksilver.streaming.mid import Mid
from quicksilver.streaming.patience import Wait
from quicksilver.streaming.sequencer import Begin, Loss, Ordered, Sequencer
from quicksilver.topics import UNIVERSES, key_of

MOST_SESSIONS = 64  # producers of one universe at a time; of more, the one that is silent for longest is forgotten


class PortfolioMachine(Savable):
    """What ``jobs/flink_portfolio.py`` runs for each universe of producers.

    Producers are independent of each other: each session has its own order, and no certain one to others. What is
    computed of their prices is one universe of the same name, or those that ``universes`` tells; such a message counts
    from where it comes in the stream of this job, which is not the same place in each run. One that cannot be used is
    a dead letter, and what was before goes on.
    """

    version = 5

    def __init__(self, key: str) -> None:
        self._universe = key
        self._told: dict[str, PortfolioConfig] = {}
        self._running: RunningUniverses | None = None
        self._interval = ""
        self._session = ""
        self._numbers: dict[str, Numbers] = {}  # by universe: one that comes back goes on where it ended
        self._mids: dict[str, Mid] = {}
        self._doubted: dict[str, None] = {}  # whose doubt has been taken in: only its beginning is one
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
        """Return the frontiers that the message of an event or of a universe causes."""
        try:
            message.require_version()
            if message.topic == UNIVERSES.name:
                return self._adopt(message)
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

    def _adopt(self, message: Message) -> list[Outgoing]:
        told = codec.decode(Universe, message.value)
        if (told.source, key_of(told)) != (self._universe, message.key):
            raise FrameError(f"universe {key_of(told)} under the key {message.key}, header u {self._universe!r}")
        others = {name: one for name, one in self._told.items() if name != told.name}
        wanted = others if told.config is None else {**self._told, told.name: _usable(told.name, told.config)}
        ended = self._running.adopt(self._fitting(wanted, self._interval)) if self._running is not None else []
        self._told = wanted
        return [self._wrap(one, message) for one in ended]

    def _fitting(self, told: Mapping[str, PortfolioConfig], interval: str) -> tuple[PortfolioConfig, ...]:
        """What is to be computed of prices of this interval: what was told and fits, or else one universe."""
        config = config_of(interval)
        fitting = tuple(one for one in told.values() if one.fits(config.rows_ns))
        return fitting or (msgspec.structs.replace(config.portfolios[0], universe=self._universe),)

    def _all(self, ordered: list[Ordered]) -> list[Outgoing]:
        return [out for item in ordered if not isinstance(item, Begin) for out in self._ordered(item)]

    def _ordered(self, item: Message | Loss) -> list[Outgoing]:
        if isinstance(item, Loss):
            for key in [*self._mids]:  # whose event it was is not known
                self._doubt(key)
            return []
        try:
            event = codec.decode_event(item.value)
        except FrameError:  # dead-lettered by the features job
            self._doubt(item.key)
            return []
        try:
            mid = self._mids.setdefault(item.key, Mid()).step(event)
        except FrameError:
            return [self._wrap(frontier, item) for frontier in self._doubted_at(item.key, event)]
        if mid is None:
            return []
        self._doubted.pop(item.key, None)
        running = self._running_for(item.headers.i)
        found = running.on_price(event.venue, event.symbol, mid, event.ts_event_ns, event.ts_recv_ns)
        return [self._wrap(frontier, item) for frontier in found]

    def _doubted_at(self, key: str, event: AnyEvent) -> list[Frontier]:
        """Doubt a price from an event on; told again it is no news, as an instrument's state that stays is none."""
        self._mids.pop(key, None)
        if key in self._doubted:
            return []
        self._doubted[key] = None
        if self._running is None:
            return []
        return self._running.on_doubt(event.venue, event.symbol, event.ts_event_ns, event.ts_recv_ns)

    def _doubt(self, key: str) -> None:
        self._mids.pop(key, None)
        if self._running is not None:
            venue, _, symbol = key.partition(":")
            self._running.forget(venue, symbol)

    def _running_for(self, interval: str) -> RunningUniverses:
        """Return the universes; rows of another interval begin with new ones."""
        other = interval != self._interval and config_of(interval) != config_of(self._interval)
        if self._running is None or other:
            self._running = RunningUniverses(self._fitting(self._told, interval))
        self._interval = interval
        return self._running

    def _wrap(self, frontier: Frontier, cause: Message) -> Outgoing:
        """Number a frontier through all sessions, under the name of the first: a universe may hold several's."""
        out = self._numbers.setdefault(frontier.universe, Numbers()).wrap(frontier, cause)
        headers = Headers(s=self._session, n=out.headers.n, i=self._interval, u=self._universe)
        return msgspec.structs.replace(out, headers=headers)

    def _state(self) -> dict[str, Any]:
        return {
            "told": self._told,
            "running": self._running.dump() if self._running is not None else None,
            "interval": self._interval,
            "session": self._session,
            "numbers": {name: one.last for name, one in self._numbers.items()},
            "doubted": list(self._doubted),
            "mids": {key: mid.dump() for key, mid in self._mids.items()},
            "sessions": {name: one.dump() for name, one in self._sessions.items()},
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._told = msgspec.convert(state["told"], dict[str, PortfolioConfig])
        self._interval, self._session = state["interval"], state["session"]
        for name, last in state["numbers"].items():
            self._numbers[name] = Numbers()
            self._numbers[name].last = last
        self._running = RunningUniverses.loaded(state["running"]) if state["running"] is not None else None
        for key, block in state["mids"].items():
            self._mids[key] = Mid()
            self._mids[key].load(block)
        self._doubted = dict.fromkeys(state["doubted"])
        for name, saved in state["sessions"].items():
            self._sessions[name] = Sequencer()
            self._sessions[name].load(saved)


def _usable(name: str, config: PortfolioConfig) -> PortfolioConfig:
    if config.universe != name:
        raise FrameError(f"universe {name}: its configuration is that of {config.universe}")
    try:
        require_usable(config)
        require_prices_suffice(config)
    except InputError as error:
        raise FrameError(f"universe {name}: {error}") from error
    return config
