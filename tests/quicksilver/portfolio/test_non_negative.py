"""The compiled least squares against scipy's, and against what must hold at a minimum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from quicksilver.portfolio.least_distance import Problem, solved
from quicksilver.portfolio.non_negative import non_negative


@given(m=st.integers(1, 12), n=st.integers(1, 30), seed=st.integers(0, 999), twins=st.booleans())
@settings(max_examples=80, deadline=None)
def test_the_least_squares_are_those_of_scipy(m: int, n: int, seed: int, twins: bool) -> None:
    columns = np.random.default_rng(seed).normal(size=(m, n))
    if twins:
        columns[:, n // 2 :] = columns[:, : n - n // 2]
    goal = np.zeros(m)
    goal[-1] = 1.0
    found, rest, done = non_negative(columns, 0)
    assert done
    assert (found >= 0.0).all()
    np.testing.assert_allclose(goal - columns @ found, rest, atol=1e-11)
    _, least = nnls(columns, goal)
    assert np.linalg.norm(rest) == pytest.approx(least, rel=1e-9, abs=1e-11)


@given(m=st.integers(3, 12), n=st.integers(3, 20), free=st.integers(1, 2), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_unknowns_without_a_sign_are_two_of_opposite_sign(m: int, n: int, free: int, seed: int) -> None:
    columns = np.random.default_rng(seed).normal(size=(m, n))
    goal = np.zeros(m)
    goal[-1] = 1.0
    found, rest, done = non_negative(columns, free)
    assert done
    assert (found[free:] >= 0.0).all()
    np.testing.assert_allclose(columns[:, :free].T @ rest, 0.0, atol=1e-11)
    _, least = nnls(np.hstack([columns, -columns[:, :free]]), goal)
    assert np.linalg.norm(rest) == pytest.approx(least, rel=1e-9, abs=1e-11)


@given(n=st.integers(2, 12), n_rows=st.integers(1, 20), seed=st.integers(0, 999))
@settings(max_examples=80, deadline=None)
def test_a_solution_keeps_its_constraints_and_no_move_that_keeps_them_is_better(n: int, n_rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inside, rows = rng.dirichlet(np.ones(n)), rng.normal(size=(n_rows, n))
    root = np.linalg.cholesky(np.cov(rng.normal(size=(n, 4 * n))))
    target, least = rng.normal(size=n), rows @ inside - rng.exponential(size=n_rows) * 0.1
    found = solved(Problem(root, target, np.ones((1, n)), np.ones(1), rows, least))
    assert found is not None
    assert found.sum() == pytest.approx(1.0, abs=1e-10)
    assert (rows @ found - least).min() >= -1e-10
    downhill = -root @ (root.T @ found - target)
    for other in [inside, *(inside + 0.01 * rng.normal(size=(20, n)))]:
        if abs(other.sum() - 1.0) < 1e-12 and (rows @ other >= least).all():
            assert downhill @ (other - found) <= 1e-8


def test_constraints_that_exclude_each_other_have_no_solution() -> None:
    rows = np.array([[1.0, 0.0], [-1.0, 0.0]])
    assert solved(Problem(np.eye(2), np.zeros(2), np.ones((1, 2)), np.ones(1), rows, np.array([0.6, -0.4]))) is None
