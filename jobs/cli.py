"""The ``quicksilver`` command."""

try:
    import asyncio
    import os
    import signal
    from pathlib import Path
    from typing import TYPE_CHECKING, Annotated

    import msgspec
    import typer

    from jobs.doctor import checks
    from jobs.flink_cli import jobs as flink_jobs
    from jobs.publish_command import publish
    from jobs.settings import RunSettings, ServeSettings
    from jobs.spark_backfill import backfill
    from jobs.spark_frontier import frontier
    from jobs.spark_train import train_models
    from producers.csv_producer import produce
    from quicksilver import __version__
    from setup.cluster import cluster, schema, topics
    from setup.exits import failing
except KeyboardInterrupt:  # imports take half a second: Ctrl-C within it is no reason for a traceback
    raise SystemExit(130) from None

if TYPE_CHECKING:
    from jobs.sources import Source

app = typer.Typer(help="Streaming crypto market data: features, predictions, portfolios.", no_args_is_help=True)
app.command("csv")(produce)
app.command("publish")(publish)
app.command("backfill")(backfill)
app.command("train")(train_models)
app.command("frontier")(frontier)
app.add_typer(cluster, name="cluster")
app.add_typer(topics, name="topics")
app.add_typer(schema, name="schema")
app.add_typer(flink_jobs, name="jobs")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _setting(name: str, *options: str, of: type[RunSettings | ServeSettings] = RunSettings) -> typer.models.OptionInfo:
    """Return the option of a setting; all that its help says is said in the settings alone."""
    field = of.model_fields[name]
    return typer.Option(*options, help=f"{field.description} [{name.upper()}={field.default or ''}]")


@app.command()
def run(
    source: Annotated[str | None, _setting("source")] = None,
    tape: Annotated[Path | None, _setting("tape")] = None,
    speed: Annotated[str | None, _setting("speed")] = None,
    port: Annotated[int | None, _setting("port")] = None,
    quicksilver_host: Annotated[str | None, _setting("quicksilver_host", "--host")] = None,
    symbols: Annotated[str | None, _setting("symbols")] = None,
    venues: Annotated[str | None, _setting("venues")] = None,
    seed: Annotated[int | None, _setting("seed")] = None,
    data: Annotated[Path | None, _setting("data")] = None,
    keep_hours: Annotated[float | None, _setting("keep_hours")] = None,
    bus: Annotated[str | None, _setting("bus")] = None,
    store: Annotated[str | None, _setting("store")] = None,
) -> None:
    """Run everything in this process and serve the page, until Ctrl-C."""
    given = {name: value for name, value in locals().items() if value is not None}
    with failing():
        settings = RunSettings(**given)
        settings.require_embedded()
        asyncio.run(_run(settings))


@app.command()
def serve(
    port: Annotated[int | None, _setting("port", of=ServeSettings)] = None,
    quicksilver_host: Annotated[str | None, _setting("quicksilver_host", "--host", of=ServeSettings)] = None,
    bus: Annotated[str | None, _setting("bus", of=ServeSettings)] = None,
    store: Annotated[str | None, _setting("store", of=ServeSettings)] = None,
    kafka_servers: Annotated[str | None, _setting("kafka_servers", of=ServeSettings)] = None,
    data: Annotated[Path | None, _setting("data", of=ServeSettings)] = None,
    keep_hours: Annotated[float | None, _setting("keep_hours", of=ServeSettings)] = None,
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
    preparing, stopping = asyncio.create_task(asyncio.to_thread(_prepare, settings)), asyncio.create_task(stop.wait())
    await asyncio.wait({preparing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not preparing.done():
        typer.echo("stopped")
        os._exit(0)  # a thread that compiles kernels cannot be stopped, and an orderly end would wait for it
    source = preparing.result()
    from jobs.embedded import run_embedded

    await run_embedded(source, settings, typer.echo, stop)
    typer.echo("stopped")


def _prepare(settings: RunSettings) -> "Source":
    """Do what takes seconds and cannot be interrupted: import (which brings the kernels in), probe, compile."""
    import jobs.embedded  # noqa: F401 (so that it is there when it is wanted)
    from jobs.sources import choose
    from jobs.warm_up import warm_up

    source = choose(settings, typer.echo)
    warm_up()
    return source


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

    with failing():
        summary = replay_tape(
            tape, venue=venue, speed=speed, out=out, until_event=until_event, save_state=save_state,
            load_state=load_state,
        )  # fmt: skip
    typer.echo(msgspec.json.encode(summary).decode())


@app.command()
def bench(
    out: Annotated[Path, typer.Option(help="Where the rows are written as JSON.")] = Path("build/bench.json"),
    cluster: Annotated[
        bool, typer.Option("--cluster", help="The whole cluster, on free ports, not the kernels.")
    ] = False,
) -> None:
    """Measure the hot paths beside their peers, print a table and write it as JSON."""
    from jobs.bench import run_all

    with failing():
        run_all(out, cluster)


@app.command()
def persist() -> None:
    """Write every topic of records into its table in Cassandra, by Spark, until Ctrl-C [SPARK_MASTER=local[1]]."""
    from jobs.spark_persist import persist as work

    work()


@app.command()
def counts() -> None:
    """Compare each topic's messages with the rows of its table; exit code 0 if they agree, else 1."""
    from jobs.counts import show

    show()


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
