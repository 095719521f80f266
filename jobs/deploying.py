"""A pipeline's predictors kept those of a registry's folder: at the start, for new instruments, and when roles change.

To read a card and make a session of its model takes up to seconds, most of it without Python's lock. So what is to
change is ``prepared`` first, which touches nothing of the pipeline and may be another thread's work; to ``apply`` it
then takes microseconds, between two events: what is at work never waits.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from jobs.registry import Registry
from quicksilver.errors import InputError
from quicksilver.models.card import Deployment
from quicksilver.models.deployed import LivePredictor, built
from quicksilver.models.roles import AtWork
from quicksilver.pipeline import Pipeline

LOOK_S = 0.5  # a change is at work within a second
SLOW_S = 0.005  # five times what a prediction may take: meanwhile no book goes on
REHEARSALS = 3  # the first makes ready what the others use
Instrument = tuple[str, str]


class Swap(NamedTuple):
    """A deployment that is to be adopted, with the predictors made for it."""

    deployment: Deployment
    ready: dict[str, LivePredictor]


class Prepared(NamedTuple):
    """What a look at the registry found: what is to change, whose versions cannot be used, and why, and who is slow."""

    swaps: list[Swap]
    refused: list[tuple[str, str]]
    slow: list[tuple[str, float]]


class Deployer:
    """Brings what a registry says into a pipeline, for each instrument from its first event on.

    ``refuse`` is told the name of a predictor whose files cannot be used, and why: its versions at work go on, and
    other names are not concerned. ``say`` is told what has come to work.
    """

    def __init__(
        self, folder: Path, pipeline: Pipeline, refuse: Callable[[str, str], None], say: Callable[[str], None]
    ) -> None:
        self._registry, self._pipeline = Registry(folder), pipeline
        self._refuse, self._say = refuse, say
        self._changes: dict[str, tuple[int, int]] = {}
        self._at_work: dict[str, AtWork] = {}
        self._instruments: dict[Instrument, None] = {}
        self._rehearsed: set[str] = set()
        self._told: dict[tuple[str, Instrument | None], str] = {}
        self._one_at_a_time = asyncio.Lock()

    def deploy(self, instrument: Instrument) -> None:
        """Have an instrument predict as the registry says, unless it does."""
        if instrument not in self._instruments:
            self._apply(self._prepared([instrument]), [instrument])

    async def deploy_all(self, instruments: Iterable[Instrument]) -> None:
        """Have instruments predict as the registry says; what takes time is another thread's work."""
        new = [one for one in dict.fromkeys(instruments) if one not in self._instruments]
        if new:
            async with self._one_at_a_time:
                self._apply(await asyncio.to_thread(self._prepared, new), new)

    async def watch(self) -> None:
        """Look for ever at what has changed."""
        while True:
            await asyncio.sleep(LOOK_S)
            async with self._one_at_a_time:
                self._apply(await asyncio.to_thread(self._prepared))

    def _prepared(self, new: Sequence[Instrument] = ()) -> Prepared:
        """Read what has changed and make its predictors; for ``new`` instruments those of all names."""
        changed, refused = self._read_changes()
        wanted = [(one, name) for one in self._instruments for name in changed]
        wanted += [(one, name) for one in new for name in sorted(self._at_work)]
        swaps, slow = list[Swap](), list[tuple[str, float]]()
        for (venue, symbol), name in wanted:
            deployment, having = self._at_work[name].on(venue, symbol), self._pipeline.versions(venue, symbol, name)
            if not deployment.roles() and not having:
                continue
            try:
                ready = built(deployment, having)
            except ValueError as error:
                refused.append((name, str(error)))
                continue
            swaps.append(Swap(deployment, ready))
            slow += self._slow(name, ready)
        return Prepared(swaps, list(dict.fromkeys(refused)), slow)

    def _slow(self, name: str, ready: dict[str, LivePredictor]) -> list[tuple[str, float]]:
        """Return the versions that keep books waiting, each with how long; what was looked at before is left out."""
        found = []
        for version, predictor in ready.items():
            called = f"{name} {version}"
            if called not in self._rehearsed:
                self._rehearsed.add(called)
                found.append((called, _cost_s(predictor)))
        return [(called, cost_s) for called, cost_s in found if cost_s >= SLOW_S]

    def _read_changes(self) -> tuple[list[str], list[tuple[str, str]]]:
        """Read the cards of what has changed; returns its names, and what of it cannot be read."""
        before, self._changes = self._changes, self._registry.changes()
        changed, refused = list[str](), list[tuple[str, str]]()
        for name in sorted({*before, *self._changes}):
            if before.get(name) == self._changes.get(name):
                continue
            try:
                self._at_work[name] = self._registry.at_work(name) if name in self._changes else AtWork(name)
                changed.append(name)
            except InputError as error:
                refused.append((name, str(error)))
        return changed, refused

    def _apply(self, prepared: Prepared, new: Sequence[Instrument] = ()) -> None:
        self._instruments.update(dict.fromkeys(new))
        for swap in prepared.swaps:
            self._pipeline.adopt(*swap)
            self._tell(swap.deployment)
        for called, cost_s in prepared.slow:
            self._say(f"predictor {called} is slow: all books wait {1e3 * cost_s:.3g} ms for each of its decisions")
        for name, reason in prepared.refused:
            self._refuse(name, reason)

    def _tell(self, deployment: Deployment) -> None:
        """Say what a predictor does: once for all instruments, and by itself of one that does not want all of it."""
        name, roles, whole = deployment.name, deployment.roles(), self._at_work[deployment.name]
        text = ", ".join(f"{card.version} {role}" for role, card in roles) or "no version any more"
        one = (deployment.venue, deployment.symbol)
        of = None if len(roles) == (whole.live is not None) + len(whole.shadows) else one
        if self._told.get((name, of)) != text:
            self._told[name, of] = text
            self._say(f"predictor {name}: {text}{'' if of is None else f', on {one[0]}:{one[1]}'}")


def _cost_s(predictor: LivePredictor) -> float:
    """How long one decision takes, by the processor's time: what else the machine does is no fault of the model."""
    took_s = []
    for _ in range(REHEARSALS):
        began = time.thread_time()
        predictor.rehearse()
        took_s.append(time.thread_time() - began)
    return min(took_s)
