"""Small predictors of recorded events, for tests of what deploys, applies and shows them."""

from collections.abc import Iterable

import msgspec

from quicksilver.events import AnyEvent
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import FeatureHistory, frame_of
from quicksilver.learning.ensemble_config import EnsembleConfig, Member
from quicksilver.learning.ensembles import trained_material
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.learning.material import material_of
from quicksilver.learning.training import trained
from quicksilver.models.card import Card, EnsembleCard
from quicksilver.pipeline import Pipeline

FEATURES = ("spread_bps", "imbalance_5", "return_1s_bps")
FAST = PredictorConfig(
    "logistic", granularity="250ms", horizon="500ms", datasetinputs=2, features=FEATURES, fee_bps=0.01
)
MOVES = PredictorConfig("linear", granularity="250ms", datasetinputs=3, target="return", fee_bps=0.01)


def histories_of(events: Iterable[AnyEvent]) -> list[FeatureHistory]:
    """The feature histories of a market's events."""
    pipeline, builder = Pipeline(), HistoryBuilder(FEATURES)
    for event in events:
        builder.take_all(pipeline.step(event))
    return builder.histories()


def card_of(name: str, histories: list[FeatureHistory], config: PredictorConfig = FAST, code: str = "1") -> Card:
    """A card of them; another ``code`` makes another version."""
    kept = [FEATURES.index(one) for one in config.features]
    own = [history._replace(values=history.values[:, kept]) for history in histories]
    return trained(name, frame_of(own, config), config, code)


def ensemble_of(name: str, histories: list[FeatureHistory]) -> EnsembleCard:
    """A card of a model that is fixed and one that goes on learning, weighted by how they did of late."""
    predictors = {"fixed": FAST, "learns": msgspec.structs.replace(FAST, type="online-tree")}
    config = EnsembleConfig((Member("fixed"), Member("learns")), weights="recent")
    return trained_material(material_of(name, config, predictors, histories, "1"))
