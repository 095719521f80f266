"""``quicksilver bench``: measure the hot paths beside their peers, print a table, write ``build/bench.json``."""

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from jobs.benches.measure import Row
from quicksilver.errors import InputError

WIDTH = 132  # of the table in a file or a pipe, where nobody says how wide a line may be


def _measure() -> Iterable[Row]:
    try:
        from jobs.benches import book, frames, portfolio
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is not installed: `make bench` installs what the benchmarks need") from error
    for part in (book, frames, portfolio):
        yield from part.rows()


def run_all(out: Path) -> None:
    """Measure everything, print the table and write it to ``out``.

    Raises:
        InputError: a peer to measure against is not installed.
    """
    table = Table("what", "ours", "unit", "peer", "theirs", "ratio", title="Quicksilver, beside its peers in this run")
    rows = []
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    with console.status("measuring ..."):
        for row in _measure():
            rows.append(row)
            table.add_row(row.name, f"{row.value:g}", row.unit, row.peer, f"{row.peer_value:g}", f"{row.ratio:.2f}")
    console.print(table)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(rows)))
    console.print(f"written to {out}")
