"""The models that a predictor's ``type`` may name: scikit-learn's, each imputed, scaled, calibrated and seeded.

Those of river, which go on learning, do as much by themselves (``models/learner.py``).
Calibration is Platt's, on stretches of time that the model had not seen, nor any outcome that overlaps with theirs:
shuffled folds would put each example beside its neighbours.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.networks import NeuralClassifier, NeuralRegressor
from quicksilver.learning.online import OnlineClassifier
from quicksilver.learning.splits import Stretches
from quicksilver.models.learner import ONLINE

DEEPLOB = "deeplob"
Make = Callable[..., BaseEstimator]


class Qda(QuadraticDiscriminantAnalysis):  # type: ignore[misc]  # scikit-learn has no types
    """Quadratic discriminant analysis that is calibrated by its probabilities, as it is exported.

    Its scores are sums of logarithms that shift from row to row, which Platt's curve cannot follow.
    """

    @property
    def decision_function(self) -> Any:
        """Not there: it is calibrated by its probabilities."""
        raise AttributeError("calibrated by its probabilities")


def _deeplob(**parameters: Any) -> BaseEstimator:
    try:
        from quicksilver.learning.deeplob import DeepLob
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise InputError(f"type {DEEPLOB} needs PyTorch: pip install 'quicksilver[torch]'") from error
    return DeepLob(**parameters)


class Kind(NamedTuple):
    """A type of predictor: what it makes for a direction and for a return, None if it has none, and its settings.

    ``most_rows`` is how many of the newest examples it learns from: time or size grow faster than the examples.
    ``calibrated`` is whether its probabilities need it.
    """

    direction: Make | None
    returns: Make | None
    defaults: Mapping[str, Any] = {}
    most_rows: int = 1_000_000
    seeded: bool = True
    calibrated: bool = True


ZOO: dict[str, Kind] = {
    "nearest-neighbours": Kind(KNeighborsClassifier, KNeighborsRegressor, {"n_neighbors": 50}, 5_000, seeded=False),
    "linear-svm": Kind(LinearSVC, LinearSVR, {"C": 0.1, "max_iter": 5_000}, 50_000),
    "rbf-svm": Kind(SVC, SVR, {"C": 1.0, "cache_size": 500}, 5_000),
    "decision-tree": Kind(DecisionTreeClassifier, DecisionTreeRegressor, {"max_depth": 5, "min_samples_leaf": 50}),
    "random-forest": Kind(
        RandomForestClassifier, RandomForestRegressor,
        {"n_estimators": 100, "max_depth": 6, "min_samples_leaf": 20}, 100_000,
    ),
    "adaboost": Kind(AdaBoostClassifier, AdaBoostRegressor, {"n_estimators": 50}, 50_000),
    "naive-bayes": Kind(GaussianNB, None, seeded=False),
    "lda": Kind(LinearDiscriminantAnalysis, None, seeded=False),
    "qda": Kind(Qda, None, {"reg_param": 0.01}, seeded=False),
    "gradient-boosting": Kind(
        GradientBoostingClassifier, GradientBoostingRegressor, {"n_estimators": 60, "max_depth": 3, "subsample": 0.5},
        50_000,
    ),
    "logistic": Kind(LogisticRegression, None, {"max_iter": 1_000}, calibrated=False),
    "linear": Kind(None, Ridge),
    DEEPLOB: Kind(_deeplob, None, most_rows=100_000, calibrated=False),
    **{name: Kind(OnlineClassifier, None, most_rows=100_000, seeded=False, calibrated=False) for name in ONLINE},
    "neural-net": Kind(
        NeuralClassifier, NeuralRegressor, {"hidden_layer_sizes": (32,), "early_stopping": True, "max_iter": 1_000},
        100_000, calibrated=False,
    ),
}  # fmt: skip
NINE = (
    "nearest-neighbours", "linear-svm", "rbf-svm", "decision-tree", "random-forest", "adaboost", "naive-bayes", "lda",
    "qda",
)  # fmt: skip


def kind_of(config: PredictorConfig) -> Kind:
    """Return the type that a predictor names.

    Raises:
        InputError: there is none, or it does not predict that target.
    """
    kind = ZOO.get(config.type)
    if kind is None:
        raise InputError(f"there is no predictor type {config.type!r}; there are {', '.join(ZOO)}")
    if (kind.direction if config.target == "direction" else kind.returns) is None:
        raise InputError(f"a {config.type} predictor has no target {config.target!r}")
    return kind


def least_of_class(config: PredictorConfig) -> int:
    """Return how many examples of a class a model of a predictor's type has to see.

    A covariance needs as many as there are inputs, and one more unless it is regularised.
    """
    if config.type != "qda":
        return 1
    return len(config.inputs) + (not config.parameters.get("reg_param", ZOO["qda"].defaults["reg_param"]))


def model_of(config: PredictorConfig, instruments: int = 1) -> Pipeline:
    """Return the predictor's model, not fitted: features in, classes -1, 0, 1 or a move in basis points out.

    ``instruments`` is of how many the examples are, which lie between one another.

    Raises:
        InputError: the type, its target or a parameter is none.
    """
    kind = kind_of(config)
    make = kind.direction if config.target == "direction" else kind.returns
    assert make is not None
    if "random_state" in config.parameters:
        raise InputError(f"a {config.type} predictor: random_state is no parameter: write seed, beside type")
    try:
        if config.type in ONLINE:
            return make(config)
        if config.type == DEEPLOB:
            return Pipeline([("model", make(**_shape(config, instruments), **config.parameters))])
        seed = {"random_state": config.seed} if kind.seeded and "random_state" in make().get_params() else {}
        apart = {"apart": _apart(config, instruments)} if config.type == "neural-net" else {}
        last = make(**{**kind.defaults, **seed, **apart, **config.parameters})
    except (TypeError, ValueError) as error:
        raise InputError(f"a {config.type} predictor: {error}") from error
    if config.target == "direction" and kind.calibrated:
        unseen = Stretches(instruments * config.overlap)
        last = CalibratedClassifierCV(last, method="sigmoid", cv=unseen, ensemble=False)
    return Pipeline([("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler()), ("model", last)])


def _shape(config: PredictorConfig, instruments: int) -> dict[str, int]:
    """What a sequence model has to know of its inputs and outcomes."""
    if not config.features:
        raise InputError(f"a {DEEPLOB} predictor reads the book: give it features, such as imbalance_1 and spread_bps")
    apart = _apart(config, instruments)
    return {
        "sequence": config.sequence, "n_features": len(config.features), "apart": apart, "random_state": config.seed,
    }  # fmt: skip


def _apart(config: PredictorConfig, instruments: int) -> int:
    """How many examples have to lie between two that have neither inputs nor outcomes in common."""
    return instruments * (config.overlap + max(config.datasetinputs, config.sequence))
