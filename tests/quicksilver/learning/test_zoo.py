"""Each model: fitted, exported, applied; the same numbers, and fast enough to be applied live."""

import re
import sys

import numpy as np
import onnx
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig, Target
from quicksilver.learning.datasets import Int64
from quicksilver.learning.export import exported
from quicksilver.learning.zoo import DEEPLOB, NINE, ZOO, model_of
from quicksilver.models.applied import AppliedModel
from quicksilver.models.learner import ONLINE

RNG = np.random.default_rng(4)
INPUTS = RNG.normal(size=(1_500, 4))
MOVES = 3.0 * INPUTS[:, 0] * INPUTS[:, 1] + 2.0 * INPUTS[:, 2] + RNG.normal(size=1_500)
CLASSES = np.sign(MOVES).astype(int) * (np.abs(MOVES) > 1.0)
OTHERS = {DEEPLOB, *ONLINE}  # have tests of their own
KINDS: list[tuple[str, Target]] = [
    *((name, "direction") for name, kind in ZOO.items() if kind.direction is not None and name not in OTHERS),
    *((name, "return") for name, kind in ZOO.items() if kind.returns is not None),
]


def test_the_nine_are_there() -> None:
    assert len(NINE) == 9
    assert set(NINE) <= {name for name, kind in ZOO.items() if kind.direction is not None}


@pytest.mark.parametrize(("name", "target"), KINDS)
def test_a_model_is_applied_as_it_was_fitted(name: str, target: Target) -> None:
    holes = INPUTS.copy()
    holes[::30, 3] = np.nan
    past, later = slice(0, 1_000), holes[1_000:].astype(np.float32)
    config = PredictorConfig(name, target=target, seed=3)
    model = model_of(config).fit(holes[past], (CLASSES if target == "direction" else MOVES)[past])
    data = exported(model, holes[past])
    again = model_of(config).fit(holes[past], (CLASSES if target == "direction" else MOVES)[past])
    assert exported(again, holes[past]) == data, "the same seed gives the same bytes"
    applied = AppliedModel(data)
    found = applied.raw(later)
    one_by_one = np.vstack([applied.raw(later[row : row + 1]) for row in range(3)])
    assert [applied.one(holes[row]) for row in range(1_000, 1_003)] == one_by_one.tolist(), "to the bit"
    np.testing.assert_allclose(one_by_one, found[:3], rtol=1e-5, atol=1e-6)
    if target == "direction":
        np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)
        agree = np.abs(found - model.predict_proba(later)).max(axis=1) < 1e-3
        right = np.mean(model.classes_[found.argmax(axis=1)] == CLASSES[1_000:])
        assert right > np.mean(CLASSES[1_000:] == 1) + 0.05, "it has learned something"
    else:
        agree = np.abs(found[:, 0] - model.predict(later)) < 1e-3 * np.std(MOVES)
        assert np.corrcoef(found[:, 0], MOVES[1_000:])[0, 1] > 0.3
    assert np.mean(agree) > 0.99


@pytest.mark.parametrize("name", NINE)
def test_of_two_classes_each_is_applied_as_it_was_fitted(name: str) -> None:
    model = model_of(PredictorConfig(name, seed=3)).fit(INPUTS[:1_000], np.sign(MOVES[:1_000]).astype(int))
    later = INPUTS[1_000:].astype(np.float32)
    found = AppliedModel(exported(model, INPUTS[:1_000])).raw(later)
    agree = np.abs(found - model.predict_proba(later)).max(axis=1) < 1e-3
    assert found.shape == (500, 2)
    assert np.mean(agree) > 0.99


@pytest.mark.parametrize("mean", [0.0, 0.02, 3.0])
def test_a_model_that_says_the_same_of_everything_is_exported(mean: float) -> None:
    """Single precision differs by much beside how its predictions vary, and by nothing beside them."""
    moves = MOVES[:400] - MOVES[:400].mean() + mean
    config = PredictorConfig("decision-tree", target="return", parameters={"min_samples_leaf": 300})
    data = exported(model_of(config).fit(INPUTS[:400], moves), INPUTS[:400])
    np.testing.assert_allclose(AppliedModel(data).raw(INPUTS[:400].astype(np.float32)), mean, rtol=1e-5, atol=1e-6)


