"""Monte Carlo inside of any feasible set, for any risk, in chunks that any worker may take in any order.

A chunk's draws depend on the seed and its number alone, a chunk is as many portfolios as fit in a fixed amount of
memory, and chunks are reduced to the best portfolio in each bin of risk: the answer is the same however they are
shared out. ``large.py`` does the same much faster where all long-only portfolios are feasible.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.portfolio.constraints import Feasible
from quicksilver.portfolio.goals import Market
from quicksilver.portfolio.large import NOBODY, Int64, wins
from quicksilver.portfolio.risks import RiskName, measured, ratios
from quicksilver.portfolio.sampling import Sampler

CHUNK = 20_000  # portfolios drawn and measured at once
MOST_WEIGHTS = 2_000_000  # of a chunk: 16 MB, and drawing holds some ten times as much


class Winners(NamedTuple):
    """The best portfolio of each slot: the bins of risk, then the least risk, then the highest ratio.

    All are ``(n_bins + 2,)``, ``weights`` is ``(n_bins + 2, n_assets)``. A slot's winner has the highest ``first``,
    among equals the highest ``second``, then the lowest ``number``, which is ``NOBODY`` while there is none.
    """

    first: FloatArray
    second: FloatArray
    number: Int64
    weights: FloatArray


class Inside:
    """All that a worker needs: how to draw, how to measure, and the bins of risk.

    Bins are those of the first chunk's risks; what lies outside of them counts to the outermost.

    Raises:
        InputError: rounding loses the whole set, which is hardly more than one portfolio.
    """

    def __init__(
        self, feasible: Feasible, market: Market, risk: RiskName, n_portfolios: int, seed: int, *, n_bins: int,
        quasi: bool = False,
    ) -> None:  # fmt: skip
        self._sampler = Sampler(feasible, seed, quasi=quasi)
        # A covariance is measured by itself: workers need not be sent the past.
        self._market = market if risk != "variance" else replace(market, excess=market.excess[:0])
        self._risk = risk
        self._cash = market.cash * feasible.budget
        self.n_portfolios = n_portfolios
        self.n_bins = n_bins
        self.chunk = max(1, min(CHUNK, MOST_WEIGHTS // len(feasible.low)))
        _, risks = self.measured(self.drawn(0))
        self.low, self.high = float(risks.min()), float(risks.max())

    @property
    def n_chunks(self) -> int:
        """Return the number of chunks; the last one may be short."""
        return -(-self.n_portfolios // self.chunk)

    def drawn(self, chunk: int) -> FloatArray:
        """Return a chunk's portfolios, ``(n, n_assets)``."""
        return self._sampler.draw(min(self.chunk, self.n_portfolios - chunk * self.chunk), chunk)

    def measured(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return means and risks ``(n,)`` of portfolios ``(n, n_assets)``."""
        market = self._market
        return weights @ market.mean, measured(self._risk, weights, market.covariance, market.excess)

    def nobody(self) -> Winners:
        """Return slots without winners: what merges with any reduction to that reduction."""
        n_slots = self.n_bins + 2
        worst = np.full(n_slots, -np.inf)
        empty = np.zeros((n_slots, len(self._market.mean)))
        return Winners(worst, worst.copy(), np.full(n_slots, NOBODY), empty)

    def reduce(self, chunks: Iterable[int]) -> Winners:
        """Draw, measure and reduce the chunks of these numbers."""
        best = self.nobody()
        for chunk in chunks:
            best = merge_winners(best, self._reduced(chunk))
        return best

    def _reduced(self, chunk: int) -> Winners:
        weights = self.drawn(chunk)
        means, risks = self.measured(weights)
        sharpness = ratios(means - self._cash, risks)
        width = self.high - self.low
        scale = self.n_bins / width if width > 0.0 else 0.0
        bins = np.clip((risks - self.low) * scale, 0, self.n_bins - 1).astype(np.int64)
        order = np.lexsort((risks, -means, bins))  # it is stable: among equals the first comes first
        leaders = order[np.unique(bins[order], return_index=True)[1]]
        rows = np.append(leaders, [np.lexsort((-means, risks))[0], np.lexsort((risks, -sharpness))[0]])
        slots = np.append(bins[leaders], [self.n_bins, self.n_bins + 1])
        found = self.nobody()
        found.first[slots] = np.concatenate([means[leaders], [-risks[rows[-2]], sharpness[rows[-1]]]])
        found.second[slots] = np.concatenate([-risks[leaders], [means[rows[-2]], -risks[rows[-1]]]])
        found.number[slots] = chunk * self.chunk + rows
        found.weights[slots] = weights[rows]
        return found


def merge_winners(one: Winners, other: Winners) -> Winners:
    """Return the winners of both; associative, commutative, and idempotent."""
    theirs = wins(other[:3], one[:3])
    return Winners(
        np.where(theirs, other.first, one.first), np.where(theirs, other.second, one.second),
        np.where(theirs, other.number, one.number), np.where(theirs[:, None], other.weights, one.weights),
    )  # fmt: skip
