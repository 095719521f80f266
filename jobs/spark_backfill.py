"""``quicksilver backfill``: raw tapes -> features, labels and all other records of instruments, on many cores.

Tapes and, within a tape, instruments are shared among Spark's tasks; each computes with the same core as every other
runner, so the rows are the same to the bit, into how many tasks the work is ever cut. Frontiers are of many
instruments at once and left out: `quicksilver replay` computes those.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any
from zipfile import ZipFile

import msgspec
import typer

from jobs.outputs import RecordFiles
from jobs.shares import COUNTED, FAILED, Line, Unit, lines_of
from quicksilver.errors import InputError, QuicksilverError
from quicksilver.tables import TABLES

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession

    from setup.cassandra.client import CassandraSettings

COLUMNS = "tape int, n bigint, i bigint, topic string, key string, row_key string, day int, line binary"


class Target(StrEnum):
    """Where rows may go besides files."""

    CASSANDRA = "cassandra"


def units_of(tapes: Sequence[Path], venue: str | None, partitions: int, trades: bool) -> list[Unit]:
    """Return the tasks: tapes are shared out first, and each one's instruments if there are fewer tapes than tasks."""
    shares = -(-partitions // len(tapes))
    return [
        Unit(i, str(tape), str(tape.resolve()), venue, k, shares, trades)
        for i, tape in enumerate(tapes)
        for k in range(shares)
    ]


def lines_on(spark: "SparkSession", units: Sequence[Unit], partitions: int) -> "DataFrame":
    """Return all lines of all units, ``COLUMNS``; nothing is computed before it is asked for."""
    units = list(units)

    def work(batches: Iterable["pyarrow.RecordBatch"]) -> Iterator["pyarrow.RecordBatch"]:
        import pyarrow as pa

        types = (pa.int32(), pa.int64(), pa.int64(), pa.string(), pa.string(), pa.string(), pa.int32(), pa.binary())
        schema = pa.schema(list(zip(Line._fields, types, strict=True)))
        for batch in batches:
            for number in batch.column(0).to_pylist():
                for lines in lines_of(units[number]):
                    columns = zip(*lines, strict=True)
                    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
                    yield pa.record_batch(arrays, schema=schema) if arrays else pa.RecordBatch.from_pylist([], schema)

    return spark.range(0, len(units), 1, min(partitions, len(units))).mapInArrow(work, COLUMNS)


def to_files(lines: "DataFrame", folder: Path) -> None:
    """Write each topic's lines to its file, tape by tape in the order of events, as a replay of each would."""
    files = RecordFiles(folder)
    try:
        joined = (
            lines.orderBy("tape", "n", "i").select("topic", "line").mapInArrow(_joined, "topic string, line binary")
        )
        for row in joined.toLocalIterator(prefetchPartitions=True):
            files.append(row["topic"], bytes(row["line"]))
    finally:
        files.close()


def _joined(batches: Iterable["pyarrow.RecordBatch"]) -> Iterator["pyarrow.RecordBatch"]:
    """Join each batch's lines of a topic: the driver takes in thousands at once."""
    import pyarrow as pa

    for batch in batches:
        by_topic: dict[str, list[bytes]] = {}
        for topic, line in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            by_topic.setdefault(topic, []).append(line)
        blocks = [b"".join(line + b"\n" for line in lines) for lines in by_topic.values()]
        yield pa.record_batch([pa.array(list(by_topic), pa.string()), pa.array(blocks, pa.binary())], ["topic", "line"])


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
    try:
        summary = run(tapes, venue, _target(out, to), master, partitions)
        for tape, why in summary["failed"].items():
            typer.echo(f"error: {why if tape in why else f'{tape}: {why}'}", err=True)
        typer.echo(msgspec.json.encode(summary).decode())
        if not summary["tapes"]:
            raise InputError("no tape could be read")
    except QuicksilverError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    except OSError as error:
        typer.echo(f"error: {error.filename}: {error.strerror}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


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