def test_moves_too_small_for_a_machine_are_told() -> None:
    model = model_of(PredictorConfig("rbf-svm", target="return")).fit(INPUTS[:400], MOVES[:400] * 0.001)
    with pytest.raises(InputError) as error:
        exported(model, INPUTS[:400])
    assert str(error.value) == (
        "no move is farther than epsilon = 0.1 bps from the others, so there is nothing to learn: take a longer"
        " horizon, or a smaller epsilon in parameters"
    )


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("classes", [CLASSES, np.sign(MOVES).astype(int)], ids=["three", "two"])
def test_boosted_trees_in_one_node_say_what_they_say_one_by_one(depth: int, classes: Int64) -> None:
    """Thresholds lie between two numbers of single precision, of which inputs are."""
    boosted = AdaBoostClassifier(DecisionTreeClassifier(max_depth=depth), n_estimators=30, random_state=1)
    model = Pipeline([("model", boosted.fit(INPUTS, classes))])
    data, rows = exported(model, INPUTS), INPUTS.astype(np.float32)
    kinds = [node.op_type for node in onnx.load_from_string(data).graph.node]
    assert kinds.count("TreeEnsembleRegressor") == 1
    assert len(kinds) == 3, "and the softmax of its votes"
    np.testing.assert_allclose(AppliedModel(data).raw(rows), model.predict_proba(rows), atol=1e-5)


def test_scores_so_far_out_that_no_class_is_likely_leave_all_as_likely() -> None:
    """As scikit-learn has it: none of the three curves is above 0 there."""
    model = model_of(PredictorConfig("lda")).fit(INPUTS, CLASSES)
    assert isinstance(model[-1], CalibratedClassifierCV)
    (calibrated,) = model[-1].calibrated_classifiers_
    for curve in calibrated.calibrators:
        curve.b_ = 1_000.0
    found = AppliedModel(exported(model, INPUTS)).raw(INPUTS.astype(np.float32))
    np.testing.assert_allclose(found, 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(model.predict_proba(INPUTS), found, rtol=1e-6)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (PredictorConfig("forest"), "there is no predictor type 'forest'; there are nearest-neighbours, "),
        (PredictorConfig("lda", target="return"), "a lda predictor has no target 'return'"),
        (PredictorConfig("lda", parameters={"depth": 3}), "a lda predictor: .*'depth'"),
        (PredictorConfig("adaboost", parameters={"random_state": 3}), "random_state is no parameter: write seed"),
        (PredictorConfig(DEEPLOB, parameters={"random_state": 3}), "random_state is no parameter: write seed"),
        (PredictorConfig("online-tree", parameters={"random_state": 3}), "random_state is no parameter: write seed"),
    ],
)
def test_what_cannot_be_made_is_named(config: PredictorConfig, said: str) -> None:
    with pytest.raises(InputError, match=said):
        model_of(config)


def test_the_sequence_model_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="a deeplob predictor reads the book: give it features, such as imbalance_1"):
        model_of(PredictorConfig(DEEPLOB))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "quicksilver.learning.deeplob", raising=False)
    with pytest.raises(InputError, match=re.escape("type deeplob needs PyTorch: pip install 'quicksilver[torch]'")):
        model_of(PredictorConfig(DEEPLOB, features=("imbalance_1",), sequence=10))


@pytest.mark.parametrize("data", [b"", b"junk", b"\x08\x01" * 50])
def test_bytes_that_are_no_model(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a model that can be read"):
        AppliedModel(data)


def test_rows_of_another_length() -> None:
    model = model_of(PredictorConfig("logistic")).fit(INPUTS, CLASSES)
    with pytest.raises(ValueError, match="the model cannot be applied"):
        AppliedModel(exported(model, INPUTS)).raw(np.zeros((1, 9), np.float32))
    for width in (1, 9):
        with pytest.raises(ValueError, match=f"the model cannot be applied: it takes 4 inputs, not {width}"):
            AppliedModel(exported(model, INPUTS)).one(np.zeros(width))


def test_prices_on_a_grid_which_tie_neighbours_are_exported_all_the_same() -> None:
    rng = np.random.default_rng(5)
    inputs = np.vstack([rng.integers(-3, 4, (2_500, 2)), rng.normal(size=(500, 2))])
    classes = np.sign(inputs[:, 0] + rng.normal(size=3_000)).astype(int)
    model = model_of(PredictorConfig("nearest-neighbours")).fit(inputs, classes)
    rows = inputs.astype(np.float32)
    wrong = np.abs(AppliedModel(exported(model, inputs)).raw(rows) - model.predict_proba(rows)).max(axis=1)
    assert wrong[:2_500].max() > 0.01, "there are ties"
