"""river's naive Bayes and its Hoeffding tree as plain data, and back: their own way to a file would be pickle."""

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:  # they bring scikit-learn along, which who has no such model need not wait for
    from river.proba import Gaussian
    from river.tree.splitter import GaussianSplitter


class NormalState(msgspec.Struct, array_like=True):
    """A running normal distribution: how many values (or their weight), mean, and sum of squared deviations."""

    n: float
    mean: float
    squares: float


class BayesState(msgspec.Struct, tag="bayes"):
    """A Gaussian naive Bayes: how often each class was, and each input's distribution within each."""

    counts: dict[int, int]
    spreads: dict[int, dict[str, NormalState]]


class Splitter(msgspec.Struct, array_like=True):
    """What a leaf knows of one input, by class: its lowest and highest value, and its distribution."""

    low: dict[int, float]
    high: dict[int, float]
    spreads: dict[int, NormalState]


class Leaf(msgspec.Struct, tag="leaf"):
    """A leaf: the weight of each class, and what it may be split by (None: it is closed).

    ``tried`` is its weight at the last attempt to split it; ``right`` the weight that the majority and naive Bayes have
    predicted rightly, where it may choose between the two.
    """

    weights: dict[int, float]
    depth: int
    splitters: dict[str, Splitter] | None
    tried: float
    right: tuple[float, float] | None


class Branch(msgspec.Struct, tag="branch"):
    """A split: first the values up to ``threshold``, then those above; ``weights`` are those at that time."""

    weights: dict[int, float]
    depth: int
    feature: str
    threshold: float
    children: tuple["Leaf | Branch", "Leaf | Branch"]


class TreeState(msgspec.Struct, tag="tree"):
    """A Hoeffding tree: the weight that it has learned from, and its nodes; None before the first example."""

    weight: float
    root: Leaf | Branch | None


def bayes_state(model: Any) -> BayesState:
    """Return a ``GaussianNB`` as plain data."""
    spreads = {label: {name: _spread(one) for name, one in inputs.items()} for label, inputs in model.gaussians.items()}
    return BayesState(dict(model.class_counts), spreads)


def restored_bayes(model: Any, state: BayesState) -> None:
    """Take over a state: predictions are the same to the bit from there on."""
    model.class_counts.clear()
    model.class_counts.update(state.counts)
    model.gaussians.clear()
    for label, inputs in state.spreads.items():
        model.gaussians[label].update({name: _gaussian(one) for name, one in inputs.items()})


def tree_state(model: Any) -> TreeState:
    """Return a ``HoeffdingTreeClassifier`` as plain data."""
    root = None if model._root is None else _node_state(model._root)
    return TreeState(float(model._train_weight_seen_by_model), root)


def restored_tree(model: Any, state: TreeState) -> None:
    """Take over a state: predictions, and how the tree grows, are the same to the bit from there on."""
    model._train_weight_seen_by_model = state.weight
    model._root = None if state.root is None else _node(model, state.root)
    leaves = [] if model._root is None else model._find_leaves()
    model.classes = {label for leaf in leaves for label in leaf.stats}
    model._n_active_leaves = sum(leaf.is_active() for leaf in leaves)
    model._n_inactive_leaves = len(leaves) - model._n_active_leaves


def _spread(one: Any) -> NormalState:
    return NormalState(float(one._var.mean.n), one._var.mean.get(), float(one._var._S))


def _gaussian(state: NormalState) -> "Gaussian":
    from river.proba import Gaussian

    one: Any = Gaussian()
    one._var.mean.n, one._var.mean._mean, one._var._S = state.n, state.mean, state.squares
    return one


def _node_state(node: Any) -> Leaf | Branch:
    from river.tree.nodes.branch import NumericBinaryBranch

    if isinstance(node, NumericBinaryBranch):
        below, above = (_node_state(child) for child in node.children)
        return Branch(dict(node.stats), node.depth, node.feature, node.threshold, (below, above))
    splitters = None
    if node.splitters is not None:
        splitters = {
            name: Splitter(
                dict(one._min_per_class), dict(one._max_per_class),
                {label: _spread(spread) for label, spread in one._att_dist_per_class.items()},
            )
            for name, one in node.splitters.items()
        }  # fmt: skip
    right = (node._mc_correct_weight, node._nb_correct_weight) if hasattr(node, "_mc_correct_weight") else None
    return Leaf(dict(node.stats), node.depth, splitters, float(node.last_split_attempt_at), right)


def _node(model: Any, state: Leaf | Branch) -> Any:
    if isinstance(state, Branch):
        children = (_node(model, child) for child in state.children)
        from river.tree.nodes.branch import NumericBinaryBranch

        return NumericBinaryBranch(dict(state.weights), state.feature, state.threshold, state.depth, *children)
    leaf = model._new_leaf(dict(state.weights))
    leaf.depth, leaf.last_split_attempt_at = state.depth, state.tried
    leaf.splitters = None if state.splitters is None else {name: _split(one) for name, one in state.splitters.items()}
    if state.right is not None:
        leaf._mc_correct_weight, leaf._nb_correct_weight = state.right
    return leaf


def _split(state: Splitter) -> "GaussianSplitter":
    from river.tree.splitter import GaussianSplitter

    one: Any = GaussianSplitter()
    one._min_per_class, one._max_per_class = dict(state.low), dict(state.high)
    one._att_dist_per_class = {label: _gaussian(spread) for label, spread in state.spreads.items()}
    return one
