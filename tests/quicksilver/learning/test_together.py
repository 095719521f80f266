"""A version of an ensemble on later data: it is judged by what it would have said live, and by nothing else."""

from functools import cache

import msgspec
import numpy as np
import pytest

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.learning.aligned import Aligned
from quicksilver.learning.ensemble_config import EnsembleConfig, Member
from quicksilver.learning.ensembles import trained_material, walk_material
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.learning.material import material_of
from quicksilver.learning.results import MAJORITY, MODEL
from quicksilver.learning.scores import MEASURES
from quicksilver.learning.together import aligned_with, features_in, walked_together
from quicksilver.models.card import EnsembleCard
from quicksilver.models.ensemble import EnsemblePredictor
from quicksilver.models.predictor import Predictor
from quicksilver.records import Features, Prediction, Score
from tests.quicksilver.learning.test_ensembles import KINDS, card_of, jumping, run
from tests.quicksilver.learning.test_predictor import RETURNS, rows


@cache
def known_until(kind: str, ts_ns: int) -> EnsembleCard:
    """An ensemble whose members learned from other data until then: what is later judges it."""
    card = card_of(kind)
    members = tuple(msgspec.structs.replace(one, end_ns=ts_ns).versioned() for one in card.members)
    return msgspec.structs.replace(card, members=members)


def found_of(card: EnsembleCard, n: int = 3_000) -> Aligned:
    return aligned_with(card, HistoryBuilder(features_in(card)).take_all(jumping(n, 2)).histories())


@pytest.mark.parametrize("kind", KINDS)
def test_it_scores_what_a_live_ensemble_says_of_the_same_rows(kind: str) -> None:
    records = list(jumping(3_000, 2))
    card = known_until(kind, records[0].ts_event_ns - 3_600 * SECOND_NS)
    walked = walked_together(card, found_of(card))
    live = run(EnsemblePredictor(card, "test", "BTC-USD"), iter(records))
    scores = [one for one in live if isinstance(one, Score)]
    flagged = [one for one in live if isinstance(one, Prediction) and one.flag]
    judged = walked.judged[MODEL]
    assert walked.ts_ns.tolist() == [one.ts_event_ns for one in scores]
    assert walked.flagged == len(flagged)
    assert bool(flagged) == (kind == "pair"), "both of the pair are out of range after a jump"
    assert judged.directions.tolist() == [one.predicted for one in scores]
    mean, last = judged.parts().mean(axis=0), scores[-1]
    for name in ("accuracy", "log_loss", "brier", "profit_bps"):
        assert MEASURES[name](mean) == pytest.approx(getattr(last, name), abs=1e-6)
    lead = next(one for one in card.members if one.config == found_of(card).lead)
    assert np.array_equal(walked.judged[MAJORITY].probabilities, np.tile(lead.prior, (len(scores), 1)))
    assert {f"member {one.name}" for one in card.members} < walked.judged.keys()


def test_what_overlaps_with_what_a_member_learned_from_does_not_judge() -> None:
    records = [one for one in jumping(3_000, 2) if isinstance(one, Features)]
    half_ns = records[1_500].ts_event_ns
    card = known_until("static", half_ns)
    walked = walked_together(card, found_of(card))
    assert half_ns + 40 * SECOND_NS <= walked.ts_ns[0] < half_ns + 60 * SECOND_NS, "twice the horizon"
    late = known_until("static", records[-60].ts_event_ns)
    with pytest.raises(InputError, match=r"^\d+ decisions are later than what all [0-9a-f]+ learned from; at least 50"):
        walked_together(late, found_of(late))


def test_members_that_predict_returns_act_together_where_more_than_half_speaks_for_a_move() -> None:
    """So one member decides as it would alone, and what it is taken for in validation."""
    config = msgspec.structs.replace(RETURNS, fee_bps=0.5)
    ensemble, predictors = EnsembleConfig((Member("move"),)), {"move": config}
    histories = HistoryBuilder(()).take_all(rows(4_000, 1)).histories()
    material = material_of("all", ensemble, predictors, histories, "a program")
    card = trained_material(material)
    later = list(rows(2_000, 2))
    together = run(EnsemblePredictor(card, "test", "BTC-USD"), iter(later))
    alone = run(Predictor(card.members[0], "test", "BTC-USD"), iter(later))
    predicted = [[one.direction for one in some if isinstance(one, Prediction)] for some in (together, alone)]
    assert predicted[0] == predicted[1]
    assert 0 < np.count_nonzero(predicted[0]) < len(predicted[0]) / 2
    walked = walk_material(material)
    assert walked.judged[MODEL].directions.tolist() == walked.judged["member move"].directions.tolist()
    assert walked.judged[MAJORITY].confidence == 0.0
