"""Walk-forward runs: what can be learned is found, and where there is nothing, nothing is."""

import msgspec
import numpy as np
import pytest

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.learning import walking
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import MINUTE_NS, FeatureHistory, TrainingFrame, frame_of
from quicksilver.learning.fitting import error_of, fitted
from quicksilver.learning.held_back import outside
from quicksilver.learning.results import LAST_MOVE, MAJORITY, MODEL, NOTHING
from quicksilver.learning.scores import MEASURES
from quicksilver.learning.training import trained
from quicksilver.learning.usable import require_trainable
from quicksilver.learning.validation import validated
from quicksilver.learning.walking import walk
from quicksilver.learning.zoo import NINE

CONFIG = PredictorConfig("logistic", granularity="1m", horizon="3m", datasetinputs=3, fee_bps=3.0)


def frame(seed: int, reverts: float = 0.0, n: int = 4_000, config: PredictorConfig = CONFIG) -> TrainingFrame:
    rng = np.random.default_rng(seed)
    moves, last = np.empty(n), 0.0
    for row in range(n):
        moves[row] = last = -reverts * last + rng.normal(0.0, 8e-4)
    times = np.arange(n) * 60 * SECOND_NS
    fresh = np.zeros(n, bool)
    mid, spread_bps = 100.0 * np.exp(np.cumsum(moves)), np.full(n, np.nan)
    return frame_of([FeatureHistory("test", "X-USD", times, mid, np.empty((n, 0)), fresh, spread_bps)], config)


def test_decisions_that_live_would_flag_are_none() -> None:
    """In every part, by the range that was known by then; neither the model nor its baselines are judged by them."""
    config = msgspec.structs.replace(CONFIG, horizon="1m")
    usual = frame(1, reverts=0.8, config=config)
    wild = usual.inputs.copy()
    early, late = 1_000, 3_900  # the second is as far out as the first, which had been seen by then
    wild[early, 0] = wild[late, 0] = 4.0 * wild[:, 0].max()
    walked, before = walk(usual._replace(inputs=wild), config), walk(usual, config)
    assert (walked.flagged, before.flagged) == (1, 0)
    assert usual.ts_ns[early] in before.ts_ns
    assert walked.ts_ns.tolist() == [one for one in before.ts_ns.tolist() if one != usual.ts_ns[early]]
    assert {len(one.outcomes) for one in walked.judged.values()} == {len(walked.ts_ns)}
    assert validated(walked, 1).flagged == 1
    assert validated(walked, 1).n == validated(before, 1).n - 1

    predictor = trained("near", usual._replace(inputs=wild).rows(slice(900)), config, "")
    assert outside(predictor, wild[[early, early + 1]]).tolist() == [True, False], "as a live predictor does"


