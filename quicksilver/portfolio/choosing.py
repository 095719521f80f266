"""All portfolios of one set of assets, live: returns and moments in, picks, frontier and cloud out."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from quicksilver.errors import InputError, StateError
from quicksilver.events import FloatArray
from quicksilver.portfolio.absent import after_sales, among
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import Feasible
from quicksilver.portfolio.costs import BPS
from quicksilver.portfolio.doubt import Doubt, Interval, Shrunk
from quicksilver.portfolio.estimators import conditioned
from quicksilver.portfolio.front import Front, Line
from quicksilver.portfolio.goals import Market
from quicksilver.portfolio.growing import Evaluated, GrowingBank
from quicksilver.portfolio.limits import require_within_limits
from quicksilver.portfolio.ring import Past, Ring
from quicksilver.portfolio.risks import measured, of_one_period
from quicksilver.portfolio.searching import Kept
from quicksilver.portfolio.targets import Target, Targets, joined
from quicksilver.portfolio.trading import Settled, Trader
from quicksilver.records import Pick

PLACES = 11  # of weights: what 30 of them lose together is less than a constraint may be violated by


class Chosen(NamedTuple):
    """What there is to choose from after an update, as ``records.Frontier`` has it."""

    picks: dict[str, Pick]
    frontier: list[tuple[float, float]]
    weights: list[list[float]]
    cloud: list[tuple[float, float]]


class ChooserState(msgspec.Struct, frozen=True):
    """What cannot be drawn anew: the last returns less cash, of ``count`` there were, and what is bettered by steps.

    Each return is over so many ``periods``.
    """

    updates: int
    count: int
    returns: list[list[float]]
    periods: list[float]
    front: list[list[float]]
    kept: dict[str, Kept]


class Chooser:
    """A bank inside of the feasible set, the exact picks after costs, and the frontier, of one set of assets.

    Constraints on assets that are not among these do not count; ``left_out`` names them, and so does each pick's note.
    What is held of those is sold, which counts as turnover and costs.
    The same calls give the same output, to the bit.

    Raises:
        InputError: there are fewer than two assets, a number cannot be used, or no portfolio keeps the constraints.
    """

    def __init__(self, config: PortfolioConfig, assets: Sequence[str]) -> None:
        _check(config, assets)
        constraints, self.left_out = among(config.constraints, assets)
        gone = {name: one for name, one in config.constraints.current.items() if name in self.left_out and one}
        self._config = config = msgspec.structs.replace(config, constraints=constraints)
        self._feasible = after_sales(Feasible.of(constraints, assets), gone)
        self._trader = Trader(config, self._feasible, list(gone.values()))
        self._doubt = Doubt(config.resamples, config.halflife, config.seed)
        self._begin()

    def _begin(self) -> None:
        self._updates = 0
        self._ring = Ring(self._config.window, len(self._feasible.low))
        self._bank = GrowingBank(self._config, self._feasible, self._ring)
        self._targets = Targets(self._config, self._feasible)
        self._front = Front(self._config, self._feasible)

    @property
    def n_portfolios(self) -> int:
        """How many portfolios the last ``choose`` has evaluated: under constraints they become more with each."""
        return self._bank.n_portfolios

    @property
    def held(self) -> list[float]:
        """The weights that costs are counted from; empty if nothing is held."""
        return self._feasible.current.tolist() if self._trader.holds else []

    def returned(self, returns: FloatArray, periods: float = 1.0) -> None:
        """Take in one more vector of log returns ``(n_assets,)`` over so many periods; one not finite counts as 0."""
        known = np.where(np.isfinite(returns), returns, 0.0)
        self._bank.added(self._ring.add(known - self._config.cash * periods, periods))

    def choose(self, mean: FloatArray, covariance: FloatArray, shrunk: Shrunk | None = None) -> Chosen:
        """Return picks, frontier and cloud by these moments, ``(n_assets,)`` and ``(n_assets, n_assets)``.

        ``shrunk`` is what the mean was made of, if it was shrunk: how sure the picks are follows from that. Of a mean
        that was predicted the past says nothing, so that no interval is told.

        Raises:
            StateError: a moment is not finite.
        """
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            raise StateError("the moments of the universe are not all numbers: no portfolio can be chosen by them")
        self._updates += 1
        self._bank.grow()
        past = self._ring.past()
        excess = of_one_period(self._config.risk, past.rows, past.periods[:, None])
        market = Market(mean, conditioned(covariance)[0], excess, self._config.cash)
        drawn = self._bank.evaluate(mean, market.covariance)
        targets = self._targets.find(self._updates, market, drawn)
        picks = self._picks(targets, market, past, shrunk)
        known = [one.weights for name, one in targets.items() if name != "current"]
        line = self._front.update(self._updates, market, drawn, known)
        return Chosen(picks, _points(line.risks, line.means), line.weights.round(PLACES).tolist(), self._cloud(drawn))

    def _picks(
        self, targets: dict[str, Target], market: Market, past: Past, shrunk: Shrunk | None
    ) -> dict[str, Pick]:  # fmt: skip
        settled = {
            name: Settled(one.weights) if name == "current" else self._trader.settle(one.weights, market, one.goal)
            for name, one in targets.items()
        }
        weights = np.array([one.weights for one in settled.values()])
        line = Line(weights, weights @ market.mean, self._risks(weights, market))
        doubt = None
        if self._config.mean != "predictions":
            doubt = self._doubt.intervals(past, weights, self._config.risk, shrunk, market.cash)
        absent = f"no asset {', '.join(self.left_out)} now: its constraints do not count" if self.left_out else ""
        absent += ", and what is held of it is sold" if self._trader.gone else ""
        costs, turnovers = self._trader.cost(weights).tolist(), self._trader.turnover(weights).tolist()
        found = {
            name: self._pick(
                i, line, settled[name], doubt, joined(targets[name].note, settled[name].note, absent), costs[i],
                turnovers[i],
            )
            for i, name in enumerate(targets)
        }  # fmt: skip
        if "current" in found:  # nothing is sold of what has left either
            stays = found["current"]
            found["current"] = msgspec.structs.replace(stays, turnover=0.0, cost_bps=0.0, net_sharpe=stays.sharpe)
        return found

    def _pick(
        self, i: int, line: Line, settled: Settled, doubt: Interval | None, note: str, cost: float, turnover: float
    ) -> Pick:  # fmt: skip
        config, weights = self._config, line.weights[i]
        mean, risk = float(line.means[i]), float(line.risks[i])
        above = mean - config.cash * float(weights.sum())
        ratio, net = (above / risk, (above - cost / config.hold) / risk) if risk > 0.0 else (0.0, 0.0)
        if risk <= 0.0 < above:
            note = joined(note, "it has gained without risk: there is no ratio")
        pick = Pick(
            weights.tolist(), mean * BPS, risk * BPS, ratio,
            turnover=turnover, cost_bps=cost * BPS, net_sharpe=net,
            wanted=None if settled.wanted is None else settled.wanted.tolist(), note=note,
        )  # fmt: skip
        if doubt is None:
            return pick
        return msgspec.structs.replace(
            pick,
            mean_low_bps=float(mean + doubt.mean_low[i]) * BPS, mean_high_bps=float(mean + doubt.mean_high[i]) * BPS,
            sharpe_low=float(ratio + doubt.ratio_low[i]), sharpe_high=float(ratio + doubt.ratio_high[i]),
        )  # fmt: skip

    def _risks(self, weights: FloatArray, market: Market) -> FloatArray:
        return measured(self._config.risk, weights, market.covariance, market.excess)

    def _cloud(self, drawn: Evaluated) -> list[tuple[float, float]]:
        shown = slice(0, None, max(1, -(-len(drawn.means) // self._config.n_cloud)))
        return _points(drawn.risks[shown].astype(np.float64), drawn.means[shown].astype(np.float64))

    def dump(self) -> ChooserState:
        """Return the state; ``load`` into a new chooser of the same assets goes on to the bit."""
        past = self._ring.past()
        return ChooserState(
            self._updates, self._ring.count, past.rows.tolist(), past.periods.tolist(),
            self._front.weights.tolist(), dict(self._targets.search.kept),
        )  # fmt: skip

    def load(self, state: ChooserState) -> None:
        """Take over a dumped state; what was drawn is drawn again.

        Raises:
            StateError: it is of other assets.
        """
        n = len(self._feasible.low)
        if any(len(row) != n for row in [*state.returns, *state.front, *(one.weights for one in state.kept.values())]):
            raise StateError(f"the saved portfolios are not of these {n} assets")
        self._begin()
        self._updates = state.updates
        self._ring.restore(Past(np.array(state.returns).reshape(-1, n), np.array(state.periods)), state.count)
        self._bank = GrowingBank(self._config, self._feasible, self._ring)
        for _ in range(state.updates):
            self._bank.grow()
        self._front.weights = np.array(state.front).reshape(-1, n)
        self._targets.search.kept = dict(state.kept)


def _points(risks: FloatArray, means: FloatArray) -> list[tuple[float, float]]:
    return list(zip((risks * BPS).round(6).tolist(), (means * BPS).round(6).tolist(), strict=True))


def _check(config: PortfolioConfig, assets: Sequence[str]) -> None:
    if len(assets) < 2:
        raise InputError(f"portfolios need two assets or more; there is {', '.join(assets) or 'none'}")
    require_within_limits(config)
