"""The channel ``picks``: of each frontier the picks that changed since what one client was sent last."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import msgspec

from api.streams import Stream
from quicksilver import codec
from quicksilver.portfolio.constraints import Constraints
from quicksilver.portfolio.costs import Costs
from quicksilver.records import Frontier, FrontierState, Pick

MOST_NAMED = 1000  # universes that a client gives thresholds of their own: some may not exist, so they must be bounded
SETTINGS = (
    "risk", "estimators", "halflife", "costs", "hold", "band", "constraints", "cash", "aversion", "window",
)  # fmt: skip
"""Fields of a frontier that its universe's configuration says."""
MOST_CHANGE = 2.0  # from one asset to another: all weights are sold, and all bought


class PickRow(msgspec.Struct):
    """What a frontier says of its picks, without the frontier and the cloud; its fields are ``Frontier``'s.

    On the channel ``picks`` are those that changed, and ``gone`` names the picks that there are no longer.
    """

    universe: str
    seq: int
    ts_event_ns: int
    ts_recv_ns: int
    period_ns: int
    assets: list[str]
    n_observations: int
    picks: dict[str, Pick]
    state: FrontierState = "LIVE"
    reason: str = ""
    ts_computed_ns: int = 0
    prices: list[float | None] = []
    ages_ns: list[int] = []
    absent: dict[str, str] = {}
    held: list[float] = []
    risk: str = "variance"
    estimators: dict[str, str] = {}
    halflife: float | None = None
    sources: list[str] = []
    costs: Costs | None = None
    hold: int | None = None
    band: float | None = None
    constraints: Constraints | None = None
    cash: float | None = None
    aversion: float | None = None
    window: int | None = None
    gone: list[str] = []

    @classmethod
    def of(cls, frontier: Frontier) -> "PickRow":
        """Return a frontier's."""
        return cls(**{name: getattr(frontier, name) for name in cls.__struct_fields__ if name != "gone"})

    @property
    def computed_ns(self) -> int | None:
        """Return the time of the tick that the picks are of; None if none was ever computed."""
        return self.ts_computed_ns or (self.ts_event_ns if self.state == "LIVE" else None)


class PickStream(Stream):
    """The picks of one universe as one client gets them: a row where a weight has changed by more than ``threshold``.

    ``source`` is the stream of whole frontiers, whose rows a snapshot is made of. ``seq`` counts what this client was
    sent.
    """

    __slots__ = ("_sent", "source", "threshold")

    def __init__(self, source: Stream, threshold: float) -> None:
        super().__init__("picks", source.key)
        self.source, self.threshold = source, threshold
        self._sent: PickRow | None = None

    def snapshot(self, history: int) -> bytes:
        """Return the message with what changed within the last ``history`` frontiers; the first is whole."""
        self._sent = None
        rows = list[bytes]()
        for row in islice(self.source.rows, max(0, len(self.source.rows) - max(0, history)), None):
            rows += self.changed(codec.decode(PickRow, row))
        return self._message(b"snapshot", rows)

    def changed(self, now: PickRow) -> list[bytes]:
        """Return the row to send, numbered; none if no pick has changed by more than the threshold."""
        sent = self._sent
        if sent is None or sent.assets != now.assets:
            news = dict(now.picks)
        else:
            news = {
                name: pick
                for name, pick in now.picks.items()
                if name not in sent.picks or change(sent.picks[name].weights, pick.weights) > self.threshold
            }
        known = {} if sent is None else sent.picks
        gone = [name for name in known if name not in now.picks]
        told = sent is not None and _told_of(sent) == _told_of(now)
        if told and not news and not gone:
            return []
        kept = {name: news.get(name) or known[name] for name in now.picks}
        self._sent = msgspec.structs.replace(now, picks=kept)
        self.seq += 1
        return [codec.encode(msgspec.structs.replace(now, picks=news, gone=gone))]


def _told_of(row: PickRow) -> tuple[object, ...]:
    """What is told at once, whatever the threshold; why an asset is absent says how long, another time each time."""
    settings = (getattr(row, name) for name in SETTINGS)
    return row.state, row.reason, set(row.absent), *settings


def change(before: list[float], now: list[float]) -> float:
    """Return the sum of all changes of weight, of portfolios of the same assets.

    >>> change([0.5, 0.5], [0.25, 0.75])
    0.5
    """
    return sum(abs(a - b) for a, b in zip(before, now, strict=True))


class Followed:
    """Which picks one client follows, by which threshold, and what it was sent of each universe."""

    def __init__(self) -> None:
        self._general = 0.0
        self._thresholds: dict[str, float] = {}
        self._streams: dict[str, PickStream] = {}

    def set_threshold(self, keys: Iterable[str] | None, threshold: float) -> None:
        """Follow universes by another threshold from now on; None: all.

        Raises:
            ValueError: it is none, or there are too many.
        """
        check_threshold(threshold)
        if keys is None:
            self._general, self._thresholds = threshold, {}
        else:
            named = self._thresholds | dict.fromkeys(keys, threshold)
            if len(named) > MOST_NAMED:
                raise ValueError(f"thresholds of {len(named)} universes, at most {MOST_NAMED}: ask for all or fewer")
            self._thresholds = named

    def stream(self, source: Stream) -> PickStream:
        """Return the client's stream of a universe, whose frontiers are ``source``."""
        key = source.key
        found = self._streams.get(key)
        if found is None:
            found = self._streams[key] = PickStream(source, 0.0)
        found.threshold = self._thresholds.get(key, self._general)
        return found

    def forget(self, keys: Iterable[str] | None) -> None:
        """Follow universes no longer; None: none at all."""
        for key in list(self._streams) if keys is None else keys:
            self._streams.pop(key, None)
            self._thresholds.pop(key, None)


def check_threshold(threshold: Any) -> None:
    """Refuse what is no total change of weights.

    Raises:
        ValueError: it is none.
    """
    if not 0.0 <= threshold <= MOST_CHANGE:
        raise ValueError(f"threshold {threshold:g}: give the total change of weights, from 0 to {MOST_CHANGE:g}")
