"""Risks kept return by return against the same risks measured over the whole window."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quicksilver.portfolio.past_bank import PastBank
from quicksilver.portfolio.ring import Ring
from quicksilver.portfolio.risks import RiskName, measured

RISKS: list[RiskName] = ["semi-variance", "cvar", "max-drawdown"]


@pytest.mark.parametrize("risk", RISKS)
@given(window=st.integers(2, 40), n=st.integers(1, 90), seed=st.integers(0, 999), places=st.sampled_from([1, 8]))
@settings(max_examples=40, deadline=None)
def test_kept_risks_are_those_of_the_window(risk: RiskName, window: int, n: int, seed: int, places: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(3), 7)
    returns = np.round(rng.normal(0.0, 0.1, (n, 3)), places)  # of one place: many are equal
    ring = Ring(window, 3)
    bank = PastBank(weights, risk, ring)
    assert not bank.risks().any()
    for row in returns:
        removed = ring.add(row)
        bank.added(removed)
    last = returns[-window:]
    np.testing.assert_array_equal(ring.in_order(), last)
    np.testing.assert_allclose(bank.risks(), measured(risk, weights, np.eye(3), last), rtol=1e-5, atol=1e-7)

    again = Ring(window, 3)
    again.restore(ring.past(), ring.count)
    np.testing.assert_array_equal(again.rows, ring.rows)
    late = PastBank(weights, risk, again)
    np.testing.assert_array_equal(late.risks(), bank.risks())
    for row in returns:
        late.added(again.add(row))
        bank.added(ring.add(row))
        np.testing.assert_array_equal(late.risks(), bank.risks())
