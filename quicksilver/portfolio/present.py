"""A universe's constraints over those of its assets that are there now."""

from collections.abc import Mapping, Sequence

import msgspec

from quicksilver.errors import InputError
from quicksilver.portfolio.constraints import Constraints, Group, place_of


def over_present(constraints: Constraints, assets: Sequence[str]) -> tuple[Constraints, list[str]]:
    """Return the constraints without what they ask of other assets than these, and say what that is.

    A cap of an asset that is not there is kept anyway, and goes without a word. What is held of one cannot be traded.
    """
    place = {name: i for i, name in enumerate(assets)}
    floors, lost = _split(constraints.floors, place)
    notes = [f"the floor of {name}" for name in lost]
    groups = dict[str, Group]()
    for name, group in constraints.groups.items():
        there = tuple(one for one in group.assets if _is_there(one, place))
        if there:
            groups[name] = msgspec.structs.replace(group, assets=there)
        missing = [one for one in group.assets if one not in there]
        notes += [f"{one} in group {name}" for one in missing]
    current, lost = _split(constraints.current, place)
    notes += [f"what is held of {name}" for name in lost]
    caps, _ = _split(constraints.caps, place)
    present = msgspec.structs.replace(constraints, floors=floors, caps=caps, groups=groups, current=current)
    return present, notes


def _split(named: Mapping[str, float], place: Mapping[str, int]) -> tuple[dict[str, float], list[str]]:
    there = {name: value for name, value in named.items() if _is_there(name, place)}
    return there, [name for name in named if name not in there]


def _is_there(name: str, place: Mapping[str, int]) -> bool:
    try:
        place_of(name, place, "")
    except InputError:
        return False
    return True
