"""What is known of the returns of all of a universe's assets, those included that are not in its portfolios now."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from quicksilver.events import FloatArray
from quicksilver.portfolio.clock import Sampled
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.doubt import Shrunk
from quicksilver.portfolio.estimators import conditioned
from quicksilver.portfolio.moments import Moments
from quicksilver.portfolio.ring import Past, Ring
from quicksilver.portfolio.shrinkage import covariance_of, drawn_together, mean_noise


class SavedMoments(msgspec.Struct):
    """The state of ``LiveMoments``."""

    assets: list[str]
    moments: bytes
    rows: bytes
    periods: bytes
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
        before = self._ring.past()
        rows = np.full((len(before.rows), len(assets)), np.nan)
        for column, old in enumerate(places):
            if old is not None:
                rows[:, column] = before.rows[:, old]
        count = self._ring.count
        self._ring = Ring(self._config.window, len(assets))
        self._ring.restore(Past(rows, before.periods), count)
        self._assets, self._moments = list(assets), self._moments.over(places)

    def update(self, sampled: Sampled) -> None:
        """Take in what the clock gave."""
        for row, periods in sampled.rows():
            vector = np.array([row.get(asset, np.nan) for asset in self._assets])
            self._ring.add(vector, periods)
            self._moments.update(vector, periods)

    def over(self, assets: Sequence[str]) -> Moments:
        """Return the moments of these assets, to be read only."""
        if list(assets) == self._assets:
            return self._moments
        return self._moments.over([self._assets.index(asset) for asset in assets])

    def past(self, assets: Sequence[str]) -> Past:
        """Return the last rows in which all of these assets are known."""
        past = self._ring.past()
        rows = past.rows[:, [self._assets.index(asset) for asset in assets]]
        known = np.isfinite(rows).all(axis=1)
        return Past(rows[known], past.periods[known])

    def dump(self) -> SavedMoments:
        """Return the state."""
        rows, periods = self._ring.past()
        return SavedMoments(self._assets, self._moments.dump(), rows.tobytes(), periods.tobytes(), self._ring.count)

    def load(self, saved: SavedMoments) -> None:
        """Take over a dumped state."""
        self._assets, n = saved.assets, len(saved.assets)
        self._moments = Moments(n, self._config.halflife)
        self._moments.load(saved.moments)
        self._ring = Ring(self._config.window, n)
        periods = np.frombuffer(saved.periods)
        self._ring.restore(Past(np.frombuffer(saved.rows).reshape(len(periods), n), periods), saved.count)


class Estimated(NamedTuple):
    """Mean ``(n_assets,)`` and covariance ``(n_assets, n_assets)``, positive definite, of one period.

    ``shrunk`` is what ``james-stein`` has made the mean of; None of another mean.
    """

    mean: FloatArray
    covariance: FloatArray
    shrunk: Shrunk | None = None


def estimated(moments: Moments, config: PortfolioConfig, mean: FloatArray | None = None) -> Estimated:
    """Return the moments of one period as the configuration wants them; a ``mean`` that is given stands for itself.

    ``james-stein`` draws means together by how little is known of them, which is told by how many periods there were,
    not by how many returns they were cut into.
    """
    covariance = conditioned(covariance_of(config.covariance, moments))[0]
    if mean is not None:
        return Estimated(mean, covariance)
    if config.mean == "james-stein":
        shrunk = Shrunk(moments.mean, mean_noise(moments.covariance(), moments.n_periods))
        return Estimated(drawn_together(*shrunk), covariance, shrunk)
    return Estimated(moments.mean, covariance)
