"""Pictures of ensembles: a member that the ensemble goes by shows as one, and shuffling nothing changes nothing."""

import msgspec
import numpy as np
import pytest

from jobs.pictures.confusion import confusion
from jobs.pictures.ensembles import AppliedEnsemble, EnsembleStudy, TrainedEnsemble
from jobs.pictures.importance import importance, importances_of
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.ensemble_config import EnsembleConfig, Member
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.learning.material import features_of, material_of
from quicksilver.learning.results import MODEL
from quicksilver.learning.together import features_in
from tests.quicksilver.learning.test_ensembles import KINDS, PREDICTORS, card_of
from tests.quicksilver.learning.test_predictor import rows


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quicksilver.learning.scores.RESAMPLES", 60)


def trained(
    config: EnsembleConfig, n: int = 12_000, predictors: dict[str, PredictorConfig] = PREDICTORS
) -> TrainedEnsemble:
    histories = HistoryBuilder(features_of(config, predictors)).take_all(rows(n, 1)).histories()
    return TrainedEnsemble(material_of("all", config, predictors, histories, ""))


def texts(study: EnsembleStudy) -> str:
    return "\n".join(text.get_text() for text in confusion(study).texts)


@pytest.mark.parametrize("kind", ["static", "recent", "stacking"])
def test_asked_for_their_own_words_members_say_what_they_said(kind: str) -> None:
    records = list(rows(3_000, 2))
    card = card_of(kind)
    early = records[0].ts_event_ns - 3_600 * SECOND_NS
    members = tuple(msgspec.structs.replace(one, end_ns=early) for one in card.members)
    card = msgspec.structs.replace(card, members=members)
    study = AppliedEnsemble(card, HistoryBuilder(features_in(card)).take_all(iter(records)).histories())
    (held,) = study.held
    said = held.says(held.rows.inputs)
    np.testing.assert_allclose(said, study.walked.judged[MODEL].probabilities[-len(said) :], rtol=0, atol=1e-12)
    assert held.rows.names == tuple(one.name for one in card.members)
    assert f"version {card.version} learned from" in texts(study)


def test_a_member_that_carries_all_the_weight_is_all_that_matters() -> None:
    study = trained(EnsembleConfig((Member("line", 1e6), Member("tree", 1e-6))))
    found = importances_of(study)
    line, tree = found.worse.mean(axis=(1, 2)).tolist()
    assert found.names == ("line", "tree")
    assert line > 0.01
    assert abs(tree) < 1e-6
    (ax,) = importance(study).axes
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names[-1] == "line, weight 1e+06\nlogistic, 3 inputs, each 10s"


def test_the_sheet_says_what_it_is_of() -> None:
    said = texts(trained(KINDS["recent"]))
    assert "an ensemble of slow, line, tree, once, weights recent" in said
    assert "less likely than 45% is said as flat" in " ".join(said.split())


def test_one_member_has_no_importance() -> None:
    study = trained(EnsembleConfig((Member("line"),)), 6_000)
    with pytest.raises(InputError, match="all has one member, which is all that it goes by"):
        importance(study)
