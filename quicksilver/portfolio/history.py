"""A price history, and the large Monte Carlo of its moments between two exact ends."""

from typing import NamedTuple

import msgspec
import numpy as np

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.estimators import Estimate, conditioned
from quicksilver.portfolio.large import CHUNK, NOBODY, Best, Int64, Sweep, weights_of
from quicksilver.portfolio.picks import min_variance

LIVE = PortfolioConfig()  # what the live frontier asks and shows, this one does too


class History(NamedTuple):
    """Prices of all assets at the same moments: ``times_ns`` rises, ``prices`` is ``(n_times, n_assets)``."""

    assets: list[str]
    times_ns: Int64
    prices: FloatArray

    @property
    def every_ns(self) -> int:
        """Return the median time between two moments; 0 if there are no two."""
        return int(np.median(np.diff(self.times_ns))) if len(self.times_ns) > 1 else 0


class LargeConfig(msgspec.Struct, frozen=True):
    """How many portfolios are drawn, by which seed, and how many points of them are shown."""

    universe: str = "history"
    n_portfolios: int = 100_000_000
    seed: int = LIVE.seed
    n_frontier: int = LIVE.n_frontier
    n_cloud: int = LIVE.n_cloud


class Study:
    """The sweep that workers run over all long-only portfolios, by a research's estimate, and what it drew.

    Bins of risk reach from the exact least variance to the risk of the highest mean.

    Raises:
        InputError: a number cannot be used.
    """

    def __init__(self, given: Estimate, config: LargeConfig) -> None:
        _check(config)
        self._n_cloud = config.n_cloud
        covariance = conditioned(given.covariance)[0]
        scale = float(np.sqrt(np.max(np.diag(covariance))))
        boldest, calm = np.argmax(given.mean), min_variance(covariance)
        low, high = float(np.sqrt(calm @ covariance @ calm)), float(np.sqrt(covariance[boldest, boldest]))
        self.sweep = Sweep(
            config.n_portfolios, config.seed, (given.mean / scale).astype(np.float32),
            np.linalg.cholesky(covariance / scale**2).astype(np.float32), low / scale, high / scale, config.n_frontier,
        )  # fmt: skip

    def winners(self, best: Best) -> tuple[FloatArray, FloatArray]:
        """Return the best that were drawn, of each bin ``(n, n_assets)``, and of all: least risk, highest Sharpe."""
        bins = best.number[:-2]
        found = weights_of(self.sweep, [*bins[bins != NOBODY].tolist(), *best.number[-2:].tolist()])
        return found[:-2], found[-2:]

    def shown(self) -> FloatArray:
        """Return some of what was drawn, ``(n, n_assets)``."""
        within = min(self.sweep.n_portfolios, CHUNK)
        return weights_of(self.sweep, range(0, within, max(1, within // self._n_cloud)))


def _check(config: LargeConfig) -> None:
    for name in ("n_portfolios", "n_frontier", "n_cloud"):
        if getattr(config, name) < 1:
            raise InputError(f"{name} must be 1 or more, not {getattr(config, name)}")
    if config.seed < 0:
        raise InputError(f"the seed must be 0 or more, not {config.seed}")
