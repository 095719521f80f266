"""Non-negative least squares by the active set method of Lawson and Hanson, with unknowns of any sign beside, compiled.

Lawson, Hanson, Solving least squares problems, 1974, ch. 23.3. The columns that are in use are kept as an orthonormal
basis and a triangle, to which one column more or less is some dot products. scipy's ``nnls`` finds the same, for
several times as long at the sizes of portfolios, and knows no unknown without a sign.
"""

import numpy as np
from numpy.typing import NDArray

from quicksilver.compiled import jit_sums
from quicksilver.events import FloatArray

DEPENDENT = 1e-14  # of a column's length: less that is new in it is rounding
FALLING = 1e-15  # of the residual's length: what has less in common with it does not lower it
MOST = 0.25  # of a length, squared: where as much is left, rounding is no larger part of it than before
ROUNDS = 30  # for each column; then numbers are too far apart

Ints = NDArray[np.int64]


class RoundsError(ArithmeticError):
    """No solution was found in ``ROUNDS`` rounds for each unknown: numbers are too far apart."""


@jit_sums
def non_negative(columns: FloatArray, n_free: int) -> tuple[FloatArray, FloatArray, bool]:
    """Minimise ``|e - columns @ u|``, where ``e`` is the last unit vector, with ``u[n_free:] >= 0``.

    ``columns`` is ``(m, n)``; the first ``n_free`` unknowns may have any sign. Returns ``u`` ``(n,)``, the residual
    ``e - columns @ u`` ``(m,)``, and whether this is the minimum: False if it was not found in ``ROUNDS`` rounds for
    each column.
    """
    m, n = columns.shape
    basis, upper, used = np.zeros((m, m)), np.zeros((m, m)), np.zeros(m, np.int64)
    inside, refused = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    weights, solution, rest, common = np.zeros(n), np.zeros(m), np.zeros(m), np.zeros(n)
    count = 0
    for j in range(n_free):
        if count < m and _joins(columns, j, basis, upper, count):
            used[count], inside[j], count = j, True, count + 1
    _solve(basis, upper, count, solution)
    for k in range(count):
        weights[used[k]] = solution[k]
    _residual(basis, count, rest)
    for _ in range(ROUNDS * n + 100):
        best = _steepest(columns, rest, common, inside, refused, n_free) if count < m else -1
        if best < 0:
            return weights, rest, True
        refused[best] = True  # until another is taken
        if not _joins(columns, best, basis, upper, count):
            continue
        _solve(basis, upper, count + 1, solution)
        if solution[count] <= 0.0:
            continue
        used[count], inside[best], count = best, True, count + 1
        refused[:] = False
        count = _settle(basis, upper, used, count, weights, solution, inside, n_free)
        _residual(basis, count, rest)
    return weights, rest, False


@jit_sums
def _steepest(
    columns: FloatArray, rest: FloatArray, common: FloatArray, inside: NDArray[np.bool_], refused: NDArray[np.bool_],
    n_free: int,
) -> int:  # fmt: skip
    """The column that lowers the residual fastest, or -1."""
    length = 0.0
    common[:] = 0.0
    for i in range(len(rest)):
        row, value = columns[i], rest[i]
        length += value * value
        for j in range(len(common)):
            common[j] += value * row[j]
    best, most = -1, FALLING * np.sqrt(length)
    for j in range(n_free, len(common)):
        if common[j] > most and not inside[j] and not refused[j]:
            best, most = j, common[j]
    return best


