"""Draws inside of constraints, shared out: winners against all that was drawn, and the same whoever drew what."""

import itertools
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quicksilver.portfolio.constraints import Constraints, Group
from quicksilver.portfolio.inside import MOST_WEIGHTS, Inside, Winners, merge_winners
from quicksilver.portfolio.large import NOBODY
from quicksilver.portfolio.research import Question, Research
from quicksilver.portfolio.risks import RiskName
from tests.quicksilver.portfolio.test_research import market

KINDS = {
    "cap": Constraints(cap=0.3),
    "floors": Constraints(floor=0.05, floors={"A1": 0.2}, cap=0.5),
    "groups": Constraints(cap=0.6, groups={"g": Group(("A0", "A1", "A2"), 0.3, 0.5)}),
    "short": Constraints(floor=-0.2, cap=0.6),
    "few": Constraints(most_assets=3, cap=0.6),
    "budget": Constraints(budget=0.7, cap=0.3),
    "turnover": Constraints(turnover=0.5, current={"A0": 0.5, "A3": 0.5}),
}


def inside(constraints: Constraints, risk: RiskName = "variance", chunk: int = 300, n: int = 2_000) -> Inside:
    work = Research(market(6, 80), Question(constraints=constraints, risk=risk, n_frontier=7)).inside(n)
    work.chunk = chunk
    return work


def same(one: Winners, other: Winners) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("risk", ["variance", "cvar"])
def test_winners_are_the_best_of_all_that_was_drawn(kind: str, risk: RiskName) -> None:
    work = inside(KINDS[kind], risk)
    research = Research(market(6, 80), Question(constraints=KINDS[kind], risk=risk))
    found = work.reduce(range(work.n_chunks))
    drawn = np.concatenate([work.drawn(chunk) for chunk in range(work.n_chunks)])
    assert len(drawn) == 2_000
    assert research.feasible.violation(drawn).max() <= 1e-9
    points = [research.point(row) for row in drawn]
    means, risks = (np.array([getattr(one, what) for one in points]) for what in ("mean", "risk"))
    assert -found.first[-2] == pytest.approx(risks.min(), rel=1e-12)
    assert found.first[-1] == pytest.approx((means / risks).max(), rel=1e-12)
    assert found.first[:-2].max() == pytest.approx(means.max(), rel=1e-12)
    held = found.number != NOBODY
    np.testing.assert_array_equal(found.weights[held], drawn[found.number[held]])
    np.testing.assert_allclose(-found.second[:-2][held[:-2]], risks[found.number[:-2][held[:-2]]], rtol=1e-12)
    bins = np.clip((risks - work.low) / (work.high - work.low) * 7, 0, 6)
    for at in range(7):
        clear = means[(np.floor(bins) == at) & (np.abs(bins - np.round(bins)) > 1e-6)]
        assert not len(clear) or found.first[at] >= clear.max() - 1e-12


@given(cuts=st.lists(st.integers(1, 6), max_size=4), order=st.randoms(), kind=st.sampled_from(sorted(KINDS)))
@settings(max_examples=15, deadline=None)
def test_the_answer_is_the_same_however_chunks_are_shared_out(cuts: list[int], order: random.Random, kind: str) -> None:
    work = inside(KINDS[kind])
    whole = work.reduce(range(work.n_chunks))
    edges = [0, *sorted(set(cuts)), work.n_chunks]
    parts = [work.reduce(range(a, b)) for a, b in itertools.pairwise(edges)] + [work.nobody()]
    order.shuffle(parts)
    merged = work.nobody()
    for part in parts:
        merged = merge_winners(merged, part)
    assert same(merged, whole)
    assert same(work.reduce(reversed(range(work.n_chunks))), whole)
    assert same(inside(KINDS[kind]).reduce(range(work.n_chunks)), whole)


def test_a_tie_goes_to_the_first_that_was_drawn() -> None:
    """Assets of no mean and one risk: every portfolio on the whole set ties with some other."""
    history = market(2, 60)
    twins = history._replace(prices=np.column_stack([history.prices[:, 0], history.prices[:, 0]]))
    work = Research(twins, Question(constraints=Constraints(cap=0.9), n_frontier=3)).inside(900)
    work.chunk = 300
    found, parts = work.reduce([0, 1, 2]), [work.reduce([chunk]) for chunk in (2, 0, 1)]
    merged = merge_winners(merge_winners(parts[0], parts[1]), parts[2])
    assert same(found, merged)


@pytest.mark.parametrize(("n_assets", "options"), [(3, {}), (150, {"cap": 0.05}), (400, {"cap": 0.02, "floor": -0.01})])
def test_a_chunk_takes_the_same_memory_for_few_assets_and_for_hundreds(n_assets: int, options: Any) -> None:
    work = Research(market(n_assets, 60), Question(constraints=Constraints(**options))).inside(10**8)
    assert work.chunk * n_assets <= MOST_WEIGHTS
    assert (work.n_chunks - 1) * work.chunk < 10**8 <= work.n_chunks * work.chunk
    assert work.drawn(work.n_chunks - 1).shape == (10**8 - (work.n_chunks - 1) * work.chunk, n_assets)
