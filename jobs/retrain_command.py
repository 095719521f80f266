"""The command ``quicksilver retrain``: predictors trained anew beside a run, by the scores that its API gives."""

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from jobs.options import Folder, Publish, Symbols
from jobs.starting import prepared
from quicksilver.errors import InputError
from quicksilver.records import Score
from setup.exits import failing

if TYPE_CHECKING:
    from jobs.retrainer import Retrainer

API = "http://127.0.0.1:8000"


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
    from jobs.retraining_file import read_retraining

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
