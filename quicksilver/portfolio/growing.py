"""The portfolios that a live universe re-evaluates: drawn in its feasible set, by ``risk``'s own way to keep them."""

from typing import NamedTuple

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.portfolio.bank import BLOCK, Float32, PortfolioBank
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import Feasible
from quicksilver.portfolio.past_bank import PastBank
from quicksilver.portfolio.ring import Ring
from quicksilver.portfolio.sampling import WALKED, Sampler

STEP = 250  # portfolios drawn inside constraints at an update: some milliseconds, where all at once would take seconds
DRAWN = 31_000  # weights of all long-only portfolios that are drawn at an update, in whole blocks: 2 ms
QUASI_STEP = 256  # a whole net of Sobol's points is a power of two
PAST_VALUES = 6_000_000  # returns of portfolios that are kept for risks other than the variance: 24 MB; of 30 assets,
# with weights and sums beside them, 37 MB where the window is 600 and 85 MB where it is 80, as more portfolios fit
FEWEST = 200
LEAST = np.finfo(np.float32).tiny  # of a risk to divide by


class GrowingBank:
    """Up to ``config.n_portfolios`` feasible portfolios; fewer where all their last returns have to be kept.

    There are some more at each ``grow``, so that how many there are follows from how often it was called. So it is with
    the corners between which they are drawn: while some are not known, each other update finds one instead of drawing.
    """

    def __init__(self, config: PortfolioConfig, feasible: Feasible, ring: Ring) -> None:
        self._risk, self._ring, self._n_assets = config.risk, ring, len(feasible.low)
        self._capacity = config.n_portfolios
        if config.risk != "variance":
            self._capacity = min(self._capacity, max(FEWEST, PAST_VALUES // config.window))
        self._chunk = 0
        self._looked = False  # at the last update
        self._parts: list[PastBank] = []
        self._sampler: Sampler | None = None
        self._simplex: PortfolioBank | None = None  # where all long-only portfolios are feasible
        quasi = config.sampling == "quasi-random"
        self._step = QUASI_STEP if quasi else STEP
        self._bank = PortfolioBank.empty(self._capacity, self._n_assets)
        if quasi or not config.constraints.none:
            self._sampler = Sampler(feasible, config.seed, quasi=quasi, gradual=True)
        else:
            self._step = BLOCK * max(1, DRAWN // (BLOCK * self._n_assets))
            self._simplex = PortfolioBank(self._capacity, self._n_assets, config.seed, gradual=True)
            if config.risk == "variance":
                self._bank = self._simplex
        if self._bank is not self._simplex:
            self._weights: FloatArray = np.empty((self._capacity, self._n_assets))

    @property
    def n_portfolios(self) -> int:
        """How many portfolios there are by now."""
        return self._bank.n_portfolios

    def grow(self) -> None:
        """Draw some more, while there is room."""
        start, room = self._bank.n_portfolios, self._capacity - self._bank.n_portfolios
        if room <= 0:
            return
        if self._simplex is not None:
            self._simplex.more(self._step)
            if self._simplex is self._bank:
                return
            drawn = self._simplex.weights(list(range(start, self._simplex.n_portfolios)))
        elif self._sampler is not None:
            self._looked = self._chunk > 0 and not self._looked and self._sampler.look()
            if self._looked:
                return  # drawing takes as long
            step = self._step // WALKED if self._sampler.few else self._step  # all of them walk, which takes as long
            drawn = self._sampler.draw(min(step, room), self._chunk)
            self._chunk += 1
        self._weights[start : start + len(drawn)] = drawn
        self._add(drawn)

    def _add(self, weights: FloatArray) -> None:
        self._bank.add(weights)
        if self._risk != "variance":
            self._parts.append(PastBank(weights, self._risk, self._ring))

    def added(self, removed: bool) -> None:
        """Follow the ring, which has one more return; ``removed``: it took the place of the oldest."""
        for part in self._parts:
            part.added(removed)

    def weights(self, index: int | list[int]) -> FloatArray:
        """Return the weights of one portfolio, ``(n_assets,)``, or of several, ``(n, n_assets)``, feasible."""
        if self._bank is self._simplex:
            return self._bank.weights(index)
        found: FloatArray = self._weights[index].copy()
        return found

    def evaluate(self, mean: FloatArray, covariance: FloatArray) -> "Evaluated":
        """Return all portfolios' figures, valid until the next call."""
        means, deviations = self._bank.evaluate(mean, covariance)
        if self._risk == "variance":
            return Evaluated(self, means, deviations, deviations)
        risks = np.concatenate([part.risks() for part in self._parts]).astype(np.float32)
        return Evaluated(self, means, risks, deviations)


class Evaluated(NamedTuple):
    """A bank at one update: ``means``, ``risks`` and standard ``deviations``, ``(n_portfolios,)`` each."""

    bank: GrowingBank
    means: Float32
    risks: Float32
    deviations: Float32

    def least(self, scores: Float32) -> FloatArray:
        """Return the weights ``(n_assets,)`` of the portfolio of the least score."""
        return self.bank.weights(int(np.argmin(scores)))

    def most_useful(self, aversion: float) -> FloatArray:
        """Return the weights ``(n_assets,)`` of the highest mean less half of ``aversion`` times the variance."""
        return self.least(aversion / 2.0 * self.deviations.astype(np.float64) ** 2 - self.means)

    def some(self, rng: np.random.Generator, n: int) -> list[FloatArray]:
        """Return ``n`` portfolios' weights by chance."""
        return [self.bank.weights(int(i)) for i in rng.integers(len(self.means), size=n)]

    def ratios(self, cash: float) -> Float32:
        """Return the means above what ``cash`` earns, over the risks, to rank by as ``risks.ratios`` is."""
        above = self.means - self.means.dtype.type(cash)
        with np.errstate(over="ignore"):  # a gain without risk is better than any with some
            found: Float32 = above / np.maximum(self.risks, LEAST)
        return found
