"""What ``spark_persist`` does with each micro-batch: Kafka is read once, then there is a write for each table."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from py4j.protocol import Py4JError
from pyspark import cloudpickle
from pyspark.errors import PySparkException

from jobs import rows
from jobs.table_saver import HungError, TableSaver
from quicksilver.tables import KEYS, KEYS_LIFE_S, TABLES
from setup.cassandra.client import CassandraSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FIRST_WAIT_S, MOST_WAIT_S = 0.5, 5.0
REASON_CHARS = 300
BATCH_BYTES = 16 << 10  # of rows of one partition in one write; a server refuses 50 KB only where there are several
T = TypeVar("T")

cloudpickle.register_pickle_by_value(rows)  # type: ignore[no-untyped-call]  # workers on other machines are sent the core, and this with the task


class StoppedError(Exception):
    """The job is to end: the batch is left as it is, and done again at the next start."""


def cassandra_conf(settings: CassandraSettings) -> dict[str, str]:
    """Return the connector's settings, which those of the session are to have."""
    return {
        "spark.cassandra.connection.host": settings.hosts,
        "spark.cassandra.connection.port": str(settings.port),
        "spark.cassandra.connection.timeoutMS": "5000",
        "spark.cassandra.connection.reconnectionDelayMS.min": "500",
        "spark.cassandra.connection.reconnectionDelayMS.max": "1000",
        "spark.cassandra.read.timeoutMS": "20000",  # of writes too
        "spark.cassandra.query.retry.count": "2",  # then the batch is written again, which is said
        "spark.cassandra.output.consistency.level": "LOCAL_QUORUM",
        "spark.cassandra.output.ignoreNulls": "true",  # nulls would be tombstones; a row written again is the same row
        "spark.cassandra.output.batch.grouping.key": "partition",
        "spark.cassandra.output.batch.size.bytes": str(BATCH_BYTES),
        "spark.cassandra.output.concurrent.writes": "16",
    }


class TableWriter:
    """Writes micro-batches; ``say`` is told when it waits, for what, and when it goes on.

    ``stopping`` ends all waiting. ``messages`` are those of the latest batches by their number, ``rows`` those written
    by table, since the start.
    """

    def __init__(
        self, spark: "SparkSession", keyspace: str, producer: dict[str, Any], say: Callable[[str], None],
        stopping: threading.Event,
    ) -> None:  # fmt: skip
        self._spark, self._say, self._stopping = spark, say, stopping
        self._saver = TableSaver(spark, keyspace)
        self._read = rows.reader(producer)
        self._tasks = max(1, spark.sparkContext.defaultParallelism)
        self._known: dict[tuple[str, str, int], float] = {}
        self._written_us = 0  # of the latest batch: what is written again of it stays older than the next
        self.busy = threading.Lock()
        self.rows, self.messages = Counter[str](), dict[int, int]()
        self.refused = self.unreadable = 0

    def write(self, batch: "DataFrame", number: int) -> None:
        """Write a micro-batch; returns when all its rows are stored.

        Raises:
            StoppedError: the job is to end.
        """
        with self.busy:
            self._written_us = max(self._written_us + 1, time.time_ns() // 1000)
            # Without coalesce each partition of Kafka would be a task of its own, for each of the writes.
            parsed = batch.selectExpr(*rows.COLUMNS).coalesce(self._tasks)
            parsed = parsed.mapInArrow(self._read, rows.spark_schema()).persist()
            try:
                self._write(parsed, number)
            finally:
                parsed.unpersist()

    def _write(self, parsed: "DataFrame", number: int) -> None:
        found = self._until_done("reading Kafka", lambda: parsed.select("summary").dropna().collect())
        summaries = [rows.Summary(*msgspec.msgpack.decode(one.summary)) for one in found]
        written = Counter[str]()
        for one in summaries:
            written.update(one.rows)
        self._write_keys({(topic, key, bucket) for one in summaries for topic, key, bucket in one.keys})
        for topic in written:
            name = TABLES[topic].name
            some = parsed.select(f"{name}.*").where(f"{name} IS NOT NULL")
            self._until_done(f"writing {name}", lambda name=name, some=some: self._save(some, name))  # type: ignore[misc]
        self._count(summaries, written, number)

    def _count(self, summaries: list[rows.Summary], written: Counter[str], number: int) -> None:
        self.rows.update(written)
        self.refused += sum(one.refused for one in summaries)
        for place in (place for one in summaries for place in one.unreadable):
            self.unreadable += 1
            self._say(f"a dead letter cannot be read: {place}")
        self.messages[number] = sum(sum(one.messages.values()) for one in summaries)
        self.messages.pop(number - 100, None)

    def _write_keys(self, keys: set[tuple[str, str, int]]) -> None:
        """Write the rows of ``keys``, before the rows that they stand for, and again while such rows come."""
        now = time.monotonic()
        due = [key for key in keys if now - self._known.get(key, -KEYS_LIFE_S) > KEYS_LIFE_S / 2]
        by_life: dict[int, list[tuple[str, str, int]]] = {}
        for key in due:
            by_life.setdefault(TABLES[key[0]].ttl_s + KEYS_LIFE_S, []).append(key)
        columns = ", ".join(f"`{one.name}` {'int' if one.kind == 'int' else 'string'}" for one in KEYS)
        for life_s, some in by_life.items():
            frame = self._spark.createDataFrame(some, columns).coalesce(1)
            self._until_done("writing keys", lambda frame=frame, life_s=life_s: self._save(frame, "keys", life_s))  # type: ignore[misc]
        self._known = {key: at for key, at in self._known.items() if now - at <= KEYS_LIFE_S} | dict.fromkeys(due, now)

    def _save(self, frame: "DataFrame", table: str, life_s: int | None = None) -> None:
        self._saver.save(frame, table, self._written_us, life_s)

    def _until_done(self, what: str, work: Callable[[], T]) -> T:
        """Do it again until it is done, however long that takes: each part may be done twice."""
        said, wait_s = False, FIRST_WAIT_S
        while not self._stopping.is_set():
            try:
                result = work()
            except (PySparkException, Py4JError, HungError) as error:
                self._saver.renew()
                if not said:
                    self._say(f"{what} does not work ({why(error)}); waiting")
                said = True
                self._stopping.wait(wait_s)
                wait_s = min(2 * wait_s, MOST_WAIT_S)
            else:
                if said:
                    self._say(f"{what} works again")
                return result
        raise StoppedError


def why(error: Exception) -> str:
    """Return an error of Spark's in one line: what the task said, without the trace around it."""
    java_error = getattr(error, "java_exception", None)
    text = java_error.toString() if java_error is not None else str(error)
    causes = re.findall(r"(?:Lost task [^\n]*?\): |Caused by: |^[\w.]+(?:Error|Exception): )([^\n]+)", text, re.M)
    return str((causes or [text.strip().splitlines()[0]])[-1])[:REASON_CHARS]
