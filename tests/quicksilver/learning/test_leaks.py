"""The check for leaks: silent where there is none, also for models that learn noise, and loud where one is planted."""

from typing import Any

import msgspec
import numpy as np
import pytest

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.learning import leaks, walking
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import FeatureHistory, TrainingFrame, frame_of
from quicksilver.learning.ensemble_config import EnsembleConfig, Member
from quicksilver.learning.leaks import RANDOM_WALK, SHUFFLED, Finding, checked, checked_ensemble, without_knowledge
from quicksilver.learning.material import Material, material_of
from quicksilver.learning.scores import MEASURES, Decisions
from quicksilver.learning.splits import Split

MINUTE_NS = 60 * SECOND_NS
CONFIG = PredictorConfig("logistic", horizon="3m", datasetinputs=3, fee_bps=3.0)
TREE = msgspec.structs.replace(CONFIG, type="decision-tree", parameters={"max_depth": 30, "min_samples_leaf": 1})


def history(n: int = 2_500, reverts: float = 0.7, features: int = 0) -> FeatureHistory:
    """Minutes that can be predicted, some of them missing; features know nothing of them."""
    rng, moves, last = np.random.default_rng(1), np.empty(n), 0.0
    for row in range(n):
        moves[row] = last = -reverts * last + rng.normal(0.0, 8e-4)
    ts_ns = np.cumsum(rng.choice([1, 1, 1, 1, 2, 3], n)) * MINUTE_NS
    values = rng.normal(size=(n, features))
    mid, spread_bps = 100.0 * np.exp(np.cumsum(moves)), rng.uniform(0.0, 2.0, n)
    return FeatureHistory("test", "X-USD", ts_ns, mid, values, np.arange(n) == 0, spread_bps)


@pytest.mark.parametrize("config", [CONFIG, TREE, msgspec.structs.replace(CONFIG, features=("rsi_14", "imbalance_5"))])
def test_where_there_is_nothing_nothing_is_found(config: PredictorConfig) -> None:
    found = checked([history(features=len(config.features))], config, 1, 1)
    assert [(one.data, one.measure) for one in found] == [
        (data, measure) for data in (SHUFFLED, RANDOM_WALK) for measure in MEASURES
    ]
    assert not any(one.leaks for one in found)
    assert all(np.isfinite(one[2:]).all() for one in found)


def test_an_input_that_knows_the_future_is_found_on_a_random_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaking(*arguments: object) -> TrainingFrame:
        frame = frame_of(*arguments)  # type: ignore[arg-type]
        ahead = frame.move_bps + np.random.default_rng(2).normal(0.0, 20.0, frame.n)
        return frame._replace(inputs=np.column_stack([ahead, frame.inputs[:, 1:]]))

    monkeypatch.setattr(leaks, "frame_of", leaking)
    found = {(one.data, one.measure): one for one in checked([history()], CONFIG, 1, 1)}
    assert found[RANDOM_WALK, "log_loss"].leaks
    assert found[RANDOM_WALK, "matthews"].low > 0.0
    assert not found[SHUFFLED, "log_loss"].leaks


def test_a_model_that_is_judged_by_what_it_learned_from_is_found_on_shuffled_outcomes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mixed(frame: TrainingFrame, folds: int, *_: object) -> list[Split]:
        return [Split(np.arange(frame.n), part) for part in np.array_split(np.arange(frame.n), folds)]

    monkeypatch.setattr(walking, "walk_forward", mixed)
    config = msgspec.structs.replace(TREE, target="return")  # calibration would see through what was learned by heart
    found = {(one.data, one.measure): one for one in checked([history(1_500)], config, 1, 1)}
    assert found[SHUFFLED, "accuracy"].low > 0.0
    assert found[SHUFFLED, "log_loss"].leaks


COMMON: dict[str, Any] = {"horizon": "3m", "fee_bps": 3.0}
MEMBERS = {
    "line": PredictorConfig("logistic", datasetinputs=3, **COMMON),
    "slow": PredictorConfig("lda", granularity="2m", datasetinputs=1, features=("imbalance_5",), **COMMON),
}


