"""A live universe of a TOML file, asked of a price history: what of it a history can answer, and what it cannot."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from jobs.universe_watch import universes_of
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import Constraints
from quicksilver.portfolio.estimators import Estimators
from quicksilver.portfolio.prices import spoken
from quicksilver.portfolio.research import Question

LIVE_ONLY = ("venues", "clock", "min_observations", "window", "leave", "stale", "resamples")
"""What a history has no use for."""
APART = 1.5  # periods between two prices: so far apart they are not the universe's


def universe_of(text: str) -> PortfolioConfig | None:
    """Return the universe that ``FILE.toml`` or ``FILE.toml:NAME`` means; None of a plain name.

    Raises:
        InputError: the file or its universe is not there, cannot be used, or is one of several.
    """
    file, colon, name = text.rpartition(":") if not text.endswith(".toml") else (text, "", "")
    if not file.endswith(".toml"):
        return None
    known = {config.universe: config for config in universes_of(Path(file))}
    if colon and name not in known:
        raise InputError(f"--universe {text}: there is no universe {name!r} in it; there are {', '.join(known)}")
    if not colon and len(known) > 1:
        raise InputError(
            f"--universe {text}: it holds {', '.join(known)}: say which, such as {file}:{next(iter(known))}"
        )
    return known[name] if colon else next(iter(known.values()))


def asked_of(universe: PortfolioConfig, question: Question, given: Collection[str]) -> Question:
    """Return the question that a universe asks, but for what the options that are ``given`` by name say instead.

    Constraints are those of ``question``: see ``frontier_options.constraints_of``.

    Raises:
        InputError: its means are predictions, which a history has none of.
    """

    def chosen(fields: tuple[str, ...], ours: Any) -> dict[str, Any]:
        return {name: getattr(ours if name in given else universe, name) for name in fields}

    estimators = chosen(("covariance", "mean", "halflife"), question.estimators)
    if estimators["mean"] == "predictions":
        raise InputError(
            f'universe {universe.universe}: mean = "predictions" is told live, not by prices: give another'
            " one, such as --mean james-stein"
        )
    own = chosen(("risk", "cash", "aversion", "seed"), question)
    quasi = question.quasi if "quasi" in given else universe.sampling == "quasi-random"
    return msgspec.structs.replace(
        question, estimators=Estimators(**estimators), n_frontier=universe.n_frontier, costs=universe.costs,
        hold=universe.hold, band=universe.band, quasi=quasi, **own,
    )  # fmt: skip


def assets_of(universe: PortfolioConfig) -> list[str]:
    """Return the symbols of a universe's assets, which files have without their venue."""
    return list(dict.fromkeys(map(_symbol, universe.assets)))


def constraints_of(universe: PortfolioConfig) -> Constraints:
    """Return a universe's constraints, with symbols for assets of one venue."""
    limits = universe.constraints
    parts = {
        part: {_symbol(name): value for name, value in getattr(limits, part).items()}
        for part in ("floors", "caps", "current")
    }
    groups = {
        name: msgspec.structs.replace(group, assets=tuple(map(_symbol, group.assets)))
        for name, group in limits.groups.items()
    }
    return msgspec.structs.replace(limits, groups=groups, **parts)


def _symbol(asset: str) -> str:
    return asset.rpartition(":")[2]


def unanswered(universe: PortfolioConfig, question: Question, every_ns: int) -> list[str]:
    """Return sentences on what of a universe does not count for a history of prices ``every_ns`` apart."""
    plain, notes = PortfolioConfig(period_ns=universe.period_ns), list[str]()
    unused = [name for name in LIVE_ONLY if getattr(universe, name) != getattr(plain, name)]
    if any(":" in asset for asset in universe.assets):
        unused.insert(0, "the venues of assets")
    if unused:
        notes.append(f"a history has no use for {', '.join(unused)} of universe {universe.universe}")
    if question.estimators.covariance != "ewm":
        fading = "covariance and mean" if question.estimators.mean != "ewm" else "covariance"
        notes.append(f"all returns count alike in the {fading}; live ones fade with the half-life")
    if every_ns > APART * universe.period_ns:
        notes.append(
            f"prices are {spoken(every_ns)} apart, the period of universe {universe.universe} is"
            f" {spoken(universe.period_ns)}: halflife, hold and cash count what there is"
        )
    return notes


def period_s(universe: PortfolioConfig) -> float:
    """Return a universe's period in seconds."""
    return universe.period_ns / SECOND_NS
