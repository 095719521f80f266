"""``quicksilver jobs``: Flink's jobs, submitted, listed, stopped and started again."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from jobs.starting import FullBookLevels, FullBooksPerS, full_books
from setup.exits import failing
from setup.settings import ClusterSettings

if TYPE_CHECKING:
    from setup.flink.jobs import Jobs

jobs = typer.Typer(help="Flink's jobs: features, predict, portfolio.", no_args_is_help=True)
Names = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="All, if none is named.")]


def _each(names: list[str] | None, work: Callable[["Jobs", str], None]) -> None:
    from setup.flink.jobs import JOBS, Jobs

    with failing(), closing(Jobs(ClusterSettings.from_environment())) as flink:
        for name in names or JOBS:
            work(flink, name)


def _start(flink: "Jobs", name: str, slots: int, options: Mapping[str, str], fresh: bool = False) -> None:
    flink.submit(name, typer.echo, slots, fresh, options)
    flink.wait(name)
    typer.echo(f"{name}: runs")


@jobs.command()
def submit(
    names: Names = None,
    parallelism: Annotated[int, typer.Option(min=1, help="Slots of each; a TaskManager has one.")] = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Not from the last savepoint: with no state.")] = False,
    full_books_per_s: FullBooksPerS = None,
    full_book_levels: FullBookLevels = None,
) -> None:
    """Start jobs, from their last savepoints, and wait until they run; full books are the features job's."""
    with failing():
        options = full_books(full_books_per_s, full_book_levels).environment()

    def start(flink: "Jobs", name: str) -> None:
        """Start a job, unless it runs."""
        if name in flink.running():
            typer.echo(f"{name}: runs already")
        else:
            _start(flink, name, parallelism, options, fresh)

    _each(names, start)


@jobs.command("list")
def show() -> None:
    """Say which jobs run, since when, and why they were last restarted."""
    table = Table("job", "state", "for", "restarts", "last trouble")

    def row(flink: "Jobs", name: str) -> None:
        """Add a job's line to the table."""
        job = flink.running().get(name)
        seconds = int(time.time() - job.since_ms / 1000) if job else 0
        cells = (job.state, f"{seconds} s", str(job.restarts)) if job else ("does not run", "", "")
        table.add_row(name, *cells, flink.trouble(name))

    _each(None, row)
    Console().print(table)


@jobs.command()
def stop(names: Names = None) -> None:
    """Stop jobs, each with a savepoint; ``submit`` goes on from there."""
    _each(names, lambda flink, name: typer.echo(f"{name}: stopped, state in {flink.stop(name)}"))


@jobs.command()
def restart(names: Names = None) -> None:
    """Stop jobs with a savepoint and start them again from it, one by one: what a new version of the code needs.

    Each has as many slots and the same full books as before.
    """

    def again(flink: "Jobs", name: str) -> None:
        """Stop a job with a savepoint, if it runs, and start it as it was."""
        slots, options = flink.slots(name), flink.options(name)
        if name in flink.running():
            typer.echo(f"{name}: stopped, state in {flink.stop(name)}")
        _start(flink, name, slots, options)

    _each(names, again)


@jobs.command()
def cancel(names: Names = None) -> None:
    """End jobs at once, without a savepoint."""

    def end(flink: "Jobs", name: str) -> None:
        """Cancel a job, whatever it is doing."""
        flink.cancel(name)
        typer.echo(f"{name}: cancelled")

    _each(names, end)