def made(config: EnsembleConfig, members: dict[str, PredictorConfig], one: FeatureHistory) -> Material:
    return material_of("all", config, members, [one], "")


@pytest.mark.parametrize("stacking", [False, True])
def test_an_ensemble_finds_nothing_where_there_is_nothing(stacking: bool) -> None:
    one = history(features=1)
    material = made(EnsembleConfig((Member("line"), Member("slow")), stacking=stacking), MEMBERS, one)
    found = checked_ensemble(material, [one], 1, 1)
    assert [one.data for one in found] == [SHUFFLED] * len(MEASURES) + [RANDOM_WALK] * len(MEASURES)
    assert not any(one.leaks for one in found)
    assert found == checked_ensemble(material, [one], 1, 1)


def test_shuffled_outcomes_are_the_same_for_all_members() -> None:
    one = history(600, features=1)
    material = made(EnsembleConfig((Member("line"), Member("slow"))), MEMBERS, one)
    again = material.shuffled(1)
    lead = dict(zip(again.found.frame.ts_ns.tolist(), again.found.frame.move_bps.tolist(), strict=True))
    for before, after in zip(material.frames, again.frames, strict=True):
        common = [row for row, ts_ns in enumerate(after.ts_ns.tolist()) if ts_ns in lead]
        assert len(common) > 0.9 * after.n
        assert after.move_bps[common].tolist() == [lead[ts_ns] for ts_ns in after.ts_ns[common].tolist()]
        assert np.count_nonzero(after.move_bps == before.move_bps) < 0.1 * after.n
    real, shuffled = (np.concatenate([each.move_bps for each in one.frames]).tolist() for one in (material, again))
    assert set(shuffled) == set(real)


def test_members_that_know_what_judges_them_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = msgspec.structs.replace(TREE, target="return")  # calibration would see through what was learned by heart
    one = history(1_500)
    members = {"tree": tree, "other": msgspec.structs.replace(tree, datasetinputs=2)}
    material = made(EnsembleConfig((Member("tree"), Member("other"))), members, one)
    monkeypatch.setattr(Material, "past_of", lambda material, number, _: material.frames[number])
    found = {(one.data, one.measure): one for one in checked_ensemble(material, [one], 1, 1)}
    assert found[SHUFFLED, "accuracy"].low > 0.0
    assert found[RANDOM_WALK, "accuracy"].low > 0.0


def test_false_alarms_are_rare() -> None:
    """In 40 checks of 12 intervals at 95 % there would be some 24; all together they may miss in one check of 20."""
    alarms = 0
    for seed in range(40):
        found = checked([history(700, reverts=0.0)], CONFIG, seed, 1)
        alarms += any(one.leaks for one in found)
    assert alarms <= 5


def test_what_is_expected_without_knowledge_is_the_mean_over_all_orders_of_outcomes() -> None:
    rng, n = np.random.default_rng(3), 200
    said = rng.dirichlet((1.0, 1.0, 1.0), n)
    moves = rng.normal(0.0, 5.0, n)
    outcomes = (np.sign(moves) * (np.abs(moves) > 2.0)).astype(np.int64)
    judged = Decisions(said, outcomes, moves, np.zeros(n, np.int64), 1.0, rng.uniform(0.0, 2.0, n))
    orders = [rng.permutation(n) for _ in range(2_000)]
    sampled = np.mean(
        [judged._replace(outcomes=outcomes[one], move_bps=moves[one]).parts().mean(axis=0) for one in orders], axis=0
    )
    assert without_knowledge(judged).mean(axis=0) == pytest.approx(sampled, abs=0.02)


def test_so_few_parts_that_no_leak_would_be_seen_are_no_check() -> None:
    with pytest.raises(InputError, match=r"judged in [234] parts of a walk, and at least 5 are needed for a leak to"):
        checked([history(330)], CONFIG, 1, 1)


def test_how_much_would_have_shown_is_told() -> None:
    assert Finding(SHUFFLED, "accuracy", 0.4, 0.39, -0.02, 0.04).least == pytest.approx(0.03)


def test_too_few_to_check() -> None:
    with pytest.raises(InputError, match="examples"):
        checked([history(210)], CONFIG, 1, 1)
