"""A run's universes kept those of a TOML file: at the start, and when the file changes."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.pipeline import Pipeline
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.universes import read_universes
from quicksilver.records import Frontier

LOOK_S = 0.4  # a change is at work after two looks: within a second
_State: TypeAlias = tuple[int, int, int]
_UNSEEN: _State = (0, 0, 0)


def universes_of(path: Path) -> tuple[PortfolioConfig, ...]:
    """Return the universes of a file.

    Raises:
        InputError: it cannot be read, or a value of it cannot be used.
    """
    try:
        toml = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    return read_universes(toml, str(path))


def with_universes(config: PipelineConfig, path: Path) -> PipelineConfig:
    """Return the configuration with the universes of a file, of a price series with those that fit.

    Raises:
        InputError: the file cannot be used, or none fits.
    """
    universes = universes_of(path)
    try:
        return config.of_universes(universes)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


class UniverseWatch:
    """Brings what a file says into a pipeline, between two events.

    ``publish`` takes the last words of universes that end, ``refuse`` is told why a file cannot be used: those at work
    go on. ``say`` is told what has changed, and when one can be used again.
    """

    def __init__(
        self, path: Path, pipeline: Pipeline, publish: Callable[[Frontier], None], refuse: Callable[[str], None],
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._path, self._pipeline = path, pipeline
        self._publish, self._refuse, self._say = publish, refuse, say
        self._seen: _State | None = _UNSEEN  # so that the first looks find what has changed since the run's start
        self._known: _State | None = _UNSEEN
        self._refused = False  # whether the file as it was last known could not be used

    async def watch(self) -> None:
        """Look for ever at what has changed."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Adopt what the file says if it has changed, and not since the last look: somebody may be writing it."""
        before, self._seen = self._seen, await asyncio.to_thread(self._written)
        if self._seen != before or self._seen == self._known:
            return
        self._known = self._seen
        try:
            # What is infeasible takes time to find out.
            found = await asyncio.to_thread(with_universes, self._pipeline.config, self._path)
            self._adopt(found.portfolios)
            self._refused = False
        except InputError as error:
            self._refused = True
            self._refuse(str(error))

    def _written(self) -> _State | None:
        """What tells one state of the file from another; None if there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _adopt(self, universes: Sequence[PortfolioConfig]) -> None:
        before = self._pipeline.config.portfolios
        for last in self._pipeline.adopt_universes(universes):
            self._publish(last)
        again = ["used again"] if self._refused else []
        changes = again + _changes(before, self._pipeline.config.portfolios)
        if changes:
            self._say(f"universes of {self._path}: {', '.join(changes)}")


def _changes(before: Sequence[PortfolioConfig], after: Sequence[PortfolioConfig]) -> list[str]:
    """What people are told: which universes are new, other than before, or gone."""
    old, new = ({one.universe: one for one in configs} for configs in (before, after))
    return [
        *(f"{name} begins" for name in new if name not in old),
        *(f"{name} has changed" for name in new if name in old and new[name] != old[name]),
        *(f"{name} ends" for name in old if name not in new),
    ]
