"""The frontier of a price history: moments of all its returns, and a large Monte Carlo between two exact ends."""

from typing import NamedTuple

import msgspec
import numpy as np

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.estimators import Estimate, Estimators, conditioned, estimate
from quicksilver.portfolio.large import CHUNK, NOBODY, Best, Int64, Sweep, weights_of
from quicksilver.portfolio.pareto import efficient
from quicksilver.portfolio.picks import describe, picks
from quicksilver.portfolio.shrinkage import correlation_of
from quicksilver.records import Frontier, Pick

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
    """One history's moments and exact picks, the sweep that workers run, and the record that comes of it.

    Every log return weighs alike, whatever time it took (a weekend's is one return); the covariance is shrunk (OAS, as
    the live one's is unless set otherwise), unless an estimate of both is given.

    Raises:
        InputError: there are fewer than two assets or too few moments, or a number cannot be used.
    """

    def __init__(self, history: History, config: LargeConfig, given: Estimate | None = None) -> None:
        _check(history, config)
        self._history = history
        self._config = config
        if given is None:
            given = estimate(np.diff(np.log(history.prices), axis=0), Estimators("oas"))
        self.mean, self.n_observations = given.mean, given.n_observations
        self.covariance = conditioned(given.covariance)[0]
        self.correlation = correlation_of(self.covariance)
        self.picks = picks(self.mean, self.covariance)
        self.sweep = self._sweep()

    def _sweep(self) -> Sweep:
        scale = float(np.sqrt(np.max(np.diag(self.covariance))))
        boldest = np.argmax(self.mean)
        calm = np.array(self.picks["min_variance"].weights)
        low, high = float(np.sqrt(calm @ self.covariance @ calm)), float(np.sqrt(self.covariance[boldest, boldest]))
        return Sweep(
            self._config.n_portfolios, self._config.seed, (self.mean / scale).astype(np.float32),
            np.linalg.cholesky(self.covariance / scale**2).astype(np.float32), low / scale, high / scale,
            self._config.n_frontier,
        )  # fmt: skip

    def drawn(self, best: Best) -> dict[str, Pick]:
        """Return the best portfolios that were drawn, to lay beside the exact picks."""
        found = weights_of(self.sweep, best.number[-2:].tolist())
        names = ("min_variance", "max_sharpe")
        return {name: describe(row, self.mean, self.covariance) for name, row in zip(names, found, strict=True)}

    def frontier(self, best: Best) -> Frontier:
        """Return the record; its points are evaluated anew in double precision.

        The exact picks and the single assets, which no draw reaches, stand among the candidates for the frontier.
        """
        config, history = self._config, self._history
        winners = best.number[:-2]
        known = [np.array(one.weights) for one in self.picks.values()] + list(np.eye(len(self.mean)))
        candidates = [*weights_of(self.sweep, winners[winners != NOBODY].tolist()), *known]
        points = [self._point(row) for row in candidates]
        front = efficient(*np.array(points).T)
        within = min(config.n_portfolios, CHUNK)
        shown = weights_of(self.sweep, range(0, within, max(1, within // config.n_cloud)))
        newest = int(history.times_ns[-1])
        return Frontier(
            config.universe, 1, newest, newest, history.every_ns, history.assets,
            self.n_observations, config.n_portfolios, np.round(self.correlation, 6).tolist(), self.picks,
            [(round(points[i][0], 6), round(points[i][1], 6)) for i in front],
            [np.round(candidates[i], 6).tolist() for i in front],
            [(round(risk, 6), round(mean, 6)) for risk, mean in map(self._point, shown)],
        )  # fmt: skip

    def _point(self, weights: FloatArray) -> tuple[float, float]:
        one = describe(weights, self.mean, self.covariance)
        return one.risk_bps, one.mean_bps


def _check(history: History, config: LargeConfig) -> None:
    if len(history.assets) < 2:
        raise InputError(f"a frontier needs two assets or more; there is {', '.join(history.assets) or 'none'}")
    if len(history.times_ns) <= LIVE.min_observations:
        raise InputError(
            f"{len(history.times_ns)} moments at which all of {', '.join(history.assets)} have a price;"
            f" {LIVE.min_observations + 1} are needed. Leave out assets with a short history, or give a period to"
            " sample all by"
        )
    for name in ("n_portfolios", "n_frontier", "n_cloud"):
        if getattr(config, name) < 1:
            raise InputError(f"{name} must be 1 or more, not {getattr(config, name)}")
    if config.seed < 0:
        raise InputError(f"the seed must be 0 or more, not {config.seed}")
