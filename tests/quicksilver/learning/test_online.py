"""Models that go on learning: the same offline and live, to bytes and back, and never from what is not known yet."""

import math

import msgspec
import numpy as np
import pytest

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import FeatureHistory, TrainingFrame, frame_of
from quicksilver.learning.fitting import fitted
from quicksilver.learning.held_back import outside, said_by, walked_by
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.learning.online import OnlineClassifier, prequential
from quicksilver.learning.results import MAJORITY, MODEL
from quicksilver.learning.splits import walk_forward
from quicksilver.learning.training import trained
from quicksilver.learning.validation import validated
from quicksilver.learning.walking import walk
from quicksilver.learning.zoo import model_of
from quicksilver.models.learner import ONLINE, Learner
from quicksilver.models.predictor import Predictor
from quicksilver.models.row_model import model_in
from quicksilver.models.score import CLASSES
from quicksilver.records import Prediction, Score
from tests.quicksilver.learning.test_predictor import CONFIG, card_of, rows, run

ONE_MINUTE = PredictorConfig("online-logistic", granularity="1m", horizon="3m", datasetinputs=3, fee_bps=3.0)


def of_type(name: str, config: PredictorConfig = CONFIG) -> PredictorConfig:
    return msgspec.structs.replace(config, type=name)


def parts(value: object) -> list[object]:
    """The keys and values that plain data is made of."""
    if isinstance(value, dict):
        return [part for pair in value.items() for one in pair for part in parts(one)]
    return [part for one in value for part in parts(one)] if isinstance(value, list) else [value]


def frame(seed: int, reverts: float = 0.0, n: int = 4_000, config: PredictorConfig = ONE_MINUTE) -> TrainingFrame:
    rng = np.random.default_rng(seed)
    moves, last = np.empty(n), 0.0
    for row in range(n):
        moves[row] = last = -reverts * last + rng.normal(0.0, 8e-4)
    times, mids = np.arange(n) * 60 * SECOND_NS, 100.0 * np.exp(np.cumsum(moves))
    fresh, spread_bps = np.zeros(n, bool), np.full(n, np.nan)
    return frame_of([FeatureHistory("test", "X-USD", times, mids, np.empty((n, 0)), fresh, spread_bps)], config)


@pytest.mark.parametrize("name", ONLINE)
def test_live_it_says_what_the_walk_said(name: str) -> None:
    config = of_type(name)
    before, later = (
        frame_of(HistoryBuilder(config.features).take_all(rows(n, seed)).histories(), config)
        for n, seed in ((4_000, 1), (2_000, 2))
    )
    expected = prequential(fitted(before, config), later, config.threshold_bps)
    card = card_of(config)
    assert card.format == "online"
    found = run(Predictor(card, "test", "BTC-USD"), rows(2_000, 2))
    scored = {one.seq for one in found if isinstance(one, Score)}
    said = [(one.p_down, one.p_flat, one.p_up) for one in found if isinstance(one, Prediction) and one.seq in scored]
    np.testing.assert_allclose(said, expected, rtol=1e-4, atol=1e-6)
    frozen = fitted(before, config).predict_proba(later.inputs)
    assert np.abs(frozen[-100:] - expected[-100:]).max() > 1e-3, "it has learned on the way"


@pytest.mark.parametrize("name", ONLINE)
@pytest.mark.parametrize("at", [1, 1_333])
def test_live_it_goes_on_from_a_dump_with_the_same_output(name: str, at: int) -> None:
    card, records = card_of(of_type(name)), list(rows(2_000, 2))
    whole = run(Predictor(card, "test", "BTC-USD"), iter(records))
    first, second = Predictor(card, "test", "BTC-USD"), Predictor(card, "test", "BTC-USD")
    before = run(first, iter(records[:at]))
    second.load(first.dump())
    assert before + run(second, iter(records[at:])) == whole


@pytest.mark.parametrize(
    ("name", "parameters"),
    [(name, {}) for name in ONLINE] + [("online-tree", {"leaf_prediction": one, "tau": 0.2}) for one in ("mc", "nb")],
)
def test_a_state_is_plain_data_and_loses_nothing(name: str, parameters: dict[str, object]) -> None:
    """Also while a tree grows, and with inputs that are not known."""
    config = msgspec.structs.replace(of_type(name, ONE_MINUTE), parameters=parameters)
    rng = np.random.default_rng(5)
    inputs = rng.normal(size=(3_000, 3)).astype(np.float32)
    moves = inputs[:, 0] + rng.normal(0.0, 0.3, 3_000)
    directions = (np.sign(moves) * (np.abs(moves) > 0.5)).astype(int)
    inputs[::7, 1] = np.nan
    one = Learner(config)
    for number, (row, direction) in enumerate(zip(inputs, directions.tolist(), strict=True)):
        if number % 500 == 250:
            again = Learner(config)
            again.load(one.dump())
            assert again.dump() == one.dump()
            one = again
        one.learn(row, direction)
    straight = OnlineClassifier(config).fit(inputs, directions)
    assert straight.learner.dump() == one.dump()
    assert (straight.learner.raw(inputs[:200]) == one.raw(inputs[:200])).all()
    assert straight.learner.dump() == one.dump(), "to predict changes nothing"
    assert {type(part) for part in parts(msgspec.msgpack.decode(one.dump()))} <= {int, float, str, bool, type(None)}
    assert np.mean(straight.predict(inputs) == directions) > np.bincount(directions + 1).max() / 3_000 + 0.2
    assert (name == "online-tree") == (b"branch" in one.dump()), "the tree has grown"


