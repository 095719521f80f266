"""What a portfolio has to keep, as its user writes it, and the feasible set of weights that follows from it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from quicksilver.compiled import jit
from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.space import Space, space_of

TOLERANCE = 1e-9  # no constraint is ever violated by more, and solvers aim for a tenth of it
UNLIMITED = 1 << 30  # assets, where no limit to their number is given: each of them is in
MOST_WEIGHT = 1e3  # of a cap or floor: beyond, nine places after the point are more than a double has


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Assets whose weights together lie between ``floor`` and ``cap``; None is no bound."""

    assets: tuple[str, ...]
    floor: float | None = None
    cap: float | None = None


class Constraints(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The feasible weights; as it stands: long-only, fully invested.

    Weights sum to ``budget``, what is left of 1 stays in cash. Each lies between ``floor`` and ``cap``, or what
    ``floors`` and ``caps`` say of its asset; a floor below 0 allows as much of it sold short. With ``most_assets`` an
    asset is either out, with weight 0, or within its floor and cap, and no more than so many are in. ``turnover`` is
    the most that may be traded, the sum of all ``|weight - current|``: sales and purchases both count. Of an asset that
    ``current`` does not name nothing is held.
    """

    budget: float = 1.0
    floor: float = 0.0
    cap: float = 1.0
    floors: dict[str, float] = {}
    caps: dict[str, float] = {}
    groups: dict[str, Group] = {}
    most_assets: int | None = None
    turnover: float | None = None
    current: dict[str, float] = {}

    @property
    def none(self) -> bool:
        """Whether every long-only, fully invested portfolio is feasible."""
        plain = msgspec.structs.replace(self, cap=1.0, current={})
        return plain == Constraints() and self.cap >= self.budget


@dataclass(frozen=True)
class Feasible:
    """Weights ``w`` ``(n_assets,)`` with ``sum(w) = budget``, ``low <= w <= high``, ``rows @ w >= least``.

    Also ``sum(|w - current|) <= turnover``, and at most ``most`` weights other than 0. Unless ``most`` is
    ``UNLIMITED``, a weight may also be 0 though ``low`` is above. ``rows`` is ``(n_rows, n_assets)`` with the names
    ``labels`` of what they stand for.
    """

    assets: tuple[str, ...]
    budget: float
    low: FloatArray
    high: FloatArray
    rows: FloatArray
    least: FloatArray
    labels: tuple[str, ...]
    current: FloatArray
    turnover: float
    most: int

    @classmethod
    def of(cls, constraints: Constraints, assets: Sequence[str]) -> Self:
        """Return the feasible set over these assets; whether it holds anything, ``feasibility.checked`` says.

        Raises:
            InputError: a number is none, or an asset is not among these, or named twice.
        """
        _check_numbers(constraints)
        n, place = len(assets), {name: i for i, name in enumerate(assets)}
        low, high = np.full(n, float(constraints.floor)), np.full(n, float(constraints.cap))
        for array, given, what in ((low, constraints.floors, "floors"), (high, constraints.caps, "caps")):
            for at, value in _by_place(given, place, what).items():
                array[at] = value
        if constraints.most_assets is not None:
            high = np.maximum(high, 0.0)
        rows, least, labels = _group_rows(constraints.groups, place, n)
        turnover = np.inf if constraints.turnover is None else float(constraints.turnover)
        most = UNLIMITED if constraints.most_assets is None else min(constraints.most_assets, n)
        current = weights_of(constraints.current, assets, "current")
        return cls(
            tuple(assets), float(constraints.budget), low, high, rows, least, labels, current, turnover, most
        )  # fmt: skip

    @cached_property
    def convex(self) -> bool:
        """Whether the number of assets is not limited, or its limit changes nothing."""
        return self.most == UNLIMITED or (self.most >= len(self.low) and bool(self.low.max() <= 0.0))

    @cached_property
    def space(self) -> Space:
        """The constraints, but for the number of assets, as rows."""
        return space_of(self)

    @cached_property
    def trades(self) -> Space:
        """The same in purchases and sales also where there is no limit to turnover."""
        if math.isfinite(self.turnover):
            return self.space
        most = float(np.maximum(np.abs(self.low), np.abs(self.high)).sum() + np.abs(self.current).sum())
        return space_of(replace(self, turnover=most + 1.0))

    def violation(self, weights: FloatArray) -> FloatArray:
        """Return by how much each row of ``weights`` ``(..., n_assets)`` violates the worst constraint; 0 for none.

        What is not all numbers violates it by infinitely much.
        """
        table = np.ascontiguousarray(weights, np.float64).reshape(-1, len(self.low))
        worst: FloatArray = np.zeros(len(table))
        _violations(
            table, self.budget, self.low, self.high, np.ascontiguousarray(self.rows), self.least, self.current,
            self.turnover, self.most, self.convex, worst,
        )  # fmt: skip
        return worst.reshape(weights.shape[:-1])

    def of_support(self, support: NDArray[np.bool_]) -> Self:
        """Return the convex part in which assets outside of ``support``, a mask ``(n_assets,)``, have weight 0."""
        return replace(
            self, low=np.where(support, self.low, 0.0), high=np.where(support, self.high, 0.0), most=UNLIMITED
        )

    def only(self, chosen: Sequence[int]) -> Self:
        """Return the set over the chosen assets alone; nothing is held of the others."""
        kept = np.array(chosen, np.int64)
        sold = float(np.abs(np.delete(self.current, kept)).sum())
        return replace(
            self, assets=tuple(self.assets[i] for i in kept), low=self.low[kept], high=self.high[kept],
            rows=self.rows[:, kept], current=self.current[kept], turnover=self.turnover - sold, most=UNLIMITED,
        )  # fmt: skip


@jit
def _violations(
    table: FloatArray, budget: float, low: FloatArray, high: FloatArray, rows: FloatArray, least: FloatArray,
    current: FloatArray, turnover: float, most: int, convex: bool, worst: FloatArray,
) -> None:  # fmt: skip
    for k in range(len(table)):
        w, off, total, traded, held = table[k], 0.0, 0.0, 0.0, 0
        for i in range(len(w)):
            total, traded = total + w[i], traded + abs(w[i] - current[i])
            if convex or w[i] != 0.0:
                off, held = max(off, low[i] - w[i]), held + 1
            off = max(off, w[i] - high[i])
        for r in range(len(rows)):
            left = least[r]
            for i in range(len(w)):
                left -= rows[r, i] * w[i]
            off = max(off, left)
        off = max(off, abs(total - budget), traded - turnover)
        worst[k] = np.inf if held > most or np.isnan(total) else off


def places_of(name: str, place: Mapping[str, int]) -> list[str]:
    """Return the assets that a name may stand for: ``BTC`` and ``BTC-USD`` find each other; none: it is not there."""
    if name in place:
        return [name]
    base, whole = name.upper().split("-")[0], "-" in name
    return [
        one for one in place
        if one.upper().split("-")[0] == base and not (whole and "-" in one and one.upper() != name.upper())
    ]  # fmt: skip


def place_of(name: str, place: Mapping[str, int], what: str) -> int:
    """Return an asset's position; ``BTC`` and ``BTC-USD`` find each other where no other asset is meant.

    Raises:
        InputError: it is not there, or may be one of several.
    """
    alike = places_of(name, place)
    if len(alike) == 1:
        return place[alike[0]]
    if alike:
        raise InputError(f"{what}: {name} may be {' or '.join(alike)}: name the one that is meant")
    raise InputError(f"{what}: there is no asset {name!r}; there are {', '.join(place)}")


def weights_of(named: Mapping[str, float], assets: Sequence[str], what: str) -> FloatArray:
    """Return weights by name as an array ``(n_assets,)``; 0 where none is named.

    Raises:
        InputError: an asset is not there, or is named twice.
    """
    weights: FloatArray = np.zeros(len(assets))
    for at, value in _by_place(named, {name: i for i, name in enumerate(assets)}, what).items():
        weights[at] = value
    return weights


def _by_place(named: Mapping[str, float], place: Mapping[str, int], what: str) -> dict[int, float]:
    """What is said of assets, by their positions."""
    found, by = dict[int, float](), dict[int, str]()
    for name, value in named.items():
        at = place_of(name, place, what)
        if at in by:
            raise InputError(f"{what}: {by[at]} and {name} are the same asset: name it once")
        found[at], by[at] = value, name
    return found


def _group_rows(
    groups: Mapping[str, Group], place: Mapping[str, int], n: int
) -> tuple[FloatArray, FloatArray, tuple[str, ...]]:
    rows: list[FloatArray] = []
    least, labels = list[float](), list[str]()
    for name, group in groups.items():
        row = np.zeros(n)
        for asset in group.assets:
            row[place_of(asset, place, f"group {name}")] = 1.0
        if group.floor is not None:
            rows.append(row)
            least.append(group.floor)
            labels.append(f"at least {group.floor:g} in group {name}")
        if group.cap is not None:
            rows.append(-row)
            least.append(-group.cap)
            labels.append(f"at most {group.cap:g} in group {name}")
    return np.array(rows).reshape(len(rows), n), np.array(least), tuple(labels)


def _check_numbers(constraints: Constraints) -> None:
    """Refuse what no set of weights can be made of."""
    numbers = {
        "budget": constraints.budget, "floor": constraints.floor, "cap": constraints.cap,
        **{f"floor of {name}": value for name, value in constraints.floors.items()},
        **{f"cap of {name}": value for name, value in constraints.caps.items()},
        **{f"current weight of {name}": value for name, value in constraints.current.items()},
        **{f"floor of group {name}": one.floor for name, one in constraints.groups.items() if one.floor is not None},
        **{f"cap of group {name}": one.cap for name, one in constraints.groups.items() if one.cap is not None},
    }  # fmt: skip
    for name, value in numbers.items():
        if not abs(value) <= MOST_WEIGHT:
            raise InputError(f"{name} {value:g} is no share of the money")
    if constraints.budget < TOLERANCE:
        raise InputError(f"budget {constraints.budget:g} leaves nothing to invest: give more than 0, such as 1")
    if constraints.turnover is not None and not 0.0 <= constraints.turnover <= MOST_WEIGHT:
        raise InputError(f"turnover {constraints.turnover:g} is no share of the money")
    if constraints.most_assets is not None and constraints.most_assets < 1:
        raise InputError(f"a portfolio of at most {constraints.most_assets} assets is none")
