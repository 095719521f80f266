"""Ensembles walked forward: what is there is found, nothing where there is nothing, nothing known beforehand."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.learning.aligned import aligned, combined, said_of
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import FeatureHistory, frame_of
from quicksilver.learning.ensemble_config import EnsembleConfig, Member
from quicksilver.learning.ensembles import require_walkable, trained_material, walk_material
from quicksilver.learning.material import Material, material_of
from quicksilver.learning.results import LAST_MOVE, MAJORITY, MODEL, NOTHING, Validation
from quicksilver.learning.scores import MEASURES
from quicksilver.learning.splits import walk_forward
from quicksilver.learning.stacking import unseen
from quicksilver.learning.usable import require_trainable
from quicksilver.learning.validation import validated
from quicksilver.learning.walking import walk

COMMON: dict[str, Any] = {"horizon": "3m", "fee_bps": 3.0}
PREDICTORS = {
    "line": PredictorConfig("logistic", datasetinputs=3, **COMMON),
    "tree": PredictorConfig("decision-tree", datasetinputs=2, **COMMON),
    "slow": PredictorConfig("lda", granularity="2m", datasetinputs=1, **COMMON),
}
ONLINE = {**PREDICTORS, "tree": PredictorConfig("online-tree", datasetinputs=2, **COMMON)}
FOLDS = 4  # enough to be judged, and half as long as the usual eight
MEMBERS = (Member("line"), Member("tree"), Member("slow"))
KINDS = {
    "static": EnsembleConfig(MEMBERS),
    "recent": EnsembleConfig(MEMBERS, weights="recent"),
    "stacking": EnsembleConfig(MEMBERS, stacking=True),
}


@cache
def history(seed: int, reverts: float = 0.0, n: int = 4_000, symbol: str = "X-USD") -> FeatureHistory:
    rng = np.random.default_rng(seed)
    moves, last = np.empty(n), 0.0
    for row in range(n):
        moves[row] = last = -reverts * last + rng.normal(0.0, 8e-4)
    times, fresh = np.arange(n) * 60 * SECOND_NS, np.zeros(n, bool)
    mid, spread_bps = 100.0 * np.exp(np.cumsum(moves)), np.full(n, np.nan)
    return FeatureHistory("test", symbol, times, mid, np.empty((n, 0)), fresh, spread_bps)


def require_nothing(found: Validation) -> None:
    """By the same resampled decisions: the majority's own value is chance too."""
    for measure in ("accuracy", "balanced_accuracy", "matthews", "profit_bps"):
        assert 0.0 in found.better_by[measure], measure
    assert found.better_by["log_loss"].value > -0.005, "no ensemble knows more than the frequencies"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_is_found(kind: str) -> None:
    found = validated(walk_material(material_of("all", KINDS[kind], PREDICTORS, [history(1, 0.8)], ""), FOLDS), 1)
    assert found.folds == FOLDS
    assert found.better_by["matthews"].mean_low > 0.05
    assert found.better_by["log_loss"].mean_high < -0.005
    members = {"member line", "member tree", "member slow"}
    assert set(found.scores) == {MODEL, MAJORITY, LAST_MOVE, NOTHING} | members
    worst = max(found.scores[who]["log_loss"].value for who in members)
    assert found.scores[MODEL]["log_loss"].value < worst
    assert all(set(one) == set(MEASURES) for one in found.scores.values())


def test_it_is_validated_as_it_was_walked() -> None:
    data = [history(2, n=2_000)]
    walked = walk_material(material_of("all", KINDS["static"], PREDICTORS, data, ""))
    found = validated(walked, 1)
    assert found.folds == len(np.unique(walked.judged[MODEL].fold)) == 7, "of the first of eight too little was known"


def test_it_is_held_against_frequencies_as_recent_as_its_members_know() -> None:
    """Moves become larger, so that older frequencies are worse ones; members look back on six hours."""
    calm = history(1, n=2_000)
    moves = np.diff(np.log(calm.mid), prepend=np.log(calm.mid[0])) * np.linspace(0.5, 2.0, 2_000)
    restless = calm._replace(mid=100.0 * np.exp(np.cumsum(moves)))
    config = PredictorConfig("logistic", datasetinputs=2, minutes_back=360.0, **COMMON)
    both = {"line": config, "tree": PredictorConfig("decision-tree", datasetinputs=2, minutes_back=360.0, **COMMON)}
    members = EnsembleConfig((Member("line"), Member("tree")))
    together = walk_material(material_of("all", members, both, [restless], ""), FOLDS)
    alone = walk(frame_of([restless], config), config, FOLDS)
    known = dict(zip(alone.ts_ns.tolist(), alone.judged[MAJORITY].probabilities.tolist(), strict=True))
    said = together.judged[MAJORITY].probabilities.tolist()
    assert len(said) > 1_500
    assert said == [known[ts_ns] for ts_ns in together.ts_ns.tolist()]


