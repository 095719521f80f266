"""The live frontier of a universe: prices in, one ``Frontier`` a clock tick out, or why there is none."""

import math
from typing import Any, NamedTuple

import msgspec
import numpy as np

from quicksilver.errors import InputError, StateError
from quicksilver.labels import LabelConfig
from quicksilver.portfolio.choosing import Chooser
from quicksilver.portfolio.clock import ReturnClock, Sampled, SavedClock
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import weights_of
from quicksilver.portfolio.expectations import Expectations, View
from quicksilver.portfolio.live_moments import LiveMoments, SavedMoments, estimated
from quicksilver.portfolio.membership import Membership, SavedMembership
from quicksilver.portfolio.moments import Moments
from quicksilver.portfolio.present import over_present
from quicksilver.portfolio.prices import Prices, Quote, SavedPrices, spoken
from quicksilver.portfolio.shrinkage import correlation_of
from quicksilver.records import AnyRecord, Features, Frontier, Prediction, Status

LEAST_ASSETS = 2


class _Saved(msgspec.Struct):
    config: PortfolioConfig
    tick: int
    seq: int
    prices: SavedPrices
    clock: SavedClock
    membership: SavedMembership
    moments: SavedMoments
    expectations: list[tuple[str, View]]
    chosen_of: list[str]
    chooser: Any
    last: Frontier | None
    waiting: list[str]


class _Now(NamedTuple):
    """One end of a period: its time, the time of arrival of what ended it, the prices before it, what was sampled."""

    ts_ns: int
    ts_recv_ns: int
    quotes: dict[str, Quote]
    sampled: Sampled | None


