"""The simulated venues by name: every module of this package that has an ``ENGINE`` is one."""

import pkgutil
from functools import cache
from importlib import import_module

from producers.simulator.venues.base import VenueEngine
from quicksilver.errors import InputError


@cache
def engines() -> dict[str, type[VenueEngine]]:
    """Return the engines of all simulated venues by the venue's name."""
    package = __name__.rpartition(".")[0]
    found = [
        (one.name, import_module(f"{package}.{one.name}"))
        for one in pkgutil.iter_modules(import_module(package).__path__)
    ]
    return {name: module.ENGINE for name, module in found if hasattr(module, "ENGINE")}


def engine_of(name: str) -> type[VenueEngine]:
    """Return a venue's engine.

    Raises:
        InputError: the venue is not simulated.
    """
    try:
        return engines()[name]
    except KeyError:
        raise InputError(f"no simulator of venue {name!r}; there are {', '.join(sorted(engines()))}") from None
