"""A fitted model as ONNX: bytes that hold numbers and known operations alone, which any runner applies alike.

skl2onnx (https://onnx.ai/sklearn-onnx/) writes it, onnxruntime applies it: a row costs microseconds where scikit-learn
takes milliseconds, and reading it runs no code of its own.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs
from skl2onnx.operator_converters.multilayer_perceptron import (
    convert_sklearn_mlp_classifier,
    convert_sklearn_mlp_regressor,
)
from skl2onnx.operator_converters.quadratic_discriminant_analysis import (
    convert_quadratic_discriminant_analysis_classifier,
)
from skl2onnx.shape_calculators.quadratic_discriminant_analysis import (
    calculate_quadratic_discriminant_analysis_shapes,
)
from sklearn.base import BaseEstimator, is_classifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.svm import SVR

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.converters import OPTIONS, register
from quicksilver.learning.datasets import Bools
from quicksilver.learning.networks import NeuralClassifier, NeuralRegressor
from quicksilver.learning.zoo import Qda
from quicksilver.models.applied import AppliedModel

OPSET = {"": 18, "com.microsoft": 1}  # the second has the distances that make nearest neighbours fast
TOLERANCE = 1e-3  # of a probability, or of what predicted moves are in square mean: single precision beside double
AGREE = 0.999  # of the rows: at a threshold of a tree the two precisions may part
TIE = 1e-4  # share of a distance, in single precision
CHECKED_ROWS = 1_000
LEAST_MOVE = 1e-6  # bps: where all predictions are nothing

update_registered_converter(
    Qda,
    "QuicksilverQda",
    calculate_quadratic_discriminant_analysis_shapes,
    convert_quadratic_discriminant_analysis_classifier,
    options=OPTIONS,
)
for net, convert, shapes in (
    (NeuralClassifier, convert_sklearn_mlp_classifier, calculate_linear_classifier_output_shapes),
    (NeuralRegressor, convert_sklearn_mlp_regressor, calculate_linear_regressor_output_shapes),
):
    options = OPTIONS if net is NeuralClassifier else {}
    update_registered_converter(net, f"Quicksilver{net.__name__}", shapes, convert, options=options)
register()


def exported(model: Pipeline, inputs: FloatArray) -> bytes:
    """Return the model as ONNX, checked on the newest of the inputs ``(n, n_inputs)`` that it was fitted to.

    Raises:
        InputError: the exported model says something else than the fitted one, or there is nothing to export.
    """
    _require_support(model)
    rows = inputs[-CHECKED_ROWS:].astype(np.float32)
    data = _written(model, rows)
    if is_classifier(model):
        fitted, found = model.predict_proba(rows), AppliedModel(data).raw(rows)
        wrong = np.abs(fitted - found).max(axis=1)
    else:
        fitted, found = model.predict(rows), AppliedModel(data).raw(rows)[:, 0]
        wrong = np.abs(fitted - found) / max(float(np.sqrt(np.mean(fitted**2))), LEAST_MOVE)
    wrong = wrong[~_tied(model, rows)]
    if len(wrong) and np.mean(wrong < TOLERANCE) < AGREE:
        raise InputError(
            f"the exported model differs from the fitted one in {np.mean(wrong >= TOLERANCE):.1%} of {len(wrong):,}"
            f" rows, by up to {wrong.max():.2g}: it is not used"
        )
    return data


def _require_support(model: Pipeline) -> None:
    """Refuse a machine whose moves all lie within what it takes for none: there is no vector to export."""
    last = model[-1]
    if isinstance(last, SVR) and not len(last.support_):
        raise InputError(
            f"no move is farther than epsilon = {last.epsilon:g} bps from the others, so there is nothing to learn:"
            " take a longer horizon, or a smaller epsilon in parameters"
        )


def _written(model: Pipeline, rows: NDArray[np.float32]) -> bytes:
    if hasattr(model[-1], "to_onnx"):  # it is none of scikit-learn's, and all there is of the pipeline
        return bytes(model[-1].to_onnx(OPSET[""]))
    graph = to_onnx(model, rows[:1], options=_options(model), target_opset=OPSET)
    graph = select_model_inputs_outputs(graph, graph.graph.output[-1].name)  # without the class, which nobody asks for
    domains = sorted(graph.opset_import, key=lambda one: one.domain)  # skl2onnx gives them in the order of a set
    del graph.opset_import[:]
    graph.opset_import.extend(domains)
    return bytes(graph.SerializeToString(deterministic=True))


def _tied(model: Pipeline, rows: NDArray[np.float32]) -> Bools:
    """Which rows have several answers: of neighbours that are as far away, any may be the last that counts.

    Prices lie on a grid, so there are many.
    """
    for part in (model[-1], *_inner(model[-1])):
        if isinstance(part, KNeighborsClassifier | KNeighborsRegressor) and part.n_neighbors < part.n_samples_fit_:
            distances, _ = part.kneighbors(model[:-1].transform(rows), part.n_neighbors + 1)
            return np.asarray(distances[:, -1] <= distances[:, -2] * (1.0 + TIE) + TIE**2)
    return np.zeros(len(rows), bool)


def _options(model: Pipeline) -> dict[int, dict[str, Any]]:
    last = model[-1]
    options: dict[int, dict[str, Any]] = {id(last): {"zipmap": False}} if is_classifier(last) else {}
    for part in (last, *(_inner(last))):
        if isinstance(part, KNeighborsClassifier | KNeighborsRegressor):
            options[id(part)] = {**options.get(id(part), {}), "optim": "cdist"}
    return options


def _inner(calibrated: BaseEstimator) -> list[BaseEstimator]:
    """The fitted models within a calibrated one."""
    return [one.estimator for one in getattr(calibrated, "calibrated_classifiers_", [])]
