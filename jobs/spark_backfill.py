"""``quicksilver backfill``: raw tapes -> features, labels and all other records of instruments, on many cores.

Tapes and, within a tape, instruments are shared among Spark's tasks; each computes with the same core as every other
runner, so the rows are the same to the bit, into how many tasks the work is ever cut. Frontiers are of many
instruments at once and left out: `quicksilver replay` computes those.
"""

import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any
from zipfile import ZipFile

import msgspec
import typer

from jobs.shares import COUNTED, FAILED
from jobs.spark_lines import lines_on, to_files, units_of
from quicksilver.errors import InputError
from quicksilver.tables import TABLES
from setup.exits import failing

if TYPE_CHECKING:
    from setup.cassandra.client import CassandraSettings


class Target(StrEnum):
    """Where rows may go besides files."""

    CASSANDRA = "cassandra"


def run(
    tapes: Sequence[Path],
    venue: str | None,
    target: "Path | CassandraSettings",
    master: str | None,
    partitions: int | None,
) -> dict[str, Any]:
    """Do it all; returns the summary: rows by topic, each tape's counts, and why others could not be read."""
    from pyspark import StorageLevel
    from pyspark.sql import functions as f

    from jobs.spark import is_here, session
    from jobs.spark_tables import connector_conf, write

    conf = {} if isinstance(target, Path) else connector_conf(target)
    with (
        session("quicksilver backfill", master, connectors=bool(conf), conf=conf) as spark,
        TemporaryDirectory() as zips,
    ):
        started, cores = time.perf_counter(), spark.sparkContext.defaultParallelism
        if not is_here(str(spark.sparkContext.master)):
            spark.sparkContext.addPyFile(str(_code_zip(Path(zips))))
        spark.conf.set("spark.sql.shuffle.partitions", str(2 * cores))
        units = units_of(tapes, venue, partitions or cores, trades=bool(conf))
        lines = lines_on(spark, units, partitions or cores).persist(StorageLevel.DISK_ONLY)
        rows = {row["topic"]: row["count"] for row in lines.groupBy("topic").count().collect()}
        said = lines.where(f.col("topic").isin(FAILED, COUNTED)).select("tape", "topic", "line").collect()
        lines = lines.where(~f.col("topic").isin(FAILED, COUNTED))
        if isinstance(target, Path):
            to_files(lines, target)
        else:
            for topic in sorted(rows.keys() & TABLES.keys()):
                write(lines.where(f.col("topic") == topic), target, topic)
        seconds = round(time.perf_counter() - started, 2)
    counts, failed = _told(said)
    kept = {topic: n for topic, n in sorted(rows.items()) if topic in TABLES}
    return {
        "rows": kept, "tapes": {str(tapes[tape]): one for tape, one in counts.items()},
        "failed": {str(tapes[tape]): why for tape, why in failed.items()}, "cores": cores, "seconds": seconds,
    }  # fmt: skip


def _told(said: Sequence[Any]) -> tuple[dict[int, dict[str, int]], dict[int, str]]:
    """Each tape's counts, and why others failed: all shares count the same, but features and crossings of their own."""
    counts: dict[int, dict[str, int]] = {}
    failed: dict[int, str] = {}
    for row in sorted(said, key=lambda row: row["tape"]):
        if row["topic"] == FAILED:
            failed[row["tape"]] = bytes(row["line"]).decode()
            continue
        share = msgspec.json.decode(bytes(row["line"]), type=dict[str, int])
        known = counts.setdefault(row["tape"], {**share, "features": 0, "crossed": 0})
        for name in ("features", "crossed"):
            known[name] += share[name]
    return counts, failed


def _code_zip(folder: Path) -> Path:
    """Our other packages that workers elsewhere need to read tapes."""
    path, root = folder / "quicksilver_jobs.zip", Path(__file__).resolve().parent.parent
    with ZipFile(path, "w") as archive:
        for package in ("jobs", "producers"):
            for file in sorted((root / package).rglob("*.py")):
                archive.write(file, file.relative_to(root))
    return path


def backfill(
    tapes: Annotated[list[Path], typer.Argument(help="Recordings, or folders of recordings of one session each.")],
    out: Annotated[Path | None, typer.Option(help="Folder for one <topic>.jsonl for each record type.")] = None,
    to: Annotated[Target | None, typer.Option(help="Store them in the tables instead [CASSANDRA_HOSTS].")] = None,
    venue: Annotated[str | None, typer.Option(help="Whose frames they are, where a tape does not say.")] = None,
    master: Annotated[str | None, typer.Option(help="local[N], or spark://host:7077 [SPARK_MASTER=local[*]]")] = None,
    partitions: Annotated[int | None, typer.Option(help="Into how many tasks the work is cut.", min=1)] = None,
) -> None:
    """Compute the records of raw tapes anew, on Spark; the last line printed is the summary, one JSON object."""
    with failing():
        summary = run(tapes, venue, _target(out, to), master, partitions)
        for tape, why in summary["failed"].items():
            typer.echo(f"error: {why if tape in why else f'{tape}: {why}'}", err=True)
        typer.echo(msgspec.json.encode(summary).decode())
        if not summary["tapes"]:
            raise InputError("no tape could be read")


def _target(out: Path | None, to: Target | None) -> "Path | CassandraSettings":
    if (out is None) == (to is None):
        raise InputError("say where to: --out FOLDER or --to cassandra")
    if out is not None:
        return out
    from jobs.spark_tables import keys_of
    from setup.cassandra.client import CassandraSettings

    settings = CassandraSettings.from_environment()
    keys_of(settings, "labels")  # now, rather than after all the work, it is said that Cassandra is away
    return settings


if __name__ == "__main__":
    typer.run(backfill)
