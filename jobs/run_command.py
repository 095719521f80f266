"""The commands ``quicksilver run`` and ``quicksilver serve``."""

import asyncio
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.settings import RunSettings, ServeSettings
from jobs.starting import FullBookLevels, FullBooksPerS, prepared, setting
from setup.exits import failing

if TYPE_CHECKING:
    from jobs.sources import Source

_of_serve = partial(setting, of=ServeSettings)


def run(
    source: Annotated[str | None, setting("source")] = None,
    tape: Annotated[Path | None, setting("tape")] = None,
    speed: Annotated[str | None, setting("speed")] = None,
    port: Annotated[int | None, setting("port")] = None,
    quicksilver_host: Annotated[str | None, setting("quicksilver_host", "--host")] = None,
    symbols: Annotated[str | None, setting("symbols")] = None,
    venues: Annotated[str | None, setting("venues")] = None,
    venue_urls: Annotated[str | None, setting("venue_urls")] = None,
    audit_every_s: Annotated[float | None, setting("audit_every_s")] = None,
    seed: Annotated[int | None, setting("seed")] = None,
    data: Annotated[Path | None, setting("data")] = None,
    models: Annotated[Path | None, setting("models")] = None,
    searches: Annotated[Path | None, setting("searches")] = None,
    keep_hours: Annotated[float | None, setting("keep_hours")] = None,
    full_books_per_s: FullBooksPerS = None,
    full_book_levels: FullBookLevels = None,
    record: Annotated[Path | None, setting("record")] = None,
    record_mb: Annotated[int | None, setting("record_mb")] = None,
    record_minutes: Annotated[float | None, setting("record_minutes")] = None,
    retrain: Annotated[Path | None, setting("retrain")] = None,
    universes: Annotated[Path | None, setting("universes")] = None,
    bus: Annotated[str | None, setting("bus")] = None,
    store: Annotated[str | None, setting("store")] = None,
) -> None:
    """Run everything in this process and serve the page, until Ctrl-C."""
    given = {name: value for name, value in locals().items() if value is not None}
    with failing():
        settings = RunSettings(**given)
        settings.require_embedded()
        asyncio.run(_run(settings))


def serve(
    port: Annotated[int | None, _of_serve("port")] = None,
    quicksilver_host: Annotated[str | None, _of_serve("quicksilver_host", "--host")] = None,
    bus: Annotated[str | None, _of_serve("bus")] = None,
    store: Annotated[str | None, _of_serve("store")] = None,
    kafka_servers: Annotated[str | None, _of_serve("kafka_servers")] = None,
    data: Annotated[Path | None, _of_serve("data")] = None,
    searches: Annotated[Path | None, _of_serve("searches")] = None,
    keep_hours: Annotated[float | None, _of_serve("keep_hours")] = None,
) -> None:
    """Serve the page and the API over what the cluster computes: live from Kafka, history from Cassandra."""
    given = {name: value for name, value in locals().items() if value is not None}
    with failing():
        settings = ServeSettings(**given)
        settings.require_kafka()
        asyncio.run(_serve(settings))


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _serve(settings: ServeSettings) -> None:
    stop = _stop_on_signals()
    from jobs.serve import run_serve

    await run_serve(settings, typer.echo, stop)
    typer.echo("stopped")


async def _run(settings: RunSettings) -> None:
    stop = _stop_on_signals()
    source = await prepared(lambda: _prepare(settings), stop, typer.echo)
    from jobs.embedded import run_embedded
    from jobs.recording import recording

    with recording(source, settings, typer.echo):
        await run_embedded(source, settings, typer.echo, stop)
    typer.echo("stopped")


def _prepare(settings: RunSettings) -> "Source":
    """Do what takes seconds and cannot be interrupted: import (which brings the kernels in), probe, compile."""
    import jobs.embedded  # noqa: F401 (so that it is there when it is wanted)
    from jobs.sources import choose
    from jobs.universe_watch import with_universes
    from jobs.warm_up import warm_up

    source = choose(settings, typer.echo)
    source.config = settings.of(source.config)
    if settings.universes is not None:
        source.config = with_universes(source.config, settings.universes)
    warm_up()
    return source
