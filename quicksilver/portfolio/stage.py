"""The live frontier of a universe: prices in, one ``Frontier`` a clock tick out, or why there is none."""

import math
from typing import NamedTuple

import msgspec

from quicksilver.errors import StateError
from quicksilver.labels import LabelConfig
from quicksilver.portfolio.choice import Choice, SavedChoice
from quicksilver.portfolio.choosing import Chooser
from quicksilver.portfolio.clock import ReturnClock, Sampled, SavedClock
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.expectations import Expectations, View
from quicksilver.portfolio.leaps import Leaps, SavedLeaps, Told
from quicksilver.portfolio.live_moments import LiveMoments, SavedMoments, estimated
from quicksilver.portfolio.membership import Membership, SavedMembership
from quicksilver.portfolio.moments import Moments
from quicksilver.portfolio.prices import USUAL, Prices, Quote, SavedPrices, currencies, spoken
from quicksilver.portfolio.targets import joined
from quicksilver.portfolio.telling import SavedTelling, Telling
from quicksilver.records import AnyRecord, Features, Frontier, Prediction, Status

LEAST_ASSETS = 2
DOUBTFUL = ("GAP", "STALE")
LONGEST = 10  # times the usual pause between two ticks: a longer one, such as a night, counts as that


class _Saved(msgspec.Struct):
    config: PortfolioConfig
    tick: int
    pause: float
    priced_ns: int
    priced_recv_ns: int
    prices: SavedPrices
    clock: SavedClock
    membership: SavedMembership
    moments: SavedMoments
    expectations: list[tuple[str, list[View]]]
    choice: SavedChoice
    telling: SavedTelling
    leaps: SavedLeaps


