"""The sequence model: it finds what lies in the order of rows; a seed gives its bytes; live it needs no PyTorch."""

import subprocess
import sys
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import frame_of
from quicksilver.learning.fitting import fitted, probabilities
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.learning.results import MAJORITY, MODEL
from quicksilver.learning.training import trained
from quicksilver.learning.validation import validated
from quicksilver.learning.walking import walk
from quicksilver.models.card import Card
from quicksilver.models.predictor import Predictor
from quicksilver.records import Features, Prediction, Score
from tests.quicksilver.learning.test_predictor import START_NS, UNKNOWN

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'quicksilver[torch]'")

CONFIG = PredictorConfig(
    "deeplob", granularity="1s", datasetinputs=2, features=("imbalance_1", "spread_bps"), sequence=8, fee_bps=0.25,
    parameters={"max_iter": 10, "width": 8, "learning_rate": 5e-3},
)  # fmt: skip


def rows(n: int, seed: int) -> Iterator[Features]:
    """A mid that follows what the imbalance did four seconds ago less five: of one row alone nothing can be seen."""
    rng = np.random.default_rng(seed)
    imbalance, mid = rng.uniform(-1.0, 1.0, n), 100.0
    for row in range(n):
        if row > 5:
            mid *= np.exp(2e-4 * np.sign(imbalance[row - 5] - imbalance[row - 6]) + rng.normal(0.0, 3e-5))
        values = {**UNKNOWN, "mid": mid, "imbalance_1": float(imbalance[row]), "spread_bps": float(rng.uniform())}
        if row % 13 == 0:
            values["spread_bps"] = None
        ts_ns = START_NS + row * SECOND_NS
        yield Features("test", "BTC-USD", row + 1, ts_ns, ts_ns, **values)


def card_of(config: PredictorConfig = CONFIG, seed: int = 1) -> Card:
    histories = HistoryBuilder(config.features).take_all(rows(1_500, seed)).histories()
    return trained("book", frame_of(histories, config), config, "a program")


def test_what_lies_in_the_order_of_rows_is_found() -> None:
    frame = frame_of(HistoryBuilder(CONFIG.features).take_all(rows(2_400, 1)).histories(), CONFIG)
    found = validated(walk(frame, CONFIG, folds=2), 1)
    assert found.better_by["accuracy"].mean_low > 0.2
    assert found.better_by["log_loss"].mean_high < -0.2


def test_a_random_walk_teaches_nothing() -> None:
    frame = frame_of(HistoryBuilder(CONFIG.features).take_all(rows(2_400, 1)).histories(), CONFIG)
    walked = frame._replace(move_bps=np.random.default_rng(2).permutation(frame.move_bps))
    found = validated(walk(walked, CONFIG, folds=3), 1)
    for measure in ("accuracy", "balanced_accuracy", "matthews"):
        assert found.scores[MAJORITY][measure].value in found.scores[MODEL][measure], measure
    assert found.better_by["log_loss"].value > -0.02


def test_the_same_seed_gives_the_same_card_and_another_seed_another() -> None:
    threads = torch.get_num_threads()
    torch.manual_seed(99)
    first = card_of()
    torch.rand(7)
    assert card_of() == first, "whatever else has drawn random numbers"
    assert card_of(msgspec.structs.replace(CONFIG, seed=2)).version != first.version
    assert torch.get_num_threads() == threads


def test_live_it_says_what_was_fitted() -> None:
    card = card_of()
    predictor = Predictor(card, "test", "BTC-USD")
    found = [one for row in rows(600, 3) for one in predictor.take(row)]
    before, later = (
        frame_of(HistoryBuilder(CONFIG.features).take_all(rows(n, seed)).histories(), CONFIG)
        for n, seed in ((1_500, 1), (600, 3))
    )
    scored = {one.seq for one in found if isinstance(one, Score)}
    said = [(one.p_down, one.p_flat, one.p_up) for one in found if isinstance(one, Prediction) and one.seq in scored]
    expected = probabilities(fitted(before, CONFIG), later.inputs, CONFIG, None)
    np.testing.assert_allclose(said, expected, rtol=1e-3, atol=1e-5)


LIVE = """
import sys
from quicksilver.models.card import Card
from quicksilver.models.predictor import Predictor
import msgspec
Predictor(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Card), "test", "BTC-USD")
assert not {"torch", "quicksilver.learning.deeplob"} & set(sys.modules)
"""


def test_live_it_needs_no_pytorch() -> None:
    card = msgspec.msgpack.encode(card_of())
    subprocess.run([sys.executable, "-c", LIVE], input=card, check=True, timeout=60)


def test_too_few_examples_are_said() -> None:
    frame = frame_of(HistoryBuilder(CONFIG.features).take_all(rows(260, 1)).histories(), CONFIG)
    config = msgspec.structs.replace(CONFIG, parameters={"batch_size": 512})
    with pytest.raises(InputError, match="examples are too few for a deeplob predictor"):
        fitted(frame, config)


def test_a_parameter_that_is_none_is_named() -> None:
    frame = frame_of(HistoryBuilder(CONFIG.features).take_all(rows(400, 1)).histories(), CONFIG)
    with pytest.raises(InputError, match=r"a deeplob predictor: .*'depth'"):
        fitted(frame, msgspec.structs.replace(CONFIG, parameters={"depth": 3}))