def test_a_part_that_is_flagged_as_a_whole_is_left_out_and_so_is_all_of_it() -> None:
    usual = frame(1, reverts=0.8)
    fourth = slice(3 * usual.n // 9 + 1, 4 * usual.n // 9 - 1)
    far = usual.inputs.copy()
    far[fourth] += 1e4
    walked = walk(usual._replace(inputs=far), CONFIG)
    assert walked.flagged >= fourth.stop - fourth.start
    assert len(walked.ts_ns) + walked.flagged == len(walk(usual, CONFIG).ts_ns)
    part = np.digitize(np.arange(usual.n), np.linspace(0, usual.n, 10).astype(int)) - 1
    away = usual.inputs + 10.0 ** (4 + part[:, None])
    with pytest.raises(
        InputError, match=r"all [\d,]+ later decisions have inputs far out of the range of those before"
    ):
        walk(usual._replace(inputs=away), CONFIG)


def test_each_part_is_judged_by_a_model_of_as_many_minutes_as_the_shipped_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts themselves are the same, however far back a predictor looks; so are the card's own data."""
    data, fit, spans = frame(1, reverts=0.5), fitted, []

    def watched(seen: TrainingFrame, config: PredictorConfig) -> object:
        spans.append(int(seen.ts_ns[-1] - seen.ts_ns[0]) // MINUTE_NS)
        return fit(seen, config)

    monkeypatch.setattr(walking, "fitted", watched)
    walks, every = {}, list[int]()
    for minutes in (0.0, 300.0, 1_000.0):
        config = msgspec.structs.replace(CONFIG, minutes_back=minutes)
        spans.clear()
        walks[minutes] = walk(data, config)
        every = every or list(spans)
        assert spans == [min(one, int(minutes) or one) for one in every]
        card = trained("near", data, config, "")
        assert (card.end_ns - 1 - card.start_ns) // MINUTE_NS == (minutes or len(data.ts_ns) - 1)
    assert len(every) == 8
    assert every[0] < 1_000 < every[-1]
    whole = walks.pop(0.0)
    for one in walks.values():
        assert one.flagged == whole.flagged == 0
        assert one.ts_ns.tolist() == whole.ts_ns.tolist()
        assert one.judged[MODEL].fold.tolist() == whole.judged[MODEL].fold.tolist()
        assert one.judged[MODEL].probabilities.tolist() != whole.judged[MODEL].probabilities.tolist()


def test_too_few_minutes_back_are_refused_before_any_work() -> None:
    with pytest.raises(InputError, match="51 examples of 1m; at least 200 are needed"):
        require_trainable(frame(1), msgspec.structs.replace(CONFIG, minutes_back=50.0))


def test_a_card_is_of_the_examples_that_the_model_has_learned_from() -> None:
    """Nearest neighbours keep the newest 5,000: what lies before is no reason to trust it with such inputs."""
    config = PredictorConfig("nearest-neighbours", granularity="1m", datasetinputs=1, fee_bps=3.0)
    data = frame(1, n=5_600, config=config)
    inputs = data.inputs.copy()
    inputs[:100] *= 50.0
    card = trained("near", data._replace(inputs=inputs), config, "")
    seen = data.rows(slice(-5_000, None))
    assert (card.n_train, card.start_ns, card.end_ns) == (5_000, seen.ts_ns[0], data.ts_ns[-1] + 1)
    assert (card.ranges[0].low, card.ranges[0].high) == (seen.inputs.min(), seen.inputs.max())
    assert card.prior == tuple(seen.frequencies(config.threshold_bps))
    assert card == trained("near", seen, config, "")
    assert outside(card, inputs[:100]).any()


def test_the_last_move_is_a_baseline_of_its_own_where_it_is_no_input() -> None:
    """Of a series that reverts it is worse than doing nothing, whatever the predictor takes in."""
    rng = np.random.default_rng(4)
    with_moves = msgspec.structs.replace(CONFIG, horizon="1m", datasetinputs=1)
    data = frame(1, reverts=0.8, n=1_500, config=with_moves)
    without = data._replace(names=("vpin",), inputs=rng.normal(size=(data.n, 1)))
    walked = walk(without, msgspec.structs.replace(with_moves, datasetinputs=0, features=("vpin",)))
    expected = walk(data, with_moves).judged[LAST_MOVE]
    assert walked.judged[LAST_MOVE].directions.tolist() == expected.directions.tolist()
    assert set(expected.directions.tolist()) == {-1, 0, 1}


def test_of_who_never_said_a_move_nothing_is_promised() -> None:
    """That all its measures of moves were 0 in each part tells nothing of the day on which it says the first."""
    config = msgspec.structs.replace(CONFIG, fee_bps=15.0)
    found = validated(walk(frame(2, config=config, n=1_500), config), 1)
    assert not any(row[0] or row[2] for row in found.confusion)
    moves = {name: (one.low, one.value, one.high) for name, one in found.scores[MODEL].items()}
    assert moves["matthews"] == (-1.0, 0.0, 1.0)
    least, profit, most = moves["profit_bps"]
    assert least < -30.0 < profit == 0.0 < most < -least
    assert found.spreads["matthews"].bounds == (-1.0, 1.0)
    assert found.spreads["accuracy"].bounds is None


def test_what_is_there_is_found() -> None:
    config = msgspec.structs.replace(CONFIG, horizon="1m")
    found = validated(walk(frame(1, reverts=0.8, config=config), config), 1)
    assert found.folds == 8
    better = found.better_by
    assert better["accuracy"].mean_low > 0.03
    assert better["matthews"].mean_low > 0.1
    assert better["log_loss"].mean_high < -0.01
    scores = found.scores
    assert scores[MODEL]["profit_bps"].value > scores[LAST_MOVE]["profit_bps"].value
    assert scores[NOTHING]["profit_bps"] == scores[NOTHING]["profit_bps"].__class__(0.0, 0.0, 0.0, 0.0, 0.0)
    assert set(scores[MAJORITY]) == set(MEASURES)


@pytest.mark.parametrize("name", NINE)
def test_a_random_walk_teaches_nothing(name: str) -> None:
    config = PredictorConfig(name, granularity="1m", horizon="3m", datasetinputs=3, fee_bps=3.0)
    found = validated(walk(frame(2), config), 1)
    for measure in ("accuracy", "balanced_accuracy", "matthews"):
        assert found.scores[MAJORITY][measure].value in found.scores[MODEL][measure], measure
    assert found.better_by["log_loss"].value > -0.005, "no model knows more than the frequencies"


def test_shuffled_outcomes_teach_nothing_where_there_was_something() -> None:
    real = frame(1, reverts=0.5)
    shuffled = real._replace(move_bps=np.random.default_rng(3).permutation(real.move_bps))
    found = validated(walk(shuffled, CONFIG), 1)
    for measure in MEASURES:
        assert found.scores[MAJORITY][measure].value in found.scores[MODEL][measure], measure


def test_outcomes_that_are_known_beforehand_would_be_seen() -> None:
    """The check can fail: an input that looks ahead is found out by it."""
    real = frame(2)
    leaking = real._replace(inputs=np.column_stack([real.move_bps, real.inputs[:, 1:]]))
    found = validated(walk(leaking, CONFIG), 1)
    assert found.scores[MAJORITY]["accuracy"].value not in found.scores[MODEL]["accuracy"]


def test_too_little_is_said() -> None:
    with pytest.raises(InputError, match="143 examples are too few to predict any"):
        walk(frame(1, n=150), CONFIG)


@pytest.mark.parametrize("name", ["random-forest", "gradient-boosting", "nearest-neighbours", "linear"])
def test_the_error_of_a_predicted_return_is_that_of_later_data(name: str) -> None:
    """Also of models that learn noise: in their training data these are surer than they may be."""
    config = PredictorConfig(name, granularity="1m", horizon="3m", datasetinputs=3, target="return", fee_bps=3.0)
    if name == "nearest-neighbours":
        config = msgspec.structs.replace(config, parameters={"n_neighbors": 3})
    whole = frame(4, n=6_000, config=config)
    past, later = whole.rows(slice(0, 3_000)), whole.rows(slice(3_010, None))
    model = fitted(past, config)
    error_bps = error_of(model, past, config)
    assert error_bps is not None
    assert error_bps == pytest.approx(np.std(later.move_bps - model.predict(later.inputs)), rel=0.07)
    if name != "linear":
        assert np.std(past.move_bps - model.predict(past.inputs)) < 0.97 * error_bps


def test_who_predicts_directions_has_no_error_in_basis_points() -> None:
    assert error_of(fitted(frame(1), CONFIG), frame(1), CONFIG) is None
