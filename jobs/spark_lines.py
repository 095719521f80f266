"""The lines of a backfill on Spark: shared out among tasks, and joined in the order of a replay."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.outputs import RecordFiles
from jobs.shares import Line, Unit, lines_of

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession

COLUMNS = "tape int, n bigint, i bigint, topic string, key string, row_key string, day int, line binary"


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
        """Read the parts of tapes whose numbers come in, and yield their lines as Arrow batches."""
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
