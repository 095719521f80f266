"""Trained predictors beside the online model: roles and order, swapped while they run, refused without a trace."""

from collections.abc import Iterable
from functools import cache

import msgspec
import pytest
from msgspec.structs import replace

from quicksilver.labels import LabelConfig
from quicksilver.models.card import AnyCard, Card, Deployment
from quicksilver.models.deployed import Deployed, built, predictor_of
from quicksilver.models.stage import PredictionStage
from quicksilver.records import AnyRecord, Features, Prediction, Role, Score, Status
from tests.quicksilver.learning.test_predictor import CONFIG, RETURNS, card_of, rows, run

LABELS, EVERY_NS = LabelConfig((10_000_000_000,)), 10_000_000_000


@cache
def card(seed: int) -> Card:
    return card_of(CONFIG, seed)


@cache
def far() -> Card:
    return replace(card_of(RETURNS), name="far").versioned()


def deployment(live: AnyCard | None, *shadows: AnyCard, name: str = "near") -> Deployment:
    return Deployment("test", "BTC-USD", name, live, shadows)


def play(stage: PredictionStage, records: Iterable[Features | Status]) -> list[AnyRecord]:
    return [found for record in records for found in stage.take(record)]


def of(found: Iterable[AnyRecord], version: str) -> list[Prediction | Score]:
    return [one for one in found if isinstance(one, Prediction | Score) and one.version == version]


def with_role(found: Iterable[Prediction | Score], role: Role) -> list[Prediction | Score]:
    return [replace(one, role=role) for one in found]


def test_each_version_says_what_it_would_alone_in_a_defined_order() -> None:
    stage = PredictionStage(LABELS, EVERY_NS)
    versions = sorted((card(2), card(3)), key=lambda one: one.version, reverse=True)
    stage.adopt(deployment(card(1), *versions))
    stage.adopt(deployment(far(), name="far"))
    found = play(stage, rows(1_000, 5))
    roles: dict[str, Role] = {card(1).version: "live", card(2).version: "shadow", card(3).version: "shadow"}
    for one in (card(1), card(2), card(3)):
        alone = run(predictor_of(one, "test", "BTC-USD"), rows(1_000, 5))  # type: ignore[arg-type]
        assert of(found, one.version) == with_role(alone, roles[one.version])
        assert len(alone) > 200
    together = next(
        [x for x in found if isinstance(x, Prediction) and x.seq == one.seq]
        for one in found
        if isinstance(one, Prediction) and one.seq > 100 and one.role == "shadow"
    )
    shadows = sorted((card(2).version, card(3).version))
    assert [(one.model, one.version) for one in together] == [
        ("softmax-online", "1"), ("far", far().version), *(("near", one) for one in [card(1).version, *shadows]),
    ]  # fmt: skip


def test_a_swap_keeps_what_stays_whatever_its_role_and_begins_what_is_new() -> None:
    records, at = list(rows(2_000, 5)), 900
    stage = PredictionStage(LABELS, EVERY_NS)
    stage.adopt(deployment(card(1), card(2)))
    before = play(stage, records[:at])
    stage.adopt(deployment(card(2), card(3)))
    after = play(stage, records[at:])
    alone = run(predictor_of(card(2), "test", "BTC-USD"), iter(records))  # type: ignore[arg-type]
    kept = of(before, card(2).version) + of(after, card(2).version)
    assert with_role(kept, "live") == with_role(alone, "live")
    assert {one.role for one in of(before, card(2).version)} == {"shadow"}
    assert {one.role for one in of(after, card(2).version)} == {"live"}
    cold = run(predictor_of(card(3), "test", "BTC-USD"), iter(records[at:]))  # type: ignore[arg-type]
    assert of(after, card(3).version) == with_role(cold, "shadow")


def predictions(found: Iterable[AnyRecord], version: str) -> list[int]:
    return [one.seq for one in of(found, version) if isinstance(one, Prediction) and not one.flag]


def scores(found: Iterable[AnyRecord], version: str) -> list[int]:
    return [one.seq for one in of(found, version) if isinstance(one, Score)]


@pytest.mark.parametrize("to", [2, None])
def test_every_prediction_of_a_version_that_is_replaced_has_its_outcome(to: int | None) -> None:
    """In the middle of its horizon; the state is dumped and loaded while it waits."""
    version, records = card(1).version, list(rows(1_000, 5))
    stage, again = PredictionStage(LABELS, EVERY_NS), PredictionStage(LABELS, EVERY_NS)
    stage.adopt(deployment(card(1)))
    before = play(stage, records[:600])
    stage.adopt(deployment(card(to) if to else None))
    again.load(stage.dump())
    assert again.dump() == stage.dump()
    after = play(stage, records[600:])
    assert play(again, records[600:]) == after
    assert predictions(after, version) == []
    assert len(scores(after, version)) > 1
    kept = run(predictor_of(card(1), "test", "BTC-USD"), iter(records))  # type: ignore[arg-type]
    made = set(predictions(before, version))
    as_if_it_had_stayed = [one for one in kept if isinstance(one, Score) and one.seq in made]
    assert [one for one in of(before + after, version) if isinstance(one, Score)] == with_role(
        as_if_it_had_stayed, "live"
    )
    assert stage.deployed.names() == (["near"] if to else [])
    if to is None:
        assert stage.deployed.dump() == Deployed().dump(), "nothing is left of it"


