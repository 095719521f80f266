"""The ``quicksilver`` command."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from pydantic import ValidationError

from jobs.doctor import checks
from jobs.settings import RunSettings
from producers.csv_producer import produce
from quicksilver import __version__
from quicksilver.errors import InputError, QuicksilverError

app = typer.Typer(help="Streaming crypto market data: features, predictions, portfolios.", no_args_is_help=True)
app.command("csv")(produce)
UNUSABLE = 2  # exit code: nothing could be read, or an option cannot be used


def _fail(error: Exception) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(UNUSABLE)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command()
def run(
    source: Annotated[str | None, typer.Option(help="auto, live, sim, tape or csv. [SOURCE]")] = None,
    tape: Annotated[Path | None, typer.Option(help="The recording or CSV file. [TAPE]")] = None,
    speed: Annotated[str | None, typer.Option(help="Factor of the recorded speed, or max. [SPEED]")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the page; 0: any free one. [PORT]")] = None,
) -> None:
    """Run everything in this process and serve the page, until Ctrl-C."""
    given = {"source": source, "tape": tape, "speed": speed, "port": port}
    try:
        settings = RunSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
        asyncio.run(_run(settings))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        raise _fail(InputError(f"{name}={first['input']}: {first['msg']}")) from error
    except QuicksilverError as error:
        raise _fail(error) from error


async def _run(settings: RunSettings) -> None:
    from jobs.embedded import run_embedded  # here, for it brings the kernels in: other commands start without
    from jobs.sources import choose
    from jobs.warm_up import warm_up

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    source = await asyncio.to_thread(choose, settings, typer.echo)
    await asyncio.to_thread(warm_up)
    await run_embedded(source, settings, typer.echo, stop)
    typer.echo("stopped")


@app.command()
def replay(
    tape: Annotated[Path, typer.Argument(help="A recording, or a folder of recordings of one session.")],
    venue: Annotated[str | None, typer.Option(help="Whose frames they are, where the tape does not say.")] = None,
    speed: Annotated[str, typer.Option(help="Factor of the recorded speed, or max.")] = "max",
    out: Annotated[Path | None, typer.Option(help="Folder for one <topic>.jsonl for each record type.")] = None,
    until_event: Annotated[int | None, typer.Option(help="Stop after this many events.", min=1)] = None,
    save_state: Annotated[Path | None, typer.Option(help="Save the state at the end.")] = None,
    load_state: Annotated[Path | None, typer.Option(help="Go on from a saved state of the same tape.")] = None,
) -> None:
    """Run a recording through the pipeline; the last line printed is the summary, one JSON object."""
    from jobs.replay import replay_tape

    try:
        summary = replay_tape(
            tape, venue=venue, speed=speed, out=out, until_event=until_event, save_state=save_state,
            load_state=load_state,
        )  # fmt: skip
    except QuicksilverError as error:
        raise _fail(error) from error
    except OSError as error:
        raise _fail(InputError(f"{error.filename}: {error.strerror}")) from error
    typer.echo(msgspec.json.encode(summary).decode())


@app.command()
def bench(
    out: Annotated[Path, typer.Option(help="Where the rows are written as JSON.")] = Path("build/bench.json"),
) -> None:
    """Measure the hot paths beside their peers, print a table and write it as JSON."""
    from jobs.bench import run_all

    try:
        run_all(out)
    except QuicksilverError as error:
        raise _fail(error) from error


@app.command()
def doctor() -> None:
    """Say what is missing on this machine, and how to get it."""
    results = checks()
    for check in results:
        mark = "ok  " if check.ok else "MISS" if check.needed else "-   "
        typer.echo(f"{mark} {check.name:<12} {check.found}" + ("" if check.ok else f"\n     -> {check.remedy}"))
    if any(check.needed and not check.ok for check in results):
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
