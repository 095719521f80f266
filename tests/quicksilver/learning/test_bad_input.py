"""Whatever comes in: a clear sentence or a sound prediction, from every model of the zoo."""

import math
import warnings

import msgspec
import numpy as np
import pytest

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.learning.config import PredictorConfig, Target
from quicksilver.learning.datasets import TrainingFrame, frame_of
from quicksilver.learning.fitting import fitted
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.learning.training import trained
from quicksilver.learning.usable import require_trainable, require_usable
from quicksilver.learning.zoo import DEEPLOB, ZOO
from quicksilver.models.card import Card
from quicksilver.models.predictor import Predictor
from quicksilver.records import Features, Prediction, Status
from tests.quicksilver.learning.test_predictor import CONFIG, card_of, rows, run

KINDS: list[tuple[str, Target]] = [
    *((name, "direction") for name, kind in ZOO.items() if kind.direction is not None and name != DEEPLOB),
    *((name, "return") for name, kind in ZOO.items() if kind.returns is not None),
]


def small(config: PredictorConfig) -> Card:
    built = HistoryBuilder(config.features).take_all(rows(1_200, 1))
    return trained("one", frame_of(built.histories(), config), config, "a program")


def predictions(predictor: Predictor, records: list[Features | Status]) -> list[Prediction]:
    return [one for one in run(predictor, iter(records)) if isinstance(one, Prediction)]


@pytest.mark.parametrize(("name", "target"), KINDS)
def test_every_model_goes_through_training_and_lives_with_what_it_cannot_know(name: str, target: Target) -> None:
    config = msgspec.structs.replace(CONFIG, type=name, target=target, sequence=2, features=("vpin", "imbalance_1"))
    records = [
        msgspec.structs.replace(one, imbalance_1=math.sin(one.seq)) if isinstance(one, Features) else one
        for one in rows(1_200, 1)
    ]
    frame = frame_of(HistoryBuilder(config.features).take_all(records).histories(), config)
    card = trained("one", frame, config, "a program")
    again = msgspec.json.decode(msgspec.json.encode(card), type=Card)
    assert again == card
    assert again.content() == card.version
    blind = [
        msgspec.structs.replace(one, vpin=None, imbalance_1=None if one.seq % 3 else math.inf)
        if isinstance(one, Features)
        else one
        for one in records[:300]
    ]
    for feed in (records[:300], blind):
        found = predictions(Predictor(card, "test", "BTC-USD"), feed)
        assert len(found) > 50
        for one in found:
            shares = (one.p_down, one.p_flat, one.p_up)
            assert all(0.0 <= share <= 1.0 for share in shares)
            assert abs(sum(shares) - 1.0) < 1e-9


def test_an_input_that_never_changes_is_named() -> None:
    built = HistoryBuilder(("vpin",))
    for one in rows(1_200, 1):
        built.take(msgspec.structs.replace(one, vpin=0.5) if isinstance(one, Features) else one)
    with pytest.raises(InputError, match=r"input vpin is 0\.5 in all of \d+ examples: leave it out"):
        trained("one", frame_of(built.histories(), CONFIG), CONFIG, "a program")


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        (1e300, r"input vpin is -1e\+300 to 1e\+300, and 3\.40282e\+38 is the most that a model takes"),
        (1e-300, r"input vpin is -1e-300 to 1e-300, which is one number to a model: leave it out"),
    ],
)
def test_an_input_that_no_model_can_take_is_named(scale: float, said: str) -> None:
    built = HistoryBuilder(("vpin",))
    for one in rows(1_200, 1):
        built.take(msgspec.structs.replace(one, vpin=scale * (-1) ** one.seq) if isinstance(one, Features) else one)
    with pytest.raises(InputError, match=said):
        require_trainable(frame_of(built.histories(), CONFIG), CONFIG)


@pytest.mark.parametrize(("sign", "way"), [(1.0, "up"), (-1.0, "down")])
def test_moves_all_one_way_want_a_higher_threshold(sign: float, way: str) -> None:
    frame = moved_up([], CONFIG)
    frame = frame._replace(move_bps=np.full(frame.n, sign * 10.0))
    with pytest.raises(InputError, match=f"outcomes are {way} beyond .*: take a shorter horizon or a higher fee_bps"):
        require_usable(frame, PredictorConfig("lda", datasetinputs=3, fee_bps=1.0))


