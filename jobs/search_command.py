"""``quicksilver search``: every combination of a grid judged walk-forward, on many cores, with a table at the end."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from jobs.choices import Span
from jobs.options import Since, Until, Venue
from jobs.settings import SearchSettings
from quicksilver.errors import InputError
from setup.exits import failing

if TYPE_CHECKING:
    from quicksilver.learning.ranking import Row
    from quicksilver.learning.results import Interval

MANY = 10_000  # configurations that are not begun by mistake
WIDTH = 160  # of the table in a file or a pipe, where nobody says how wide a line may be
BEST = 20
REASONS = 5  # why configurations could not be judged; each may have numbers of its own


class Backend(StrEnum):
    """What the work is spread by."""

    JOBLIB = "joblib"
    SPARK = "spark"


def search(
    config: Annotated[Path, typer.Argument(metavar="SEARCH.toml", help="File with the grid, in a table \\[search].")],
    sources: Annotated[
        list[str], typer.Argument(metavar="FROM...", help="Tapes, CSV files, SQLite files; or cassandra.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results; an earlier search there goes on. [SEARCHES/NAME]")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes of joblib; all cores unless given.", min=1)] = None,
    backend: Annotated[Backend, typer.Option(help="Processes of this machine, or a Spark cluster.")] = Backend.JOBLIB,
    master: Annotated[str | None, typer.Option(help="local[N], or spark://host:7077 [SPARK_MASTER=local[*]]")] = None,
    models: Annotated[Path | None, typer.Option(help="Folder in which what was tried is kept [DATA/models].")] = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    best: Annotated[int, typer.Option(help="How many of the best are printed.", min=0)] = BEST,
    yes: Annotated[bool, typer.Option("--yes", help=f"Begin more than {MANY:,} configurations too.")] = False,
) -> None:
    """Try every combination of a grid; the last line printed is the summary, one JSON object.

    What is finished is kept at once: the same command goes on where an earlier one was stopped, however that was.
    """
    started = time.perf_counter()
    with failing():
        if backend is Backend.SPARK and jobs is not None:
            raise InputError("--jobs is for --backend joblib; Spark's cores are those of --master, such as local[2]")
        if backend is Backend.JOBLIB and master is not None:
            raise InputError("--master is for --backend spark")
        from joblib import cpu_count

        from jobs.registry import models_folder
        from jobs.searching import Place, read_config, run_search

        grid, folder = read_config(config), out or SearchSettings().searches_folder / config.stem
        place = Place(jobs or cpu_count(), backend is Backend.SPARK, master)
        span, most = Span.of(since, until), None if yes else MANY
        found = run_search(grid, sources, venue, span, folder, models_folder(models), place, most, _say)
    _print(found.rows, best)
    typer.echo(found.verdict)
    summary = {**found.summary, "out": str(folder), "seconds": round(time.perf_counter() - started, 2)}
    typer.echo(msgspec.json.encode(summary).decode())


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _print(rows: Sequence["Row"], most: int) -> None:
    """Print so many of those that were judged, and of the others each reason once, the commonest first."""
    judged = [row for row in rows if not row.why]
    table = Table(
        "type", "granularity", "ahead", "inputs", "minutes back", "instruments", "n, periods", "% correct",
        "% majority", "bps after costs", "deflated",
        title=f"the best {len(judged[:most]):,} of {len(rows):,}; intervals: a later period, 95 %",
    )  # fmt: skip
    for row in judged[:most]:
        table.add_row(*_cells(row))
    if table.rows:
        console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
        console.print(table)
    whys = Counter(row.why for row in rows if row.why).most_common()
    for why, n in whys[:REASONS]:
        typer.echo(f"{n:,} of {len(rows):,} could not be judged: {why}")
    if others := whys[REASONS:]:
        typer.echo(f"{sum(n for _, n in others):,} more could not, for {len(others):,} other reasons: see the results")


def _cells(row: "Row") -> list[str]:
    inputs = " ".join([f"{row.datasetinputs} moves", *row.features])
    back = f"{row.minutes_back:g}" if row.minutes_back else "all"
    cells = [row.type, row.granularity, row.horizon, inputs, back, " ".join(row.instruments)]
    assert row.percent_correct is not None
    assert row.percent_majority is not None
    assert row.profit_bps is not None
    deflated = f"{row.deflated:.3f}" if row.deflated is not None else "too few" if row.trades else "no trades"
    judged = f"{row.n:,} in {row.folds}{', too few' if row.few else ''}"
    return [
        *cells, judged, _interval(row.percent_correct, 1), f"{row.percent_majority.value:.1f}",
        _interval(row.profit_bps, 2) if row.trades else "0.00", deflated,
    ]  # fmt: skip


def _interval(one: "Interval", digits: int) -> str:
    return f"{one.value:z.{digits}f} [{one.low:z.{digits}f}, {one.high:z.{digits}f}]"
