"""Training: honest scores, no look into the future, and the very probabilities that are then applied."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quicksilver.errors import InputError
from quicksilver.models.online import MODEL_FEATURES
from quicksilver.models.score import PrequentialScore
from quicksilver.models.trained import TrainedModel
from quicksilver.models.training import (
    NAME,
    Examples,
    TrainConfig,
    Trained,
    better_than_baseline,
    digest,
    fit,
    model_of,
    probabilities,
    train,
    walk_forward,
)
from quicksilver.records import Features, Model, ModelHead

SECOND = 1_000_000_000
HORIZON = 5 * SECOND
K = len(MODEL_FEATURES)


def examples(n: int = 3_000, signal: float = 1.5, seed: int = 3) -> Examples:
    """Decisions every quarter of a second; the first feature says something, a fifth of the others is not known."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n, K)) * 10.0 ** rng.integers(-3, 6, K) + rng.normal(size=K)
    inputs[:, 1:][rng.random((n, K - 1)) < 0.2] = np.nan
    first = (inputs[:, 0] - inputs[:, 0].mean()) / inputs[:, 0].std()
    move = signal * first + rng.normal(size=n)
    ts_ns = np.arange(n, dtype=np.int64) * SECOND // 4
    return Examples(inputs, ts_ns, ts_ns + HORIZON + 1, (move > 0.7).astype(np.int64) - (move < -0.7))


def shuffled(data: Examples, seed: int) -> Examples:
    return data._replace(directions=np.random.default_rng(seed).permutation(data.directions))


def row(inputs: list[float]) -> Features:
    known = {name: None if math.isnan(value) else value for name, value in zip(MODEL_FEATURES, inputs, strict=True)}
    return Features("v", "A-B", 1, 1, 1, *(known.get(name) for name in Features.__struct_fields__[5:]))


def test_it_learns_what_can_be_learned_and_says_how_well() -> None:
    head = train(examples(), HORIZON)
    assert head.accuracy > head.baseline_accuracy + 0.15
    assert head.log_loss < head.baseline_log_loss - 0.2
    assert (head.n_train, head.horizon_ns) == (3_000, HORIZON)
    assert head.n_scored == 2_500


@pytest.mark.parametrize("seed", range(4))
def test_with_shuffled_labels_it_is_no_better_than_the_majority(seed: int) -> None:
    head = train(shuffled(examples(), seed), HORIZON)
    error = math.sqrt(head.baseline_accuracy * (1 - head.baseline_accuracy) / head.n_scored)
    assert head.accuracy < head.baseline_accuracy + 3 * error
    assert head.log_loss > head.baseline_log_loss - 0.005


