"""How far portfolios' means and ratios may be off: the estimates anew from resampled histories.

The stationary bootstrap (Politis, Romano, Journal of the American Statistical Association 89, 1994): blocks of random
length, for returns cluster.
"""

from typing import NamedTuple

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.portfolio.ring import Past
from quicksilver.portfolio.risks import RiskName, of_one_period, of_returns
from quicksilver.portfolio.shrinkage import drawn_together

TAILS = (0.025, 0.975)  # between them lie 95 %
FEWEST = 10  # returns; of fewer nothing is told


class Shrunk(NamedTuple):
    """Means ``(n_assets,)`` before they are drawn together, and the ``noise`` (``shrinkage.mean_noise``) they have."""

    means: FloatArray
    noise: float


class Interval(NamedTuple):
    """How much lower and higher than it is estimated each portfolio's mean and ratio may be; all ``(n,)``."""

    mean_low: FloatArray
    mean_high: FloatArray
    ratio_low: FloatArray
    ratio_high: FloatArray


class Doubt:
    """``resamples`` histories of the last returns, the same for the same seed and number of returns.

    Means, and the variance, are estimated as the live ones are, by weights that fade by half every ``halflife``
    periods, of which each return has as many as all have on average; the other risks as they are measured. Returns over
    several periods give a mean of one period as the sum of returns over the sum of periods.
    """

    def __init__(self, resamples: int, halflife: float, seed: int) -> None:
        self._resamples = resamples
        self._decay = 0.5 ** (1.0 / halflife)
        self._seed = seed
        self._n, self._span = 0, 0.0
        self._picked = np.empty((0, 0), np.int64)
        self._fading: FloatArray = np.empty((0, 0))  # how much each return weighs in each history's mean

    def intervals(
        self, past: Past, weights: FloatArray, risk: RiskName, shrunk: Shrunk | None = None, cash: float = 0.0
    ) -> Interval | None:
        """Return the intervals of portfolios ``(n, n_assets)`` by the assets' ``past``, of returns less cash.

        How the resampled estimates scatter about that of the returns as they are is how the estimate scatters about
        the truth. Of means that are ``shrunk`` it is the shrunk estimate that scatters: the assets' resampled means lie
        about those before, and are drawn together by the same noise. How far shrinkage itself takes means from the
        truth is no part of it. None: nothing is resampled, or there are too few returns.
        """
        n = len(past.rows)
        if not self._resamples or n < FEWEST:
            return None
        self._resample(n, float(past.periods.mean()))
        returns = past.rows @ weights.T
        spans, span = 1.0 + self._fading @ (past.periods - 1.0), past.periods.mean()  # 1 to the last digit if all are
        sums = self._fading @ returns
        if shrunk is None:
            means, mean = sums / spans[:, None], returns.mean(axis=0) / span
        else:
            moved = self._fading @ past.rows / spans[:, None] - past.rows.mean(axis=0) / span
            means = (drawn_together(shrunk.means + moved, shrunk.noise) - cash) @ weights.T
            mean = (drawn_together(*shrunk) - cash) @ weights.T
        if risk == "variance":
            risks = np.sqrt(np.maximum(self._fading @ returns**2 - sums**2, 0.0) / spans[:, None])
            size = of_returns(risk, returns) / np.sqrt(span)
        else:
            returns = of_one_period(risk, returns, past.periods[:, None])
            risks = np.column_stack([of_returns(risk, one[self._picked.T]) for one in returns.T])
            size = of_returns(risk, returns)
        apart = np.hstack([means - mean, _ratio(means, risks) - _ratio(mean, size)])
        (low, ratio_low), (high, ratio_high) = np.quantile(apart, TAILS, axis=0).reshape(2, 2, -1)
        return Interval(low, high, ratio_low, ratio_high)

    def _resample(self, n: int, span: float) -> None:
        """Which return stands at each time of each history, and how much it weighs there."""
        if (n, span) == (self._n, self._span):
            return
        at, shape = np.arange(n), (self._resamples, n)
        if n != self._n:
            rng = np.random.default_rng([self._seed, 3])
            begins = rng.random(shape) < 1.0 / round(n ** (1.0 / 3.0))  # blocks' mean length, of the best order
            begins[:, 0] = True
            begun = np.maximum.accumulate(np.where(begins, at, 0), axis=1)
            first = np.take_along_axis(rng.integers(0, n, shape), begun, axis=1)
            self._picked = (first + at - begun) % n
        self._n, self._span = n, span
        weights = (self._decay**span) ** (n - 1.0 - at)
        places = self._picked + n * np.arange(self._resamples)[:, None]
        share = np.broadcast_to(weights / weights.sum(), shape).ravel()
        sums: FloatArray = np.bincount(places.ravel(), share, minlength=self._resamples * n).astype(np.float64)
        self._fading = sums.reshape(shape)


def _ratio(means: FloatArray, risks: FloatArray) -> FloatArray:
    return np.divide(means, risks, out=np.zeros_like(means), where=risks > 0.0)
