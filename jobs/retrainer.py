"""Predictors trained anew while they are live: scores in; versions, shadows and promotions in the registry."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from jobs.registry import Registry
from jobs.registry_history import Happening, History, What
from jobs.retraining_work import Job, Made, retrained
from jobs.training_process import in_a_process
from quicksilver.errors import InputError, QuicksilverError
from quicksilver.learning.config_file import Predictors
from quicksilver.learning.retraining import Decision, Past, Retraining, Standing
from quicksilver.learning.retraining_config import RetrainingConfig
from quicksilver.records import Score

WATCH_S = 1.0  # between two looks at who does what: a user may promote and roll back too

Say = Callable[[str], None]
Work = Callable[[Job], Awaitable[Made]]


async def in_its_process(job: Job) -> Made:
    """Train in a process of its own."""
    return await in_a_process(retrained, job)


class Retrainer:
    """Follows the scores of a file's predictors and ensembles, and does what ``Retraining`` decides.

    Trainings go one after another; promotions do not wait for them. ``work`` does one, in a process of its own unless
    another way is given. ``deploy`` is called with a predictor's name after each change of who does what.
    """

    def __init__(
        self, file: Predictors, config: RetrainingConfig, folder: Path, source: str, say: Say, *,
        master: str | None = None, deploy: Callable[[str], object] | None = None, work: Work = in_its_process,
    ) -> None:  # fmt: skip
        self.names, self._config = (*file.predictors, *file.ensembles), config
        self._jobs = {name: Job(name, file, source, folder, master) for name in self.names}
        self._registry, self._history = Registry(folder), History(folder)
        self._say, self._deploy, self._work = say, deploy, work
        self._policies: dict[str, Retraining] = {}
        self._standings: dict[tuple[str, str], Standing] = {}
        self._unfollowed: set[str] = set()
        self._to_train: asyncio.Queue[tuple[str, Decision]] = asyncio.Queue()
        self._to_settle: asyncio.Queue[tuple[str, Decision]] = asyncio.Queue()

    async def start(self) -> None:
        """Read who does what, and what was done before; scores before that would tell nothing.

        Raises:
            InputError: the registry cannot be read.
        """
        for name in self.names:
            past = past_of(await asyncio.to_thread(self._history.of, name))
            self._policies[name] = Retraining(name, self._config, past)
            await self._look(name)

    def take(self, scores: Sequence[Score]) -> None:
        """Take scores, in order; what they make necessary is done by ``run``."""
        for score in scores:
            for name, policy in self._policies.items():
                if name in self._unfollowed:
                    continue
                for decision in policy.take(score):
                    (self._to_train if decision.move == "train" else self._to_settle).put_nowait((name, decision))

    async def run(self) -> None:
        """Do what is decided, for ever."""
        async with asyncio.TaskGroup() as group:
            for work in (self._train_all(), self._settle_all(), self._watch()):
                group.create_task(work)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            for name in self.names:
                await self._look(name)

    async def _look(self, name: str) -> None:
        """See who does what; where that cannot be told, nothing is done until it can."""
        try:
            standing = await asyncio.to_thread(self._standing, name)
        except InputError as error:
            self._trouble(name, f"not followed: {error}")
            return
        self._unfollowed.discard(name)
        self._policies[name].deployed(*standing)

    def _standing(self, name: str) -> tuple[Standing | None, Standing | None, int]:
        if name not in self._registry.names():
            return None, None, 0
        roles, own = self._registry.roles(name), own_shadow(self._history.of(name))
        live = self._standing_of(name, roles.live) if roles.live else None
        if own is None or own.version not in roles.shadows:
            return live, None, 0
        return live, self._standing_of(name, own.version), own.ts_ns

    def _standing_of(self, name: str, version: str) -> Standing:
        known = self._standings.get((name, version))
        if known is None:
            known = self._standings[name, version] = Standing.of(self._registry.entry(name, version).card)
        return known

    def _trouble(self, name: str, text: str) -> None:
        """Leave a predictor alone, and say so once."""
        if name not in self._unfollowed:
            self._say(f"{name}: {text}")
        self._unfollowed.add(name)

    async def _train_all(self) -> None:
        while True:
            name, decision = await self._to_train.get()
            await asyncio.to_thread(self._note, name, "training", decision.why, "", decision.ts_ns)
            try:
                made = await self._work(self._jobs[name])
                await asyncio.to_thread(self._place, name, made)
            except QuicksilverError as error:
                why = f"{error}; what was live stays"
                await asyncio.to_thread(self._note, name, "failed", why)
                self._policies[name].trained(success=False)
                continue
            await self._look(name)  # first: what is to be done next depends on it
            self._policies[name].trained(success=True)
            await self._publish(name)

    def _place(self, name: str, made: Made) -> None:
        """Give a version that was just made what it is to do."""
        roles, before = self._registry.roles(name), own_shadow(self._history.of(name))
        live = roles.live
        if not made.new:
            why = f"the same data give the same version; {live} stays live"
            return self._note(name, "nothing new", why, made.version)
        if live == made.version:
            return self._note(name, "live", f"it is the first; {made.told}", made.version)
        if before is not None and before.version in roles.shadows:
            self._registry.unshadow(name, before.version)
            self._note(name, "dropped", f"there is a newer one, {made.version}", before.version)
        if self._config.promote == "always":
            self._registry.promote(name, made.version)
            return self._note(name, "live", f'promote = "always"; {made.told}', made.version)
        why = f"{made.told}; {self._next(name, live, made.version)}"
        self._note(name, "shadow", why, made.version)  # first: a shadow without that line is nobody's to judge
        self._registry.shadow(name, made.version)
        return None

    def _next(self, name: str, live: str, shadow: str) -> str:
        if self._config.promote == "never":
            return 'promote = "never": that is yours to do'
        if not self._standing_of(name, live).comparable(self._standing_of(name, shadow)):
            return (
                f"granularity, horizon, fee or target are other than those of {live}: not comparable, yours to promote"
            )
        return f"judged over {self._config.shadow_outcomes} outcomes that do not overlap beside {live}"

    async def _settle_all(self) -> None:
        while True:
            name, decision = await self._to_settle.get()
            try:
                await asyncio.to_thread(self._settle, name, decision)
            except QuicksilverError as error:
                self._say(f"{name}: {decision.move} {decision.version}: that failed: {error}")
            await self._look(name)
            await self._publish(name)

    def _settle(self, name: str, decision: Decision) -> None:
        roles = self._registry.roles(name)
        if decision.version not in roles.shadows or decision.live != roles.live:
            return  # a user has decided otherwise, and what they made live it was not held against
        if decision.move == "promote":
            self._registry.promote(name, decision.version)
            self._note(name, "promoted", decision.why, decision.version, decision.ts_ns)
        else:
            self._registry.unshadow(name, decision.version)
            self._note(name, "dropped", decision.why, decision.version, decision.ts_ns)

    def _note(self, name: str, what: What, why: str, version: str = "", ts_ns: int | None = None) -> None:
        """Say what is done, now or when it was decided, and keep it; a disk that is full must not end the work."""
        self._say(f"{name}: {what}{f' {version}' if version else ''}: {why}")
        try:
            self._history.add(
                name, Happening(self._policies[name].now_ns if ts_ns is None else ts_ns, what, why, version)
            )
        except InputError as error:
            self._say(f"{name}: not kept in its history: {error}")

    async def _publish(self, name: str) -> None:
        if self._deploy is None:
            return
        try:
            await asyncio.to_thread(self._deploy, name)
        except QuicksilverError as error:
            self._say(f"{name}: not published: {error}")


def past_of(history: Sequence[Happening]) -> Past:
    """Return when a predictor's last training was begun, and the last that succeeded."""
    begun_ns = trained_ns = None
    for one in history:
        if one.what == "training":
            begun_ns = one.ts_ns
        elif one.what in {"live", "shadow", "nothing new"}:
            trained_ns = begun_ns
    return Past(begun_ns, trained_ns)


def own_shadow(history: Sequence[Happening]) -> Happening | None:
    """Return how the last shadow was made here, unless it was promoted or dropped since.

    One that a user has set is the user's to promote.
    """
    shadow: Happening | None = None
    for one in history:
        if one.what == "shadow":
            shadow = one
        elif one.what in {"promoted", "dropped"} and shadow is not None and one.version == shadow.version:
            shadow = None
    return shadow
