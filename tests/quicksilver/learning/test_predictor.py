"""What is trained on is what is predicted from: the live predictor against the training frame, row by row."""

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.labels import round_trip_bps
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import frame_of
from quicksilver.learning.fitting import error_of, fitted, probabilities
from quicksilver.learning.held_back import walked_by
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.learning.results import MODEL
from quicksilver.learning.scores import Decisions, accuracy, brier, log_loss, profit_bps
from quicksilver.learning.training import trained
from quicksilver.models.applied import AppliedModel
from quicksilver.models.card import Card, Range
from quicksilver.models.predictor import Predictor
from quicksilver.models.score import most_likely, probabilities_of_move
from quicksilver.records import Features, Prediction, Score, Status

START_NS = 1_790_000_000 * SECOND_NS
CONFIG = PredictorConfig("logistic", granularity="10s", horizon="20s", datasetinputs=2, features=("vpin",), fee_bps=1.0)
RETURNS = PredictorConfig("linear", granularity="10s", datasetinputs=2, target="return", fee_bps=1.0)
UNKNOWN = dict.fromkeys(Features.__struct_fields__[5:])


def rows(n: int, seed: int = 1) -> Iterator[Features | Status]:
    """Feature vectors at uneven times: silences, two gaps, mids that revert, feature and spread at times unknown."""
    rng = np.random.default_rng(seed)
    ts_ns, log_mid, last = START_NS, np.log(100.0), 0.0
    for seq in range(1, n + 1):
        ts_ns += int(rng.integers(1, 9) * SECOND_NS) if seq % 397 else 200 * SECOND_NS
        last = -0.4 * last + rng.normal(0.0, 3e-4)
        log_mid += last
        if seq in {n // 3, n // 2}:
            yield Status("test", "BTC-USD", seq, ts_ns, ts_ns, "GAP", "a hole")
        vpin = None if seq % 11 == 0 else float(rng.uniform())
        spread_bps = None if seq % 7 == 0 else 0.1 + seq % 9 / 10
        values = {**UNKNOWN, "mid": float(np.exp(log_mid)), "vpin": vpin, "spread_bps": spread_bps}
        yield Features("test", "BTC-USD", seq, ts_ns, ts_ns, **values)


def card_of(config: PredictorConfig = CONFIG, seed: int = 1) -> Card:
    built = HistoryBuilder(config.features).take_all(rows(4_000, seed))
    return trained("near", frame_of(built.histories(), config), config, "a program")


def run(predictor: Predictor, records: Iterator[Features | Status]) -> list[Prediction | Score]:
    found: list[Prediction | Score] = []
    for record in records:
        if isinstance(record, Features):
            found += predictor.take(record)
        else:
            predictor.gap()
    return found


@pytest.mark.parametrize("sequence", [1, 4])
def test_it_decides_and_judges_where_the_training_frame_does(sequence: int) -> None:
    config = msgspec.structs.replace(CONFIG, sequence=sequence)
    card = card_of(config)
    found = run(Predictor(card, "test", "BTC-USD"), rows(2_000, 2))
    frame = frame_of(HistoryBuilder(CONFIG.features).take_all(rows(2_000, 2)).histories(), config)
    scores = [one for one in found if isinstance(one, Score)]
    assert [one.ts_event_ns for one in scores] == frame.ts_ns.tolist()
    assert [one.ts_known_ns for one in scores] == frame.known_ns.tolist()
    assert [one.outcome for one in scores] == frame.directions(CONFIG.threshold_bps).tolist()
    assert scores[-1].n == frame.n > 500
    predictions = {one.seq: one for one in found if isinstance(one, Prediction)}
    assert all(one.seq in predictions and predictions[one.seq].direction == one.predicted for one in scores)
    assert {one.version for one in predictions.values()} == {card.version}
    said = [(one.p_down, one.p_flat, one.p_up) for one in map(predictions.get, (one.seq for one in scores)) if one]
    expected = AppliedModel(card.unpacked()).raw(frame.inputs.astype(np.float32))
    np.testing.assert_allclose(said, expected, rtol=1e-4, atol=1e-6)


def test_the_same_data_give_the_same_card() -> None:
    first, again, other = card_of(), card_of(), card_of(seed=3)
    assert first == again
    assert first.version != other.version
    assert first.classes == other.classes == (-1, 0, 1)
    assert first.end_ns - first.start_ns > 10_000 * SECOND_NS


@pytest.mark.parametrize(("at", "sequence"), [(1, 1), (500, 1), (1_333, 1), (3, 4), (1_333, 4)])
def test_it_goes_on_from_a_dump_with_the_same_output(at: int, sequence: int) -> None:
    card, records = card_of(msgspec.structs.replace(CONFIG, sequence=sequence)), list(rows(2_000, 2))
    whole = run(Predictor(card, "test", "BTC-USD"), iter(records))
    first, second = Predictor(card, "test", "BTC-USD"), Predictor(card, "test", "BTC-USD")
    before = run(first, iter(records[:at]))
    second.load(first.dump())
    assert before + run(second, iter(records[at:])) == whole


def path_of(mids: list[float]) -> Iterator[Features]:
    """Feature vectors 10 s apart."""
    for number, mid in enumerate(mids):
        ts_ns = START_NS + 10 * number * SECOND_NS
        yield Features("test", "BTC-USD", number + 1, ts_ns, ts_ns, **{**UNKNOWN, "mid": mid, "vpin": 0.5})


def test_the_spread_at_the_decision_is_paid_and_goes_with_it_into_a_dump() -> None:
    """Live with a spread that widens after the decision, and none at all for another: what was quoted then counts."""
    card, records = card_of(msgspec.structs.replace(CONFIG, datasetinputs=0)), list(path_of([100.0] * 6))
    spreads = [1.0, 9.0, None, 2.0, 8.0, 8.0]
    quoted = [msgspec.structs.replace(row, spread_bps=one) for row, one in zip(records, spreads, strict=True)]
    first, second = (Predictor(card, "test", "BTC-USD") for _ in range(2))
    run(first, iter(quoted[:2]))
    second.load(first.dump())
    scores = [one for one in run(second, iter(quoted[2:])) if isinstance(one, Score)]
    paid = np.diff([0.0, *(one.n * (one.profit_bps or 0.0) for one in scores)])
    acted = np.array([abs(one.predicted) for one in scores])
    expected = [round_trip_bps(CONFIG.fee_bps, spreads[one.seq - 1]) for one in scores]
    assert paid == pytest.approx(-acted * expected)


def test_decisions_are_judged_however_many_there_are_within_a_horizon() -> None:
    """250 ms and 50 minutes: 12,000 wait at any time, and none is forgotten."""
    config = PredictorConfig("online-logistic", granularity="250ms", horizon="50m", datasetinputs=1, fee_bps=0.1)
    trained_on = msgspec.structs.replace(config, granularity="10s", horizon="20s")
    card = msgspec.structs.replace(card_of(trained_on), config=config)
    predictor, n = Predictor(card, "test", "BTC-USD"), 12_300
    found: list[Prediction | Score] = []
    for number in range(n):
        ts_ns = START_NS + 250_000_000 * number
        values = {**UNKNOWN, "mid": 100.0 + number % 7 / 100}
        found += predictor.take(Features("test", "BTC-USD", number + 1, ts_ns, ts_ns, **values))
    scores = [one for one in found if isinstance(one, Score)]
    assert [one.seq for one in scores] == list(range(2, n - 12_000))
    first, last = (next(one for one in some if isinstance(one, Prediction)) for some in (found, reversed(found)))
    assert (first.p_down, first.p_up) != (last.p_down, last.p_up)


def test_what_is_out_of_its_range_is_flagged_counted_and_never_scored() -> None:
    card = card_of()
    predictor = Predictor(card, "test", "BTC-USD")
    found = run(predictor, path_of([100.0, 100.01, 100.02, 150.0, 150.01, 150.02, 150.03, 150.04, 150.05]))
    predictions = [one for one in found if isinstance(one, Prediction)]
    assert [bool(one.flag) for one in predictions] == [False, True, True, False, False, False, False]
    usual, wild = predictions[:2]
    assert (usual.p_down, usual.p_flat, usual.p_up) != card.prior
    assert (wild.p_down, wild.p_flat, wild.p_up) == card.prior
    assert (wild.direction, wild.confidence, wild.move_bps) == (0, 0.0, None)
    low, high = card.ranges[0].low, card.ranges[0].high
    reach = (high - low) / 2
    assert wild.flag == (
        f"out of range: move_1_bps {np.log(150 / 100.02) * 1e4:.6g} is outside {low - reach:.6g} to {high + reach:.6g}"
    )
    assert predictions[2].flag.startswith("out of range: move_2_bps ")
    scores = [one for one in found if isinstance(one, Score)]
    assert [(one.seq, one.n, one.flagged) for one in scores] == [(usual.seq, 1, 2), (predictions[3].seq, 2, 2)]
    other = Predictor(card, "test", "BTC-USD")
    other.load(predictor.dump())
    assert other.dump() == predictor.dump()


def test_its_score_is_what_the_offline_measures_say_of_the_same_decisions() -> None:
    found = run(Predictor(card_of(), "test", "BTC-USD"), rows(2_000, 2))
    frame = frame_of(HistoryBuilder(CONFIG.features).take_all(rows(2_000, 2)).histories(), CONFIG)
    by_seq = {one.seq: one for one in found if isinstance(one, Prediction)}
    scores = [one for one in found if isinstance(one, Score)]
    said = np.array([(one.p_down, one.p_flat, one.p_up) for one in map(by_seq.get, (s.seq for s in scores)) if one])
    outcomes, zeros = frame.directions(CONFIG.threshold_bps), np.zeros(frame.n, np.int64)
    judged = Decisions(said, outcomes, frame.move_bps, zeros, CONFIG.fee_bps, frame.spread_bps)
    mean = judged.parts().mean(axis=0)
    last = scores[-1]
    assert (last.n, last.flagged) == (frame.n, 0)
    assert [last.accuracy, last.log_loss, last.brier, last.profit_bps] == pytest.approx(
        [float(measure(mean)) for measure in (accuracy, log_loss, brier, profit_bps)]
    )
    assert last.profit_bps != 0.0
    require_equal_profits(scores, judged)


def require_equal_profits(scores: list[Score], judged: Decisions) -> None:
    """Row by row: what each decision brought, live and offline; the costs to the bit, the spread sometimes none."""
    assert {bool(one) for one in np.isnan(judged.spread_bps)} == {True, False}
    assert {round_trip_bps(judged.fee_bps, None)} < set(judged.cost_bps)
    total, sums = 0.0, []
    for one, move_bps, spread_bps in zip(scores, judged.move_bps.tolist(), judged.spread_bps.tolist(), strict=True):
        cost_bps = round_trip_bps(judged.fee_bps, None if np.isnan(spread_bps) else spread_bps)
        total += one.predicted * move_bps - cost_bps * abs(one.predicted)
        sums.append(total / one.n)
    assert [one.profit_bps for one in scores] == pytest.approx(sums, rel=1e-9, abs=1e-9)
    assert np.cumsum(judged.parts()[:, -1]) / np.arange(1, len(scores) + 1) == pytest.approx(sums, rel=1e-9, abs=1e-9)


def test_a_return_is_predicted_as_probabilities() -> None:
    card = card_of(RETURNS)
    assert card.error_bps is not None
    found = run(Predictor(card, "test", "BTC-USD"), rows(2_000, 2))
    predictions = [one for one in found if isinstance(one, Prediction)]
    assert all(abs(one.p_down + one.p_flat + one.p_up - 1.0) < 1e-12 for one in predictions)
    assert np.std([one.p_up for one in predictions]) > 0.01
    moves = [one.move_bps for one in predictions]
    assert all(
        move is not None and (move > 0) == (one.p_up > one.p_down) for move, one in zip(moves, predictions, strict=True)
    )


def test_a_return_is_acted_on_where_the_move_covers_the_fees_and_nowhere_else() -> None:
    """Offline and live the same, to the bit; the likeliest class would trade on far less."""
    card = card_of(msgspec.structs.replace(RETURNS, fee_bps=0.4))
    threshold_bps = card.config.threshold_bps
    found = run(Predictor(card, "test", "BTC-USD"), rows(2_000, 2))
    predictions = {one.seq: one for one in found if isinstance(one, Prediction)}
    for one in predictions.values():
        assert one.move_bps is not None
        assert one.direction == (np.sign(one.move_bps) if abs(one.move_bps) > threshold_bps else 0)
        assert one.confidence == (one.p_down, one.p_flat, one.p_up)[one.direction + 1]
    said = [(one.p_down, one.p_flat, one.p_up) for one in predictions.values()]
    likeliest = np.argmax(said, axis=1) - 1
    acted = sum(one.direction != 0 for one in predictions.values())
    assert np.count_nonzero(likeliest) > 2 * acted > 200

    scores = [one for one in found if isinstance(one, Score)]
    histories = HistoryBuilder(()).take_all(rows(2_000, 2)).histories()
    walked = walked_by(msgspec.structs.replace(card, end_ns=0), frame_of(histories, card.config))
    judged = walked.judged[MODEL]
    assert judged.directions.tolist() == [one.predicted for one in scores]
    lived = [predictions[one.seq] for one in scores]
    assert judged.probabilities.tolist() == [[one.p_down, one.p_flat, one.p_up] for one in lived]
    require_equal_profits(scores, judged)


def test_no_move_is_no_decision_where_there_are_no_fees() -> None:
    config = msgspec.structs.replace(RETURNS, fee_bps=0.0)
    assert most_likely(probabilities_of_move(0.0, 1.0, 0.0), config.confidence) == 0
    assert most_likely(probabilities_of_move(1e-9, 1.0, 0.0), config.confidence) == 1


@pytest.mark.parametrize("config", [CONFIG, RETURNS], ids=["direction", "return"])
def test_live_and_validation_say_the_same_of_the_same_inputs(config: PredictorConfig) -> None:
    past = frame_of(HistoryBuilder(config.features).take_all(rows(4_000)).histories(), config)
    later = frame_of(HistoryBuilder(config.features).take_all(rows(2_000, 2)).histories(), config)
    model, card = fitted(past, config), trained("near", past, config, "a program")
    assert error_of(model, past, config) == card.error_bps
    offline = probabilities(model, later.inputs, config, card.error_bps)
    found = run(Predictor(card, "test", "BTC-USD"), rows(2_000, 2))
    judged = {one.seq for one in found if isinstance(one, Score)}
    said = [one for one in found if isinstance(one, Prediction) and one.seq in judged]
    assert len(said) == later.n
    assert np.abs(offline - [(one.p_down, one.p_flat, one.p_up) for one in said]).max() < 1e-4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"card": 99}, "a card of version 99, this is 1"),
        ({"model": b"junk"}, "holds a damaged model"),
        ({"config": PredictorConfig("logistic", datasetinputs=9)}, "takes 3 inputs, not 9"),
        ({"classes": (-1, 1)}, r"predicts a direction, and its model gives 3 numbers for the classes \[-1, 1\]"),
        ({"error_bps": 1.0}, "predicts a direction, and its model gives 3 numbers"),
        ({"prior": (0.5, float("nan"), 0.5)}, "holds ranges or frequencies that are none"),
        ({"ranges": (Range("a", 1.0, 0.0),) * 3}, "holds ranges or frequencies that are none"),
    ],
)
def test_cards_that_cannot_be_used(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Predictor(msgspec.structs.replace(card_of(), **change), "test", "BTC-USD")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (PredictorConfig("lda", granularity="1h"), "examples of 1h; at least 200 are needed"),
        (PredictorConfig("lda", granularity="10s", features=("rsi_14",)), "input rsi_14 is not known in any"),
        (PredictorConfig("lda", granularity="10s", fee_bps=500.0), "outcomes are flat beyond a threshold of 1000 bps"),
    ],
)
def test_data_that_cannot_be_learned_from(config: PredictorConfig, said: str) -> None:
    with pytest.raises(InputError, match=said):
        card_of(config)
