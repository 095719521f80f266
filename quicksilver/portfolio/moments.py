"""Streaming moments of returns, exponentially weighted, of each pair of assets over the times at which both are known.

O(n_assets^2) an update and no window: sums about moving means, with weights that fade by half every ``halflife``
periods. Where all assets are known at all times, they are the batch's to the last digits.

References: West, Updating mean and variance estimates, CACM 22(9), 1979; Pebay, Formulas for robust, one-pass parallel
computation of covariances and arbitrary-order statistical moments, Sandia report SAND2008-6212, 2008 (sums of third and
fourth order about a mean that moves); Kish, Survey sampling, 1965 (effective number of observations).
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from quicksilver.compiled import jit
from quicksilver.errors import StateError
from quicksilver.events import FloatArray

STILL = 1e-30  # variance of an asset that does not move: far below any price's, far above where doubles lose digits
MOST_RETURN = 1e70  # its fourth power is still a number
FORGOTTEN = 1e-100  # a weight below is none: it is that of hundreds of half-lives ago

WEIGHT, SQUARED, COUNT, MEAN, SCATTER, PRODUCT, THIRD, FOURTH, SPAN = range(9)
"""Of assets i and j, over the times when both are known: sum of weights, of their squares, number of times; mean of i;
sums of w a a, w a b, w a a b, w a a b b with a and b how far i and j are from those means; mean span in periods."""


class Moments:
    """Mean, covariance and what shrinkage needs, of return vectors one by one; of one period, whatever they span.

    A return over several periods counts as one observation; both moments are divided by how many periods returns span
    on average, as those of a walk without memory grow.

    A return that is not finite is not known: it says nothing of its asset, while the weight of all that is older fades.
    So assets may come and go; what is known of the others stays as it is.
    """

    def __init__(self, n_assets: int, halflife: float) -> None:
        self.decay = 0.5 ** (1.0 / halflife)
        self.halflife = halflife
        self.sums: FloatArray = np.zeros((9, n_assets, n_assets))

    def update(self, returns: FloatArray, span: float = 1.0) -> None:
        """Take in one vector of log returns ``(n_assets,)`` over ``span`` periods."""
        _update(returns, span, self.decay**span, self.sums)

    @property
    def mean(self) -> FloatArray:
        """Weighted mean of each asset's returns, ``(n_assets,)``; 0 of one that has none."""
        return _quotient(self.sums[MEAN].diagonal(), self.sums[SPAN].diagonal())

    @property
    def n_observations(self) -> int:
        """Number of times at which the two assets were known that were so least often together."""
        return int(self.sums[COUNT].min()) if self.sums[COUNT].size else 0

    @property
    def even(self) -> bool:
        """Whether all pairs have the same weights: then moments are one sample's, and no repair is needed."""
        weights = self.sums[WEIGHT]
        return bool((weights == weights[:1, :1]).all())

    def effective(self) -> FloatArray:
        """Return the effective number of observations of each pair, ``(n_assets, n_assets)``: (sum w)^2 / sum w^2."""
        return _quotient(self.sums[WEIGHT] ** 2, self.sums[SQUARED])

    @property
    def n_effective(self) -> float:
        """Effective number of observations: the pairs' harmonic mean; 0 where a pair has none."""
        return _harmonic(self.effective())

    @property
    def n_periods(self) -> float:
        """Effective number of periods: a return over several tells as much of a mean as one of each."""
        return _harmonic(self.effective() * self.sums[SPAN])

    def covariance(self) -> FloatArray:
        """Return the unbiased covariance ``(n_assets, n_assets)``; 0 of a pair with fewer than two observations."""
        return _covariance(self.sums)

    def biased(self) -> FloatArray:
        """Return the covariance ``(n_assets, n_assets)`` as a weighted mean: sums over their weight."""
        return _quotient(self.sums[PRODUCT], self.sums[WEIGHT] * self.sums[SPAN])

    def spread(self) -> FloatArray:
        """Return the weighted variance ``(n_assets, n_assets)`` of each pair's products of deviations."""
        fourth = _quotient(self.sums[FOURTH], self.sums[WEIGHT] * self.sums[SPAN] ** 2)
        return np.maximum(fourth - self.biased() ** 2, 0.0)

    def over(self, places: Sequence[int | None]) -> Self:
        """Return the moments of the assets at these places, in this order; None is an asset of which nothing is known.

        Exact: those of a part of the assets are what they would be had there never been others.
        """
        part = type(self)(len(places), self.halflife)
        kept = [i for i, place in enumerate(places) if place is not None]
        old = [place for place in places if place is not None]
        part.sums[np.ix_(range(9), kept, kept)] = self.sums[np.ix_(range(9), old, old)]
        return part

    def dump(self) -> bytes:
        """Return the state."""
        return self.sums.tobytes()

    def load(self, saved: bytes) -> None:
        """Take over a dumped state.

        Raises:
            StateError: it is of another number of assets.
        """
        if len(saved) != self.sums.nbytes:
            raise StateError("the saved moments are of another number of assets")
        self.sums = np.frombuffer(saved, np.float64).reshape(self.sums.shape).copy()


