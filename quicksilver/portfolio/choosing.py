"""All portfolios of one set of assets: a bank, the exact picks, the frontier."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.bank import PortfolioBank
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import Constraints, Feasible, place_of
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


class ChooserState(msgspec.Struct, frozen=True):
    """The last returns, of ``count`` there were."""

    count: int
    returns: list[list[float]]


class Chooser:
    """Constraints on assets that are not among these do not count; ``left_out`` names them.

    Raises:
        InputError: no portfolio keeps the constraints.
    """

    def __init__(self, config: PortfolioConfig, assets: Sequence[str]) -> None:
        self._config = config
        constraints, self.left_out = among(config.constraints, assets)
        self._feasible = checked(Feasible.of(constraints, assets))
        self._holds = bool(constraints.current)
        self._bank = PortfolioBank(config.n_portfolios, len(assets), config.seed)
        self._ring = Ring(config.window, len(assets))

    @property
    def n_portfolios(self) -> int:
        """How many portfolios the last ``choose`` has evaluated."""
        return self._config.n_portfolios

    @property
    def held(self) -> list[float]:
        """The weights that costs are counted from; empty if nothing is held."""
        return self._feasible.current.tolist() if self._holds else []

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

    def dump(self) -> ChooserState:
        """Return the state."""
        return ChooserState(self._ring.count, self._ring.in_order().tolist())

    def load(self, state: ChooserState) -> None:
        """Take over a dumped state."""
        self._ring.restore(np.array(state.returns).reshape(-1, self._ring.rows.shape[1]), state.count)


def among(constraints: Constraints, assets: Sequence[str]) -> tuple[Constraints, tuple[str, ...]]:
    """Return the constraints without what they say of assets that are not there, and the names of those."""
    place = {name: i for i, name in enumerate(assets)}

    def there(name: str) -> bool:
        try:
            return place_of(name, place, "constraints") >= 0
        except InputError:
            return False

    named = [*constraints.floors, *constraints.caps, *constraints.current]
    named += [asset for group in constraints.groups.values() for asset in group.assets]
    absent = {name: None for name in named if not there(name)}
    groups = {
        name: msgspec.structs.replace(group, assets=kept)
        for name, group in constraints.groups.items()
        if (kept := tuple(asset for asset in group.assets if asset not in absent))
    }
    parts = {
        part: {name: value for name, value in getattr(constraints, part).items() if name not in absent}
        for part in ("floors", "caps", "current")
    }
    return msgspec.structs.replace(constraints, groups=groups, **parts), tuple(absent)
