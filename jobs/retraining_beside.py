"""Predictors trained anew within ``quicksilver run``: of the rows that the run stores, by the scores that it makes."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from api.ports import JsonStore
from jobs.settings import RunSettings
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.memory import MemoryBus
from quicksilver.records import Published, Score

if TYPE_CHECKING:  # what trains takes seconds to import, and most runs train nothing
    from jobs.retrainer import Retrainer
    from quicksilver.learning.config_file import Predictors

AT_ONCE = 100  # earlier scores, a millisecond's work: in between books go on

Say = Callable[[str], None]

log = logging.getLogger(__name__)


@asynccontextmanager
async def retraining_beside(
    settings: RunSettings, bus: MemoryBus, store: JsonStore, path: Path, say: Say
) -> AsyncIterator[None]:
    """Train anew what the run's settings name, of the rows that the run stores, while the context lasts.

    Raises:
        InputError: the file cannot be used, or the run does not keep what is to be learned from.
    """
    if settings.retrain is None:
        yield
        return
    from jobs.retrainer import Retrainer
    from jobs.retraining_file import read_retraining

    found, retraining = read_retraining(settings.retrain)
    _require_kept(found, settings)
    retrainer = Retrainer(found, retraining, settings.registry, f"sqlite:{path}", lambda text: say(f"retrain: {text}"))
    await retrainer.start()
    followed = Followed(retrainer, store)
    unsubscribe = bus.subscribe(followed.on_record)
    working = asyncio.create_task(followed.work())
    working.add_done_callback(_report)
    try:
        yield
    finally:
        unsubscribe()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


class Followed:
    """Hands a retrainer scores in order: those of earlier runs, those that came meanwhile, then each as it comes."""

    def __init__(self, retrainer: "Retrainer", store: JsonStore) -> None:
        self._retrainer, self._store = retrainer, store
        self._waiting: list[Score] = []
        self._state: Literal["reading", "live", "over"] = "reading"

    @property
    def waiting(self) -> int:
        """How many scores have come that are to be handed on after those of earlier runs."""
        return len(self._waiting)

    def on_record(self, _topic: str, _key: str, record: Published) -> None:
        """Take what the run publishes."""
        if not isinstance(record, Score) or self._state == "over":
            return
        if self._state == "live":
            self._retrainer.take([record])
        else:
            self._waiting.append(record)

    async def work(self) -> None:
        """Read the scores of earlier runs, and do what they and those of this one make necessary, until cancelled.

        When it ends by an error, no score is kept for it any more.
        """
        try:
            await self._catch_up()
            await self._retrainer.run()
        finally:
            self._state, self._waiting = "over", []

    async def _catch_up(self) -> None:
        from jobs.score_feed import in_order, pages_of

        pages, read = pages_of(self._store, self._retrainer.names), list[list[Score]]()
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            read.append(page)
        earlier = await asyncio.to_thread(in_order, read)
        for start in range(0, len(earlier), AT_ONCE):
            self._retrainer.take(earlier[start : start + AT_ONCE])
            await asyncio.sleep(0)
        self._retrainer.take(self._waiting)
        self._state, self._waiting = "live", []


def _require_kept(found: "Predictors", settings: RunSettings) -> None:
    """Make sure that the run keeps what is to be learned from, and judged by.

    Raises:
        InputError: it keeps less.
    """
    from jobs.retraining_work import reach_ns
    from quicksilver.learning.usable import FOLDS

    for name, config in found.predictors.items():
        read_hours = (reach_ns([config]) or 0) / (3_600 * SECOND_NS)
        if read_hours > settings.keep_hours:
            raise InputError(
                f"{settings.retrain}: {name} learns from {config.minutes_back:g} minutes and is judged on {FOLDS} parts"
                f" as long, {read_hours:.3g} hours in all, and KEEP_HOURS={settings.keep_hours:g} keeps less: set"
                f" KEEP_HOURS={math.ceil(read_hours)}, or a shorter minutes_back"
            )


def _report(work: "asyncio.Task[None]") -> None:
    """Say that the work has ended by itself: the run goes on without it."""
    if not work.cancelled():
        log.error("nothing is trained anew any more", exc_info=work.exception())
