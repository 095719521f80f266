"""``quicksilver jobs``: Flink's jobs, submitted, listed, stopped and started again."""

import time
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from quicksilver.errors import InputError
from setup.settings import ClusterSettings

jobs = typer.Typer(help="Flink's jobs: features, predict, portfolio.", no_args_is_help=True)
Names = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="All, if none is named.")]
UNUSABLE = 2


def _each(names: list[str] | None, work: Callable[[str], None]) -> None:
    from setup.flink.jobs import JOBS

    try:
        for name in names or JOBS:
            work(name)
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(UNUSABLE) from error


@jobs.command()
def submit(
    names: Names = None,
    parallelism: Annotated[int, typer.Option(min=1, help="Slots of each; a TaskManager has one.")] = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Not from the last savepoint: with no state.")] = False,
) -> None:
    """Start jobs, from their last savepoints, and wait until they run."""
    from setup.flink.jobs import Jobs

    flink = Jobs(ClusterSettings())

    def start(name: str) -> None:
        if name in flink.running():
            typer.echo(f"{name}: runs already")
            return
        flink.submit(name, typer.echo, parallelism, fresh)
        flink.wait(name)
        typer.echo(f"{name}: runs")

    _each(names, start)


@jobs.command("list")
def show() -> None:
    """Say which jobs run, since when, and why they were last restarted."""
    from setup.flink.jobs import Jobs

    flink, table = Jobs(ClusterSettings()), Table("job", "state", "for", "restarts", "last trouble")

    def row(name: str) -> None:
        job = flink.running().get(name)
        seconds = int(time.time() - job.since_ms / 1000) if job else 0
        cells = (job.state, f"{seconds} s", str(job.restarts)) if job else ("does not run", "", "")
        table.add_row(name, *cells, flink.trouble(name))

    _each(None, row)
    Console().print(table)


@jobs.command()
def stop(names: Names = None) -> None:
    """Stop jobs, each with a savepoint; ``submit`` goes on from there."""
    from setup.flink.jobs import Jobs

    _each(names, lambda name: typer.echo(f"{name}: stopped, state in {Jobs(ClusterSettings()).stop(name)}"))


@jobs.command()
def restart(names: Names = None) -> None:
    """Stop jobs with a savepoint and start them again from it: what a new version of the code needs."""
    stop(names)
    submit(names)


@jobs.command()
def cancel(names: Names = None) -> None:
    """End jobs at once, without a savepoint."""
    from setup.flink.jobs import Jobs

    def end(name: str) -> None:
        Jobs(ClusterSettings()).cancel(name)
        typer.echo(f"{name}: cancelled")

    _each(names, end)
