"""The bank of a live universe: by chance or by Sobol's points, and how its portfolios rank."""

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.spatial import KDTree

from quicksilver.portfolio.choosing import Chooser
from quicksilver.portfolio.config import PortfolioConfig, Sampling
from quicksilver.portfolio.constraints import Constraints, Feasible
from quicksilver.portfolio.growing import Evaluated, GrowingBank
from quicksilver.portfolio.ring import Ring
from quicksilver.portfolio.risks import ratios
from quicksilver.portfolio.universes import read_universes

ASSETS = ["A-USD", "B-USD", "C-USD", "D-USD"]
CAPPED = Constraints(cap=0.5)


def bank(config: PortfolioConfig) -> GrowingBank:
    made = GrowingBank(config, Feasible.of(config.constraints, ASSETS), Ring(config.window, len(ASSETS)))
    while made.n_portfolios < config.n_portfolios:
        made.grow()
    return made


def holes(sampling: Sampling, constraints: Constraints, seed: int) -> tuple[float, float]:
    """How far a portfolio of the uniform law is from the nearest one of the bank, on average and in the worst case."""
    config = PortfolioConfig(sampling=sampling, constraints=constraints, n_portfolios=2_048, seed=seed)
    made = bank(config)
    rows = np.array([made.weights(i) for i in range(made.n_portfolios)])
    probes = np.random.default_rng(99).dirichlet(np.ones(4), 6_000)
    probes = probes[probes.max(axis=1) <= constraints.cap]
    distances, _ = KDTree(rows).query(probes)
    return float(np.mean(distances)), float(np.max(distances))


@pytest.mark.parametrize("constraints", [Constraints(), CAPPED])
def test_quasi_random_portfolios_cover_at_least_as_well(constraints: Constraints) -> None:
    quasi, chance = (
        np.mean([holes(one, constraints, seed) for seed in range(6)], axis=0) for one in ("quasi-random", "random")
    )
    assert quasi[0] < chance[0]
    assert quasi[1] < 1.1 * chance[1]  # the widest hole is a matter of chance by either


@pytest.mark.parametrize("constraints", [Constraints(), CAPPED])
@pytest.mark.parametrize("sampling", ["random", "quasi-random"])
def test_a_bank_is_feasible_and_the_same_for_the_same_seed(sampling: Sampling, constraints: Constraints) -> None:
    config = PortfolioConfig(sampling=sampling, constraints=constraints, n_portfolios=700)
    one, other = bank(config), bank(config)
    rows = np.array([one.weights(i) for i in range(700)])
    np.testing.assert_array_equal(rows, [other.weights(i) for i in range(700)])
    assert np.max(Feasible.of(constraints, ASSETS).violation(rows)) <= 1e-9
    if constraints.none:
        np.testing.assert_array_equal(rows[:4], np.eye(4))


def test_a_universe_of_quasi_random_portfolios_goes_on_from_its_state() -> None:
    (config,) = read_universes(b'[universes.even]\nsampling = "quasi-random"\nn_portfolios = 600', "u.toml")
    assert config.sampling == "quasi-random"
    config = replace(config, resamples=0, window=30)
    rng = np.random.default_rng(1)
    returns = rng.normal(0.0, 0.01, (40, 4))
    mean, covariance = returns.mean(axis=0), np.cov(returns.T)
    one, other = Chooser(config, ASSETS), Chooser(config, ASSETS)
    counts = []
    for row in returns[:5]:
        one.returned(row)
        one.choose(mean, covariance)
        counts.append(one.n_portfolios)
    assert counts == [256, 512, 600, 600, 600]
    other.load(one.dump())
    assert other.choose(mean, covariance) == one.choose(mean, covariance)


def test_a_gain_without_risk_ranks_first_and_a_loss_without_risk_last() -> None:
    means = np.array([1e-4, 2e-4, -1e-5, 0.0, 3e-4], np.float32)
    risks = np.array([1e-3, 0.0, 0.0, 0.0, 1e-3], np.float32)
    made = bank(PortfolioConfig(n_portfolios=5))
    found = Evaluated(made, means, risks, risks).ratios(0.0)
    assert np.argsort(found).tolist() == np.argsort(ratios(means.astype(float), risks.astype(float))).tolist()
    assert (int(np.argmax(found)), int(np.argmin(found)), float(found[3])) == (1, 2, 0.0)
