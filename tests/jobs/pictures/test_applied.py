"""Versions of the registry as pictures: what they say is what they would say live; only later data judge them."""

from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest

from jobs.pictures.applied import Applied, says_of
from jobs.pictures.boundaries import boundaries
from jobs.pictures.write import KINDS, write_picture
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.learning.config import PredictorConfig, Target
from quicksilver.learning.datasets import TrainingFrame, frame_of
from quicksilver.learning.held_back import MIN_LATER, outside
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.learning.results import MODEL
from quicksilver.models.card import Card
from quicksilver.models.predictor import Predictor
from quicksilver.records import Prediction
from tests.quicksilver.learning.test_predictor import CONFIG, card_of, rows, run

RETURN = PredictorConfig("linear", granularity="10s", datasetinputs=2, target="return", fee_bps=1.0)
DAY_NS = 86_400 * SECOND_NS


@cache
def card(target: Target = "direction") -> Card:
    return card_of(RETURN if target == "return" else CONFIG)


def frame(seed: int, config: PredictorConfig = CONFIG) -> TrainingFrame:
    return frame_of(HistoryBuilder(config.features).take_all(rows(2_000, seed)).histories(), config)


def later(seed: int, config: PredictorConfig = CONFIG) -> TrainingFrame:
    """Data of a day after all that the card has learned from."""
    found = frame(seed, config)
    return found._replace(ts_ns=found.ts_ns + DAY_NS, known_ns=found.known_ns + DAY_NS)


@pytest.mark.parametrize("target", ["direction", "return"])
def test_it_says_what_the_live_predictor_says(target: Target) -> None:
    one = card(target)
    live = run(Predictor(one, "test", "BTC-USD"), rows(2_000, 2))
    by_time = {row.ts_event_ns: (row.p_down, row.p_flat, row.p_up) for row in live if isinstance(row, Prediction)}
    found = frame(2, one.config)
    within = ~outside(one, found.inputs)
    expected = np.array([by_time[ts_ns] for ts_ns in found.ts_ns.tolist()])
    np.testing.assert_allclose(says_of(one)(found.inputs)[within], expected[within], atol=1e-6)
    assert within.sum() > 500


def test_out_of_its_range_nothing_is_judged() -> None:
    data = later(2)
    wild = data.inputs.copy()
    wild[5:10, 0] = 1e6
    study = Applied(card(), data._replace(inputs=wild))
    n_usual = len(Applied(card(), data).walked.ts_ns)
    assert len(study.walked.ts_ns) in range(n_usual - 5, n_usual + 1)
    assert not set(data.ts_ns[5:10].tolist()) & set(study.walked.ts_ns.tolist())
    assert "later decisions with inputs far out of that range are left out" in study.origin
    assert says_of(card())(wild[5:6]).tolist() == [list(card().prior)]


def test_only_what_is_later_than_its_training_judges_it() -> None:
    whole = frame(1)
    first = whole.rows(slice(0, 700))
    older = msgspec.structs.replace(card(), end_ns=int(first.ts_ns[-1]) + 1)
    walked = Applied(older, whole).walked
    assert walked.ts_ns[0] >= first.known_ns[-1]
    assert walked.ts_ns[-1] == whole.ts_ns[-1]
    assert len(walked.judged[MODEL].outcomes) == len(walked.ts_ns) > MIN_LATER


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "learning-curve"])
def test_every_kind_of_later_data(kind: str, tmp_path: Path) -> None:
    path = write_picture(tmp_path, f"near@{card().version}", Applied(card(), later(2)), kind)
    assert path == tmp_path / f"near@{card().version}" / f"{kind}.png"
    assert path.stat().st_size > 10_000


def test_without_later_data_boundaries_alone_are_drawn_and_say_so(tmp_path: Path) -> None:
    study = Applied(card(), frame(1))
    said = "\n".join(text.get_text() for text in boundaries([study], "A title").texts)
    assert "LEARNED FROM" in said
    assert "accuracy" not in said
    for kind in ("calibration", "confusion", "score"):
        with pytest.raises(InputError, match=r"0 decisions are later than what near .* give newer data"):
            write_picture(tmp_path, "near", study, kind)
    with pytest.raises(InputError, match="nothing is later than what it learned from"):
        write_picture(tmp_path, "near", study, "importance")
    with pytest.raises(InputError, match="a learning curve trains anew"):
        write_picture(tmp_path, "near", study, "learning-curve")


def test_a_damaged_card_is_said() -> None:
    with pytest.raises(InputError, match="holds a damaged model"):
        Applied(msgspec.structs.replace(card(), model=b"junk"), frame(1))
