"""What a later period of any length may show of a measure, by what the parts of a walk showed.

A part's value differs from the next one's for two reasons: by chance, the less so the longer both are, and because one
period is not like another (drift), however long they are. What parts differ by more than by chance is taken for drift.
So a short period may be farther off than a part of the walk was, and a long one never hits more surely than the parts
agree.

A measure that is no mean, such as a correlation, is another of a long period than of its parts on average: what parts
differ by is then within the period. How far it goes is known to the first order of 1 / length (Quenouille's bias), and
the interval reaches from the one value to the other. On seven coins' minutes of 2017-18, 40 walks of two weeks with the
week after them, that held Matthews' correlation 37 times instead of 32.

References: Hahn, Meeker, Statistical Intervals, 1991, chapter 4 (the interval of a future mean); Satterthwaite, An
approximate distribution of estimates of variance components, Biometrics Bulletin 2(6), 1946; Sidak, Rectangular
confidence regions for the means of multivariate normal distributions, JASA 62, 1967; Quenouille, Notes on bias in
estimation, Biometrika 43, 1956.
"""

import math

import numpy as np
from scipy import stats

from quicksilver.events import FloatArray
from quicksilver.learning.results import Spread


def spread_of(folds: FloatArray, means: FloatArray, n: int, blocks: int, whole: float | None = None) -> Spread:
    """Return what a measure varies by: its value in each part ``(k,)``, and in resamples ``(n_resamples,)``.

    ``n`` decisions were resampled as ``blocks`` blocks, at least 2; ``whole`` is its value of all of them.
    """
    chance = float(np.std(means)) * math.sqrt(blocks / (blocks - 1))  # resamples vary about their own mean: too little
    between = float(np.std(folds, ddof=1)) if len(folds) > 1 else None
    return Spread(n, len(folds), blocks, float(np.mean(folds)), between, chance * math.sqrt(n), whole)


def later_period(spread: Spread, n: int, level: float) -> tuple[float, float]:
    """Return where a measure of ``n`` later decisions lies with a probability of ``level``.

    Of one part alone nothing is known of drift, and the interval is that of chance.
    """
    if spread.bounds is not None:
        return spread.bounds
    k, one = spread.folds, spread.within**2
    chance = one * k / spread.n  # variance of a part's value by chance alone
    if spread.between is None:
        variance, freedom = one / spread.n + one / n, float(spread.blocks - 1)
    else:
        total = max(spread.between**2, chance)
        drift = total - chance
        variance = total / k + drift + one / n
        freedom = _freedom(total * (1 + 1 / k) if drift else 0.0, variance, k, spread.blocks)
    reach = float(stats.t.ppf((1.0 + level) / 2.0, freedom)) * math.sqrt(variance)
    longer = _of_longer(spread, n)
    return min(spread.middle, longer) - reach, max(spread.middle, longer) + reach


def _of_longer(spread: Spread, n: int) -> float:
    """What a measure comes to in a period as long as several parts; in a shorter one it is that of a part."""
    k, parts = spread.folds, n * spread.folds / spread.n
    if spread.whole is None or k == 1 or parts <= 1.0:
        return spread.middle
    return spread.middle + (spread.whole - spread.middle) * (1.0 - 1.0 / parts) / (1.0 - 1.0 / k)


def _freedom(of_parts: float, variance: float, k: int, blocks: int) -> float:
    """Degrees of freedom of a variance of which so much is known by ``k`` parts, and the rest by blocks.

    Satterthwaite's, and no fewer than those of the parts: of a long period chance is taken off, and his are too few.
    """
    doubt = of_parts**2 / (k - 1) + (variance - of_parts) ** 2 / (blocks - 1)
    return max(k - 1.0, variance**2 / doubt) if doubt > 0.0 else k - 1.0


def joint_level(n: int, level: float) -> float:
    """Return the level of each of ``n`` intervals that hold all at once with a probability of at least ``level``.

    Sidak's inequality: so it is however the measures depend on one another, if they are normal together.

    >>> round(joint_level(6, 0.95), 4)
    0.9915
    """
    return float(level ** (1.0 / n))
