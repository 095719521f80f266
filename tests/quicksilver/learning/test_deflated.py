"""The deflated Sharpe ratio against its authors' example, and against chance."""

import math

import numpy as np
import pytest

from quicksilver.learning.deflated import deflated, deflated_of, expected_best, probability, profits_of, sharpe_ratio


def test_the_example_of_the_paper() -> None:
    """Five years of days, 100 tries whose annual Sharpe ratios have a variance of 1/2: 2.5 a year is 0.90 sure."""
    daily = math.sqrt(0.5 / 250.0)
    ratios = [-daily / math.sqrt(2.0), daily / math.sqrt(2.0)]
    assert np.var(ratios, ddof=1) == pytest.approx(0.5 / 250.0)
    expected = expected_best(ratios, 100)
    assert expected == pytest.approx(0.1132, abs=1e-4)
    assert probability(2.5 / math.sqrt(250.0), expected, 1250, -3.0, 10.0) == pytest.approx(0.9004, abs=1e-4)


def test_the_best_of_many_that_are_nothing_is_not_believed() -> None:
    rng = np.random.default_rng(5)
    found, looks = [], []
    for _ in range(100):
        tries = rng.normal(size=(50, 400))
        ratios = [sharpe_ratio(one) for one in tries]
        best = tries[int(np.argmax(ratios))]
        found.append(deflated(best, ratios, 50))
        looks.append(deflated(best, ratios[:1], 1))
    assert np.mean(np.array(looks) > 0.95) > 0.9, "undeflated, it looks sure"
    assert 0.3 < np.mean(found) < 0.7
    assert np.mean(np.array(found) > 0.95) < 0.1


def test_nothing_done_is_no_skill() -> None:
    assert deflated(np.zeros(100), [0.0, 0.1], 2) == 0.5


def test_ratios_of_longer_observations_are_brought_to_the_same_length() -> None:
    rng = np.random.default_rng(4)
    minutes = rng.normal(0.1, 1.0, 4_000)
    one = profits_of(minutes, 60)
    hours = profits_of(minutes.reshape(-1, 40).sum(axis=1), 2_400)
    assert hours.ratio == pytest.approx(one.ratio * 40**0.5, rel=0.05)
    alike, apart = deflated_of(one, [one, hours], 2), deflated_of(one, [one, hours, profits_of(-minutes, 60)], 3)
    assert alike == pytest.approx(deflated_of(one, [one, one], 2), abs=0.01)
    assert alike is not None
    assert apart is not None
    assert apart < alike
    assert deflated_of(profits_of(np.zeros(9), 1), [one], 5) is None
