"""The command ``quicksilver publish``."""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field

from jobs.settings import ProducerSettings
from jobs.starting import prepared, setting
from producers.csv_producer import SERVERS, UNDELIVERED
from setup.exits import failing

if TYPE_CHECKING:
    from jobs.sources import Source


class PublishSettings(ProducerSettings):
    """The settings of ``quicksilver publish``; each is the environment variable of its name in capitals."""

    kafka_servers: str = Field(SERVERS, description="Kafka's addresses, with commas")
    session: str = Field("", description="name of this run; else that of the content, for live data of the time")
    universe: str = Field("", pattern=r"^[\w.-]{0,64}$", description="whose portfolios the prices belong to")


_setting = partial(setting, of=PublishSettings)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def publish(
    source: Annotated[str | None, _setting("source")] = None,
    tape: Annotated[Path | None, _setting("tape")] = None,
    speed: Annotated[str | None, _setting("speed")] = None,
    symbols: Annotated[str | None, _setting("symbols")] = None,
    venues: Annotated[str | None, _setting("venues")] = None,
    venue_urls: Annotated[str | None, _setting("venue_urls")] = None,
    audit_every_s: Annotated[float | None, _setting("audit_every_s")] = None,
    seed: Annotated[int | None, _setting("seed")] = None,
    record: Annotated[Path | None, _setting("record")] = None,
    record_mb: Annotated[int | None, _setting("record_mb")] = None,
    record_minutes: Annotated[float | None, _setting("record_minutes")] = None,
    kafka_servers: Annotated[str | None, _setting("kafka_servers", "--servers")] = None,
    session: Annotated[str | None, _setting("session")] = None,
    universe: Annotated[str | None, _setting("universe")] = None,
    metrics_port: Annotated[int | None, _setting("metrics_port")] = None,
    quicksilver_host: Annotated[str | None, _setting("quicksilver_host", "--host")] = None,
) -> None:
    """Publish live feeds, the simulator, a tape or a CSV file to Kafka; the last line is the counts, as JSON."""
    given = {name: value for name, value in locals().items() if value is not None}
    with failing():
        left = asyncio.run(_publish(PublishSettings(**given)))
    if left:
        raise typer.Exit(UNDELIVERED)


async def _publish(settings: PublishSettings) -> int:
    from producers.publishing import stop_on_signals

    stop = stop_on_signals()
    source, session = await prepared(lambda: _prepare(settings), stop, _say)
    from jobs.publish import publish_source
    from jobs.recording import recording

    with recording(source, settings, _say):
        left = await publish_source(
            source, session, settings.kafka_servers, _say, stop, settings.universe, settings.metrics_at
        )
    if stop.is_set():
        _say("stopped")
    return left


def _prepare(settings: PublishSettings) -> "tuple[Source, str]":
    """Do what takes seconds and cannot be interrupted: import, probe, read the whole file, compile."""
    from jobs.publish import prepare
    from jobs.warm_up import warm_up

    prepared = prepare(settings, _say)
    warm_up()
    return prepared
