"""Whether any portfolio keeps all constraints, which of them exclude each other, and the corners of the feasible set.

Caps, floors and the budget need no more than an order of the assets, and so does a limit to their number where all
have the same cap. Else linear programs, with whole numbers where the number of assets is limited, by HiGHS (scipy).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from quicksilver.compiled import jit
from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.constraints import MOST_WEIGHT, TOLERANCE, UNLIMITED, Feasible

SLACK = TOLERANCE / 100.0


def checked(feasible: Feasible) -> Feasible:
    """Return the set if it holds a portfolio.

    Raises:
        InputError: it holds none; the text names the fewest constraints that exclude each other.
    """
    crossed = np.flatnonzero(feasible.low > feasible.high + SLACK)
    if len(crossed):
        at = crossed[0]
        raise InputError(
            f"the floor {feasible.low[at]:g} of {feasible.assets[at]} is above its cap {feasible.high[at]:g}"
        )
    if float(feasible.violation(feasible.current)) <= 0.0 or corner(feasible, np.zeros(len(feasible.low))) is not None:
        return feasible
    needed = _needed(feasible)
    raise InputError(
        f"no portfolio of {len(feasible.low)} assets keeps all of these: budget {feasible.budget:g},"
        f" {', '.join(needed)}{_hint(feasible, needed)}"
    )


def corner(feasible: Feasible, direction: FloatArray, gap: float = 1e-6) -> FloatArray | None:
    """Return the portfolio ``(n_assets,)`` of the least ``direction @ w``, a corner of the set; None if it is empty.

    Where the number of assets is limited it may miss the least by ``gap``, as a share of it: to prove it takes long.

    It keeps bounds exactly and everything else to some parts in 10^10.
    """
    n = len(feasible.low)
    if by_order(feasible):
        return _filled(feasible, direction)
    parts = [(np.ones((1, n)), np.array([feasible.budget]), np.array([feasible.budget]))]
    if len(feasible.rows):
        parts.append((feasible.rows, feasible.least, np.full(len(feasible.rows), np.inf)))
    low, high, whole = feasible.low, feasible.high, np.zeros(n)
    if np.isfinite(feasible.turnover):  # weight - bought + sold = current
        parts = [(np.hstack([rows, np.zeros((len(rows), 2 * n))]), least, most) for rows, least, most in parts]
        unit = np.eye(n)
        parts.append((np.hstack([unit, -unit, unit]), feasible.current, feasible.current))
        traded = np.concatenate([np.zeros(n), np.ones(2 * n)])[None]
        parts.append((traded, np.array([-np.inf]), np.array([feasible.turnover])))
        low = np.concatenate([low, np.zeros(2 * n)])
        high, whole = np.concatenate([high, np.full(2 * n, np.inf)]), np.zeros(3 * n)
    if not feasible.convex:  # floor * in <= weight <= cap * in, and at most so many are in
        width = len(low)
        parts = [(np.hstack([rows, np.zeros((len(rows), n))]), least, most) for rows, least, most in parts]
        weight, member = np.eye(n, width), np.eye(n)
        parts.append((np.hstack([weight, -member * feasible.low[:, None]]), np.zeros(n), np.full(n, np.inf)))
        parts.append((np.hstack([-weight, member * feasible.high[:, None]]), np.zeros(n), np.full(n, np.inf)))
        count = np.concatenate([np.zeros(width), np.ones(n)])[None]
        parts.append((count, np.array([-np.inf]), np.array([float(feasible.most)])))
        low = np.concatenate([np.minimum(low[:n], 0.0), low[n:], np.zeros(n)])
        high, whole = np.concatenate([high, np.ones(n)]), np.concatenate([whole, np.ones(n)])
    cost = np.zeros(len(low))
    cost[:n] = direction
    return _solved(cost, parts, low, high, whole, n, gap)


def by_order(feasible: Feasible) -> bool:
    """Whether corners are found by filling up the cheapest assets, without a linear program."""
    if len(feasible.rows) or np.isfinite(feasible.turnover):
        return False
    # Of equal caps and no floors the cheapest are also the fewest that hold the budget.
    return feasible.convex or bool(np.all(feasible.low == 0.0) and np.all(feasible.high == feasible.high[0]))


def _filled(feasible: Feasible, direction: FloatArray) -> FloatArray | None:
    """The corner where nothing but bounds and the budget count: the cheapest are filled up, as far as it goes."""
    order = np.argsort(direction, kind="stable")
    weights, left = _fill(feasible.low, feasible.high, feasible.budget - float(feasible.low.sum()), order)
    if abs(left) > SLACK or (not feasible.convex and np.count_nonzero(weights) > feasible.most):
        return None
    return weights


@jit
def _fill(low: FloatArray, high: FloatArray, left: float, order: NDArray[np.int64]) -> tuple[FloatArray, float]:
    weights = low.copy()
    for i in order:
        more = min(max(left, 0.0), high[i] - low[i])
        weights[i], left = weights[i] + more, left - more
    return weights, left


def _solved(
    cost: FloatArray, parts: list[tuple[FloatArray, FloatArray, FloatArray]], low: FloatArray, high: FloatArray,
    whole: FloatArray, n: int, gap: float,
) -> FloatArray | None:  # fmt: skip
    rows, least, most = (np.concatenate([part[i] for part in parts]) for i in range(3))
    constraints = LinearConstraint(sparse.csc_array(rows), least, most)
    found = milp(
        cost, constraints=constraints, bounds=Bounds(low, high), integrality=whole, options={"mip_rel_gap": gap}
    )
    if found.x is None:
        return None
    weights: FloatArray = np.clip(found.x[:n], low[:n], high[:n])
    if whole.any():
        weights[found.x[-n:] < 0.5] = 0.0
    return weights


def _needed(feasible: Feasible) -> list[str]:
    """The constraints that are left when each is dropped without which there is still no portfolio."""
    n, wide = len(feasible.low), np.full(len(feasible.low), MOST_WEIGHT)
    any_number = n if feasible.most != UNLIMITED else UNLIMITED  # without the limit each may still be out
    drops: list[tuple[str, Callable[[Feasible], Feasible]]] = [
        (f"turnover {feasible.turnover:g}", lambda one: replace(one, turnover=np.inf)),
        (f"at most {feasible.most} assets", lambda one: replace(one, most=any_number)),
        *((label, _without(label)) for label in feasible.labels),
        (_bound("floor", feasible.low), lambda one: replace(one, low=-wide)),
        (_bound("cap", feasible.high), lambda one: replace(one, high=wide)),
    ]
    needed, left = list[str](), feasible
    for name, drop in drops:
        fewer = drop(left)
        if corner(fewer, np.zeros(n)) is None:
            left = fewer
        else:
            needed.append(name)
    return needed


def _without(label: str) -> Callable[[Feasible], Feasible]:
    def drop(one: Feasible) -> Feasible:
        kept = [i for i, name in enumerate(one.labels) if name != label]
        labels = tuple(one.labels[i] for i in kept)
        return replace(one, rows=one.rows[kept], least=one.least[kept], labels=labels)

    return drop


def _bound(what: str, values: FloatArray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{what} {low:g}" if low == high else f"{what}s of {low:g} to {high:g}"


def _hint(feasible: Feasible, needed: list[str]) -> str:
    """What would do, where a single bound is to blame."""
    n, budget = len(feasible.low), feasible.budget
    only = {name.split()[0] for name in needed}
    if only <= {"cap", "caps"}:
        return f"; the caps sum to {feasible.high.sum():g}: allow {budget / n:.4g} or more of each"
    if only <= {"floor", "floors"} and feasible.most == UNLIMITED:
        return f"; the floors sum to {feasible.low.sum():g}: ask {budget / n:.4g} or less of each"
    return ""