@pytest.mark.parametrize("name", ["logistic", "online-tree"])
def test_every_damaged_bit_of_a_card_is_told(name: str) -> None:
    """As it travels: what is still read is no longer that version, or is the same model packed otherwise."""
    card = small(msgspec.structs.replace(CONFIG, type=name))
    whole, read = msgspec.msgpack.encode(card), 0
    for at in range(len(whole)):
        try:
            damaged = msgspec.msgpack.decode(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :], type=Card)
            version = damaged.content()
        except ValueError:
            continue
        read += 1
        same = msgspec.structs.replace(damaged, model=card.model) == card
        assert version != damaged.version or (same and damaged.unpacked() == card.unpacked()), at
    assert read > 50


def test_a_damaged_length_takes_no_memory() -> None:
    card = small(CONFIG)
    frame = bytearray(card.model)
    assert frame[4] >> 6 == 1, "the size of the model is told in two bytes"
    frame[4] |= 0xC0  # now in eight
    huge = bytes(frame[:5]) + (1 << 50).to_bytes(8, "little") + bytes(frame[7:])
    with pytest.raises(ValueError, match="holds a damaged model"):
        msgspec.structs.replace(card, model=huge).unpacked()


@pytest.mark.parametrize("name", ["logistic", "online-logistic"])
def test_a_model_of_another_kind_than_the_card_says(name: str) -> None:
    card = card_of(msgspec.structs.replace(CONFIG, type=name))
    other = msgspec.structs.replace(card, format="onnx" if card.format == "online" else "online")
    with pytest.raises(ValueError, match=r"not a model that can be read|no model that learns online"):
        Predictor(other, "test", "BTC-USD")


def test_inputs_of_single_precision_are_finite() -> None:
    """What double precision holds and single does not is out of range, not infinite."""
    card = small(CONFIG)
    records = [msgspec.structs.replace(one, vpin=1e300) for one in rows(60, 1) if isinstance(one, Features)]
    found = predictions(Predictor(card, "test", "BTC-USD"), list(records))
    assert {(one.p_down, one.p_flat, one.p_up) for one in found} == {card.prior}
    assert np.isfinite(card.prior).all()


CALIBRATED = [name for name, kind in ZOO.items() if kind.calibrated and kind.direction is not None]


def moved_up(at: list[int], config: PredictorConfig, n: int = 600) -> TrainingFrame:
    """Decisions after some of which it went up; after all others it stayed or went down."""
    rng = np.random.default_rng(3)
    moves = rng.choice([-10.0, 0.0], n)
    moves[at] = 10.0
    times = np.arange(n) * SECOND_NS
    return TrainingFrame(
        config.inputs,
        ("test:X",),
        rng.normal(size=(n, 3)),
        times,
        times + 1,
        moves,
        np.zeros(n, np.int64),
        np.zeros(n),
        np.zeros(n),
    )


@pytest.mark.parametrize("name", CALIBRATED)
def test_too_few_of_a_class_are_named_and_one_more_is_enough(name: str) -> None:
    config = PredictorConfig(name, datasetinputs=3, fee_bps=1.0)
    with pytest.raises(InputError, match=r"^only 2 of 600 outcomes are up, 1 of them outside part 1 of 3: type"):
        fitted(moved_up([100, 300], config), config)
    together = r"^only 6 of 600 outcomes are up, 0 of them outside part 2 of 3: .*: take more data, a longer hor"
    with pytest.raises(InputError, match=together):
        fitted(moved_up([300, 301, 302, 303, 304, 305], config), config)
    enough = [100, 101, 300, 301, 500, 501] if name == "qda" else [100, 300, 500]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fitted(moved_up(enough, config), config).classes_.tolist() == [-1, 0, 1]


def test_a_covariance_needs_as_many_as_there_are_inputs() -> None:
    config = PredictorConfig("qda", datasetinputs=3, fee_bps=1.0)
    with pytest.raises(InputError, match=r"needs at least 3 of each class, and 3 outside each part"):
        fitted(moved_up([100, 101, 300, 301], config), config)
    bare = msgspec.structs.replace(config, parameters={"reg_param": 0.0})
    with pytest.raises(InputError, match="needs at least 4 of each class, and 4 outside each part"):
        fitted(moved_up([100, 300, 400, 500], bare), bare)
    assert len(fitted(moved_up([100, 101, 300, 301, 500, 501], bare), bare).classes_) == 3


def test_too_few_of_a_class_in_an_early_part_of_the_walk_are_said_before_any_work() -> None:
    config = PredictorConfig("lda", datasetinputs=3, fee_bps=1.0)
    frame = moved_up([*range(250, 253), *range(1_200, 1_300)], config, n=2_000)
    said = (
        r"of the first 444 of 2,000 examples, which later ones judge: only 3 of 384 outcomes are up, 0 of them outside"
    )
    with pytest.raises(InputError, match=said):
        require_trainable(frame, config)