@jit_sums
def _joins(columns: FloatArray, j: int, basis: FloatArray, upper: FloatArray, count: int) -> bool:
    """Put a column into the basis and the triangle, at ``count``, unless it depends on those that are there.

    Gram and Schmidt's way, and once more where that takes most of it away: then no more than rounding is left
    (Giraud, Langou, Rozloznik, Computers and Mathematics with Applications 50, 2005).
    """
    m, before, after, new = len(columns), 0.0, 0.0, basis[count]
    for i in range(m):
        new[i] = columns[i, j]
        before += new[i] * new[i]
    upper[: count + 1, count] = 0.0
    for _ in range(2):
        for k in range(count):
            row, shared = basis[k], 0.0
            for i in range(m):
                shared += row[i] * new[i]
            for i in range(m):
                new[i] -= shared * row[i]
            upper[k, count] += shared
        after = 0.0
        for i in range(m):
            after += new[i] * new[i]
        if after > MOST * before:
            break
    if after <= before * DEPENDENT * DEPENDENT:
        return False
    upper[count, count] = np.sqrt(after)
    new /= np.sqrt(after)
    return True


@jit_sums
def _settle(
    basis: FloatArray, upper: FloatArray, used: Ints, count: int, weights: FloatArray, solution: FloatArray,
    inside: NDArray[np.bool_], n_free: int,
) -> int:  # fmt: skip
    """Go to the solution as far as signs allow; what comes to 0 on the way leaves. Returns how many are left."""
    while True:
        share, first = 1.0, -1
        for k in range(count):
            if solution[k] <= 0.0 and used[k] >= n_free:
                before = weights[used[k]]
                part = before / (before - solution[k]) if before > 0.0 else 0.0
                if first < 0 or part < share:
                    share, first = part, k
        for k in range(count):
            before = weights[used[k]]
            weights[used[k]] = before + share * (solution[k] - before) if first >= 0 else solution[k]
        if first < 0:
            return count
        weights[used[first]] = 0.0
        for k in range(count - 1, -1, -1):
            if used[k] >= n_free and weights[used[k]] <= 0.0:
                weights[used[k]], inside[used[k]] = 0.0, False
                _leave(basis, upper, used, k, count)
                count -= 1
        _solve(basis, upper, count, solution)


@jit_sums
def _leave(basis: FloatArray, upper: FloatArray, used: Ints, at: int, count: int) -> None:
    """Take a column out of the triangle, and turn the basis so that it stays one (Givens)."""
    for k in range(at, count - 1):
        used[k] = used[k + 1]
        for i in range(k + 2):
            upper[i, k] = upper[i, k + 1]
    for k in range(at, count - 1):
        a, b = upper[k, k], upper[k + 1, k]
        size = np.hypot(a, b)
        cosine, sine = (a / size, b / size) if size > 0.0 else (1.0, 0.0)
        for j in range(k, count - 1):
            one, other = upper[k, j], upper[k + 1, j]
            upper[k, j], upper[k + 1, j] = cosine * one + sine * other, cosine * other - sine * one
        upper[k + 1, k] = 0.0
        for i in range(len(basis)):
            one, other = basis[k, i], basis[k + 1, i]
            basis[k, i], basis[k + 1, i] = cosine * one + sine * other, cosine * other - sine * one


@jit_sums
def _solve(basis: FloatArray, upper: FloatArray, count: int, solution: FloatArray) -> None:
    """The least squares solution over the columns that are in use; ``e`` has the basis' last components."""
    last = basis.shape[1] - 1
    for k in range(count - 1, -1, -1):
        value, row = basis[k, last], upper[k]
        for j in range(k + 1, count):
            value -= row[j] * solution[j]
        solution[k] = value / row[k]


@jit_sums
def _residual(basis: FloatArray, count: int, rest: FloatArray) -> None:
    """What the basis leaves of ``e``, as ``_joins`` has it: right in its own size, however small."""
    rest[:] = 0.0
    rest[-1] = 1.0
    for _ in range(2):
        for k in range(count):
            row, shared = basis[k], 0.0
            for i in range(len(rest)):
                shared += row[i] * rest[i]
            for i in range(len(rest)):
                rest[i] -= shared * row[i]
        length = 0.0
        for i in range(len(rest)):
            length += rest[i] * rest[i]
        if length > MOST:
            break
