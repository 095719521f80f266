"""The linear constraints of a feasible set as rows, which solvers take."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from quicksilver.events import FloatArray

if TYPE_CHECKING:  # it has its space
    from quicksilver.portfolio.constraints import Feasible


class Space(NamedTuple):
    """Constraints on ``v``, of which the weights, times a size, are ``of @ v``; ``size @ v`` is that size.

    Without a limit to turnover ``v`` are weights. With one it is purchases, sales and the size of what is held now.
    ``equal @ v = 0`` and ``rows @ v >= 0`` hold for a portfolio of any size.
    """

    of: FloatArray
    size: FloatArray
    equal: FloatArray
    rows: FloatArray


def space_of(feasible: "Feasible") -> Space:
    """Return bounds, groups and turnover as rows; a cap that the floors and the budget imply is left out."""
    n = len(feasible.low)
    capped = feasible.high < feasible.budget - feasible.low.sum() + feasible.low
    rows = np.vstack([np.eye(n), -np.eye(n)[capped], feasible.rows])
    least = np.concatenate([feasible.low, -feasible.high[capped], feasible.least])
    if not np.isfinite(feasible.turnover):
        size = np.full(n, 1.0 / feasible.budget)
        return Space(np.eye(n), size, np.empty((0, n)), rows - np.outer(least, size))
    of = np.hstack([np.eye(n), -np.eye(n), feasible.current[:, None]])
    size = np.append(np.zeros(2 * n), 1.0)
    traded = np.append(-np.ones(2 * n), feasible.turnover)
    signs = np.eye(2 * n + 1)  # nothing is bought, sold or held a negative number of times
    return Space(of, size, (of.sum(axis=0) - feasible.budget * size)[None], np.vstack(
        [rows @ of - np.outer(least, size), signs, traded]
    ))  # fmt: skip
