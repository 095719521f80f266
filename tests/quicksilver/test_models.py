"""The online model and its score: prequential order, honesty, and state as plain data."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quicksilver.labels import LabelConfig, LabelQueue
from quicksilver.models.judged import SPARE
from quicksilver.models.score import PrequentialScore
from quicksilver.models.softmax import MODEL_FEATURES, OnlineModel
from quicksilver.models.stage import PredictionStage
from quicksilver.records import Features, Label, Prediction, Score

FIELDS = Features.__struct_fields__[5:]
H = (1_000,)
LABELS = LabelConfig(H)
EVERY = 1_000
MOST = SPARE + H[0] // EVERY
EQUAL = (1 / 3, 1 / 3, 1 / 3)


def features(seq: int, **values: float) -> Features:
    return Features("v", "A-B", seq, seq, seq, *(values.get(name) for name in FIELDS))


def label(seq: int, direction: int) -> Label:
    return Label("v", "A-B", seq, seq, seq, H[0], seq + H[0] + 1, 1.0, 1.0, 0.0, direction)  # type: ignore[arg-type]


def play(stage: PredictionStage, n: int, seed: int, signal: float, first: int = 1) -> list[Score]:
    rng, scores = np.random.default_rng(seed), []
    draws = rng.normal(size=(first + n, 2))
    for seq in range(first, first + n):
        direction = int(np.sign(draws[seq, 0])) if signal else int(np.sign(draws[seq, 1]))
        stage.on_features(features(seq, imbalance_1=float(draws[seq, 0]), spread_bps=1.0))
        (score,) = stage.on_label(label(seq, direction))
        scores.append(score)
    return scores


def test_model_features_exist_and_hold_no_price_level() -> None:
    assert set(MODEL_FEATURES) < set(FIELDS)
    assert not {"mid", "microprice"} & set(MODEL_FEATURES)


def test_it_learns_what_can_be_learned() -> None:
    last = play(PredictionStage(LABELS, EVERY), 1500, 1, signal=1.0)[-1]
    assert last.accuracy > 0.9 > last.baseline_accuracy
    assert last.log_loss < last.baseline_log_loss


def test_it_finds_nothing_in_noise() -> None:
    last = play(PredictionStage(LABELS, EVERY), 3000, 2, signal=0.0)[-1]
    assert abs(last.accuracy - 0.5) < 4 * math.sqrt(0.25 / 3000)
    assert last.log_loss > last.baseline_log_loss - 0.01


def test_a_prediction_is_scored_before_it_is_learned_from() -> None:
    stage = PredictionStage(LABELS, EVERY)
    (prediction,) = stage.on_features(features(1, imbalance_1=1.0))
    assert (prediction.p_down, prediction.p_flat, prediction.p_up) == pytest.approx(EQUAL)
    (score,) = stage.on_label(label(1, 1))
    assert score.log_loss == pytest.approx(math.log(3))
    assert score.baseline_log_loss == pytest.approx(math.log(3))
    assert (score.predicted, score.outcome, score.accuracy, score.baseline_accuracy) == (0, 1, 0.0, 0.0)
    (second,) = stage.on_features(features(2, imbalance_1=1.0))
    assert second.p_up > 1 / 3


def test_baseline_predicts_the_majority_so_far() -> None:
    score = PrequentialScore()
    for outcome in (1, 1, -1):
        score.update((0.2, 0.2, 0.6), score.baseline(), outcome)
    assert score.hits == 2
    assert score.baseline_hits == 1  # flat at first, then up twice
    assert score.baseline_loss == pytest.approx(-math.log(1 / 3) - math.log(2 / 4) - math.log(1 / 5))


def test_neither_model_nor_baseline_knows_the_outcomes_that_came_after_its_prediction() -> None:
    stage = PredictionStage(LABELS, EVERY)
    for seq in (1, 2):
        stage.on_features(features(seq, imbalance_1=1.0))
    scores = [score for seq in (1, 2) for score in stage.on_label(label(seq, 1))]
    assert [one.baseline_log_loss for one in scores] == pytest.approx([math.log(3), math.log(3)])
    assert [one.log_loss for one in scores] == pytest.approx([math.log(3), math.log(3)])


def test_without_a_word_from_the_features_the_model_is_the_baseline() -> None:
    stage = PredictionStage(LABELS, EVERY)
    for seq in range(1, 8):
        stage.on_features(features(seq))
        stage.on_label(label(seq, -1))
    (prediction,) = stage.on_features(features(8))
    assert (prediction.p_down, prediction.p_flat, prediction.p_up) == pytest.approx((0.8, 0.1, 0.1))


def test_overlapping_outcomes_teach_less_each() -> None:
    model = OnlineModel((1_000, 10_000), EVERY)
    inputs = {"imbalance_1": 1.0}
    for horizon in (0, 1):
        model.learn(horizon, inputs, EQUAL, 1)
    fast, slow = (weights["1"]["imbalance_1"] for weights in model.state().weights)
    assert fast == pytest.approx(10 * slow)


def test_state_is_plain_data_and_predictions_go_on_to_the_bit() -> None:
    first, second = PredictionStage(LABELS, EVERY), PredictionStage(LABELS, EVERY)
    play(first, 200, 3, signal=1.0)
    first.on_features(features(201, imbalance_1=0.3))
    second.load(first.dump())
    assert second.dump() == first.dump()
    assert second.on_label(label(201, 1)) == first.on_label(label(201, 1))
    row = features(202, imbalance_1=-0.7, rsi_14=55.0)
    assert second.on_features(row) == first.on_features(row)


def test_wild_and_missing_inputs_stay_finite() -> None:
    model = OnlineModel(H, EVERY)
    for value in (1e300, -1e300, 0.0, 1e-300):
        inputs = model.inputs(features(1, ofi_1s=value))
        model.learn(0, inputs, EQUAL, 1)
        probabilities = model.predict(0, inputs, EQUAL)
        assert all(math.isfinite(one) for one in probabilities)
        assert sum(probabilities) == pytest.approx(1.0)
    assert sum(model.predict(0, model.inputs(features(2)), EQUAL)) == pytest.approx(1.0)


def test_one_glitch_does_not_blind_the_model_to_a_feature() -> None:
    model, rng = OnlineModel(H, EVERY), np.random.default_rng(4)
    for seq, value in enumerate(rng.normal(size=1000).tolist()):
        model.inputs(features(seq, ofi_1s=value))
    assert model.inputs(features(1000, ofi_1s=1e9))["ofi_1s"] == 8.0
    assert abs(model.inputs(features(1001, ofi_1s=2.0))["ofi_1s"]) > 0.5


def test_a_feature_that_was_constant_may_begin_to_move() -> None:
    model = OnlineModel(H, EVERY)
    for seq in range(1000):
        model.inputs(features(seq, spread_bps=1.0 + seq % 2 * 1e-9))
    for seq in range(1000):
        high, low = (model.inputs(features(seq, spread_bps=value))["spread_bps"] for value in (5.0, 3.0))
    assert 0.1 < high - low < 8.0


def walk(stage: PredictionStage, mids: list[float], queue: LabelQueue, first: int = 1) -> list[Prediction | Score]:
    """What the pipeline does: each mid first tells the labels that it makes known, then is predicted from."""
    out: list[Prediction | Score] = []
    for seq, mid in enumerate(mids, first):
        for one in queue.on_price(seq * 100, seq * 100, mid):
            (score,) = stage.on_label(one)
            out.append(score)
        out += stage.on_features(features(seq, imbalance_1=math.sin(mid)))
        queue.on_features(seq, seq * 100, mid)
    return out


HORIZONS = (250, 1_000)
CONFIG = LabelConfig(horizons_ns=HORIZONS)
mid_paths = st.lists(st.floats(99, 101), min_size=1, max_size=40)


@settings(max_examples=30)
@given(past=mid_paths, future=mid_paths, other=mid_paths)
def test_the_future_changes_no_earlier_prediction_and_no_earlier_score(
    past: list[float], future: list[float], other: list[float]
) -> None:
    known = walk(PredictionStage(CONFIG, EVERY), past, LabelQueue("v", "A-B", CONFIG))
    for rest in (future, other):
        assert walk(PredictionStage(CONFIG, EVERY), past + rest, LabelQueue("v", "A-B", CONFIG))[: len(known)] == known


def test_a_run_cut_at_any_event_equals_a_whole_one() -> None:
    mids = np.exp(np.random.default_rng(5).normal(scale=1e-4, size=40).cumsum()).tolist()
    whole = walk(PredictionStage(CONFIG, EVERY), mids, LabelQueue("v", "A-B", CONFIG))
    assert {type(one) for one in whole} == {Prediction, Score}
    for cut in range(len(mids)):
        stages = PredictionStage(CONFIG, EVERY), PredictionStage(CONFIG, EVERY)
        queues = LabelQueue("v", "A-B", CONFIG), LabelQueue("v", "A-B", CONFIG)
        before = walk(stages[0], mids[:cut], queues[0])
        stages[1].load(stages[0].dump())
        queues[1].load(queues[0].dump())
        assert before + walk(stages[1], mids[cut:], queues[1], cut + 1) == whole


def test_a_label_without_its_prediction_is_no_score_and_pending_is_bounded() -> None:
    stage = PredictionStage(LABELS, EVERY)
    assert stage.on_label(label(1, 1)) == []
    for seq in range(MOST + 2):
        stage.on_features(features(seq, imbalance_1=0.1))
    assert stage.on_label(label(0, 1)) == []
    assert len(stage.on_label(label(MOST, 1))) == 1
    stage.gap()
    assert stage.on_label(label(MOST + 1, 1)) == []
