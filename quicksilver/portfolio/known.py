"""What a universe knows of its assets: prices, their returns on its clock, who takes part, moments, models' views."""

import math
from typing import NamedTuple

import msgspec

from quicksilver.portfolio.clock import ReturnClock, Sampled, SavedClock
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.expectations import Expectations, View
from quicksilver.portfolio.leaps import Told
from quicksilver.portfolio.live_moments import Estimated, LiveMoments, SavedMoments, estimated
from quicksilver.portfolio.membership import Membership, SavedMembership
from quicksilver.portfolio.prices import Prices, Quote, SavedPrices, currencies, moment, spoken
from quicksilver.portfolio.ring import Past

LEAST_ASSETS = 2


class SavedKnown(msgspec.Struct):
    """The state of ``Known``."""

    prices: SavedPrices
    clock: SavedClock
    membership: SavedMembership
    moments: SavedMoments
    expectations: list[tuple[str, list[View]]]


class Ended(NamedTuple):
    """One end of a period: its time, the time of arrival of what ended it, the prices before it, what was sampled."""

    ts_ns: int
    ts_recv_ns: int
    quotes: dict[str, Quote]
    sampled: Sampled | None


class Known:
    """Takes in prices and views in the order of time, and learns of them at each period's end.

    ``threshold_bps`` is the move from which on a label is not flat (``mean`` of ``predictions``).
    """

    def __init__(self, config: PortfolioConfig, threshold_bps: float) -> None:
        self._config = config
        self._prices = Prices(config.assets, config.venues, config.stale if config.clock == "previous-tick" else 0)
        self._clock = ReturnClock(config.clock)
        self._membership = Membership(config)
        self._moments = LiveMoments(config)
        self._expectations = Expectations(config.period_ns, threshold_bps)

    def take(self, one: Told) -> None:
        """Take in what was told of an instrument."""
        if one.doubt:
            self.forget(one.venue, one.symbol)
        elif one.prediction is not None:
            self._expectations.take(one.prediction)
        else:
            self._prices.take(one.venue, one.symbol, one.price, one.ts_event_ns)

    def forget(self, venue: str, symbol: str) -> None:
        """Forget an instrument's price and what is predicted of it."""
        self._prices.forget(venue, symbol)
        self._expectations.forget(venue, symbol)

    def end_period(self, tick: int, ts_recv_ns: int, silent: int) -> Ended:
        """Learn of the period that ends at ``tick`` periods since 1970, after ``silent`` ones without an event."""
        ts_ns = tick * self._config.period_ns
        self._prices.expire(ts_ns - self._config.leave * self._config.period_ns)
        self._prices.end_period()
        quotes = self._prices.quotes()
        sampled = self._clock.sample(tick, silent, quotes)
        self._moments.follow(self._prices.members)
        self._membership.leave(self._prices, quotes, ts_ns)
        if sampled is not None:
            self._moments.update(sampled)
            for row, _ in sampled.rows():
                self._membership.count(asset for asset, value in row.items() if math.isfinite(value))
        return Ended(ts_ns, ts_recv_ns, quotes, sampled)

    @property
    def assets(self) -> list[str]:
        """The assets that take part, in alphabetical order."""
        return self._membership.inside

    def past(self) -> Past:
        """Return the last rows of returns in which all assets that take part are known."""
        return self._moments.past(self.assets)

    def lacking(self, now: Ended) -> tuple[str, str] | None:
        """Return what kind of thing it is that portfolios lack, and a sentence on it; None if there can be some."""
        assets = self.assets
        waits = self._membership.waits_for(now.quotes)
        if waits:
            why = "; ".join(f"{asset} has {self._prices.missing(asset, now.ts_ns)}" for asset in waits)
            limit = spoken(self._config.leave * self._config.period_ns)
            return "price", f"{why}: all others wait for it until it is back or, after {limit}, out"
        if len(assets) < LEAST_ASSETS:
            return "assets", self._too_few(now)
        n, needed = self._moments.over(assets).n_observations, self._config.min_observations
        if n < needed:
            return "returns", f"two of {', '.join(assets)} have {n} of {needed} returns in common"
        return None

    def _too_few(self, now: Ended) -> str:
        members, n, needed = self._prices.members, len(self.assets), self._config.min_observations
        if len(members) < LEAST_ASSETS:
            return f"a frontier needs two assets or more; there is {members[0] if members else 'none'}"
        earliest_ns = now.ts_ns + self._membership.periods_until(LEAST_ASSETS) * self._config.period_ns
        return (
            f"a frontier needs two assets or more with {needed} returns; {n or 'none'} of {len(members)} has them: not"
            f" before {moment(earliest_ns)}"
        )

    def estimated(self, now: Ended) -> tuple[Estimated, int, list[str]]:
        """Return the moments of the assets that take part, of how many returns they are, and what is to be said."""
        assets, expected, notes = self.assets, None, list[str]()
        if len(mixed := currencies(assets)) > 1:
            notes.append(f"prices are in {' and '.join(mixed)}, whose moves against each other no return here has")
        if self._config.mean == "predictions":
            expected, without = self._expectations.mean(assets, now.quotes, now.ts_ns)
            notes += [f"no live prediction of {', '.join(without)}: a mean of 0 stands in"] if without else []
        moments = self._moments.over(assets)
        return estimated(moments, self._config, expected), moments.n_observations, notes

    def absent(self, now: Ended) -> dict[str, str]:
        """Say of each asset that takes no part, or has no price, why."""
        return self._membership.absent(self._prices, now.quotes, now.ts_ns)

    def silent(self, now_ns: int) -> dict[str, str]:
        """Say of each asset that belongs to the universe how long it has been without a price."""
        return {asset: self._prices.missing(asset, now_ns) for asset in self._prices.members}

    def dump(self) -> SavedKnown:
        """Return the state."""
        return SavedKnown(
            self._prices.dump(), self._clock.dump(), self._membership.dump(), self._moments.dump(),
            self._expectations.dump(),
        )  # fmt: skip

    def load(self, saved: SavedKnown) -> None:
        """Take over a dumped state."""
        self._prices.load(saved.prices)
        self._clock.load(saved.clock)
        self._membership.load(saved.membership)
        self._moments.load(saved.moments)
        self._expectations.load(saved.expectations)
