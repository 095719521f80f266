"""Writing one frame into one table, by a connection that is made anew when it is broken for good.

The connector asks for the tables' schema before each write. When Cassandra goes away while its driver (4.x) reads that
schema by itself, all later requests for it wait for ever behind the one that failed (``startSchemaRequest`` in
``MetadataManager`` of https://github.com/apache/cassandra-java-driver).
"""

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

KEEP_ALIVE_MS = 60_000  # a new connection takes longer than a batch
HUNG_S = 20.0  # without any task of Spark's: before a write there is a second of planning
LOOK_S = 1.0


class HungError(Exception):
    """The write has not begun, and never will."""


class TableSaver:
    """Appends frames to the keyspace's tables."""

    def __init__(self, spark: "SparkSession", keyspace: str, hung_s: float = HUNG_S) -> None:
        self._spark, self._keyspace, self._hung_s = spark, keyspace, hung_s
        self._renewed = 0

    def renew(self) -> None:
        """Use another connection from now on: the connector has one for each set of settings."""
        self._renewed += 1

    def save(self, frame: "DataFrame", table: str, written_us: int, life_s: int | None = None) -> None:
        """Write the frame; returns when all its rows are stored.

        Of two writes of a row the one of the later ``written_us`` counts, whichever comes last: one that was given up
        may come yet, after those that followed it.

        Raises:
            HungError: the connection is broken for good.
        """
        to = frame.write.format("org.apache.spark.sql.cassandra").option("keyspace", self._keyspace)
        to = to.option("spark.cassandra.connection.keepAliveMS", str(KEEP_ALIVE_MS + self._renewed))
        to = to.option("spark.cassandra.output.timestamp", str(written_us))
        if life_s is not None:
            to = to.option("spark.cassandra.output.ttl", str(life_s))
        done: Future[None] = Future()

        def work() -> None:
            """Append the batch, and have who waits for it learn how that ended."""
            try:
                to.option("table", table).mode("append").save()
            except BaseException as error:  # it is raised where the result is waited for
                done.set_exception(error)
            else:
                done.set_result(None)

        # A call of Java's that waits for ever cannot be broken off: its thread is left behind.
        threading.Thread(target=work, name=f"write {table}", daemon=True).start()
        self._wait(done)
        done.result()

    def _wait(self, done: "Future[None]") -> None:
        tracker, busy_s = self._spark.sparkContext.statusTracker(), time.monotonic()
        finished = threading.Event()
        done.add_done_callback(lambda _: finished.set())
        while not finished.wait(LOOK_S):
            if tracker.getActiveJobsIds():
                busy_s = time.monotonic()
            elif time.monotonic() - busy_s > self._hung_s:
                raise HungError("the connection's driver hangs")
