"""Each model: fitted, exported, applied; the same numbers, and fast enough to be applied live."""

import re
import sys

import numpy as np
import pytest

from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig, Target
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
    found = AppliedModel(data).raw(later)
    one_by_one = np.vstack([AppliedModel(data).raw(later[row : row + 1]) for row in range(3)])
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


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (PredictorConfig("forest"), "there is no predictor type 'forest'; there are nearest-neighbours, "),
        (PredictorConfig("lda", target="return"), "a lda predictor has no target 'return'"),
        (PredictorConfig("lda", parameters={"depth": 3}), "a lda predictor: .*'depth'"),
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


def test_prices_on_a_grid_which_tie_neighbours_are_exported_all_the_same() -> None:
    rng = np.random.default_rng(5)
    inputs = np.vstack([rng.integers(-3, 4, (2_500, 2)), rng.normal(size=(500, 2))])
    classes = np.sign(inputs[:, 0] + rng.normal(size=3_000)).astype(int)
    model = model_of(PredictorConfig("nearest-neighbours")).fit(inputs, classes)
    rows = inputs.astype(np.float32)
    wrong = np.abs(AppliedModel(exported(model, inputs)).raw(rows) - model.predict_proba(rows)).max(axis=1)
    assert wrong[:2_500].max() > 0.01, "there are ties"