@pytest.mark.parametrize("name", ONLINE)
def test_what_is_there_is_found_and_a_random_walk_teaches_nothing(name: str) -> None:
    there = msgspec.structs.replace(of_type(name, ONE_MINUTE), horizon="1m")
    found = validated(walk(frame(1, 0.8, config=there), there), 1)
    assert found.better_by["accuracy"].mean_low > 0.02
    assert found.better_by["log_loss"].mean_high < -0.01
    nothing = of_type(name, ONE_MINUTE)
    found = validated(walk(frame(2), nothing), 1)
    for measure in ("accuracy", "balanced_accuracy", "matthews"):
        assert found.scores[MAJORITY][measure].value in found.scores[MODEL][measure], measure
    assert found.better_by["log_loss"].value > -0.005


@pytest.mark.parametrize("name", ONLINE)
def test_no_outcome_is_learned_from_before_it_is_known(name: str) -> None:
    config, one = of_type(name, ONE_MINUTE), frame(3, 0.5, 1_500)
    past, later = one.rows(slice(0, 700)), one.rows(slice(710, None))
    model = fitted(past, config)
    said = prequential(model, later, config.threshold_bps)
    for at in (0, 200, 400):
        hidden = later.known_ns > later.ts_ns[at]
        other = later._replace(move_bps=np.where(hidden, -7.0 * later.move_bps, later.move_bps))
        assert (prequential(model, other, config.threshold_bps)[: at + 1] == said[: at + 1]).all()
        assert (prequential(model, other, config.threshold_bps)[at + 4 :] != said[at + 4 :]).any(axis=1).all()


def test_each_instrument_goes_on_from_the_same_model_by_itself() -> None:
    one, other = frame(1, 0.5, 900), frame(2, n=900)
    pairs = zip(one[2:], other[2:], strict=True)
    columns = dict(zip(TrainingFrame._fields[2:], (np.concatenate(pair) for pair in pairs), strict=True))
    both = one._replace(instruments=("a", "b"), **{**columns, "instrument": np.repeat([0, 1], one.n)})
    both = both.rows(np.argsort(both.ts_ns, kind="stable"))
    model = fitted(frame(4, 0.5), ONE_MINUTE)
    said = prequential(model, both, ONE_MINUTE.threshold_bps)
    for number, alone in enumerate((one, other)):
        expected = prequential(model, alone, ONE_MINUTE.threshold_bps)
        assert (said[both.instrument == number] == expected).all()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (of_type("online-logistic", msgspec.structs.replace(CONFIG, parameters={"depth": 3})), "unknown field `depth`"),
        (of_type("online-tree", msgspec.structs.replace(CONFIG, parameters={"max_depth": 40})), "max_depth"),
        (of_type("online-tree", msgspec.structs.replace(CONFIG, target="return")), "has no target 'return'"),
    ],
)
def test_what_cannot_be_made_is_named(config: PredictorConfig, said: str) -> None:
    with pytest.raises(InputError, match=f"a {config.type} predictor.*{said}"):
        model_of(config)


@pytest.mark.parametrize("data", [b"", b"junk", Learner(of_type("online-tree")).dump()])
def test_bytes_that_are_no_such_model(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a model that can be read"):
        Learner(of_type("online-naive-bayes")).load(data)


def test_rows_of_another_length() -> None:
    with pytest.raises(ValueError, match="it takes 3 inputs, not 9"):
        Learner(CONFIG if CONFIG.type in ONLINE else of_type("online-tree")).raw(np.zeros((1, 9), np.float32))


@pytest.mark.parametrize("name", ONLINE)
def test_on_held_back_data_it_learns_as_in_its_walk(name: str) -> None:
    """The last part of a walk, and a version of what was before it: judged by the same probabilities."""
    config = of_type(name, ONE_MINUTE)
    whole = frame(1, reverts=0.8, n=3_000)
    *_, (past, test) = walk_forward(whole, 8, config.horizon_ns, 200)
    card = trained("near", whole.rows(past), config, "")
    later = whole.rows(test)
    walked = walked_by(card, later)
    said = walked.judged[MODEL].probabilities
    near = ~outside(card, later.inputs)
    expected = prequential(fitted(whole.rows(past), config), later.rows(near), config.threshold_bps)
    np.testing.assert_array_equal(said, expected)
    frozen = said_by(card, model_in(card), later.inputs[near])
    assert np.abs(said[-50:] - frozen[-50:]).max() > 1e-3, "it has learned on the way"


@pytest.mark.parametrize("name", ONLINE)
@pytest.mark.parametrize("huge", [1e39, -1e308, math.inf])
def test_inputs_beyond_single_precision_are_the_most_that_it_holds(name: str, huge: float) -> None:
    """No range keeps them out, and a warning of numpy's would come of each."""
    learner = Learner(PredictorConfig(name, datasetinputs=2))
    for n in range(30):
        learner.learn(np.array([1.0 + n % 3, huge]), CLASSES[n % 3])
    assert sum(learner.one(np.array([huge, -huge]))) == pytest.approx(1.0)
