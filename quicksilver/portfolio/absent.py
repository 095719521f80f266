"""Assets that a universe's constraints name and that are not in it now."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from quicksilver.errors import InputError
from quicksilver.portfolio.constraints import Constraints, Feasible, places_of
from quicksilver.portfolio.feasibility import checked


def among(constraints: Constraints, assets: Sequence[str]) -> tuple[Constraints, tuple[str, ...]]:
    """Return the constraints without what they say of assets that are not there, and the names of those."""
    place = {name: i for i, name in enumerate(assets)}
    named = [*constraints.floors, *constraints.caps, *constraints.current]
    named += [asset for group in constraints.groups.values() for asset in group.assets]
    absent = {name: None for name in named if not places_of(name, place)}
    groups = {
        name: msgspec.structs.replace(group, assets=kept)
        for name, group in constraints.groups.items()
        if (kept := tuple(asset for asset in group.assets if asset not in absent))
    }
    parts = {
        part: {name: value for name, value in getattr(constraints, part).items() if name not in absent}
        for part in ("floors", "caps", "current")
    }
    return msgspec.structs.replace(constraints, groups=groups, **parts), tuple(absent)


def after_sales(feasible: Feasible, gone: Mapping[str, float]) -> Feasible:
    """Return the set with the turnover that is left once what was held of absent assets, ``gone``, is sold.

    Raises:
        InputError: no portfolio keeps the constraints.
    """
    sold = sum(abs(one) for one in gone.values())
    left = feasible.turnover - sold
    try:
        if left < 0.0:
            raise InputError(f"the turnover {feasible.turnover:g} is less than what has to be sold")
        return checked(replace(feasible, turnover=left))
    except InputError as error:
        if not sold or not np.isfinite(left):
            raise
        raise InputError(
            f"{error}; of {', '.join(gone)}, which left, {sold:g} is sold, out of that turnover"
        ) from error
