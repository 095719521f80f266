"""An ensemble offline and live: the same decisions, weights and scores, from the same rows."""

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from quicksilver.labels import round_trip_bps
from quicksilver.learning.aligned import Aligned, aligned, combined, said_of
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.ensemble_config import EnsembleConfig, Member
from quicksilver.learning.ensembles import trained_material
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.learning.material import features_of, material_of
from quicksilver.learning.results import MODEL
from quicksilver.learning.walking import judged_by
from quicksilver.models.card import EnsembleCard, packed, require_sound
from quicksilver.models.ensemble import EnsemblePredictor
from quicksilver.models.learner import ONLINE
from quicksilver.models.predictor import Predictor
from quicksilver.models.score import Probabilities, most_likely
from quicksilver.records import Features, Prediction, Score, Status
from tests.quicksilver.learning.test_predictor import rows

COMMON: dict[str, Any] = {"horizon": "20s", "fee_bps": 1.0}
PREDICTORS = {
    "line": PredictorConfig("logistic", granularity="10s", datasetinputs=2, features=("vpin",), **COMMON),
    "tree": PredictorConfig("decision-tree", granularity="10s", datasetinputs=5, **COMMON),
    "slow": PredictorConfig("lda", granularity="50s", datasetinputs=1, **COMMON),
    "bayes": PredictorConfig("online-naive-bayes", granularity="10s", datasetinputs=3, **COMMON),
    "grows": PredictorConfig("online-tree", granularity="25s", datasetinputs=1, features=("vpin",), **COMMON),
    "follows": PredictorConfig("online-logistic", granularity="50s", datasetinputs=1, **COMMON),
    "once": PredictorConfig("naive-bayes", granularity="25s", datasetinputs=0, features=("vpin",), **COMMON),
}
KINDS = {
    "static": EnsembleConfig((Member("line", 2.0), Member("tree"), Member("slow", 0.5), Member("once"))),
    "recent": EnsembleConfig(
        (Member("slow"), Member("line", 2.0), Member("tree"), Member("once")),
        weights="recent",
        half_life="10m",
        confidence=0.45,
    ),
    "stacking": EnsembleConfig((Member("line"), Member("tree"), Member("slow"), Member("once")), stacking=True),
    "pair": EnsembleConfig((Member("tree"), Member("line", 3.0))),
    "online": EnsembleConfig((Member("line"), Member("bayes"), Member("grows", 2.0), Member("follows"))),
    "online-recent": EnsembleConfig((Member("grows"), Member("follows"), Member("bayes")), weights="recent"),
    "online-stacking": EnsembleConfig((Member("bayes"), Member("line"), Member("grows")), stacking=True),
}
JUMPS = {700, 701, 1_500, 2_300}


def jumping(n: int, seed: int) -> Iterator[Features | Status]:
    """The same rows, at times far out of what was seen in training."""
    factor = 1.0
    for record in rows(n, seed):
        if isinstance(record, Features) and record.mid is not None:
            factor *= 1.03 if record.seq in JUMPS else 1.0
            yield msgspec.structs.replace(record, mid=record.mid * factor)
        else:
            yield record


@cache
def card_of(kind: str, seed: int = 1) -> EnsembleCard:
    config = KINDS[kind]
    built = HistoryBuilder(features_of(config, PREDICTORS)).take_all(rows(6_000, seed))
    return trained_material(material_of("all", config, PREDICTORS, built.histories(), "a program"))


def aligned_of(kind: str, records: Iterator[Features | Status]) -> Aligned:
    config = KINDS[kind]
    names = features_of(config, PREDICTORS)
    return aligned(HistoryBuilder(names).take_all(records).histories(), config.of(PREDICTORS), names)


def run(predictor: Predictor | EnsemblePredictor, records: Iterator[Features | Status]) -> list[Prediction | Score]:
    found: list[Prediction | Score] = []
    for record in records:
        if isinstance(record, Features):
            found += predictor.take(record)
        else:
            predictor.gap()
    return found


def said_by(found: list[Prediction | Score]) -> dict[int, Probabilities]:
    return {one.ts_event_ns: (one.p_down, one.p_flat, one.p_up) for one in found if isinstance(one, Prediction)}


