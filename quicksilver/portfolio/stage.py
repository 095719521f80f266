"""The live frontier of a universe: prices in, one ``Frontier`` a clock tick out, or why there is none."""

import math

import msgspec

from quicksilver.errors import StateError
from quicksilver.labels import LabelConfig
from quicksilver.portfolio.choice import Choice, SavedChoice
from quicksilver.portfolio.choosing import Chooser
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.known import Ended, Known, SavedKnown
from quicksilver.portfolio.leaps import Leaps, SavedLeaps, Told
from quicksilver.portfolio.prices import USUAL, moment, spoken
from quicksilver.portfolio.targets import joined
from quicksilver.portfolio.telling import SavedTelling, Telling
from quicksilver.records import AnyRecord, Features, Frontier, Prediction, Status

DOUBTFUL = ("GAP", "STALE")
LONGEST = 10  # times the usual pause between two ticks: a longer one, such as a night, counts as that


class _Saved(msgspec.Struct):
    config: PortfolioConfig
    tick: int
    pause: float
    priced_ns: int
    priced_recv_ns: int
    known: SavedKnown
    choice: SavedChoice
    telling: SavedTelling
    leaps: SavedLeaps


class PortfolioStage:
    """Samples prices on a grid of event time, keeps moments, and chooses portfolios at each tick of the clock.

    A tick at time t reads only prices (and predictions, and doubts) of events before t: whatever is taken in moves the
    clock first. A price whose book is in doubt, or of which nothing new comes, is forgotten, so that a broken feed
    never passes for an asset without risk: another venue's stands in, or else nothing is computed until the price is
    back or the asset has left. A time far ahead of all others', or far behind, moves no clock alone: see ``Leaps``.

    Whatever keeps it from computing (an asset that waits, too few returns, constraints that exclude each other) is told
    once, by the last good frontier with the state WAITING; nothing of it ends the stage. ``threshold_bps`` is the move
    from which on a label is not flat (``mean`` of ``predictions``).
    """

    def __init__(
        self, config: PortfolioConfig | None = None, threshold_bps: float = LabelConfig().threshold_bps
    ) -> None:
        self.config = config or PortfolioConfig()
        self._threshold_bps = threshold_bps
        self._leaps = Leaps(self.config.period_ns)
        self._telling = Telling(self.config)
        self._begin()

    def _begin(self) -> None:
        """Know of no price; what was told counts on."""
        config = self.config
        self._tick = 0
        self._next_tick_ns = 0
        self._pause = 1.0  # periods from one tick to the next, as the last were
        self._priced_ns = self._priced_recv_ns = 0  # when the last price was, and arrived
        self._known = Known(config, self._threshold_bps)
        self._choice = Choice(config)

    def take(self, record: AnyRecord) -> list[Frontier]:
        """Take in a record: the mid of features, a prediction, or a data state in which there is neither."""
        if isinstance(record, Features):
            price = math.nan if record.mid is None else record.mid
            return self.on_price(record.venue, record.symbol, price, record.ts_event_ns, record.ts_recv_ns)
        if isinstance(record, Status) and record.state in DOUBTFUL:
            return self.on_doubt(record.venue, record.symbol, record.ts_event_ns, record.ts_recv_ns)
        if isinstance(record, Prediction) and self.config.mean == "predictions":
            return self._told(
                Told(record.venue, record.symbol, record.ts_event_ns, record.ts_recv_ns, prediction=record)
            )
        return []

    def on_price(self, venue: str, symbol: str, price: float, ts_event_ns: int, ts_recv_ns: int) -> list[Frontier]:
        """Take in an instrument's price; one that is not a positive number is no price."""
        return self._told(Told(venue, symbol, ts_event_ns, ts_recv_ns, price))

    def _told(self, one: Told) -> list[Frontier]:
        """Take in what the clock may follow, and what has waited for that."""
        believed, anew = self._leaps.take(one)
        if anew:  # another recording's
            self._begin()
            self._telling.forget()
        return [frontier for each in believed for frontier in self._believed(each)]

    def _believed(self, one: Told) -> list[Frontier]:
        due = self._moved(one.ts_event_ns, one.ts_recv_ns)
        if not one.doubt and one.prediction is None:
            self._priced_ns, self._priced_recv_ns = one.ts_event_ns, one.ts_recv_ns
        self._known.take(one)
        return due

    def on_doubt(self, venue: str, symbol: str, ts_event_ns: int, ts_recv_ns: int) -> list[Frontier]:
        """Forget an instrument's price from this time on: its book is in doubt.

        The time of what no venue tells (a connection that broke, silence) is our own clock's, which may be hours ahead
        of theirs: then it is counted from the last price. The clock would not go on before they have caught up. By a
        time that is far from the clock's it is forgotten at once, and the clock waits for prices.
        """
        if ts_event_ns == ts_recv_ns:
            ts_event_ns = min(ts_event_ns, self._priced_ns + max(0, ts_recv_ns - self._priced_recv_ns))
        self._leaps.doubted(Told(venue, symbol, ts_event_ns, ts_recv_ns, doubt=True))
        moves = self._priced_ns and self._leaps.near(ts_event_ns)
        due = self._moved(ts_event_ns, ts_recv_ns) if moves else []
        self.forget(venue, symbol)
        return due

    def on_silence(self, ts_recv_ns: int) -> list[Frontier]:
        """Say, once, that no price at all has come for longer than one may be old, by the receiver's clock.

        The universe's own clock stands still meanwhile: nothing else changes, and the next price goes on from the last.
        """
        config, silent_ns = self.config, ts_recv_ns - self._priced_recv_ns
        limit = config.stale if config.clock == "previous-tick" and config.stale else config.leave
        if not self._priced_ns or silent_ns <= limit * self._pause * config.period_ns:
            return []
        now_ns = self._priced_ns + silent_ns
        reason = f"no price of any instrument for {spoken(silent_ns)}: these portfolios are of before"
        return self._telling.waiting(now_ns, ts_recv_ns, self._known.silent(now_ns), reason, ["silence"])

    def forget(self, venue: str, symbol: str) -> None:
        """Forget an instrument's price where it is not known since when it is in doubt."""
        self._known.forget(venue, symbol)

    @property
    def now_ns(self) -> int:
        """The latest time that was believed; 0 before any."""
        return self._leaps.now_ns

    def _moved(self, ts_event_ns: int, ts_recv_ns: int) -> list[Frontier]:
        """The frontiers that are due before what happens at this time is known."""
        if ts_event_ns < self._next_tick_ns:
            return []
        last, self._tick = self._tick, ts_event_ns // self.config.period_ns
        self._next_tick_ns = (self._tick + 1) * self.config.period_ns
        return self._advance(last, ts_recv_ns) if last else self._begun(ts_event_ns, ts_recv_ns)

    def _begun(self, ts_event_ns: int, ts_recv_ns: int) -> list[Frontier]:
        """Say that it is there, and until when it waits at least: before its first period ends it says no more."""
        config, end_ns = self.config, self._next_tick_ns
        reason = (
            f"the first period of {spoken(config.period_ns)} ends at {moment(end_ns)}; a frontier needs two assets or"
            f" more with {config.min_observations} returns: not before"
            f" {moment(end_ns + config.min_observations * config.period_ns)}"
        )
        return self._telling.waiting(ts_event_ns, ts_recv_ns, {}, reason, ["begun"])

    def _advance(self, last: int, ts_recv_ns: int) -> list[Frontier]:
        """Learn of the period that has ended, ``last`` was the one before, and choose."""
        tick = self._tick
        self._pause += (min(tick - last, LONGEST * self._pause) - self._pause) / USUAL
        now = self._known.end_period(tick, ts_recv_ns, tick - last - 1)
        for row, periods in now.sampled.rows() if now.sampled is not None else []:
            self._choice.returned(row, periods)
        return self._computed(now)

    def _computed(self, now: Ended) -> list[Frontier]:
        """The frontier of this tick, or why there is none if that is new."""
        lacking, assets = self._known.lacking(now), self._known.assets
        if lacking is not None:
            return self._wait(now, *lacking)
        if assets != self._choice.assets:
            self._choice.of(assets)
            self._choice.tell(self._known.past())
        if self._choice.chooser is None:
            return self._wait(now, "constraints", self._choice.refusal)
        if now.sampled is None and self.config.clock == "refresh-time":
            return []
        return [self._frontier(now, self._choice.chooser)]

    def _frontier(self, now: Ended, chooser: Chooser) -> Frontier:
        (mean, covariance, shrunk), n_observations, said = self._known.estimated(now)
        left_out = [f"{one} is absent: its constraints do not count" for one in chooser.left_out]
        return self._telling.good(
            now.ts_ns, now.ts_recv_ns, {asset: now.quotes[asset] for asset in self._choice.assets}, covariance,
            n_observations, chooser, chooser.choose(mean, covariance, shrunk), self._known.absent(now),
            joined(*left_out, *said, self._leaps.note(now.ts_ns)),
        )  # fmt: skip

    def _wait(self, now: Ended, kind: str, reason: str) -> list[Frontier]:
        absent = self._known.absent(now)
        kinds = [kind, *self._known.assets, *absent]
        reason = joined(reason, self._leaps.note(now.ts_ns))
        return self._telling.waiting(now.ts_ns, now.ts_recv_ns, absent, reason, kinds)

    def reconfigured(self, config: PortfolioConfig) -> "PortfolioStage":
        """Return a stage that goes on with this one's prices and moments under another configuration.

        It may differ in what chooses among portfolios alone (``running.CHOOSING``).
        """
        other = PortfolioStage(config, self._threshold_bps)
        saved = msgspec.msgpack.decode(self.dump(), type=_Saved)
        telling = msgspec.structs.replace(saved.telling, told=[])  # what keeps it from computing may be another now
        saved = msgspec.structs.replace(saved, config=config, choice=SavedChoice(), telling=telling)
        other.load(msgspec.msgpack.encode(saved))
        return other

    def dump(self) -> bytes:
        """Return the whole state; ``load`` gives the same output from there on, to the bit."""
        return msgspec.msgpack.encode(
            _Saved(
                self.config, self._tick, self._pause, self._priced_ns, self._priced_recv_ns, self._known.dump(),
                self._choice.dump(), self._telling.dump(), self._leaps.dump(),
            )
        )  # fmt: skip

    def load(self, data: bytes) -> None:
        """Take over a dumped state.

        Raises:
            StateError: it is of another configuration or no state at all.
        """
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
        except msgspec.DecodeError as error:
            raise StateError(f"not a saved portfolio state: {error}") from error
        if saved.config != self.config:
            raise StateError("the saved portfolio state is of another configuration")
        self._tick, self._pause = saved.tick, saved.pause
        self._next_tick_ns = (saved.tick + 1) * self.config.period_ns if saved.tick else 0
        self._priced_ns, self._priced_recv_ns = saved.priced_ns, saved.priced_recv_ns
        self._known.load(saved.known)
        self._telling.load(saved.telling)
        self._leaps.load(saved.leaps)
        self._choice = Choice(self.config)
        self._choice.load(saved.choice)