def test_with_a_member_that_goes_on_learning_too() -> None:
    """What is there is found, and of shuffled outcomes, its own among them, nothing is learned."""
    material = material_of("all", KINDS["recent"], ONLINE, [history(1, 0.8)], "")
    found = validated(walk_material(material, FOLDS), 1)
    assert found.better_by["matthews"].mean_low > 0.05
    assert found.scores["member tree"]["log_loss"].value < found.scores[MAJORITY]["log_loss"].value
    require_nothing(validated(walk_material(material.shuffled(3), FOLDS), 1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_random_walk_teaches_nothing(kind: str) -> None:
    require_nothing(validated(walk_material(material_of("all", KINDS[kind], PREDICTORS, [history(2)], ""), FOLDS), 1))


@pytest.mark.parametrize("kind", KINDS)
def test_shuffled_outcomes_teach_nothing_where_there_was_something(kind: str) -> None:
    material = material_of("all", KINDS[kind], PREDICTORS, [history(1, 0.8)], "")
    require_nothing(validated(walk_material(material.shuffled(3), FOLDS), 1))


def test_outcomes_that_are_known_beforehand_would_be_seen() -> None:
    """The check can fail: a member whose inputs look ahead is found out by it."""
    material = material_of("all", KINDS["static"], PREDICTORS, [history(2)], "")
    number = 0
    line, frame = material.found.members[number], material.found.frame
    outcome = dict(zip(frame.ts_ns.tolist(), frame.move_bps.tolist(), strict=True))
    ahead = line.inputs.copy()
    ahead[:, 0] = [outcome.get(ts_ns, 0.0) for ts_ns in line.ts_ns.tolist()]
    seen = material.frames[number].inputs.copy()
    seen[:, 0] = material.frames[number].move_bps
    leaking = material._replace(
        frames=(material.frames[number]._replace(inputs=seen), *material.frames[1:]),
        found=material.found._replace(members=(line._replace(inputs=ahead), *material.found.members[1:])),
    )
    with pytest.raises(AssertionError, match="accuracy"):
        require_nothing(validated(walk_material(leaking, FOLDS), 1))


def test_members_and_stacking_learn_of_what_was_known_before_alone() -> None:
    material = material_of("all", KINDS["stacking"], PREDICTORS, [history(2)], "")
    frame, embargo_ns = material.found.frame, 180 * SECOND_NS
    start_ns = int(frame.ts_ns[3_000])
    past = np.flatnonzero(frame.known_ns < start_ns - embargo_ns)
    parts = list(unseen(material, past))
    cards = trained_material(material_of("all", KINDS["static"], PREDICTORS, [history(2)], "")).members
    assert len(parts) >= 3
    assert np.concatenate([rows for rows, _ in parts]).tolist() == list(range(parts[0][0][0], len(past)))
    for rows, from_ns in parts:
        assert frame.ts_ns[rows].min() == from_ns
        assert frame.known_ns[rows].max() < start_ns - embargo_ns
        for number in range(3):
            seen = material.past_of(number, from_ns)
            assert 0 <= from_ns - embargo_ns - seen.known_ns.max() <= 3 * 60 * SECOND_NS
        said = said_of(cards, material.found, rows, from_ns)
        at = material.found.at[rows]
        for number, member in enumerate(material.found.members):
            spoken = ~np.isnan(said[:, number, 0])
            assert member.ts_ns[at[spoken, number]].min() >= from_ns


def test_minutes_back_of_each_member_end_where_it_is_asked() -> None:
    predictors = {**PREDICTORS, "tree": PredictorConfig("decision-tree", minutes_back=500.0, **COMMON)}
    material = material_of("all", KINDS["static"], predictors, [history(2)], "")
    start_ns = 3_000 * 60 * SECOND_NS
    line, tree, _ = (material.past_of(number, start_ns) for number in range(3))
    assert (tree.n, tree.ts_ns[-1]) == (501, line.ts_ns[-1])
    assert line.n > 2_900


def test_instruments_are_judged_each_for_itself() -> None:
    both = [history(1, 0.8), history(5, 0.4, symbol="Y-USD")]
    config = KINDS["recent"]
    configs = config.of(PREDICTORS)
    card = trained_material(material_of("all", config, PREDICTORS, both, ""))
    together = aligned(both, configs, ())
    rows = np.arange(together.frame.n)
    said = combined(card, together, rows, said_of(card.members, together, rows, 0))
    for number, one in enumerate(both):
        alone = aligned([one], configs, ())
        rows = np.arange(alone.frame.n)
        expected = combined(card, alone, rows, said_of(card.members, alone, rows, 0))
        np.testing.assert_allclose(said[together.frame.instrument == number], expected, rtol=0, atol=1e-6)


def test_a_member_may_learn_from_more_instruments_than_are_judged() -> None:
    predictors = {**PREDICTORS, "slow": PredictorConfig("lda", symbols=("X-USD",), **COMMON)}
    both = [history(1, 0.8), history(5, 0.4, symbol="Y-USD")]
    material = material_of("all", KINDS["static"], predictors, both, "")
    assert material.found.frame.instruments == ("test:X-USD",)
    assert [frame.instruments for frame in material.frames] == [
        ("test:X-USD", "test:Y-USD"), ("test:X-USD", "test:Y-USD"), ("test:X-USD",)
    ]  # fmt: skip
    with pytest.raises(InputError, match="ensemble all: no instrument is one of all its members; the data hold test:Y"):
        material_of("all", KINDS["static"], predictors, both[1:], "")


@pytest.mark.parametrize(
    ("change", "n", "said"),
    [
        ({}, 450, "ensemble all: 444 decisions are too few: each member has to have 200 examples"),
        ({"line": PredictorConfig("logistic", fee_bps=3.0)}, 450, "tree has another horizon than line"),
        ({"slow": PredictorConfig("lda", granularity="30m", **COMMON)}, 4_000, "member slow: 132 examples of 30m"),
        ({"tree": PredictorConfig("oak", **COMMON)}, 4_000, "member tree: there is no predictor type 'oak'"),
    ],
)
def test_what_cannot_be_learned_from(change: dict[str, PredictorConfig], n: int, said: str) -> None:
    predictors = {**PREDICTORS, **change}
    with pytest.raises(InputError, match=said):
        material = material_of("all", KINDS["static"], predictors, [history(2, n=n)], "")
        if "slow" in change:
            trained_material(material)
        else:
            walk_material(material)


def test_stacking_needs_what_members_said_later() -> None:
    with pytest.raises(InputError, match="ensemble all: stacking has 0 examples with 0 kinds of outcome"):
        trained_material(material_of("all", KINDS["stacking"], PREDICTORS, [history(2, n=480)], ""))


def rare(n: int, fee_bps: float) -> Material:
    """That of two whose moves beyond the fees are rare, stacked."""
    types = {"tree": "decision-tree", "bayes": "naive-bayes"}
    predictors = {name: PredictorConfig(one, fee_bps=fee_bps) for name, one in types.items()}
    config = EnsembleConfig((Member("tree"), Member("bayes")), stacking=True)
    return material_of("all", config, predictors, [history(2, n=n)], "")


def test_a_part_of_the_past_with_too_few_of_a_class_is_left_out_of_stacking() -> None:
    """As one with too few examples is; the others are learned from, and the whole is trained and judged."""
    material = rare(10_000, 10.0)
    frame = material.found.frame
    for one, config in zip(material.frames, material.configs, strict=True):
        require_trainable(one, config)
    assert 0.01 < np.mean(frame.directions(material.lead.threshold_bps) != 0) < 0.015
    (_, test), *_ = walk_forward(frame, 8, material.lead.horizon_ns, 200)
    thin = material.lacking(int(frame.ts_ns[test[0] // 5]))
    assert thin.startswith("member tree: all 219 outcomes are flat beyond a threshold of 20 bps")
    require_walkable(material)
    found = validated(walk_material(material, 2), 1)
    assert found.folds == 2
    assert len(trained_material(material).classes) == 3


def test_an_ensemble_that_cannot_be_judged_is_refused_before_the_work() -> None:
    with pytest.raises(InputError) as error:
        require_walkable(rare(700, 10.0))
    assert str(error.value).startswith(
        "ensemble all: 696 decisions are too few: each member has to have 200 examples that were known before, and"
        " stacking as many of what they said later; member tree: only 2 of 692 outcomes are down"
    )


def test_histories_with_other_features_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the histories of ensemble all have to hold the features \(\)"):
        one = history(2)
        material_of("all", KINDS["static"], PREDICTORS, [one._replace(values=np.zeros((len(one.mid), 2)))], "")