@pytest.mark.parametrize("kind", KINDS)
def test_offline_and_live_say_the_same(kind: str) -> None:
    card, config, found = card_of(kind), KINDS[kind], aligned_of(kind, jumping(3_000, 2))
    members = said_of(card.members, found, np.arange(found.frame.n), 0)
    together = combined(card, found, np.arange(found.frame.n), members)
    silent = np.isnan(members[:, :, 0])
    spoken = ~silent.all(axis=1)
    heard = {one.predictor for one, never in zip(config.members, silent.any(axis=0), strict=True) if not never}
    never_silent = {"once", *(name for name, one in PREDICTORS.items() if one.type in ONLINE)}
    assert heard <= never_silent, "each that looks back and has a range says nothing at some times"
    assert np.array_equal(np.isfinite(together).all(axis=1), spoken)
    assert spoken.all() == (kind != "pair"), "both of the pair are out of range after a jump"

    live = run(EnsemblePredictor(card, "test", "BTC-USD"), jumping(3_000, 2))
    scores = [one for one in live if isinstance(one, Score)]
    frame = found.frame.rows(spoken)
    assert [one.ts_event_ns for one in scores] == frame.ts_ns.tolist()
    assert [one.ts_known_ns for one in scores] == frame.known_ns.tolist()
    assert [one.outcome for one in scores] == frame.directions(found.lead.threshold_bps).tolist()
    assert scores[-1].n == frame.n > 700
    by_seq = {one.seq: one for one in live if isinstance(one, Prediction)}
    predictions = [by_seq[one.seq] for one in scores]
    said = [(one.p_down, one.p_flat, one.p_up) for one in predictions]
    np.testing.assert_allclose(said, together[spoken], rtol=0, atol=1e-6)
    directions = [most_likely(one, config.confidence) for one in said]
    assert [one.direction for one in predictions] == [one.predicted for one in scores] == directions
    assert [one.confidence for one in predictions] == [
        one[direction + 1] for one, direction in zip(said, directions, strict=True)
    ]
    assert {one.version for one in predictions} == {card.version}

    lead = found.lead
    judged = judged_by({MODEL: together[spoken]}, frame, np.zeros(frame.n, np.int64), lead, config.confidence)[MODEL]
    assert {round_trip_bps(lead.fee_bps, None)} < set(judged.cost_bps)
    sums = np.cumsum(judged.parts()[:, -1]) / np.arange(1, frame.n + 1)
    assert [one.profit_bps for one in scores] == pytest.approx(sums.tolist(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("kind", ["static", "online"])
def test_it_is_the_mean_of_what_its_members_say_alone(kind: str) -> None:
    """Of each the last prediction, unless it is older than its granularity; the finest sets the time."""
    card, records = card_of(kind), list(rows(2_000, 3))
    together = said_by(run(EnsemblePredictor(card, "test", "BTC-USD"), iter(records)))
    alone = [said_by(run(Predictor(one, "test", "BTC-USD"), iter(records))) for one in card.members]
    gaps = [one.ts_event_ns for one in records if isinstance(one, Status)]
    assert list(together) == list(alone[0]), "of those that are as fine, line looks back least"
    for now_ns, said in together.items():
        weighted = []
        for member, config, one in zip(card.config.members, card.config.of(PREDICTORS), alone, strict=True):
            last_ns = max((ts_ns for ts_ns in one if ts_ns <= now_ns), default=0)
            if now_ns - last_ns <= config.every_ns and not any(last_ns < gap_ns <= now_ns for gap_ns in gaps):
                weighted.append((member.weight, one[last_ns]))
        total = sum(weight for weight, _ in weighted)
        expected = [sum(weight * one[place] for weight, one in weighted) / total for place in range(3)]
        assert said == pytest.approx(expected, abs=1e-12)


def test_weights_of_late_change_what_is_said() -> None:
    recent = card_of("recent")
    static = msgspec.structs.replace(recent, config=EnsembleConfig(recent.config.members))
    one, other = (said_by(run(EnsemblePredictor(card, "test", "BTC-USD"), rows(2_000, 2))) for card in (recent, static))
    assert list(one) == list(other)
    assert np.abs(np.array(list(one.values())) - np.array(list(other.values()))).max() > 0.01


def test_a_member_learns_from_no_outcome_before_it_is_known() -> None:
    """Nor from one that was known before the ensemble began: its card may hold that."""
    card, found = card_of("online-recent"), aligned_of("online-recent", rows(1_500, 2))
    every = np.arange(found.frame.n)
    start_ns = int(found.frame.ts_ns[20])
    said = said_of(card.members, found, every, start_ns)
    for at in (100, 250):
        now_ns = int(found.frame.ts_ns[at])
        hidden = [
            one._replace(move_bps=np.where((one.known_ns > now_ns) | (one.ts_ns < start_ns), -7.0, one.move_bps))
            for one in found.members
        ]
        other = said_of(card.members, found._replace(members=tuple(hidden)), every, start_ns)
        np.testing.assert_array_equal(other[: at + 1], said[: at + 1])
        changed = (other != said) & ~np.isnan(said)
        assert changed[-50:].any(axis=(0, 2)).all(), "each member learns"


@pytest.mark.parametrize("kind", ["recent", "stacking", "online-recent"])
@pytest.mark.parametrize("at", [1, 702, 1_333])
def test_it_goes_on_from_a_dump_with_the_same_output(kind: str, at: int) -> None:
    card, records = card_of(kind), list(jumping(2_000, 2))
    whole = run(EnsemblePredictor(card, "test", "BTC-USD"), iter(records))
    first, second = (EnsemblePredictor(card, "test", "BTC-USD") for _ in range(2))
    before = run(first, iter(records[:at]))
    second.load(first.dump())
    assert before + run(second, iter(records[at:])) == whole


def test_the_same_data_give_the_same_card() -> None:
    first, again, other = card_of("stacking"), card_of.__wrapped__("stacking"), card_of("stacking", seed=3)
    assert first == again
    assert first.content() == first.version != other.version
    assert card_of("static").content() != first.version
    assert [one.name for one in first.members] == ["line", "tree", "slow", "once"]
    assert first.classes == (-1, 0, 1)


@pytest.mark.parametrize(
    "change", [{"name": "other"}, {"code": "another program"}, {"data": "others"}, {"classes": (-1, 1, 0)}]
)
def test_a_card_whose_content_was_changed_is_damaged(change: dict[str, Any]) -> None:
    changed = msgspec.structs.replace(card_of("stacking"), **change)
    require_sound(card_of("stacking"))
    with pytest.raises(ValueError, match="is damaged: its content is that of another version"):
        require_sound(changed)
    require_sound(changed.versioned())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"card": 99}, "card of version 99, this is 1"),
        ({"stacking": b"junk"}, "all [0-9a-f]+ cannot be used: holds a damaged model"),
        ({"stacking": None}, "holds no stacking, other than its configuration says"),
        ({"classes": (0, 1)}, "its stacking gives 3 numbers, not 2"),
        ({"classes": (0, 1, 2)}, "its stacking gives 3 numbers"),
        ({"config": EnsembleConfig((Member("line"), Member("tree")), stacking=True)}, "holds other members"),
    ],
)
def test_cards_that_cannot_be_used(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        EnsemblePredictor(msgspec.structs.replace(card_of("stacking"), **change), "test", "BTC-USD")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"card": 99}, "all [0-9a-f]+ cannot be used: member tree [0-9a-f]+ is a card of version 99, this is 1"),
        ({"model": b"junk"}, "cannot be used: member tree [0-9a-f]+ holds a damaged model"),
        ({"config": PredictorConfig("decision-tree", **COMMON)}, "member tree [0-9a-f]+ takes 5 inputs, not 2"),
        (
            {"config": msgspec.structs.replace(PREDICTORS["tree"], fee_bps=2.0)},
            "cannot be used: line has another fee_bps than tree: what members predict has to mean the same",
        ),
    ],
)
def test_members_that_cannot_be_used(change: dict[str, object], said: str) -> None:
    card = card_of("pair")
    tree, line = card.members
    broken = msgspec.structs.replace(card, members=(msgspec.structs.replace(tree, **change), line))
    with pytest.raises(ValueError, match=said):
        EnsemblePredictor(broken, "test", "BTC-USD")
    if "config" not in change:
        with pytest.raises(ValueError, match=said):
            broken.content()


def test_stacking_that_gives_no_numbers_is_flagged_and_the_rest_goes_on() -> None:
    """As a member's model that does: nobody else waits for it or ends with it."""
    card = card_of("stacking")
    model = onnx.load_from_string(card.unpacked() or b"")
    attributes = [one for node in model.graph.node for one in node.attribute if one.name == "intercepts"]
    for one in attributes:
        one.floats[:] = [math.nan] * len(one.floats)
    assert attributes
    broken = msgspec.structs.replace(card, stacking=packed(model.SerializeToString()), version="").versioned()
    found = run(EnsemblePredictor(broken, "test", "BTC-USD"), rows(300, 5))
    predictions = [one for one in found if isinstance(one, Prediction)]
    flags = {one.flag.partition(":")[0] for one in predictions[5:]}
    assert len(predictions) > 50
    assert flags == {"the model gives no numbers"}
    assert not [one for one in found if isinstance(one, Score)]
    offline = aligned_of("stacking", rows(300, 5))
    every = np.arange(offline.frame.n)
    assert np.isnan(combined(broken, offline, every, said_of(broken.members, offline, every, 0))).all()
