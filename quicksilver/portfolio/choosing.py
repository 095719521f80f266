"""All portfolios of one set of assets: a bank, the exact picks, the frontier."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.portfolio.bank import PortfolioBank
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import Feasible
from quicksilver.portfolio.costs import BPS
from quicksilver.portfolio.feasibility import checked
from quicksilver.portfolio.pareto import rising
from quicksilver.portfolio.picks import pareto, picks
from quicksilver.portfolio.ring import Ring
from quicksilver.records import Pick


class Chosen(NamedTuple):
    """Portfolios: points are ``[risk_bps, mean_bps]`` of one period."""

    picks: dict[str, Pick]
    frontier: list[tuple[float, float]]
    weights: list[list[float]]
    cloud: list[tuple[float, float]]


class Chooser:
    """Raises: InputError: no portfolio keeps the constraints."""

    def __init__(self, config: PortfolioConfig, assets: Sequence[str]) -> None:
        self._config = config
        checked(Feasible.of(config.constraints, assets))
        self._bank = PortfolioBank(config.n_portfolios, len(assets), config.seed)
        self._ring = Ring(config.window, len(assets))

    def returned(self, returns: FloatArray) -> None:
        """Take in one more vector of log returns ``(n_assets,)``."""
        self._ring.add(returns)

    def choose(self, mean: FloatArray, covariance: FloatArray) -> Chosen:
        """Return the portfolios under these moments."""
        config = self._config
        means, risks = self._bank.evaluate(mean, covariance)
        chosen = picks(mean, covariance)
        line = [
            (float(risks[i]) * BPS, float(means[i]) * BPS, self._bank.weights(i))
            for i in pareto(means, risks, config.n_frontier)
        ]
        line += [(one.risk_bps, one.mean_bps, np.array(one.weights)) for one in chosen.values()]
        front = rising(line)
        shown = np.arange(0, config.n_portfolios, max(1, config.n_portfolios // config.n_cloud))
        cloud = np.column_stack([risks[shown], means[shown]]).astype(np.float64) * BPS
        return Chosen(
            chosen, [(round(risk, 6), round(mean, 6)) for risk, mean, _ in front],
            [np.round(weights, 6).tolist() for _, _, weights in front],
            [(round(risk, 6), round(mean, 6)) for risk, mean in cloud.tolist()],
        )  # fmt: skip

    def dump(self) -> Any:
        """Return the state as plain data."""
        return [self._ring.count, self._ring.in_order().tolist()]

    def load(self, saved: Any) -> None:
        """Take over a dumped state."""
        self._ring.restore(np.array(saved[1]).reshape(-1, self._ring.rows.shape[1]), saved[0])
