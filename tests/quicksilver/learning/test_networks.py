"""Neural nets are stopped by the newest examples, with which nothing that they learn from overlaps."""

import msgspec
import numpy as np
import pytest
from sklearn.base import clone

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.networks import NeuralClassifier, NeuralRegressor
from quicksilver.learning.zoo import model_of

N, APART, HELD = 600, 80, 60
RNG = np.random.default_rng(1)
INPUTS = RNG.normal(size=(N, 3))
MOVES = INPUTS[:, 0] + RNG.normal(size=N)


@pytest.mark.parametrize(("kind", "outcomes"), [(NeuralClassifier, np.sign(MOVES)), (NeuralRegressor, MOVES)])
def test_what_overlaps_with_the_newest_is_left_out_and_these_only_stop(kind: type, outcomes: FloatArray) -> None:
    def predicted(some: FloatArray, **changed: int) -> FloatArray:
        net = kind(apart=APART, hidden_layer_sizes=(8,), early_stopping=True, random_state=3, **changed)
        return np.asarray(net.fit(INPUTS, some).predict(INPUTS))

    usual, between, newest = predicted(outcomes), outcomes.copy(), outcomes.copy()
    between[N - HELD - APART : N - HELD] *= -1
    newest[N - HELD :] *= -1
    np.testing.assert_array_equal(predicted(between), usual)
    assert (predicted(newest) != usual).any(), "it stops where these were predicted best"
    np.testing.assert_array_equal(predicted(newest, max_iter=1), predicted(outcomes, max_iter=1))
    learned = outcomes.copy()
    learned[: N - HELD - APART] *= -1
    assert (predicted(learned) != usual).any()


def test_it_is_made_with_the_distance_of_its_examples() -> None:
    config = PredictorConfig("neural-net", granularity="1m", horizon="5m", datasetinputs=3, seed=2)
    last = model_of(config, instruments=2)[-1]
    assert last.apart == 2 * (5 + 3)
    assert clone(last).get_params() == last.get_params()
    own = msgspec.structs.replace(config, parameters={"early_stopping": False, "alpha": 0.1})
    assert (model_of(own)[-1].early_stopping, model_of(own)[-1].alpha) == (False, 0.1)
    with pytest.raises(InputError, match="a neural-net predictor: "):
        model_of(msgspec.structs.replace(config, parameters={"depth": 3}))


def test_too_few_to_hold_some_back_is_said() -> None:
    with pytest.raises(InputError, match=r"600 examples are too few for a neural-net predictor.*less 500 that overlap"):
        NeuralClassifier(apart=500, early_stopping=True).fit(INPUTS, np.sign(MOVES))
