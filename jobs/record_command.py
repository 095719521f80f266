"""The command ``quicksilver record``."""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field

from jobs.settings import ProducerSettings, RecordedName
from jobs.starting import prepared, setting
from producers.csv_producer import SERVERS, UNDELIVERED
from setup.exits import failing

if TYPE_CHECKING:
    from jobs.sources import Source


class RecordSettings(ProducerSettings):
    """The settings of ``quicksilver record``; each is the environment variable of its name in capitals."""

    source: RecordedName = Field("auto", description="what is recorded; auto: live, else the simulator")
    record: Path = Field(Path("tapes"), description="folder of the tapes")
    raw: bool = Field(False, description="publish each frame to topic raw of Kafka too")
    kafka_servers: str = Field(SERVERS, description="Kafka's addresses, with commas, for topic raw")


_setting = partial(setting, of=RecordSettings)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def record(
    source: Annotated[str | None, _setting("source")] = None,
    symbols: Annotated[str | None, _setting("symbols")] = None,
    venues: Annotated[str | None, _setting("venues")] = None,
    venue_urls: Annotated[str | None, _setting("venue_urls")] = None,
    audit_every_s: Annotated[float | None, _setting("audit_every_s")] = None,
    seed: Annotated[int | None, _setting("seed")] = None,
    record: Annotated[Path | None, _setting("record", "--out")] = None,
    record_mb: Annotated[int | None, _setting("record_mb", "--mb")] = None,
    record_minutes: Annotated[float | None, _setting("record_minutes", "--minutes")] = None,
    raw: Annotated[bool | None, _setting("raw", "--raw/--no-raw")] = None,
    kafka_servers: Annotated[str | None, _setting("kafka_servers", "--servers")] = None,
    metrics_port: Annotated[int | None, _setting("metrics_port")] = None,
    quicksilver_host: Annotated[str | None, _setting("quicksilver_host", "--host")] = None,
    seconds: Annotated[float | None, typer.Option(help="End after so many seconds; else at Ctrl-C.", min=0.0)] = None,
) -> None:
    """Record every frame of live feeds or the simulator, until Ctrl-C; the last line is the counts, as JSON."""
    given = {name: value for name, value in locals().items() if value is not None and name != "seconds"}
    with failing():
        left = asyncio.run(_record(RecordSettings(**given), seconds))
    if left:
        raise typer.Exit(UNDELIVERED)


async def _record(settings: RecordSettings, seconds: float | None) -> int:
    from producers.publishing import stop_on_signals
    from producers.tapes.rotating import require_writable

    require_writable(settings.record)  # before all that takes seconds
    stop = stop_on_signals()
    source = await prepared(lambda: _prepare(settings), stop, _say)
    from jobs.record import record_source

    if seconds is not None:
        asyncio.get_running_loop().call_later(seconds, stop.set)
    return await record_source(source, settings, _say, stop)


def _prepare(settings: RecordSettings) -> "Source":
    """Do what takes seconds and cannot be interrupted: import, probe, compile."""
    import jobs.record  # noqa: F401 (so that it is there when it is wanted)
    from jobs.sources import choose
    from jobs.warm_up import warm_up

    source = choose(settings, _say)
    warm_up()
    return source
