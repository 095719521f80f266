"""The command ``quicksilver retrain``, and the same within ``quicksilver run``."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import typer

from jobs.options import Folder, Publish, Symbols
from jobs.settings import RunSettings
from jobs.starting import prepared
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.records import Published, Score
from setup.exits import failing

if TYPE_CHECKING:
    from api.ports import JsonStore
    from jobs.retrainer import Retrainer
    from quicksilver.learning.config_file import Predictors
    from quicksilver.learning.retraining_config import RetrainingConfig
    from quicksilver.memory import MemoryBus

API = "http://127.0.0.1:8000"
AT_ONCE = 100  # earlier scores, a millisecond's work: in between books go on

Say = Callable[[str], None]

log = logging.getLogger(__name__)


def retrain(
    config: Annotated[Path, typer.Argument(help="TOML file of predictors, with a table \\[retraining].")],
    source: Annotated[
        str, typer.Option("--from", help="What is learned from: the SQLite file of the run, or cassandra.")
    ],
    api: Annotated[str, typer.Option(help="Where the scores come from: `quicksilver run` or `serve`.")] = API,
    models: Folder = None,
    master: Annotated[str | None, typer.Option(help="Train on Spark: local[N], or spark://host:7077.")] = None,
    publish: Publish = False,
    symbol: Symbols = None,
) -> None:
    """Train predictors anew by schedule or when their live log-loss has drifted, until Ctrl-C."""
    with failing():
        if symbol and not publish:
            raise InputError("--symbol is for --publish: who does what is the same for all instruments")
        asyncio.run(_retrain(_Options(config, source, api, models, master, symbol or [] if publish else None)))


def history(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A predictor.")],
    folder: Folder = None,
    only_json: Annotated[bool, typer.Option("--json", help="Print the lines as they are kept.")] = False,
) -> None:
    """Show what retraining has done with a predictor, and why; times are those of the events, in UTC."""
    from jobs.registry import Registry, models_folder
    from jobs.registry_history import History, told

    with failing():
        lines = History(models_folder(folder)).of(name)
        if not lines:
            Registry(models_folder(folder)).roles(name)  # raises, if there is no such predictor
            raise InputError(f"nothing was done with {name} but by hand: `quicksilver retrain` keeps a history")
    for one in lines:
        typer.echo(msgspec.json.encode(one).decode() if only_json else told(one))


class _Options(NamedTuple):
    """What the command was given; ``told`` are the instruments to tell of changes, None if that is not wanted."""

    config: Path
    source: str
    api: str
    models: Path | None
    master: str | None
    told: list[str] | None


async def _retrain(options: _Options) -> None:
    from producers.publishing import stop_on_signals

    stop = stop_on_signals()
    retrainer, scores = await prepared(lambda: _prepare(options), stop, typer.echo)
    from jobs.score_feed import live_scores

    await retrainer.start()
    retrainer.take(scores)

    async def follow() -> None:
        """Hand on what comes."""
        async with aclosing(live_scores(options.api, _say)) as batches:  # type: ignore[type-var]
            async for batch in batches:
                retrainer.take(batch)

    await _until_one_ends(stop.wait(), retrainer.run(), follow())
    typer.echo("stopped")


def _prepare(options: _Options) -> "tuple[Retrainer, list[Score]]":
    """Do what takes seconds and cannot be interrupted: import, look for Kafka and Cassandra, read earlier scores."""
    found, retraining = read_retraining(options.config)
    from jobs.registry import Registry, models_folder
    from jobs.retrainer import Retrainer
    from jobs.score_feed import stored_scores, websocket_of

    websocket_of(options.api)
    folder, deploy = models_folder(options.models), None
    if options.told is not None:
        from jobs.deployments import Publisher

        deploy = partial(Publisher(options.told).send, Registry(folder))
    retrainer = Retrainer(found, retraining, folder, options.source, _say, master=options.master, deploy=deploy)
    return retrainer, stored_scores(options.source, retrainer.names)


async def _until_one_ends(*works: Awaitable[object]) -> None:
    """Wait for the first to end; if it has failed, so has the whole."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _say(text: str) -> None:
    typer.echo(f"retrain: {text}")


def read_retraining(path: Path) -> "tuple[Predictors, RetrainingConfig]":
    """Return a file's predictors, and when they are trained anew.

    Raises:
        InputError: it cannot be read, or has no table ``[retraining]``.
    """
    from quicksilver.learning.config_file import read_predictors

    found = read_predictors(path.read_bytes(), str(path))
    if found.retraining is None:
        raise InputError(f'{path}: there is no table [retraining]: add one with every = "6h", drift = true, or both')
    return found, found.retraining


@asynccontextmanager
async def retraining_beside(
    settings: RunSettings, bus: "MemoryBus", store: "JsonStore", path: Path, say: Say
) -> AsyncIterator[None]:
    """Train anew what the run's settings name, of the rows that the run stores, while the context lasts.

    Raises:
        InputError: the file cannot be used, or the run does not keep what is to be learned from.
    """
    if settings.retrain is None:
        yield
        return
    from jobs.retrainer import Retrainer
    from jobs.score_feed import in_order, pages_of

    found, retraining = read_retraining(settings.retrain)
    _require_kept(found, settings)
    retrainer = Retrainer(found, retraining, settings.registry, f"sqlite:{path}", lambda text: say(f"retrain: {text}"))
    await retrainer.start()
    waiting: list[Score] = []
    take: Callable[[list[Score]], None] = waiting.extend

    def on_record(_topic: str, _key: str, record: Published) -> None:
        """Hand on scores, once those before them have been read."""
        if isinstance(record, Score):
            take([record])

    async def work() -> None:
        """Read the scores of earlier runs, and go on with those of this one."""
        nonlocal take
        pages, read = pages_of(store, retrainer.names), list[list[Score]]()
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            read.append(page)
        earlier = await asyncio.to_thread(in_order, read)
        for start in range(0, len(earlier), AT_ONCE):
            retrainer.take(earlier[start : start + AT_ONCE])
            await asyncio.sleep(0)
        retrainer.take(waiting)
        take = retrainer.take
        await retrainer.run()

    unsubscribe, working = bus.subscribe(on_record), asyncio.create_task(work())
    working.add_done_callback(_report)
    try:
        yield
    finally:
        unsubscribe()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


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
