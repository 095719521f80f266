"""What is known of the returns of all of a universe's assets, those included that are not in its portfolios now."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from quicksilver.events import FloatArray
from quicksilver.portfolio.clock import Sampled
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.estimators import conditioned
from quicksilver.portfolio.moments import Moments
from quicksilver.portfolio.ring import Ring
from quicksilver.portfolio.shrinkage import covariance_of, james_stein


class SavedMoments(msgspec.Struct):
    """The state of ``LiveMoments``."""

    assets: list[str]
    moments: bytes
    rows: bytes
    count: int


class LiveMoments:
    """One matrix of moments over all assets that belong to the universe, and their last ``window`` returns.

    An asset that joins begins with nothing, and what is known of the others is not touched by it; neither when one
    leaves. Pairs that have been together for unlike times have moments of unlike age, so a matrix over both may have
    negative eigenvalues, which ``shrinkage.repaired`` takes away.
    """

    def __init__(self, config: PortfolioConfig) -> None:
        self._config = config
        self._assets: list[str] = []
        self._moments = Moments(0, config.halflife)
        self._ring = Ring(config.window, 0)

    def follow(self, assets: list[str]) -> None:
        """Have these assets from here on; what is known of those that stay is kept."""
        if assets == self._assets:
            return
        place = {asset: i for i, asset in enumerate(self._assets)}
        places = [place.get(asset) for asset in assets]
        before = self._ring.in_order()
        rows = np.full((len(before), len(assets)), np.nan)
        for column, old in enumerate(places):
            if old is not None:
                rows[:, column] = before[:, old]
        count = self._ring.count
        self._ring = Ring(self._config.window, len(assets))
        self._ring.restore(rows, count)
        self._assets, self._moments = list(assets), self._moments.over(places)

    def update(self, sampled: Sampled) -> Sequence[Mapping[str, float]]:
        """Take in what the clock gave; returns the rows, oldest first, that came of it.

        A return over several periods has the spread of one in the rows: divided by the square root of their number.
        """
        scale = sampled.span**0.5
        rows = [{asset: value / scale for asset, value in sampled.returns.items()}]
        rows += [dict.fromkeys(sampled.returns, 0.0)] * sampled.still
        for i, row in enumerate(rows):
            vector = np.array([row.get(asset, np.nan) for asset in self._assets])
            self._ring.add(vector)
            self._moments.update(vector * scale if i == 0 else vector, sampled.span if i == 0 else 1.0)
        return rows

    def over(self, assets: Sequence[str]) -> Moments:
        """Return the moments of these assets."""
        return self._moments.over([self._assets.index(asset) for asset in assets])

    def past(self, assets: Sequence[str]) -> FloatArray:
        """Return the last rows in which all of these assets are known, ``(n_rows, n_assets)``, oldest first."""
        rows = self._ring.in_order()[:, [self._assets.index(asset) for asset in assets]]
        known: FloatArray = rows[np.isfinite(rows).all(axis=1)]
        return known

    def dump(self) -> SavedMoments:
        """Return the state."""
        ring = self._ring
        return SavedMoments(self._assets, self._moments.dump(), ring.in_order().tobytes(), ring.count)

    def load(self, saved: SavedMoments) -> None:
        """Take over a dumped state."""
        self._assets, n = saved.assets, len(saved.assets)
        self._moments = Moments(n, self._config.halflife)
        self._moments.load(saved.moments)
        self._ring = Ring(self._config.window, n)
        self._ring.restore(np.frombuffer(saved.rows).reshape(-1, n) if n else np.zeros((0, 0)), saved.count)


def estimated(
    moments: Moments, config: PortfolioConfig, mean: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return mean ``(n_assets,)`` and covariance ``(n_assets, n_assets)``, positive definite, of one period.

    A ``mean`` that is given stands for itself.
    """
    covariance = conditioned(covariance_of(config.covariance, moments))[0]
    if mean is not None:
        return mean, covariance
    if config.mean == "james-stein":
        return james_stein(moments.mean, moments.covariance(), moments.n_effective), covariance
    return moments.mean, covariance
