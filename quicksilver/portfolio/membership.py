"""Which assets of a universe are in its portfolios now, which are not, and why."""

from collections.abc import Iterable, Mapping

import msgspec

from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.prices import Prices, Quote


class SavedMembership(msgspec.Struct):
    """The state of ``Membership``."""

    counts: dict[str, int]
    inside: list[str]


class Membership:
    """An asset is in once it has ``min_observations`` returns, and out after ``leave`` periods without a price.

    One that is in and has no price holds all others up until then. One that is out has to have as many returns anew.
    """

    def __init__(self, config: PortfolioConfig) -> None:
        self._needed = config.min_observations
        self._leave_ns = config.leave * config.period_ns
        self._counts: dict[str, int] = {}
        self._inside: set[str] = set()

    @property
    def inside(self) -> list[str]:
        """The assets that are in, in alphabetical order."""
        return sorted(self._inside)

    def leave(self, prices: Prices, quotes: Mapping[str, Quote], now_ns: int) -> None:
        """Take out what belongs to the universe no more, or has been without a price for too long."""
        members = prices.members
        gone = [one for one in members if one not in quotes and now_ns - prices.last_ns(one) > self._leave_ns]
        self._counts = {one: self._counts.get(one, 0) for one in members} | dict.fromkeys(gone, 0)
        self._inside = (self._inside & set(members)) - set(gone)

    def count(self, known: Iterable[str]) -> None:
        """Count one more return of these assets, which have a price; take in who has enough."""
        for asset in known:
            self._counts[asset] += 1
            if self._counts[asset] >= self._needed:
                self._inside.add(asset)

    def periods_until(self, n: int) -> int:
        """Return after how many more periods ``n`` of the assets can be in at the earliest; there are as many."""
        return max(0, self._needed - sorted(self._counts.values(), reverse=True)[n - 1])

    def waits_for(self, quotes: Mapping[str, Quote]) -> list[str]:
        """Return the assets that are in and have no price."""
        return [asset for asset in self.inside if asset not in quotes]

    def absent(self, prices: Prices, quotes: Mapping[str, Quote], now_ns: int) -> dict[str, str]:
        """Say of each asset that is out, or without a price, why."""
        why = {}
        for asset in prices.members:
            if asset not in quotes:
                why[asset] = prices.missing(asset, now_ns)
            elif asset not in self._inside:
                why[asset] = f"{self._counts[asset]} of {self._needed} returns"
        return why

    def dump(self) -> SavedMembership:
        """Return the state."""
        return SavedMembership(self._counts, self.inside)

    def load(self, saved: SavedMembership) -> None:
        """Take over a dumped state."""
        self._counts, self._inside = saved.counts, set(saved.inside)
