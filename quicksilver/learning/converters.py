"""Shorter graphs for two of scikit-learn's models than skl2onnx writes: a small model's time goes by its nodes.

Boosted trees vote in one node instead of five each, and Platt's curves of all classes are one product of vectors.
``exported`` compares what they say with the fitted models each time.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import Int64TensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier

TINY = 1e-30  # of a probability before they are made to sum to 1: of none that is likely at all, all are as likely


class _Graph:
    """Adds nodes and constants to what skl2onnx writes."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope, self._container = scope, container

    def node(self, kind: str, *inputs: str, to: str = "", domain: str = "", **attributes: Any) -> str:
        """Add a node; return the name of its output, ``to`` if that is given."""
        name = to or self._scope.get_unique_variable_name(kind.lower())
        unique = self._scope.get_unique_operator_name(kind)
        self._container.add_node(kind, list(inputs), name, op_domain=domain, name=unique, **attributes)
        return name

    def floats(self, values: Any) -> str:
        """Add numbers; return their name."""
        array = np.asarray(values, np.float32)
        return self._constant(TensorProto.FLOAT, array)

    def integers(self, values: Any) -> str:
        """Add whole numbers; return their name."""
        return self._constant(TensorProto.INT64, np.asarray(values, np.int64))

    def _constant(self, kind: int, array: NDArray[Any]) -> str:
        name = self._scope.get_unique_variable_name("constant")
        self._container.add_initializer(name, kind, list(array.shape), array.ravel().tolist())
        return str(name)

    def normalised(self, shares: str, to: str) -> None:
        """Divide the columns by their sum."""
        self.node("Div", shares, self.node("ReduceSum", shares, self.integers([1]), keepdims=1), to=to)

    def label(self, scores: str, classes: Any, to: str) -> None:
        """Name the class of the largest column."""
        best = self.node("ArgMax", scores, axis=1, keepdims=0)
        self.node("Gather", self.integers(classes), best, axis=0, to=to)


def _convert_calibrated(scope: Any, operator: Any, container: Any) -> None:
    """Write one model and Platt's curves on its scores, ``1 / (1 + exp(a * score + b))``, for each class one."""
    (calibrated,) = operator.raw_operator.calibrated_classifiers_
    graph, model = _Graph(scope, container), calibrated.estimator
    inner = scope.declare_local_operator(_alias(model), model)
    inner.inputs = operator.inputs
    if container.has_options(model, "raw_scores") and hasattr(model, "decision_function"):
        for options in (container, scope):
            options.add_options(id(model), {"raw_scores": True})
    inner.outputs.append(scope.declare_local_variable("label", Int64TensorType()))
    scores = scope.declare_local_variable("scores", operator.inputs[0].type.__class__())
    inner.outputs.append(scores)
    label, probabilities = (one.full_name for one in operator.outputs)
    slopes, shifts = ([getattr(one, end) for one in calibrated.calibrators] for end in ("a_", "b_"))
    found = scores.full_name
    if len(calibrated.classes) == 2:  # one score, that of the second
        found = graph.node("Gather", found, graph.integers([1]), axis=1)
    bent = graph.node("Exp", graph.node("Add", graph.node("Mul", found, graph.floats(slopes)), graph.floats(shifts)))
    shares = graph.node("Reciprocal", graph.node("Add", bent, graph.floats(1.0)))
    if len(calibrated.classes) == 2:
        first = graph.node("Sub", graph.floats(1.0), shares)
        graph.node("Concat", first, shares, axis=1, to=probabilities)
    else:
        graph.normalised(graph.node("Max", shares, graph.floats(TINY)), probabilities)
    graph.label(probabilities, calibrated.classes, label)


def _alias(model: Any) -> str:
    from skl2onnx._supported_operators import sklearn_operator_name_map

    return str(sklearn_operator_name_map[type(model)])


def _convert_boosted(scope: Any, operator: Any, container: Any) -> None:
    """Write all trees as one: a leaf adds its tree's weight to the class that it votes for, and takes from the others.

    Hastie, Rosset, Zhu, Zou, Multi-class AdaBoost, Statistics and Its Interface 2, 2009 (SAMME), as scikit-learn.
    """
    model, graph = operator.raw_operator, _Graph(scope, container)
    label, found = (one.full_name for one in operator.outputs)
    others = model.n_classes_ - 1
    raw = scope.get_options(model, {"raw_scores": False})["raw_scores"]
    attributes: dict[str, list[Any]] = {name: [] for name in _TREE}
    weights = model.estimator_weights_[: len(model.estimators_)] / model.estimator_weights_.sum()
    for number, (tree, weight) in enumerate(zip(model.estimators_, weights.tolist(), strict=True)):
        _add_tree(attributes, number, tree.tree_, weight, others)
    scores = graph.node(
        "TreeEnsembleRegressor", operator.inputs[0].full_name, domain="ai.onnx.ml", op_version=3,
        n_targets=model.n_classes_, aggregate_function="SUM", to=found if raw and others > 1 else "", **attributes,
    )  # fmt: skip
    if raw and others == 1:  # scikit-learn's one score of two classes is the difference of both
        graph.node("Mul", scores, graph.floats([2.0, 2.0]), to=found)
    elif not raw:
        graph.node("Softmax", graph.node("Mul", scores, graph.floats(1.0 / others)), axis=1, to=found)
    graph.label(scores, model.classes_, label)


_TREE = (
    "nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_values", "nodes_modes", "nodes_truenodeids",
    "nodes_falsenodeids", "nodes_missing_value_tracks_true", "nodes_hitrates", "target_treeids", "target_nodeids",
    "target_ids", "target_weights",
)  # fmt: skip


def _add_tree(attributes: dict[str, list[Any]], number: int, tree: Any, weight: float, others: int) -> None:
    for node in range(tree.node_count):
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        leaf = left < 0
        values = (
            number, node, 0 if leaf else int(tree.feature[node]), 0.0 if leaf else _not_above(tree.threshold[node]),
            "LEAF" if leaf else "BRANCH_LEQ", 0 if leaf else left, 0 if leaf else right, 0, 1.0,
        )  # fmt: skip
        for name, value in zip(_TREE, values, strict=False):
            attributes[name].append(value)
        if not leaf:
            continue
        vote = int(np.argmax(tree.value[node][0]))
        for place in range(others + 1):
            attributes["target_treeids"].append(number)
            attributes["target_nodeids"].append(node)
            attributes["target_ids"].append(place)
            attributes["target_weights"].append(weight if place == vote else -weight / others)


def _not_above(threshold: float) -> float:
    """The largest number of single precision that is not above a threshold: inputs are of that precision too."""
    near = np.float32(threshold)
    return float(near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf)))


OPTIONS = {
    "zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [False, True],
    "raw_scores": [True, False],
}  # fmt: skip


def register() -> None:
    """Let skl2onnx write these models so."""
    for model, convert in ((CalibratedClassifierCV, _convert_calibrated), (AdaBoostClassifier, _convert_boosted)):
        update_registered_converter(
            model, f"Quicksilver{model.__name__}", calculate_linear_classifier_output_shapes, convert, overwrite=True,
            options=OPTIONS,
        )  # fmt: skip