def test_labels_that_persist_for_a_horizon_teach_nothing_by_overlap() -> None:
    """Neighbours share their outcome: a split without purging would learn the test's first outcomes by heart."""
    rng = np.random.default_rng(8)
    n, every = 4_000, 400
    inputs = np.repeat(rng.normal(size=(n // every, K)), every, axis=0) + 1e-3 * rng.normal(size=(n, K))
    blocks = np.repeat(rng.integers(-1, 2, n // every), every)
    ts_ns = np.arange(n, dtype=np.int64) * SECOND // 4
    head = train(Examples(inputs, ts_ns, ts_ns + every * SECOND // 4, blocks), every * SECOND // 4)
    assert head.log_loss > head.baseline_log_loss - 0.05


@settings(deadline=None, max_examples=60)
@given(st.integers(200, 900), st.integers(1, 9), st.integers(1, 60), st.integers(0, 5))
def test_what_is_predicted_is_later_than_all_that_was_known(n: int, folds: int, horizon: int, late: int) -> None:
    rng = np.random.default_rng(n)
    ts_ns = np.sort(rng.integers(0, n, n))
    data = Examples(np.zeros((n, 1)), ts_ns, ts_ns + horizon + rng.integers(0, late + 1, n), np.zeros(n, np.int64))
    seen = 0
    for past, later in walk_forward(data, horizon, TrainConfig(folds=folds, min_fold_rows=1)):
        assert past.known_ns.max() < later.ts_ns.min()
        assert past.ts_ns.max() + horizon < later.ts_ns.min()
        seen += len(later.ts_ns)
    assert seen <= n - n // (folds + 1)


def test_applied_it_gives_the_probabilities_of_its_training() -> None:
    data = examples()
    head = train(data, HORIZON)
    model = TrainedModel(model_of("v", "A-B", [Trained(head, "00", 0, 1)], TrainConfig()))
    inputs = data.inputs[:500].copy()
    inputs[3] = np.nan
    inputs[4] *= 1e9  # a glitch
    expected = probabilities(head, inputs)
    for values, one in zip(inputs.tolist(), expected, strict=True):
        got = model.predict(HORIZON, model.inputs(row(values)))
        assert got is not None
        assert np.abs(np.array(got) - one).max() < 1e-12


def test_the_scores_are_those_of_the_score_module() -> None:
    data = shuffled(examples(900), 1)
    config, score = TrainConfig(), PrequentialScore()
    for past, later in walk_forward(data, HORIZON, config):
        counts = np.bincount(past.directions + 1, minlength=3)
        down, flat, up = ((counts + 1) / (counts.sum() + 3)).tolist()
        model = TrainedModel(model_of("v", "A-B", [Trained(fit(past, HORIZON, config), "", 0, 0)], config))
        for values, direction in zip(later.inputs.tolist(), later.directions.tolist(), strict=True):
            got = model.predict(HORIZON, model.inputs(row(values)))
            assert got is not None
            score.update(got, (down, flat, up), direction)
    head = train(data, HORIZON, config)
    assert (head.n_scored, head.accuracy, head.baseline_accuracy) == (
        score.n, score.hits / score.n, score.baseline_hits / score.n,
    )  # fmt: skip
    assert head.log_loss == pytest.approx(score.loss / score.n, abs=1e-9)
    assert head.baseline_log_loss == pytest.approx(score.baseline_loss / score.n, abs=1e-9)


@pytest.mark.parametrize("present", [(0,), (-1, 0), (-1, 1)])
def test_a_class_that_never_occurs_is_unlikely_and_not_impossible(present: tuple[int, ...]) -> None:
    data = examples(1_000)
    directions = np.array(present)[np.arange(1_000) % len(present)]
    head = train(data._replace(directions=directions), HORIZON)
    assert np.isfinite(head.weights).all()
    assert np.isfinite(head.intercepts).all()
    found = probabilities(head, data.inputs)
    never = [one + 1 for one in (-1, 0, 1) if one not in present]
    assert (found[:, never] > 0).all()
    assert (found[:, never].mean(axis=0) < 0.01).all()
    TrainedModel(model_of("v", "A-B", [Trained(head, "00", 0, 1)], TrainConfig()))


def test_features_that_never_change_or_are_never_known_do_no_harm() -> None:
    data = examples()
    inputs = data.inputs.copy()
    inputs[:, 2], inputs[:, 3], inputs[7, 4] = np.nan, 0.1, 1e300
    head = train(data._replace(inputs=inputs), HORIZON)
    assert (head.scales[2], head.scales[3]) == (1.0, 1.0)
    assert np.abs(np.array(head.weights)[:, 2:4]).max() < 1e-6
    assert head.accuracy > head.baseline_accuracy + 0.15


def test_the_same_data_give_the_same_model_in_whatever_order_they_come() -> None:
    data, seq = examples(), np.arange(3_000)
    mixed = np.random.default_rng(1).permutation(3_000)
    again = data.rows(mixed).in_order(seq[mixed])
    assert train(again, HORIZON) == train(data, HORIZON)
    config = TrainConfig()
    assert digest(again, HORIZON, config) == digest(data, HORIZON, config)
    others = {
        digest(data, HORIZON + 1, config),
        digest(data, HORIZON, msgspec.structs.replace(config, penalty=0.02)),
        digest(data.rows(slice(1, None)), HORIZON, config),
    }
    assert len(others | {digest(data, HORIZON, config)}) == 4


def test_the_record_says_what_it_was_made_of() -> None:
    heads = [fit(examples(600), h, TrainConfig()) for h in (HORIZON, SECOND)]
    record = model_of("v", "A-B", [Trained(heads[0], "aa", 5, 90), Trained(heads[1], "bb", 3, 80)], TrainConfig())
    assert (record.model, record.start_ns, record.end_ns) == (NAME, 3, 91)
    assert [head.horizon_ns for head in record.heads] == [SECOND, HORIZON]
    assert record.features == list(MODEL_FEATURES)
    assert len(record.version) == 12


def test_too_little_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match=r"499 labelled feature vectors of a horizon of 5 s, 500 are needed"):
        train(examples(499), HORIZON)
    with pytest.raises(InputError, match="too short to predict any of a horizon of 3600 s"):
        train(examples(600), 3_600 * SECOND)


def test_only_what_beats_the_baseline_on_later_data_is_worth_publishing() -> None:
    head = ModelHead(1, [0.0], [1.0], [[0.0], [0.0], [0.0]], [0.0, 0.0, 0.0], 9, 9, 0.5, 1.0, 0.5, 1.1)
    bad = msgspec.structs.replace(head, log_loss=1.1)
    model = Model("v", "A-B", "softmax-trained", "1", 0, 1, ["rsi_14"], [head, bad])
    assert better_than_baseline(model) == msgspec.structs.replace(model, heads=[head])
    assert better_than_baseline(msgspec.structs.replace(model, heads=[bad])) is None