def _quotient(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """What nothing is known of is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0.0)


def _harmonic(pairs: FloatArray) -> float:
    return float(1.0 / np.mean(1.0 / pairs)) if pairs.size and pairs.min() > 0.0 else 0.0


@jit
def _covariance(sums: FloatArray) -> FloatArray:
    weight, squared, product, span = sums[WEIGHT], sums[SQUARED], sums[PRODUCT], sums[SPAN]
    found = np.zeros_like(weight)
    for i in range(len(weight)):
        for j in range(len(weight)):
            if weight[i, j] > 0.0:
                freedom = weight[i, j] - squared[i, j] / weight[i, j]
                # As a share of the weight: all weights of one that is away fade alike.
                if freedom > 1e-12 * weight[i, j]:
                    found[i, j] = product[i, j] / (freedom * span[i, j])
    return found


@jit
def _update(returns: FloatArray, span: float, decay: float, sums: FloatArray) -> Any:
    """One more observation; NaN is not known. Products are grouped so that the order of assets changes no digit."""
    n = len(returns)
    for i in range(n):
        for j in range(i, n):
            weight, squared = decay * sums[0, i, j], decay * decay * sums[1, i, j]
            if weight < FORGOTTEN:
                sums[:, i, j] = 0.0
                sums[:, j, i] = 0.0
                weight, squared = 0.0, 0.0
            product, fourth = decay * sums[5, i, j], decay * sums[7, i, j]
            square_i, square_j = decay * sums[4, i, j], decay * sums[4, j, i]
            third_i, third_j = decay * sums[6, i, j], decay * sums[6, j, i]
            if abs(returns[i]) < MOST_RETURN and abs(returns[j]) < MOST_RETURN:  # a NaN is not
                total = weight + 1.0
                a, b = returns[i] - sums[3, i, j], returns[j] - sums[3, j, i]
                p, q = a / total, b / total  # what the means move by
                share = weight / total
                fourth += (
                    p * p * square_j + q * q * square_i + 4.0 * p * q * product - 2.0 * (q * third_i + p * third_j)
                    + weight * ((p * p) * (q * q)) + share**4 * ((a * a) * (b * b))
                )  # fmt: skip
                third_i += share**3 * ((a * a) * b) - q * square_i - 2.0 * p * product - weight * ((p * p) * q)
                third_j += share**3 * ((b * b) * a) - p * square_j - 2.0 * q * product - weight * ((q * q) * p)
                product += share * (a * b)
                square_i += share * (a * a)
                square_j += share * (b * b)
                mean_span = sums[8, i, j] + (span - sums[8, i, j]) / total
                sums[8, i, j], sums[8, j, i] = mean_span, mean_span
                weight, squared = total, squared + 1.0
                mean_i, mean_j = sums[3, i, j] + p, sums[3, j, i] + q
                sums[3, i, j], sums[3, j, i] = mean_i, mean_j
                sums[2, i, j] += 1.0
                sums[2, j, i] = sums[2, i, j]
            sums[0, i, j], sums[0, j, i], sums[1, i, j], sums[1, j, i] = weight, weight, squared, squared
            sums[4, i, j], sums[4, j, i] = square_i, square_j
            sums[5, i, j], sums[5, j, i] = product, product
            sums[6, i, j], sums[6, j, i] = third_i, third_j
            sums[7, i, j], sums[7, j, i] = fourth, fourth