def test_a_version_that_comes_back_while_its_outcomes_are_waited_for_goes_on() -> None:
    """One predictor has one score, however often it is replaced; what was built for it meanwhile is not needed."""
    version, records = card(1).version, list(rows(1_000, 5))
    stage = PredictionStage(LABELS, EVERY_NS)
    stage.adopt(deployment(card(1)))
    found = play(stage, records[:600])
    stage.adopt(deployment(card(2)))
    found += play(stage, records[600:602])
    stage.adopt(deployment(card(1)), built(deployment(card(1)), stage.deployed.versions("near")))
    found += play(stage, records[602:])
    counts = [one.n for one in of(found, version) if isinstance(one, Score)]
    assert counts == list(range(1, len(counts) + 1))
    stage.adopt(deployment(card(2)))
    stage.take(Status("test", "BTC-USD", 1_000, 0, 0, "GAP", "lost"))
    assert scores(play(stage, rows(100, 6)), version) == [], "after a gap its outcomes cannot be known"


def test_without_a_version_a_name_is_given_up() -> None:
    stage = PredictionStage(LABELS, EVERY_NS)
    stage.adopt(deployment(None))  # also one that is not there
    stage.adopt(deployment(card(1)))
    assert stage.deployed.names() == ["near"]
    stage.adopt(deployment(None))
    assert stage.deployed.names() == []
    assert {one.version for one in play(stage, rows(300, 5)) if isinstance(one, Prediction)} == {"1"}


def test_the_online_model_does_not_know_of_the_others() -> None:
    plain, full = PredictionStage(LABELS, EVERY_NS), PredictionStage(LABELS, EVERY_NS)
    full.adopt(deployment(card(1), card(2)))
    assert of(play(full, rows(1_000, 5)), "1") == play(plain, rows(1_000, 5))


@pytest.mark.parametrize("at", [1, 600])
def test_a_stage_cut_anywhere_goes_on_with_its_cards_and_states(at: int) -> None:
    records = list(rows(1_200, 5))
    whole, first, second = (PredictionStage(LABELS, EVERY_NS) for _ in range(3))
    for one in (whole, first):
        one.adopt(deployment(card(1), card(2)))
        one.adopt(deployment(far(), name="far"))
    before = play(first, records[:at])
    second.load(first.dump())
    assert second.dump() == first.dump()
    assert before + play(second, records[at:]) == play(whole, records)


def test_what_was_built_before_is_taken_and_what_is_at_work_is_not_built_again() -> None:
    deployed = Deployed()
    deployed.adopt(deployment(card(1)))
    ready = built(deployment(card(2), card(1)), deployed.versions("near"))
    assert list(ready) == [card(2).version]
    deployed.adopt(deployment(card(2), card(1)), ready)
    assert deployed.versions("near") == [card(2).version, card(1).version]


def damaged(one: Card) -> Card:
    return replace(one, data="other data")


def of_no_feature(one: Card) -> bytes:
    text = msgspec.json.encode(deployment(one))
    return text.replace(b'"vpin"', b'"nothing"')


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (deployment(damaged(card(2))), "is damaged: its content is that of another version"),
        (deployment(replace(card(2), card=99)), "is a card of version 99, this is 1"),
        (deployment(replace(card(2), model=b"junk")), "holds a damaged model"),
        (deployment(card(2), card(2)), "is deployed twice: a version has one role"),
        (deployment(card(2), name="far"), "near .* cannot be deployed as far"),
        (deployment(card(2), damaged(card(3))), "is damaged"),
        (deployment(damaged(card(1))), "is damaged"),  # also where its version is at work
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_and_all_stays_as_it_was(wrong: Deployment, why: str) -> None:
    stage = PredictionStage(LABELS, EVERY_NS)
    stage.adopt(deployment(card(1)))
    play(stage, rows(300, 5))
    before = stage.dump()
    with pytest.raises(ValueError, match=why):
        stage.adopt(wrong)
    assert stage.dump() == before


def test_a_feature_that_is_none_is_no_deployment() -> None:
    with pytest.raises(msgspec.ValidationError, match="there is no feature 'nothing'"):
        msgspec.json.decode(of_no_feature(card(1)), type=Deployment)


def test_a_model_that_is_sound_but_takes_other_inputs_is_refused() -> None:
    config = replace(CONFIG, datasetinputs=5)
    one = card(1)
    other = replace(one, config=config).versioned()
    with pytest.raises(ValueError, match="takes 3 inputs, not 6"):
        PredictionStage(LABELS, EVERY_NS).adopt(deployment(other))
