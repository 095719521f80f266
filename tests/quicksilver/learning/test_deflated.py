"""The deflated Sharpe ratio against its authors' example, and against chance."""

import math

import numpy as np
import pytest

from quicksilver.learning.deflated import deflated_tracks, expected_best, probability, sharpe_ratio, track_of

DAYS = 20.0


def test_the_example_of_the_paper() -> None:
    """Five years of days, 100 tries whose annual Sharpe ratios have a variance of 1/2: 2.5 a year is 0.90 sure."""
    daily = math.sqrt(0.5 / 250.0)
    ratios = [-daily / math.sqrt(2.0), daily / math.sqrt(2.0)]
    assert np.var(ratios, ddof=1) == pytest.approx(0.5 / 250.0)
    expected = expected_best(ratios, 100, 0.0)
    assert expected == pytest.approx(0.1132, abs=1e-4)
    assert probability(2.5 / math.sqrt(250.0), expected, 1250, -3.0, 10.0) == pytest.approx(0.9004, abs=1e-4)


def test_the_best_of_many_that_are_nothing_is_not_believed() -> None:
    rng = np.random.default_rng(5)
    found, looks = [], []
    for _ in range(100):
        tries = rng.normal(size=(50, 400))
        tracks = [track_of(one, DAYS) for one in tries]
        best = int(np.argmax([sharpe_ratio(one) for one in tries]))
        found.append(deflated_tracks(tracks, 50)[best] or 0.0)
        looks.append(deflated_tracks([tracks[best]], 1)[0] or 0.0)
    assert np.mean(np.array(looks) > 0.95) > 0.9, "undeflated, it looks sure"
    assert 0.3 < np.mean(found) < 0.7
    assert np.mean(np.array(found) > 0.95) < 0.1


def test_where_one_alone_is_known_the_others_are_taken_for_chance() -> None:
    """The best of a thousand that are nothing, of which 999 never traded or were given up."""
    rng = np.random.default_rng(7)
    profits = max(rng.normal(size=(1_000, 400)), key=sharpe_ratio)
    track = track_of(profits, DAYS)
    assert track is not None
    (alone,) = deflated_tracks([track], 1)
    found = deflated_tracks([track, *[None] * 999], 1_000)
    assert alone is not None
    assert alone > 0.99
    by_chance = expected_best([], 1_000, 1.0 / math.sqrt(len(profits)))
    expected = probability(sharpe_ratio(profits), by_chance, len(profits), track.skew, track.kurtosis)
    assert found[0] == pytest.approx(expected), "however many there are a day"
    assert expected < 0.8
    assert found[1:] == [None] * 999


def test_nothing_done_is_no_skill() -> None:
    nothing, something = track_of(np.zeros(100), DAYS), track_of(np.sin(np.arange(100.0)), DAYS)
    assert nothing is None
    assert deflated_tracks([nothing, something], 2)[0] is None
