"""Drift of the live log-loss: found where it rises, not where it only varies."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quicksilver.learning.drift import Drift, LiveLosses, Loss, LossDrift, Silence
from quicksilver.models.score import PrequentialScore
from tests.quicksilver.learning.live_scores import START_NS, Stream

N = 2_000


def losses(seed: int, n: int, mean: float = 0.9) -> list[float]:
    """What a calibrated model has: exponential losses are those of probabilities that are evenly spread."""
    return np.random.default_rng(seed).exponential(mean, n).tolist()


def drifts(detector: LossDrift, values: list[float]) -> list[tuple[int, Drift]]:
    return [(place, found) for place, one in enumerate(values) if (found := detector.take(one)) is not None]


def own(loss: Loss | None) -> float:
    assert loss is not None
    return loss.own


@given(st.lists(st.floats(0.0, 34.5), min_size=1, max_size=300))
def test_single_losses_are_those_that_the_means_are_made_of(values: list[float]) -> None:
    stream, found = Stream("a"), LiveLosses()
    assert [own(found.take(one)) for one in stream.scores(values)] == pytest.approx(values, abs=1e-9)


def test_the_means_are_those_of_the_prequential_score() -> None:
    score, found, stream = PrequentialScore(), LiveLosses(), Stream("a")
    for place, share in enumerate((0.5, 0.125, 0.9, 1e-20)):
        score.update((share, 1.0 - share, 0.0), (0.3, 0.4, 0.3), -1)
        stream.loss = score.loss
        one = stream.score(0.0)
        assert one.n == place + 1
        assert own(found.take(one)) == pytest.approx(-np.log(max(share, 1e-15)))


def test_what_came_before_or_cannot_be_told_is_none() -> None:
    stream, found = Stream("a"), LiveLosses()
    first, second, _, fourth, fifth = stream.scores([0.5, 0.7, 0.9, 0.2, 0.4])
    assert found.take(first) == Loss(0.5, 1.0)
    assert own(found.take(second)) == pytest.approx(0.7)
    assert found.take(second) is None
    assert found.take(first) is None
    assert found.take(fourth) is None
    assert own(found.take(fifth)) == pytest.approx(0.4)
    again = Stream("a", start_ns=START_NS + 10**15)  # the process was started anew, and counts anew
    assert [own(found.take(one)) for one in again.scores([0.3, 0.6])] == pytest.approx([0.3, 0.6])


def test_a_predicted_return_loses_what_acting_on_it_lost() -> None:
    """Whatever its log-loss was, which tells how well it knows its errors; doing nothing loses nothing."""
    stream, found = Stream("a"), LiveLosses()
    profits = [0.0, -3.0, 2.0, 0.0]
    taken = [found.take(stream.score(0.9, profit_bps=one), "return") for one in profits]
    assert [own(one) for one in taken] == pytest.approx([-one for one in profits])
    assert {one.baseline for one in taken if one is not None} == {0.0}
    assert found.take(msgspec.structs.replace(Stream("b").score(0.9), profit_bps=None), "return") is None


def test_profits_that_turn_to_losses_are_drift() -> None:
    rng = np.random.default_rng(3)
    earned, lost = rng.normal(-2.0, 5.0, N).tolist(), rng.normal(2.0, 5.0, N).tolist()
    ((place, found),) = drifts(LossDrift(0.002, least=-20.0, most=20.0), earned + lost)
    assert N < place < N + 500
    assert found.before == pytest.approx(-2.0, abs=0.5)
    assert found.after > found.before
    assert not drifts(LossDrift(0.002, least=-20.0, most=20.0), earned)


def test_streams_do_not_mix() -> None:
    found = LiveLosses()
    streams = [Stream("a"), Stream("b"), Stream("a", symbol="ETH-USD"), Stream("a", model="far")]
    for loss in (0.5, 0.25, 0.125):
        for place, stream in enumerate(streams):
            assert own(found.take(stream.score(loss * (place + 1)))) == pytest.approx(loss * (place + 1))


@pytest.mark.parametrize("seed", range(10))
def test_a_rise_is_found_soon_and_told(seed: int) -> None:
    found = drifts(LossDrift(0.002), losses(seed, N) + losses(seed + 100, N, 1.6))
    assert found
    place, drift = found[0]
    assert N <= place < N + 400
    assert 0.7 < drift.before < 1.05
    assert drift.before + 0.05 < drift.after < 1.9  # it keeps some of the old ones
    assert drift.n_before + drift.n_after == place + 1


def alarms(outcomes: int, overlap: int) -> int:
    """False ones in 20 streams of 2,000 losses, each a mean over so many outcomes that the next one shares but one."""
    found = 0
    for seed in range(20):
        single = np.array(losses(seed, N + outcomes - 1))
        values = np.convolve(single, np.full(outcomes, 1.0 / outcomes), "valid").tolist()
        found += len(drifts(LossDrift(0.002, overlap), values))
    return found


def test_no_more_false_alarms_than_there_may_be() -> None:
    assert alarms(1, 1) <= 1
    assert alarms(30, 30) <= 1
    assert alarms(30, 1) > 3  # what overlaps is not independent, and must not be taken for it


def test_a_fall_is_no_reason_and_ends_what_was_before_it() -> None:
    detector = LossDrift(0.002)
    assert drifts(detector, losses(1, N, 1.6) + losses(2, N, 0.6)) == []
    ((place, drift), *_) = drifts(detector, losses(3, N, 1.2))
    assert place < 400
    assert drift.before < 0.8


def test_one_wild_loss_is_no_drift() -> None:
    """A certain and wrong prediction costs 34.5 nats: as much as 38 usual ones."""
    values = losses(1, N)
    values[N // 2 :: 200] = [34.5] * len(values[N // 2 :: 200])
    assert drifts(LossDrift(0.002), values) == []


def test_overlapping_outcomes_are_one_value() -> None:
    values = [one for one in losses(4, 400) for _ in range(10)] + [
        one for one in losses(5, 400, 2.0) for _ in range(10)
    ]
    ((place, drift), *_) = drifts(LossDrift(0.002, 10), values)
    assert 4_000 < place < 7_000
    assert drift.n_before + drift.n_after == (place + 1) // 10


def test_silence_counts_while_others_are_heard_only() -> None:
    silence = Silence(patience_ns=100, step_ns=10)
    assert silence.passed(1_000) is None
    silence.heard(1_000)
    assert silence.passed(5_000) is None  # a break of the feed: of its 4,000 ns only a step counts
    assert [silence.passed(5_000 + 10 * step) for step in range(1, 11)] == [None] * 9 + [110]
    silence.heard(5_110)
    assert silence.passed(5_115) is None
