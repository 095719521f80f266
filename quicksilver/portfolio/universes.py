"""Live universes as their user writes them: tables ``[universes.NAME]`` of a TOML file."""

import math
from typing import Any

import msgspec

from quicksilver.codec import UNREADABLE
from quicksilver.errors import InputError
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import Constraints, Feasible
from quicksilver.portfolio.feasibility import checked
from quicksilver.portfolio.limits import LIMITS, require_within_limits
from quicksilver.spans import UNITS_NS, require_name, span_ns

OURS = {"universe": "it is the table's name", "period_ns": 'write period = "1s"'}  # fields that are written otherwise
COUNTS = ("min_observations", "window", "hold", "leave", "stale")  # of periods, or spans of time
LEAST_PERIOD_NS, MOST_PERIOD_NS = UNITS_NS["ms"], 366 * UNITS_NS["d"]
MOST_PAST = 2_000  # returns that a linear program has a row of each of, or several: of 3,000 it takes a second
MOST_RESAMPLED = 20_000_000  # returns of all resamples together: their numbers alone take 160 MB


class _File(msgspec.Struct, forbid_unknown_fields=True):
    universes: dict[str, dict[str, Any]] = {}


def read_universes(toml: bytes, file: str) -> tuple[PortfolioConfig, ...]:
    """Return the universes of a TOML file in its order; ``file`` is its name, for what is wrong with it.

    A table has the fields of ``PortfolioConfig``, but for the name, with ``period`` as a span of time. What counts
    periods may be given as a span too: a whole number of periods comes of it.

    Raises:
        InputError: it is no such file, or a value cannot be used; the text names file, table and field.
    """
    try:
        tables = msgspec.toml.decode(toml, type=_File).universes
    except UNREADABLE as error:
        raise InputError(f"{file}: {error}") from error
    if not tables:
        raise InputError(f"{file}: there is no universe in it: add a table [universes.NAME]")
    return tuple(_read(name, table, file) for name, table in tables.items())


def require_usable(config: PortfolioConfig) -> None:
    """Make sure that a universe can be computed, as far as that can be told before there are prices.

    Raises:
        InputError: a name or number is none, or no portfolio of the assets that are named keeps the constraints.
    """
    require_name(config.universe)
    if not LEAST_PERIOD_NS <= config.period_ns <= MOST_PERIOD_NS:
        raise InputError(f"a period of {config.period_ns / UNITS_NS['s']:g} s: give one of 1ms to 366d")
    require_within_limits(config)
    if config.risk != "variance" and config.window > MOST_PAST:
        raise InputError(
            f"window = {config.window} and risk = {config.risk}: it is solved by all of these returns, so give a window"
            f" of {MOST_PAST} or less"
        )
    if config.window * config.resamples > MOST_RESAMPLED:
        raise InputError(
            f"window = {config.window} and resamples = {config.resamples}: {MOST_RESAMPLED:g} returns fit into memory,"
            " so give less of one"
        )
    for name in config.costs.__struct_fields__:
        if not 0.0 <= getattr(config.costs, name) < math.inf:
            raise InputError(f"costs: {name} = {getattr(config.costs, name):g}: give 0 or more")
    _require_assets(config.assets)
    if config.assets:
        checked(Feasible.of(config.constraints, config.assets))
    else:  # which assets there will be is not known: the numbers alone can be looked at
        Feasible.of(config.constraints, _named(config.constraints))


def _read(name: str, table: dict[str, Any], file: str) -> PortfolioConfig:
    try:
        config = _converted(name, table)
        require_usable(config)
    except InputError as error:
        raise InputError(f"{file}: [universes.{name}]: {error}") from error
    return config


def _converted(name: str, table: dict[str, Any]) -> PortfolioConfig:
    given = dict(table)
    for field, instead in OURS.items():
        if field in given:
            raise InputError(f"there is no field {field}: {instead}")
    period = given.pop("period", None)
    if period is not None:
        if not isinstance(period, str):
            raise InputError(f'period = {period}: write a span of time, such as "1s"')
        given["period_ns"] = span_ns(period)
    period_ns = given.get("period_ns", PortfolioConfig().period_ns)
    for field in ("halflife", *COUNTS):
        if isinstance(given.get(field), str):
            periods = span_ns(given[field]) / period_ns
            given[field] = periods if field == "halflife" else _whole(field, given[field], periods)
    for field in ("hold", "leave"):  # 0 is as if it were not given, which is not what a user would mean by it
        if field in given and given[field] == 0:
            raise InputError(f"{field} = 0: give 1 to {LIMITS[field][1]:g}, or leave it out")
    try:
        return msgspec.convert({**given, "universe": name}, PortfolioConfig)
    except msgspec.ValidationError as error:
        raise InputError(str(error).replace("`$.", "`")) from error


def _whole(field: str, text: str, periods: float) -> int:
    if periods < 1.0:
        raise InputError(f'{field} = "{text}" is shorter than a period')
    return round(periods)


def _require_assets(assets: tuple[str, ...]) -> None:
    twice = [name for name in assets if assets.count(name) > 1]
    if twice:
        raise InputError(f"asset {twice[0]} is named twice")
    if len(assets) == 1:
        raise InputError(f"{assets[0]} alone is no portfolio: name two assets or more, or none for all there are")
    strange = [name for name in assets if not name.strip() or name != name.strip()]
    if strange:
        raise InputError(f"{strange[0]!r} is no asset: write BASE-QUOTE, or venue:BASE-QUOTE for one venue's price")


def _named(constraints: Constraints) -> list[str]:
    """The assets that constraints name."""
    of_groups = (asset for group in constraints.groups.values() for asset in group.assets)
    return sorted({*constraints.floors, *constraints.caps, *constraints.current, *of_groups})
