"""Least squares under linear constraints, exactly, by one non-negative least squares problem.

min |R'v - t|^2 with Av = b, Gv >= h: the equalities are solved for, and what is left is a problem of least distance,
min |z|^2 with Ez >= f, which non-negative least squares solve in finitely many steps, and which say when nothing keeps
the constraints (Lawson, Hanson, Solving least squares problems, 1974, ch. 23.4).
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import qr, solve_triangular
from scipy.optimize import nnls

from quicksilver.events import FloatArray

NO_DISTANCE = 1e-14  # of the dual's residual: no point keeps the constraints
SLACK = 1e-11


class Problem(NamedTuple):
    """Least ``|root.T @ v - target|`` with ``equal @ v = value`` and ``rows @ v >= least``.

    ``root`` is ``(n, n)``, regular; ``equal`` ``(n_equal, n)`` of full rank, ``rows`` ``(n_rows, n)``.
    """

    root: FloatArray
    target: FloatArray
    equal: FloatArray
    value: FloatArray
    rows: FloatArray
    least: FloatArray


def solved(problem: Problem) -> FloatArray | None:
    """Return the ``v`` ``(n,)`` that solves the problem, or None if nothing keeps its constraints.

    Constraints are kept to rounding, about 1e-12 of their size.
    """
    fixed = len(problem.value)
    whole, upper = qr(problem.equal.T)
    middle = whole[:, :fixed] @ solve_triangular(upper[:fixed], problem.value, trans="T")
    basis = whole[:, fixed:]  # (n, n - n_equal): the directions that keep the equalities
    if not basis.shape[1]:
        return middle if np.all(problem.rows @ middle >= problem.least - SLACK) else None
    q, r = qr(problem.root.T @ basis, mode="economic")
    offset = q.T @ (problem.root.T @ middle - problem.target)
    rows = solve_triangular(r, (problem.rows @ basis).T, trans="T").T  # in z = r @ y + offset
    least = problem.least - problem.rows @ middle + rows @ offset
    size = np.linalg.norm(rows, axis=1)
    moving = size > 1e-14 * float(np.max(size, initial=0.0))
    if np.any(least[~moving] > SLACK):
        return None
    z = _nearest(rows[moving] / size[moving, None], least[moving] / size[moving])
    if z is None:
        return None
    found: FloatArray = middle + basis @ solve_triangular(r, z - offset)
    return found


def _nearest(rows: FloatArray, least: FloatArray) -> FloatArray | None:
    """The shortest ``z`` with ``rows @ z >= least``."""
    scale = float(np.max(least, initial=0.0))
    if scale <= 0.0:
        return np.zeros(rows.shape[1])
    stacked = np.vstack([rows.T, least / scale])
    goal = np.zeros(len(stacked))
    goal[-1] = 1.0
    solution, _ = nnls(stacked, goal, maxiter=30 * stacked.shape[1] + 100)
    rest = stacked @ solution - goal
    if -rest[-1] < NO_DISTANCE:
        return None
    z: FloatArray = rest[:-1] * (-scale / rest[-1])
    return z
