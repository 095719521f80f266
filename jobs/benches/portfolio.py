"""Live portfolios beside numpy, the bare matrix product that bounds them, and a solver that starts afresh."""

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from jobs.benches.measure import Row, rate_row, seconds
from quicksilver.events import FloatArray
from quicksilver.portfolio.bank import PortfolioBank, draw
from quicksilver.portfolio.choosing import Chooser
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import Constraints
from quicksilver.portfolio.large import CHUNK, Sweep, reduce_chunks
from quicksilver.portfolio.moments import Moments
from quicksilver.portfolio.picks import LongOnly, pareto, picks

N, ASSETS = 100_000, 30
MANY = 1_000_000
TURN_S = 0.01  # of what takes tenths of a millisecond: as in a stream of updates


def _moments() -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(ASSETS, ASSETS)) * 1e-4
    return rng.normal(size=ASSETS) * 1e-6, mix @ mix.T / ASSETS


def rows() -> list[Row]:
    """Return the rows of live portfolios; both sides have one thread for their algebra, as a run has."""
    with threadpool_limits(1):
        return [*_evaluated(), *_drawn(), *_solved(), *_chosen()]


def _double(n: int, mean: FloatArray, covariance: FloatArray) -> Callable[[], Any]:
    """Draw as many portfolios and evaluate them in float64, as numpy alone would."""
    rng = np.random.default_rng(0)

    def work() -> None:
        weights = rng.dirichlet(np.ones(ASSETS), n)
        np.sqrt(np.einsum("ij,ij->i", weights @ covariance, weights))
        weights @ mean

    return work


def _evaluated() -> list[Row]:
    mean, covariance = _moments()
    bank, single = PortfolioBank(N, ASSETS, 1), draw(N, ASSETS, 1)
    covariance_32, out = covariance.astype(np.float32), np.empty((N, ASSETS), np.float32)

    def update() -> None:
        """Evaluate the bank and pick from it, as at each update of a frontier."""
        means, risks = bank.evaluate(mean, covariance)
        pareto(means, risks, 40)
        picks(mean, covariance)

    def product() -> None:
        """Do the one matrix product without which no evaluation is possible, in float32."""
        np.dot(single, covariance_32, out=out)

    ours, double, bare = seconds(update, _double(N, mean, covariance), product)
    name = f"frontier update, {N:,} x {ASSETS} ({ours * 1e3:.1f} ms)"
    return [
        rate_row(name, "M portfolios/s", N / ours / 1e6, "numpy float64 draw and evaluate", N / double / 1e6),
        rate_row(name, "M portfolios/s", N / ours / 1e6, "bare float32 matrix product", N / bare / 1e6),
    ]


def _drawn() -> list[Row]:
    mean, covariance = _moments()
    scale = float(np.sqrt(np.diag(covariance).max()))
    root = np.linalg.cholesky(covariance / scale**2).astype(np.float32)
    sweep = Sweep(MANY, 7, (mean / scale).astype(np.float32), root, 0.0, 1.0, 40)
    ours, double = seconds(lambda: reduce_chunks(sweep, range(MANY // CHUNK)), _double(MANY, mean, covariance))
    name = f"frontier drawn and evaluated, {MANY:,} x {ASSETS}"
    peer = "numpy float64 draw and evaluate"
    return [rate_row(name, "M portfolios/s", MANY / ours / 1e6, peer, MANY / double / 1e6)]


def _theirs(mean: FloatArray, covariance: FloatArray) -> Callable[[], Any]:
    """Their problem set up anew, in numbers near 1, which its solvers take."""
    from pypfopt import EfficientFrontier

    unit = float(np.sqrt(np.diag(covariance).max()))
    return lambda: EfficientFrontier(mean / unit, covariance / unit**2, solver="CLARABEL")


def _solved() -> list[Row]:
    """A price update to the exact picks of least variance and highest Sharpe ratio, beside others' solves from scratch.

    Ours takes in a return and solves anew; theirs are given the moments (PyPortfolioOpt) or the window (skfolio).
    """
    mean, covariance = _moments()
    fresh, config = _theirs(mean, covariance), PortfolioConfig()
    window = np.random.default_rng(1).multivariate_normal(mean, covariance, config.window)
    moments, turns = Moments(ASSETS, config.halflife), cycle(window)
    for row in window:
        moments.update(row)

    def ours() -> None:
        moments.update(next(turns))
        exact = LongOnly(moments.covariance())
        exact.min_variance()
        exact.max_sharpe(moments.mean)

    def pyportfolioopt() -> None:
        fresh().min_volatility()
        fresh().max_sharpe(risk_free_rate=0.0)

    calm, sharp = _skfolio()
    unit = float(np.sqrt(np.diag(covariance).max()))

    def skfolio() -> None:
        calm.fit(window / unit)
        sharp.fit(window / unit)

    mine, theirs, others = seconds(ours, pyportfolioopt, skfolio, turn_s=TURN_S)
    name = f"min-variance and max-Sharpe of {ASSETS} ({mine * 1e3:.2f} ms)"
    return [
        rate_row(name, "updates/s", 1.0 / mine, "PyPortfolioOpt, fresh solve", 1.0 / theirs),
        rate_row(name, "updates/s", 1.0 / mine, "skfolio, fresh solve", 1.0 / others),
    ]


def _skfolio() -> tuple[Any, Any]:
    from skfolio.optimization import MeanRisk, ObjectiveFunction

    return MeanRisk(), MeanRisk(objective_function=ObjectiveFunction.MAXIMIZE_RATIO)


def _chosen() -> list[Row]:
    """The whole update of a universe: all picks after costs with their intervals, the frontier and the cloud."""
    mean, covariance = _moments()
    unit, fresh = float(np.sqrt(np.diag(covariance).max())), _theirs(mean, covariance)
    assets, held = [f"A{i}" for i in range(ASSETS)], {f"A{i}": 1.0 / ASSETS for i in range(ASSETS)}
    config = PortfolioConfig(n_portfolios=N, constraints=Constraints(current=held))
    chooser = Chooser(config, assets)
    for row in np.random.default_rng(1).multivariate_normal(mean, covariance, config.window):
        chooser.returned(row)
    while chooser.n_portfolios < N:  # the bank grows from update to update
        chooser.choose(mean, covariance)

    def theirs() -> None:
        """The frontier's points, each a fresh solve, and two picks."""
        for value in np.linspace(0.0, float(mean.max()), 40)[1:-1]:
            fresh().efficient_return(float(value) / unit)
        fresh().min_volatility()
        fresh().max_sharpe(risk_free_rate=0.0)

    ours, solved = seconds(lambda: chooser.choose(mean, covariance), theirs)
    name = f"all picks, costs, intervals, frontier, {N:,} x {ASSETS} ({ours * 1e3:.1f} ms)"
    peer = "PyPortfolioOpt, 40 points and 2 picks"
    return [rate_row(name, "updates/s", 1.0 / ours, peer, 1.0 / solved)]
