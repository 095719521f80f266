"""Constraints: what excludes each other is named, and what is drawn keeps them all."""

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quicksilver.errors import InputError
from quicksilver.portfolio.choosing import Chooser
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import Constraints, Feasible, Group
from quicksilver.portfolio.feasibility import checked
from quicksilver.portfolio.goals import Market, least_risk, optimum
from quicksilver.portfolio.sampling import Sampler, hit_and_run

TWENTY = [f"A{i}-USD" for i in range(20)]
EQUAL = dict.fromkeys(TWENTY, 0.05)
KINDS = {
    "simplex": Constraints(),
    "cap": Constraints(cap=0.1),
    "one point": Constraints(cap=0.05),
    "short": Constraints(floor=-0.2, cap=0.5),
    "turnover": Constraints(turnover=0.3, current=EQUAL),
    "nothing traded": Constraints(turnover=0.0, current=EQUAL),
    "bought with cash": Constraints(budget=0.5, turnover=0.5),
    "few": Constraints(most_assets=4, cap=0.5, floor=0.05),
    "groups": Constraints(cap=0.3, groups={"x": Group(("A0", "A1"), 0.4, 0.4), "y": Group(("A3", "A4"), None, 0.1)}),
    "all": Constraints(
        budget=0.9, floor=-0.1, cap=0.3, groups={"x": Group(("A0", "A1"), 0.1)}, turnover=0.8, current=EQUAL,
        most_assets=12,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("quasi", [False, True])
def test_what_is_drawn_keeps_every_constraint_and_the_budget_to_the_last_digit(name: str, quasi: bool) -> None:
    feasible = checked(Feasible.of(KINDS[name], TWENTY))
    sampler = Sampler(feasible, 7, quasi=quasi)
    weights = np.concatenate([sampler.draw(1_000), sampler.draw(500, chunk=1)])
    assert feasible.violation(weights).max() <= 1e-9
    np.testing.assert_allclose(weights.sum(axis=1), feasible.budget, atol=1e-14)
    again = Sampler(feasible, 7, quasi=quasi)
    np.testing.assert_array_equal(again.draw(1_000), weights[:1_000])
    if name not in {"one point", "nothing traded"}:
        assert len(np.unique(weights.round(9), axis=0)) > 700
        assert not np.array_equal(Sampler(feasible, 8, quasi=quasi).draw(1_000), weights[:1_000])


def test_corners_sparse_portfolios_and_the_middle_are_drawn() -> None:
    for constraints in (Constraints(), Constraints(cap=0.5)):
        feasible = checked(Feasible.of(constraints, TWENTY[:10]))
        weights = Sampler(feasible, 1).draw(10_000)
        largest = weights.max(axis=1)
        assert all((weights[:, i] > feasible.high[i] - 1e-9).any() for i in range(10))
        assert ((weights > 0.02).sum(axis=1) <= 3).mean() > 0.05
        assert (largest < 0.2).mean() > 0.05
        assert np.abs(weights.mean(axis=0) - 0.1).max() < 0.05


@pytest.mark.parametrize("most", [4, 5])
def test_each_set_of_assets_is_drawn_by_all_laws_where_their_number_is_limited(most: int) -> None:
    """The largest weight tells them apart: of a law near the corners it is nearly 1, of the others it is spread."""
    drawn = Sampler(checked(Feasible.of(Constraints(most_assets=most), TWENTY)), 7).draw(10_000)
    sets: dict[bytes, list[float]] = {}
    for row in drawn[drawn.max(axis=1) < 1.0]:
        sets.setdefault((row != 0.0).tobytes(), []).append(row.max())
    large = [largest for largest in sets.values() if len(largest) > 150]
    assert len(large) == 20
    for largest in large:
        assert np.quantile(largest, 0.9) > 0.85
        assert np.quantile(largest, 0.1) < 0.5


def test_hit_and_run_reaches_the_uniform_law() -> None:
    """On three assets capped at one half the set is a triangle a fourth as large, and its means are known."""
    feasible = checked(Feasible.of(Constraints(cap=0.5), TWENTY[:3]))
    start = np.tile([0.5, 0.5, 0.0], (20_000, 1))
    weights = hit_and_run(feasible, start, np.random.default_rng(2), steps=60)
    np.testing.assert_allclose(weights.mean(axis=0), 1 / 3, atol=0.005)
    np.testing.assert_allclose(weights.var(axis=0), 0.25 / 18, rtol=0.05)


def refused(constraints: Constraints) -> str:
    with pytest.raises(InputError) as error:
        checked(Feasible.of(constraints, TWENTY))
    return str(error.value)


@pytest.mark.parametrize(
    ("constraints", "why"),
    [
        (Constraints(cap=0.04), "keeps all of these: budget 1, cap 0.04; the caps sum to 0.8: allow 0.05 or more"),
        (Constraints(floor=0.06), "budget 1, floor 0.06; the floors sum to 1.2: ask 0.05 or less"),
        (Constraints(cap=0.2, groups={"g": Group(("A1", "A2"), 0.5)}), "budget 1, at least 0.5 in group g, cap 0.2"),
        (Constraints(most_assets=3, cap=0.3), "budget 1, at most 3 assets, cap 0.3"),
        (Constraints(most_assets=20, floor=0.4, cap=0.45), "budget 1, floor 0.4, cap 0.45"),
        (Constraints(turnover=0.1, cap=0.1, current={"A0": 1.0}), "budget 1, turnover 0.1, cap 0.1"),
        (Constraints(floors={"A0": 0.5}, caps={"A0-USD": 0.2}), "floor 0.5 of A0-USD is above its cap 0.2"),
        (
            Constraints(groups={"a": Group(("A0",), 0.6), "b": Group(("A1",), 0.5)}),
            "at least 0.6 in group a, at least 0.5 in group b, floor 0",
        ),
        (Constraints(caps={"XX": 0.2}), "caps: there is no asset 'XX'; there are A0-USD"),
        (Constraints(groups={"g": Group(("XX",), 0.1)}), "group g: there is no asset 'XX'"),
        (Constraints(current={"XX": 0.1}), "current: there is no asset 'XX'"),
        (Constraints(budget=0.0), "budget 0 leaves nothing to invest"),
        (Constraints(cap=float("nan")), "cap nan is no share"),
        (Constraints(turnover=-1.0), "turnover -1 is no share"),
        (Constraints(most_assets=0), "at most 0 assets is none"),
    ],
)
def test_what_excludes_each_other_is_named_and_nothing_else(constraints: Constraints, why: str) -> None:
    assert why in refused(constraints)


def test_a_name_that_may_be_several_assets_says_which() -> None:
    pairs = ["BTC-USD", "BTC-EUR", "ETH-USD"]
    why = "floors: BTC may be BTC-USD or BTC-EUR: name the one that is meant"
    with pytest.raises(InputError, match=why):
        Feasible.of(Constraints(floors={"BTC": 0.1}), pairs)
    with pytest.raises(InputError, match=why):  # it is there: not to be left out as if it were not
        Chooser(PortfolioConfig(constraints=Constraints(floors={"BTC": 0.1})), pairs)


@pytest.mark.parametrize("what", ["current", "floors", "caps"])
def test_an_asset_that_is_named_twice_is_refused(what: str) -> None:
    constraints = msgspec.structs.replace(Constraints(), **{what: {"A0": 0.3, "A1": 0.3, "A0-USD": 0.3}})
    with pytest.raises(InputError, match=f"{what}: A0 and A0-USD are the same asset: name it once"):
        Feasible.of(constraints, TWENTY)


def test_a_constraint_that_is_not_to_blame_is_not_named() -> None:
    text = refused(Constraints(cap=0.04, turnover=2.0, most_assets=20, groups={"g": Group(("A0",), None, 0.5)}))
    assert "group" not in text
    assert "turnover" not in text


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_a_limit_to_the_number_of_assets_means_the_same_however_many_there_are(n: int) -> None:
    """Each asset is out, or within its floor and cap: of floors of 0.4 two fit, though three would be allowed."""
    feasible = checked(Feasible.of(Constraints(floor=0.4, most_assets=3), TWENTY[:n]))
    two = np.zeros(n)
    two[:2] = 0.5
    assert feasible.violation(two) == 0.0
    assert feasible.violation(np.full(n, 1 / n)) == (0.0 if n == 2 else np.inf if n > 3 else pytest.approx(0.4 - 1 / 3))
    drawn = Sampler(feasible, 7).draw(300)
    assert feasible.violation(drawn).max() <= 1e-9
    assert set((drawn != 0.0).sum(axis=1)) <= {1, 2}
    assert len(np.unique(drawn[:, 0].round(9))) > 50
    best = optimum(least_risk(Market(np.zeros(n), np.diag(np.arange(n) + 1.0), np.zeros((0, n)), 0.0), "variance"),
                   feasible)  # fmt: skip
    assert best == pytest.approx([0.6, 0.4] + [0.0] * (n - 2))


def test_without_floors_a_limit_that_all_keep_is_none() -> None:
    assert Feasible.of(Constraints(most_assets=3), TWENTY[:3]).convex
    assert not Feasible.of(Constraints(most_assets=3), TWENTY[:4]).convex
    assert not Feasible.of(Constraints(most_assets=3, floors={"A1": 0.1}), TWENTY[:3]).convex
    assert Feasible.of(Constraints(floor=0.1), TWENTY[:3]).convex


@given(
    n=st.integers(2, 8), floor=st.floats(-0.5, 0.3), cap=st.floats(0.05, 1.2), budget=st.floats(0.2, 1.5),
    turnover=st.none() | st.floats(0.0, 2.0), most=st.none() | st.integers(1, 8), seed=st.integers(0, 99),
    group=st.none() | st.tuples(st.floats(-0.5, 0.5), st.floats(0.0, 0.6)), quasi=st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_either_it_is_refused_or_every_draw_is_inside(
    n: int, floor: float, cap: float, budget: float, turnover: float | None, most: int | None, seed: int,
    group: tuple[float, float] | None, quasi: bool,
) -> None:  # fmt: skip
    assume(floor <= cap)
    assets = TWENTY[:n]
    current = dict(zip(assets, np.random.default_rng(seed).dirichlet(np.ones(n)).tolist(), strict=True))
    groups = {} if group is None else {"g": Group(tuple(assets[: n // 2 + 1]), group[0], group[0] + group[1])}
    constraints = Constraints(
        budget=budget, floor=floor, cap=cap, turnover=turnover, most_assets=most, groups=groups, current=current
    )
    feasible: Feasible | None
    try:
        feasible = checked(Feasible.of(constraints, assets))
    except InputError as error:
        feasible, why = None, str(error)
    if feasible is None:
        assert "no portfolio of" in why
        return
    weights = Sampler(feasible, seed, quasi=quasi).draw(400)
    assert feasible.violation(weights).max() <= 1e-9
    np.testing.assert_allclose(weights.sum(axis=1), budget, atol=1e-12)
