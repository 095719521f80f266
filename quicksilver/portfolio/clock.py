"""Log returns of all assets on one clock, from prices that come at different times."""

import math
from typing import NamedTuple

import msgspec

from quicksilver.portfolio.config import Clock
from quicksilver.portfolio.prices import Quote

MAX_SILENT_PERIODS = 3600  # a longer silence is a break: the next return would span it, so it is not taken


class Sampled(NamedTuple):
    """Returns by asset over ``span`` periods, NaN of one that is not known; then ``still`` periods without an event."""

    returns: dict[str, float]
    span: int
    still: int

    def rows(self) -> list[tuple[dict[str, float], float]]:
        """Return the returns that came of it, oldest first, and how many periods each is over."""
        return [(self.returns, float(self.span))] + [(dict.fromkeys(self.returns, 0.0), 1.0)] * self.still


class SavedClock(msgspec.Struct):
    """The state of ``ReturnClock``."""

    quotes: dict[str, Quote]
    tick: int


class ReturnClock:
    """Takes a return of each asset at a period's end.

    ``previous-tick`` takes one at each, from the last prices; a period without any event is one of zero returns.
    ``refresh-time`` takes one at the first end at which all assets that have a price had a new one since the last
    return: none is then zero because its asset trades seldom, which draws correlations to zero (Epps, Comovements in
    stock prices in the very short run, JASA 74, 1979; Barndorff-Nielsen, Hansen, Lunde, Shephard, Multivariate realised
    kernels, Journal of Econometrics 162(2), 2011).

    A return is known if the asset had a price, of the same venue, at all ends of periods since the last return: between
    two venues' prices lies their difference, and across a doubt nothing is known.
    """

    def __init__(self, clock: Clock) -> None:
        self._refresh = clock == "refresh-time"
        self._quotes: dict[str, Quote] = {}
        self._tick = 0

    def sample(self, tick: int, silent: int, quotes: dict[str, Quote]) -> Sampled | None:
        """Return what is known at the end of period ``tick``; None if no return is taken there.

        In the ``silent`` periods before there was no event.
        """
        before = {asset: quote for asset, quote in self._quotes.items() if asset in quotes}
        if not before or silent > MAX_SILENT_PERIODS:
            self._quotes, self._tick = quotes, tick
            return None
        if self._refresh and not all(_new(quote, before.get(asset)) for asset, quote in quotes.items()):
            self._quotes = before
            return None
        returns = {asset: _log_return(before.get(asset), quote) for asset, quote in quotes.items()}
        sampled = Sampled(returns, tick - self._tick, 0) if self._refresh else Sampled(returns, 1, silent)
        self._quotes, self._tick = quotes, tick
        return sampled

    def dump(self) -> SavedClock:
        """Return the state."""
        return SavedClock(self._quotes, self._tick)

    def load(self, saved: SavedClock) -> None:
        """Take over a dumped state."""
        self._quotes, self._tick = saved.quotes, saved.tick


def _new(now: Quote, before: Quote | None) -> bool:
    return before is None or (now.source, now.number) != (before.source, before.number)


def _log_return(before: Quote | None, now: Quote) -> float:
    if before is None or before.source != now.source:
        return math.nan
    return math.log(now.price) - math.log(before.price)
