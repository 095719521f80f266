"""The ``quicksilver`` command."""

try:
    from pathlib import Path
    from typing import Annotated

    import msgspec
    import typer

    from jobs.backtest_command import backtest
    from jobs.check_leaks_command import check_leaks
    from jobs.doctor import checks
    from jobs.faults_command import faults
    from jobs.flink_cli import jobs as flink_jobs
    from jobs.frontier_command import frontier
    from jobs.models_command import models
    from jobs.plot_command import plot
    from jobs.publish_command import publish
    from jobs.record_command import record
    from jobs.rehearsal import rehearse
    from jobs.retrain_command import retrain
    from jobs.run_command import run, serve
    from jobs.search_command import search
    from jobs.soak_command import soak
    from jobs.spark_backfill import backfill
    from jobs.starting import FullBookLevels, FullBooksPerS, full_books
    from jobs.symbols_command import symbols
    from jobs.tape_cli import tape
    from jobs.train_command import train
    from jobs.universes_command import universes as universe_commands
    from producers.csv_producer import produce
    from quicksilver import __version__
    from setup.cluster import cluster, schema, topics
    from setup.exits import failing
except KeyboardInterrupt:  # imports take half a second: Ctrl-C within it is no reason for a traceback
    raise SystemExit(130) from None

app = typer.Typer(help="Streaming crypto market data: features, predictions, portfolios.", no_args_is_help=True)
app.command("csv")(produce)
app.command("publish")(publish)
app.command("symbols")(symbols)
app.command("record")(record)
app.command("backfill")(backfill)
app.command("train")(train)
app.command("check-leaks")(check_leaks)
app.command("search")(search)
app.command("plot")(plot)
app.command("retrain")(retrain)
app.command("frontier")(frontier)
app.command("backtest")(backtest)
app.command("faults")(faults)
app.command("soak")(soak)
app.command("rehearse")(rehearse)
app.add_typer(cluster, name="cluster")
app.add_typer(topics, name="topics")
app.add_typer(schema, name="schema")
app.add_typer(flink_jobs, name="jobs")
app.add_typer(tape, name="tape")
app.add_typer(models, name="models")
app.add_typer(universe_commands, name="universes")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


app.command()(run)
app.command()(serve)


@app.command()
def replay(
    tape: Annotated[Path, typer.Argument(help="A recording, or a folder of recordings of one session.")],
    venue: Annotated[str | None, typer.Option(help="Whose frames they are, where the tape does not say.")] = None,
    speed: Annotated[str, typer.Option(help="Factor of the recorded speed, or max.")] = "max",
    out: Annotated[Path | None, typer.Option(help="Folder for one <topic>.jsonl for each record type.")] = None,
    until_event: Annotated[int | None, typer.Option(help="Stop after this many events.", min=1)] = None,
    save_state: Annotated[Path | None, typer.Option(help="Save the state at the end.")] = None,
    load_state: Annotated[
        Path | None, typer.Option(help="Go on from a saved state of the same tape; the first part's --out is added to.")
    ] = None,
    full_books_per_s: FullBooksPerS = None,
    full_book_levels: FullBookLevels = None,
    models: Annotated[Path | None, typer.Option(help="Folder of trained predictors that predict.")] = None,
    universes: Annotated[Path | None, typer.Option(help="TOML file of universes; none: auto.")] = None,
) -> None:
    """Run a recording through the pipeline; the last line printed is the summary, one JSON object."""
    from jobs.replay import replay_tape
    from jobs.universe_watch import with_universes
    from quicksilver.config import PipelineConfig

    with failing():
        config = full_books(full_books_per_s, full_book_levels).of(PipelineConfig())
        if universes is not None:
            config = with_universes(config, universes)
        summary = replay_tape(
            tape, venue=venue, speed=speed, out=out, until_event=until_event, save_state=save_state,
            load_state=load_state, config=config, models=models,
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