class _Now(NamedTuple):
    """One end of a period: its time, the time of arrival of what ended it, the prices before it, what was sampled."""

    ts_ns: int
    ts_recv_ns: int
    quotes: dict[str, Quote]
    sampled: Sampled | None


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
        self._prices = Prices(config.assets, config.venues, config.stale if config.clock == "previous-tick" else 0)
        self._clock = ReturnClock(config.clock)
        self._membership = Membership(config)
        self._moments = LiveMoments(config)
        self._expectations = Expectations(config.period_ns, self._threshold_bps)
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
        known, anew = self._leaps.take(one)
        if anew:  # another recording's
            self._begin()
            self._telling.forget()
        return [frontier for each in known for frontier in self._known(each)]

    def _known(self, one: Told) -> list[Frontier]:
        due = self._moved(one.ts_event_ns, one.ts_recv_ns)
        if one.doubt:
            self.forget(one.venue, one.symbol)
        elif one.prediction is not None:
            self._expectations.take(one.prediction)
        else:
            self._priced_ns, self._priced_recv_ns = one.ts_event_ns, one.ts_recv_ns
            self._prices.take(one.venue, one.symbol, one.price, one.ts_event_ns)
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
        absent = {asset: self._prices.missing(asset, now_ns) for asset in self._prices.members}
        return self._telling.waiting(now_ns, ts_recv_ns, absent, reason, ["silence"])

    def forget(self, venue: str, symbol: str) -> None:
        """Forget an instrument's price where it is not known since when it is in doubt."""
        self._prices.forget(venue, symbol)
        self._expectations.forget(venue, symbol)

    @property
    def now_ns(self) -> int:
        """The latest time that was believed; 0 before any."""
        return self._leaps.now_ns

    def _moved(self, ts_event_ns: int, ts_recv_ns: int) -> list[Frontier]:
        """The frontiers that are due before what happens at this time is known."""
        if ts_event_ns < self._next_tick_ns:
            return []
        return self._advance(ts_event_ns // self.config.period_ns, ts_recv_ns)

    def _advance(self, tick: int, ts_recv_ns: int) -> list[Frontier]:
        last, self._tick = self._tick, tick
        self._next_tick_ns = (tick + 1) * self.config.period_ns
        if last == 0:
            return []
        self._pause += (min(tick - last, LONGEST * self._pause) - self._pause) / USUAL
        ts_ns = tick * self.config.period_ns
        self._prices.expire(ts_ns - self.config.leave * self.config.period_ns)
        self._prices.end_period()
        quotes = self._prices.quotes()
        sampled = self._clock.sample(tick, tick - last - 1, quotes)
        self._learn(quotes, ts_ns, sampled)
        return self._computed(_Now(ts_ns, ts_recv_ns, quotes, sampled))

    def _learn(self, quotes: dict[str, Quote], ts_ns: int, sampled: Sampled | None) -> None:
        self._moments.follow(self._prices.members)
        self._membership.leave(self._prices, quotes, ts_ns)
        if sampled is None:
            return
        self._moments.update(sampled)
        for row, periods in sampled.rows():
            self._membership.count(asset for asset, value in row.items() if math.isfinite(value))
            self._choice.returned(row, periods)

    def _computed(self, now: _Now) -> list[Frontier]:
        """The frontier of this tick, or why there is none if that is new."""
        assets = self._membership.inside
        waits = self._membership.waits_for(now.quotes)
        if waits:
            why = "; ".join(f"{asset} has {self._prices.missing(asset, now.ts_ns)}" for asset in waits)
            limit = spoken(self.config.leave * self.config.period_ns)
            return self._wait(now, "price", f"{why}: all others wait for it until it is back or, after {limit}, out")
        if len(assets) < LEAST_ASSETS:
            return self._wait(now, "assets", self._too_few())
        moments = self._moments.over(assets)
        n, needed = moments.n_observations, self.config.min_observations
        if n < needed:
            return self._wait(now, "returns", f"two of {', '.join(assets)} have {n} of {needed} returns in common")
        if assets != self._choice.assets:
            self._choice.of(assets)
            self._choice.tell(self._moments.past(assets))
        if self._choice.chooser is None:
            return self._wait(now, "constraints", self._choice.refusal)
        if now.sampled is None and self.config.clock == "refresh-time":
            return []
        return [self._frontier(now, moments, self._choice.chooser)]

    def _too_few(self) -> str:
        members, n, needed = self._prices.members, len(self._membership.inside), self.config.min_observations
        if len(members) < LEAST_ASSETS:
            return f"a frontier needs two assets or more; there is {members[0] if members else 'none'}"
        return f"a frontier needs two assets or more with {needed} returns; {n or 'none'} of {len(members)} has them"

    def _frontier(self, now: _Now, moments: Moments, chooser: Chooser) -> Frontier:
        assets, expected = self._choice.assets, None
        notes = [f"{one} is absent: its constraints do not count" for one in chooser.left_out]
        if len(mixed := currencies(assets)) > 1:
            notes.append(f"prices are in {' and '.join(mixed)}, whose moves against each other no return here has")
        if self.config.mean == "predictions":
            expected, without = self._expectations.mean(assets, now.quotes, now.ts_ns)
            notes += [f"no live prediction of {', '.join(without)}: a mean of 0 stands in"] if without else []
        mean, covariance, shrunk = estimated(moments, self.config, expected)
        chosen = chooser.choose(mean, covariance, shrunk)
        notes += [note] if (note := self._leaps.note(now.ts_ns)) else []
        return self._telling.good(
            now.ts_ns, now.ts_recv_ns, {asset: now.quotes[asset] for asset in assets}, covariance,
            moments.n_observations, chooser, chosen, self._absent(now), "; ".join(notes),
        )  # fmt: skip

    def _wait(self, now: _Now, kind: str, reason: str) -> list[Frontier]:
        absent = self._absent(now)
        kinds = [kind, *self._membership.inside, *absent]
        reason = joined(reason, self._leaps.note(now.ts_ns))
        return self._telling.waiting(now.ts_ns, now.ts_recv_ns, absent, reason, kinds)

    def _absent(self, now: _Now) -> dict[str, str]:
        return self._membership.absent(self._prices, now.quotes, now.ts_ns)

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
                self.config, self._tick, self._pause, self._priced_ns, self._priced_recv_ns, self._prices.dump(),
                self._clock.dump(), self._membership.dump(), self._moments.dump(), self._expectations.dump(),
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
        self._prices.load(saved.prices)
        self._clock.load(saved.clock)
        self._membership.load(saved.membership)
        self._moments.load(saved.moments)
        self._expectations.load(saved.expectations)
        self._telling.load(saved.telling)
        self._leaps.load(saved.leaps)
        self._choice = Choice(self.config)
        self._choice.load(saved.choice)
