"""Keeps ``spark_persist``'s stream going: waits for the servers, starts it again, says what it does."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from api.store_cassandra import CassandraStore
from jobs.table_writer import TableWriter, why
from quicksilver.errors import InputError
from quicksilver.tables import TABLES
from setup.alone import alone
from setup.cassandra.client import CassandraSettings
from setup.kafka.topics import admin

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

SAY_S = 10.0
POLL_S = 0.5
AWAIT_S = 1
ANSWER_S = 3.0
MOST_FAILURES = 3  # of the stream in a row, with Kafka there and nothing done between them
STOP_S = 20.0  # a batch may take as long to end


class StreamWatch:
    """Runs the stream until ``stopping``; ``lost`` are messages that had expired in Kafka before they were read."""

    def __init__(
        self, writer: TableWriter, servers: str, say: Callable[[str], None], stopping: threading.Event
    ) -> None:
        self._writer, self._servers, self._say, self._stopping = writer, servers, say, stopping
        self._batch, self.lost = -1, 0
        self._lag: int | None = None  # unknown until a batch is done
        self._said_rows, self._said_s = 0, time.monotonic()

    def run(self, start: Callable[[], "StreamingQuery"], cassandra: CassandraSettings) -> None:
        """Run the stream, and start it again when it fails because Kafka is away.

        Raises:
            InputError: it fails again and again though Kafka is there.
        """
        self._wait_for_tables(cassandra)
        failures = 0
        while not self._stopping.is_set() and self._wait_for_kafka():
            before, query = self._batch, start()
            self._say("runs")
            try:
                self._follow(query)
            except (PySparkException, Py4JError) as error:
                failures = 0 if self._batch > before or not self._kafka_is_there() else failures + 1
                if failures == MOST_FAILURES:
                    raise InputError(f"the stream does not work: {why(error)}") from error
                if not self._stopping.is_set():
                    self._say(f"the stream has ended ({why(error)}); starting it again")
                self._stopping.wait(POLL_S)
        self._progress()

    def _follow(self, query: "StreamingQuery") -> None:
        while not self._stopping.is_set():
            ended = query.awaitTermination(AWAIT_S)
            for one in query.recentProgress:
                self._note(one)
            if time.monotonic() - self._said_s >= SAY_S:
                self._progress()
            if ended:
                self._stopping.wait(POLL_S)
                return
        if self._writer.busy.acquire(timeout=STOP_S):  # the part of a batch that was begun is finished
            self._writer.busy.release()
        with suppress(PySparkException, Py4JError):  # a batch that is left as it is ends the stream with an error
            query.stop()

    def _note(self, progress: dict[str, Any]) -> None:
        """Take what Spark says of a batch: how many messages there are, and were to be had."""
        number, source = progress["batchId"], progress["sources"][0]
        latest, end, start = (_offsets(source[name]) for name in ("latestOffset", "endOffset", "startOffset"))
        # A batch that is done again knows the ends of when it was planned first: they may lie before its own.
        self._lag = sum(max(0, last - end.get(place, 0)) for place, last in latest.items())
        messages = self._writer.messages.pop(number, None)
        if messages is None:
            return
        self._batch = number
        # Partitions that are new in this batch begin where Kafka's begin: what was before that, nobody knows.
        lost = sum(end[one] - start[one] for one in start if one in end) - messages
        if start.keys() == end.keys() and lost > 0:
            self.lost += lost
            self._say(f"{lost} messages had expired in Kafka before they were read; they are in no table")

    def _progress(self) -> None:
        now, rows = time.monotonic(), self._writer.rows
        rate = (rows.total() - self._said_rows) / (now - self._said_s)
        behind = "not yet known how many" if self._lag is None else f"{self._lag:,}"
        by_table = ", ".join(f"{name} {rows[name]:,}" for name in TABLES if rows[name]) or "none yet"
        self._say(
            f"{rows.total():,} rows ({by_table}); {rate:,.0f} rows/s, {behind} messages behind,"
            f" {self._writer.refused} refused, {self._writer.unreadable} unreadable letters, {self.lost} lost"
        )
        self._said_rows, self._said_s = rows.total(), now

    def _wait_for_tables(self, settings: CassandraSettings) -> None:
        store = CassandraStore(settings, self._say)
        try:
            while not self._stopping.is_set() and not store.wait(POLL_S):
                pass
        finally:
            store.close()

    def _kafka_is_there(self) -> bool:
        try:
            return bool(admin(self._servers).list_topics(timeout=ANSWER_S).brokers)
        except KafkaException:
            return False

    def _wait_for_kafka(self) -> bool:
        """Wait until Kafka answers; returns whether it does: if not, the job is to end."""
        said = False
        while not self._kafka_is_there():
            if not said:
                self._say(f"Kafka at {self._servers} does not answer; waiting")
            said = True
            if self._stopping.wait(POLL_S):
                return False
        if said:
            self._say(f"Kafka at {self._servers} is there")
        return True


def _offsets(by_topic: Any) -> dict[tuple[str, str], int]:
    """Flatten Spark's ``{topic: {partition: offset}}``."""
    return {(topic, part): offset for topic, parts in (by_topic or {}).items() for part, offset in parts.items()}


def having(checkpoint: Path) -> AbstractContextManager[None]:
    """Let no second job have the same checkpoint: they would end each other's streams again and again.

    Raises:
        InputError: another has it.
    """
    taken = f"another `quicksilver persist` has the checkpoint {checkpoint}"
    return alone(checkpoint.with_name(f"{checkpoint.name}.lock"), taken)
