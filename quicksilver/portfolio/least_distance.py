"""Least squares under linear constraints, exactly, by one non-negative least squares problem.

min |R'v - t|^2 with Av = b, Gv >= h: by z = R'v - t it is a problem of least distance, min |z|^2 with Dz = d, Ez >= f,
which non-negative least squares solve in finitely many steps, and which say when nothing keeps the constraints (Lawson,
Hanson, Solving least squares problems, 1974, ch. 23.4; an equality's unknown is one without a sign).
"""

from typing import NamedTuple

import numpy as np

from quicksilver.compiled import jit, jit_sums
from quicksilver.events import FloatArray
from quicksilver.portfolio.non_negative import RoundsError, non_negative

NO_DISTANCE = 1e-14  # of the dual's residual: no point keeps the constraints
FAR = 1e5  # times the distance of the farthest constraint: where all of them meet may be as far, and much farther
SLACK = 1e-11


class Problem(NamedTuple):
    """Least ``|root.T @ v - target|`` with ``equal @ v = value`` and ``rows @ v >= least``.

    ``root`` is ``(n, n)``, lower triangular and regular; ``equal`` ``(n_equal, n)`` of full rank, ``rows``
    ``(n_rows, n)``.
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

    Raises:
        RoundsError: its numbers are too far apart.
    """
    sides = np.vstack([problem.equal, problem.rows])
    found, kept, done = _solved(
        np.ascontiguousarray(problem.root), np.ascontiguousarray(problem.target), len(problem.equal),
        np.ascontiguousarray(sides.T), np.concatenate([problem.value, problem.least]),
    )  # fmt: skip
    if not done:
        raise RoundsError("least squares under linear constraints: too many rounds")
    return found if kept else None


@jit_sums
def _solved(
    root: FloatArray, target: FloatArray, n_equal: int, sides: FloatArray, bounds: FloatArray
) -> tuple[FloatArray, bool, bool]:
    """``v``, whether anything keeps the constraints, ``sides.T @ v`` beside ``bounds``, and whether it was found."""
    n, count = sides.shape
    columns = np.empty((n + 1, count))
    columns[:n] = sides
    _forward(root, columns, n)
    columns[n] = bounds
    size = np.zeros(count)
    for i in range(n):
        for j in range(count):
            columns[n, j] -= columns[i, j] * target[i]
            size[j] += columns[i, j] * columns[i, j]
    size = np.sqrt(size)
    largest, scale = size.max() if count else 0.0, 0.0
    for j in range(count):
        if size[j] <= 1e-14 * largest:
            short = columns[n, j] if j >= n_equal else abs(columns[n, j])
            if short > SLACK:
                return target, False, True
            size[j] = np.inf  # it asks for nothing
        bound = columns[n, j] / size[j]
        scale = max(scale, bound if j >= n_equal else abs(bound))
    z = target.copy()
    if scale > 0.0:
        columns[:n] /= size
        columns[n] /= size * scale
        _, rest, done = non_negative(columns, n_equal)
        for _ in range(2):
            if not done or rest[n] >= NO_DISTANCE:
                break
            columns[n] /= FAR  # nothing keeps the constraints, or what does is far off
            scale *= FAR
            _, rest, done = non_negative(columns, n_equal)
        if not done or rest[n] < NO_DISTANCE:
            return target, False, done
        z -= rest[:n] * (scale / rest[n])
    _backward(root, z)
    return z, True, True


@jit
def _forward(root: FloatArray, columns: FloatArray, n: int) -> None:
    """Solve ``root @ x = column`` for the first ``n`` places of each column, in place."""
    for i in range(n):
        columns[i] /= root[i, i]
        for k in range(i + 1, n):
            factor = root[k, i]
            for j in range(columns.shape[1]):
                columns[k, j] -= factor * columns[i, j]


@jit
def _backward(root: FloatArray, z: FloatArray) -> None:
    """Solve ``root.T @ v = z`` in place."""
    for i in range(len(z) - 1, -1, -1):
        z[i] /= root[i, i]
        for k in range(i):
            z[k] -= root[i, k] * z[i]
