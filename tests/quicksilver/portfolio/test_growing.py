"""The bank of a live universe: by chance or by Sobol's points, and how its portfolios rank."""

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.spatial import KDTree

from quicksilver.portfolio.bank import draw
from quicksilver.portfolio.choosing import Chooser
from quicksilver.portfolio.config import PortfolioConfig, Sampling
from quicksilver.portfolio.constraints import Constraints, Feasible, Group
from quicksilver.portfolio.corners import GrowingParts, Part, parts_of
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


GROUPED = Constraints(
    groups={"one": Group(("A-USD", "B-USD"), 0.2, 0.7)}, turnover=0.9, current=dict.fromkeys(ASSETS, 0.25)
)
FEW = Constraints(most_assets=2, cap=0.7)
FLOORED = Constraints(most_assets=3, floor=0.1, caps={"A-USD": 0.3})


def test_long_only_portfolios_grow_into_the_same_bank_whoever_has_drawn_them() -> None:
    config = PortfolioConfig(n_portfolios=20_000, seed=3)
    slow, counts = GrowingBank(config, Feasible.of(Constraints(), ASSETS), Ring(9, 4)), list[int]()
    for _ in range(3):
        slow.grow()
        counts.append(slow.n_portfolios)
    assert counts == [7_168, 14_336, 20_000]
    np.testing.assert_array_equal(slow.weights(list(range(20_000))), bank(config).weights(list(range(20_000))))
    whole = draw(20_000, 4, 3).astype(np.float64)
    np.testing.assert_array_equal(slow.weights(list(range(20_000))), whole / whole.sum(axis=1, keepdims=True))


def test_banks_that_share_their_draws_have_as_many_as_they_asked_for() -> None:
    config = PortfolioConfig(n_portfolios=20_000, seed=4)
    feasible, mean, covariance = Feasible.of(Constraints(), ASSETS), np.linspace(0.0, 1.0, 4), np.eye(4)
    first = GrowingBank(config, feasible, Ring(9, 4))
    first.grow()
    alone = [one.copy() for one in first.evaluate(mean, covariance)[1:]]
    assert bank(config).n_portfolios == 20_000
    assert first.n_portfolios == len(alone[0]) == 7_168
    again = GrowingBank(config, feasible, Ring(9, 4))
    again.grow()
    np.testing.assert_array_equal(again.evaluate(mean, covariance)[1:], alone)


def test_corners_that_are_found_one_by_one_are_those_that_are_found_at_once() -> None:
    feasible = Feasible.of(GROUPED, ASSETS)
    growing, counts = GrowingParts(feasible, 7), list[int]()
    for _ in range(400):
        counts.append(sum(len(part.corners) for part in growing.parts))
        growing.look()
    assert counts[0] == 1  # no more than one is waited for
    assert max(np.diff(counts)) == 1
    whole = parts_of(feasible, 7)

    def rows(parts: list[Part]) -> set[tuple[float, ...]]:
        return {tuple((row.round(9) + 0.0).tolist()) for part in parts for row in part.corners}

    assert rows(growing.parts) == rows(whole)
    assert len(rows(whole)) > 4


@pytest.mark.parametrize(("constraints", "first"), [(FEW, 4), (FLOORED, 1)])
def test_sets_of_assets_are_found_a_few_at_a_time(constraints: Constraints, first: int) -> None:
    feasible = Feasible.of(constraints, ASSETS)
    growing = GrowingParts(feasible, 7)
    assert len(growing.parts) == first
    for _ in range(30):
        growing.look()
    rows = np.vstack([part.corners for part in growing.parts])
    assert feasible.violation(rows).max() <= 1e-10
    held = {tuple(np.flatnonzero(row)) for row in rows}
    assert all(len(one) <= feasible.most for one in held)
    assert {name for one in held for name in one} == {0, 1, 2, 3}


def test_sets_of_assets_that_are_fewer_than_are_found_at_a_time_are_all_found() -> None:
    growing = GrowingParts(Feasible.of(Constraints(most_assets=2), ASSETS[:3]), 7)
    assert len(growing.parts) == 3  # of three assets, two at most: any two of them
    assert not growing.look()


@pytest.mark.parametrize("constraints", [GROUPED, FEW, FLOORED])
def test_a_bank_grows_inside_of_constraints_and_goes_on_from_its_state(constraints: Constraints) -> None:
    config = PortfolioConfig(constraints=constraints, resamples=0, window=30, n_portfolios=4_000)
    rng = np.random.default_rng(1)
    returns = rng.normal(0.0, 0.01, (40, 4))
    mean, covariance = returns.mean(axis=0), np.cov(returns.T)
    one, feasible = Chooser(config, ASSETS), Feasible.of(constraints, ASSETS)
    for row in returns[:6]:
        one.returned(row)
        chosen = one.choose(mean, covariance)
        assert feasible.violation(np.array(chosen.weights)).max() <= 1e-9
        assert max(feasible.violation(np.array(pick.weights)) for pick in chosen.picks.values()) <= 1e-9
    other = Chooser(config, ASSETS)
    other.load(one.dump())
    for row in returns[6:12]:
        one.returned(row)
        other.returned(row)
        assert other.choose(mean, covariance) == one.choose(mean, covariance)


def test_the_first_picks_are_as_exact_as_later_ones() -> None:
    config = PortfolioConfig(constraints=replace(GROUPED, turnover=0.5), resamples=0)
    rng = np.random.default_rng(2)
    returns = rng.normal(1e-4, 0.01, (60, 4))
    mean, covariance = returns.mean(axis=0), np.cov(returns.T)
    chooser = Chooser(config, ASSETS)
    first = chooser.choose(mean, covariance).picks
    for _ in range(20):
        later = chooser.choose(mean, covariance)
    for name in first:
        np.testing.assert_array_equal(first[name].weights, later.picks[name].weights)
    assert len(later.frontier) > 30


def test_a_gain_without_risk_ranks_first_and_a_loss_without_risk_last() -> None:
    means = np.array([1e-4, 2e-4, -1e-5, 0.0, 3e-4], np.float32)
    risks = np.array([1e-3, 0.0, 0.0, 0.0, 1e-3], np.float32)
    made = bank(PortfolioConfig(n_portfolios=5))
    found = Evaluated(made, means, risks, risks).ratios(0.0)
    assert np.argsort(found).tolist() == np.argsort(ratios(means.astype(float), risks.astype(float))).tolist()
    assert (int(np.argmax(found)), int(np.argmin(found)), float(found[3])) == (1, 2, 0.0)
