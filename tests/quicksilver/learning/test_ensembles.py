"""An ensemble offline and live: the same decisions, weights and scores; and no leak."""

import numpy as np
import pytest

from quicksilver.learning.aligned import aligned, combined, said_of, wanted_features
from quicksilver.learning.config import EnsembleConfig, Member, PredictorConfig
from quicksilver.learning.datasets import FeatureHistory
from quicksilver.learning.ensembles import trained_ensemble
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.models.card import EnsembleCard
from quicksilver.models.ensemble import EnsemblePredictor
from quicksilver.models.score import most_likely
from quicksilver.records import Features, Prediction, Score
from tests.quicksilver.learning.test_predictor import rows

COMMON = {"horizon": "20s", "fee_bps": 1.0}
PREDICTORS = {
    "line": PredictorConfig("logistic", granularity="10s", datasetinputs=2, features=("vpin",), **COMMON),
    "tree": PredictorConfig("decision-tree", granularity="10s", datasetinputs=5, **COMMON),
    "slow": PredictorConfig("lda", granularity="50s", datasetinputs=1, **COMMON),
    "once": PredictorConfig("naive-bayes", granularity="25s", datasetinputs=0, features=("vpin",), **COMMON),
}
KINDS = {
    "static": EnsembleConfig((Member("line", 2.0), Member("tree"), Member("slow", 0.5), Member("once"))),
    "recent": EnsembleConfig(
        (Member("slow"), Member("line", 2.0), Member("tree"), Member("once")),
        weights="recent", half_life="10m", confidence=0.45,
    ),
    "stacking": EnsembleConfig((Member("line"), Member("tree"), Member("slow"), Member("once")), stacking=True),
}  # fmt: skip
NAMES = ("vpin",)


def histories(n: int, seed: int) -> list[FeatureHistory]:
    return HistoryBuilder(NAMES).take_all(rows(n, seed)).histories()


def card_of(kind: str, seed: int = 1) -> EnsembleCard:
    return trained_ensemble("all", KINDS[kind], PREDICTORS, histories(6_000, seed), "a program")


def replayed(predictor: EnsemblePredictor, n: int, seed: int) -> list[Prediction | Score]:
    found: list[Prediction | Score] = []
    for record in rows(n, seed):
        if isinstance(record, Features):
            found += predictor.take(record)
        else:
            predictor.gap()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_offline_and_live_say_the_same(kind: str) -> None:
    card, config = card_of(kind), KINDS[kind]
    live = replayed(EnsemblePredictor(card, "test", "BTC-USD"), 3_000, 2)
    configs = config.of(PREDICTORS)
    found = aligned(histories(3_000, 2), configs, wanted_features(configs))
    every = np.arange(found.frame.n)
    members = said_of(card.members, found, every, 0)
    together = combined(card, found, every, members)
    assert np.isfinite(together).all()
    silent = np.isnan(members[:, :, 0])
    assert 0 < silent.sum(axis=0).max() < found.frame.n, "some members say nothing at some times"

    scores = [one for one in live if isinstance(one, Score)]
    by_seq = {one.seq: one for one in live if isinstance(one, Prediction)}
    predictions = [by_seq[one.seq] for one in scores]
    assert [one.ts_event_ns for one in scores] == found.frame.ts_ns.tolist()
    assert [one.ts_known_ns for one in scores] == found.frame.known_ns.tolist()
    assert [one.outcome for one in scores] == found.frame.directions(found.lead.threshold_bps).tolist()
    said = np.array([(one.p_down, one.p_flat, one.p_up) for one in predictions])
    np.testing.assert_allclose(said, together, rtol=0, atol=1e-6)
    assert [one.direction for one in predictions] == [
        most_likely(tuple(row), config.confidence) for row in said.tolist()
    ]
    assert [one.confidence for one in predictions] == [
        row[one.direction + 1] for one, row in zip(predictions, said.tolist(), strict=True)
    ]