class PortfolioStage:
    """Samples prices on a grid of event time, keeps moments, and chooses portfolios at each tick of the clock.

    A tick at time t reads only prices (and predictions) of events before t. A price whose book is in doubt is
    forgotten, so that a broken feed never passes for an asset without risk: another venue's stands in, or else nothing
    is computed until the price is back or the asset has left.

    Whatever keeps it from computing (an asset that waits, too few returns, constraints that exclude each other) is told
    once, by the last good frontier with the state WAITING; nothing of it ends the stage. ``threshold_bps`` is the move
    from which on a label is not flat (``mean`` of ``predictions``).
    """

    def __init__(
        self, config: PortfolioConfig | None = None, threshold_bps: float = LabelConfig().threshold_bps
    ) -> None:
        self.config = config = config or PortfolioConfig()
        self._threshold_bps = threshold_bps
        self._tick = 0
        self._next_tick_ns = 0
        self._seq = 0
        self._prices = Prices(config.assets, config.venues)
        self._clock = ReturnClock(config.clock)
        self._membership = Membership(config)
        self._moments = LiveMoments(config)
        self._expectations = Expectations(config.period_ns, threshold_bps)
        self._chosen_of: list[str] = []  # the assets that the chooser, or its refusal, belongs to
        self._chooser: Chooser | None = None
        self._refusal = ""
        self._left_out: list[str] = []
        self._last: Frontier | None = None  # the last good one
        self._waiting: list[str] = []  # why nothing is computed, as it was told; empty if it is

    def take(self, record: AnyRecord) -> list[Frontier]:
        """Take in a record: the mid of features, a prediction, or a data state in which there is neither."""
        if isinstance(record, Features):
            price = math.nan if record.mid is None else record.mid
            return self.on_price(record.venue, record.symbol, price, record.ts_event_ns, record.ts_recv_ns)
        if isinstance(record, Status) and record.state == "GAP":
            self.forget(record.venue, record.symbol)
        elif isinstance(record, Prediction) and self.config.mean == "predictions":
            self._expectations.take(record)
        return []

    def on_price(self, venue: str, symbol: str, price: float, ts_event_ns: int, ts_recv_ns: int) -> list[Frontier]:
        """Take in an instrument's price; one that is not a positive number is no price."""
        due: list[Frontier] = []
        if ts_event_ns >= self._next_tick_ns:
            due = self._advance(ts_event_ns // self.config.period_ns, ts_recv_ns)
        self._prices.take(venue, symbol, price, ts_event_ns)
        return due

    def forget(self, venue: str, symbol: str) -> None:
        """Forget an instrument's price: its book is in doubt, or has lost a side."""
        self._prices.forget(venue, symbol)
        self._expectations.forget(venue, symbol)

    def _advance(self, tick: int, ts_recv_ns: int) -> list[Frontier]:
        last, self._tick = self._tick, tick
        self._next_tick_ns = (tick + 1) * self.config.period_ns
        if last == 0:
            return []
        ts_ns = tick * self.config.period_ns
        self._prices.expire(ts_ns - self.config.leave * self.config.period_ns)
        quotes = self._prices.quotes()
        sampled = self._clock.sample(tick, tick - last - 1, quotes)
        self._learn(quotes, ts_ns, sampled)
        return self._computed(_Now(ts_ns, ts_recv_ns, quotes, sampled))

    def _learn(self, quotes: dict[str, Quote], ts_ns: int, sampled: Sampled | None) -> None:
        self._moments.follow(self._prices.members)
        self._membership.leave(self._prices, quotes, ts_ns)
        if sampled is None:
            return
        for row in self._moments.update(sampled):
            known = [asset for asset, value in row.items() if math.isfinite(value)]
            self._membership.count(known, 1)
            if self._chooser is not None and set(known).issuperset(self._chosen_of):
                self._chooser.returned(np.array([row[asset] for asset in self._chosen_of]))

    def _computed(self, now: _Now) -> list[Frontier]:
        """The frontier of this tick, or why there is none if that is new."""
        assets = self._membership.inside
        waits = self._membership.waits_for(now.quotes)
        if waits:
            why = "; ".join(f"{asset} has {self._prices.missing(asset, now.ts_ns)}" for asset in waits)
            limit = spoken(self.config.leave * self.config.period_ns)
            return self._wait(now, "price", f"{why}: all others wait for it until it is back or, after {limit}, out")
        if len(assets) < LEAST_ASSETS:
            return self._wait(now, "assets", self._too_few(now))
        moments = self._moments.over(assets)
        n, needed = moments.n_observations, self.config.min_observations
        if n < needed:
            return self._wait(now, "returns", f"two of {', '.join(assets)} have {n} of {needed} returns in common")
        if assets != self._chosen_of:
            self._choose_of(assets)
        if self._chooser is None:
            return self._wait(now, self._refusal, self._refusal)
        if now.sampled is None and self.config.clock == "refresh-time":
            return []
        return [self._frontier(now, assets, moments, self._chooser)]

    def _too_few(self, now: _Now) -> str:
        members = self._prices.members
        if len(members) < LEAST_ASSETS:
            return f"a frontier needs two assets or more; there is {members[0] if members else 'none'}"
        absent = self._membership.absent(self._prices, now.quotes, now.ts_ns)
        there = "; ".join(f"{asset}: {why}" for asset, why in absent.items())
        return f"a frontier needs two assets or more that have {self.config.min_observations} returns; {there}"

    def _choose_of(self, assets: list[str]) -> None:
        """Begin with the portfolios of these assets, from the returns that are known of all of them."""
        self._chosen_of, self._chooser, self._refusal = assets, None, ""
        constraints, self._left_out = over_present(self.config.constraints, assets)
        try:
            chooser = Chooser(msgspec.structs.replace(self.config, constraints=constraints), assets)
        except InputError as error:
            self._refusal = str(error)
            return
        for row in self._moments.past(assets):
            chooser.returned(row)
        self._chooser = chooser

    def _frontier(self, now: _Now, assets: list[str], moments: Moments, chooser: Chooser) -> Frontier:
        config, expected, notes = self.config, None, [f"{one} is left out: it is absent" for one in self._left_out]
        if config.mean == "predictions":
            expected, without = self._expectations.mean(assets, now.quotes, now.ts_ns)
            notes += [f"no live prediction of {', '.join(without)}: a mean of 0 stands in"] if without else []
        mean, covariance = estimated(moments, config, expected)
        chosen = chooser.choose(mean, covariance)
        present, _ = over_present(config.constraints, assets)
        quotes = [now.quotes[asset] for asset in assets]
        self._seq, self._waiting = self._seq + 1, []
        self._last = Frontier(
            config.universe, self._seq, now.ts_ns, now.ts_recv_ns, config.period_ns, assets, moments.n_observations,
            config.n_portfolios, np.round(correlation_of(covariance), 6).tolist(), chosen.picks, chosen.frontier,
            chosen.weights, chosen.cloud, "LIVE", "; ".join(notes), now.ts_ns, [quote.price for quote in quotes],
            [max(0, now.ts_ns - quote.ts_ns) for quote in quotes],
            self._membership.absent(self._prices, now.quotes, now.ts_ns),
            weights_of(present.current, assets, "current").tolist() if present.current else [], config.risk,
            {"covariance": config.covariance, "mean": config.mean, "clock": config.clock}, config.halflife,
        )  # fmt: skip
        return self._last

    def _wait(self, now: _Now, kind: str, reason: str) -> list[Frontier]:
        """Tell why nothing is computed, with the last good frontier; nothing if it has been told."""
        absent = self._membership.absent(self._prices, now.quotes, now.ts_ns)
        told = [kind, *self._membership.inside, *absent]
        if told == self._waiting:
            return []
        self._waiting, self._seq, config = told, self._seq + 1, self.config
        last = self._last or Frontier(
            config.universe, 0, 0, 0, config.period_ns, [], 0, config.n_portfolios, [], {}, [], [], [],
            risk=config.risk, halflife=config.halflife,
            estimators={"covariance": config.covariance, "mean": config.mean, "clock": config.clock},
        )  # fmt: skip
        return [
            msgspec.structs.replace(
                last, seq=self._seq, ts_event_ns=now.ts_ns, ts_recv_ns=now.ts_recv_ns, state="WAITING", reason=reason,
                absent=absent,
            )
        ]  # fmt: skip

    def reconfigured(self, config: PortfolioConfig) -> "PortfolioStage":
        """Return a stage that goes on with this one's prices and moments under another configuration.

        It may differ in what chooses among portfolios alone (``running.CHOOSING``).
        """
        other = PortfolioStage(config, self._threshold_bps)
        saved = msgspec.msgpack.decode(self.dump(), type=_Saved)
        saved = msgspec.structs.replace(saved, config=config, chosen_of=[], chooser=None, waiting=[])
        other.load(msgspec.msgpack.encode(saved))
        return other

    def dump(self) -> bytes:
        """Return the whole state; ``load`` gives the same output from there on, to the bit."""
        return msgspec.msgpack.encode(
            _Saved(
                self.config, self._tick, self._seq, self._prices.dump(), self._clock.dump(), self._membership.dump(),
                self._moments.dump(), self._expectations.dump(), self._chosen_of,
                None if self._chooser is None else self._chooser.dump(), self._last, self._waiting,
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
        self._tick, self._seq = saved.tick, saved.seq
        self._next_tick_ns = (saved.tick + 1) * self.config.period_ns if saved.tick else 0
        self._prices.load(saved.prices)
        self._clock.load(saved.clock)
        self._membership.load(saved.membership)
        self._moments.load(saved.moments)
        self._expectations.load(saved.expectations)
        self._last, self._waiting = saved.last, saved.waiting
        self._chosen_of, self._chooser, self._refusal = [], None, ""
        if saved.chosen_of:
            self._choose_of(saved.chosen_of)
        if self._chooser is not None:
            self._chooser.load(saved.chooser)
