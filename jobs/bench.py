"""``quicksilver bench`` and ``bench-cluster``: measure beside peers, print a table, write ``build/bench.json``."""

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from jobs.benches.measure import Row
from quicksilver.errors import InputError

WIDTH = 132  # of the table in a file or a pipe, where nobody says how wide a line may be


def _kernels() -> Iterable[Row]:
    try:
        from jobs.benches import book, frames, parsing, portfolio, predictions, price_to_picks, search
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is not installed: `make bench` installs what the benchmarks need") from error
    for part in (book, frames, parsing, portfolio, price_to_picks, predictions, search):
        yield from part.rows()


def _cluster() -> Iterable[Row]:
    try:
        from jobs.benches import cluster
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is not installed: `make bench-cluster` installs what it needs") from error
    yield from cluster.rows()


def run_all(out: Path, cluster: bool = False) -> None:
    """Measure the kernels, or the cluster; print the table and put its rows into ``out``, beside those of the other.

    Raises:
        InputError: something that is needed is not installed.
    """
    table = Table("what", "ours", "unit", "peer", "theirs", "ratio", title="Quicksilver, beside its peers in this run")
    rows: list[Row] = []
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    with console.status("measuring ..."):
        for row in _cluster() if cluster else _kernels():
            rows.append(row)
            table.add_row(row.name, f"{row.value:g}", row.unit, row.peer, f"{row.peer_value:g}", f"{row.ratio:.2f}")
            console.log(f"{row.name}: {row.value:g} {row.unit}")
    console.print(table)
    out.parent.mkdir(parents=True, exist_ok=True)
    mine = {row.name for row in rows}
    kept = [row for row in _read(out) if row.name not in mine]
    out.write_bytes(msgspec.json.format(msgspec.json.encode([*kept, *rows])))
    console.print(f"written to {out}")


def _read(out: Path) -> list[Row]:
    try:
        return msgspec.json.decode(out.read_bytes(), type=list[Row])
    except (OSError, msgspec.MsgspecError):
        return []
