"""Kafka messages -> rows of the tables, as Arrow batches: what Spark's Python workers run for ``spark_persist``.

A batch has one column of structs for each table, of which each row fills one, and the column ``summary``: at the end of
a task one row says what was read. So one pass over Kafka serves all tables.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from quicksilver import codec
from quicksilver.errors import FrameError
from quicksilver.records import Published
from quicksilver.streaming.message import Headers, Message, Outgoing, outgoing
from quicksilver.tables import TABLES, Kind, Row, Table
from quicksilver.topics import key_of

COLUMNS = (
    "topic", "partition", "offset", "unix_millis(timestamp) AS ts_ms", "key", "value",
    "element_at(filter(headers, header -> header.key = 'v'), -1).value AS v",
)  # fmt: skip
"""What is taken of Kafka's messages, in Spark's SQL; of a header given twice the last counts."""

KEY_BYTES = 65_535  # of a partition key, or of one column of the order
# Cassandra's mutations and frames have 16 MiB at most by default (commitlog_segment_size / 2, max_frame_size).
ROW_BYTES = 15 << 20
SMALL_BYTES = KEY_BYTES // 4  # the JSON of numbers written anew is less than four times as long

ARROW: dict[Kind, Any] = {
    "int": pa.int32(), "bigint": pa.int64(), "double": pa.float64(), "text": pa.string(), "boolean": pa.bool_(),
    "blob": pa.binary(),
}  # fmt: skip
SPARK: dict[Kind, str] = {
    "int": "int", "bigint": "bigint", "double": "double", "text": "string", "boolean": "boolean", "blob": "binary",
}  # fmt: skip
_UNSTORABLE = (OverflowError, ValueError, TypeError)  # of a number beyond 64 bits, or a text that is no Unicode


class Summary(NamedTuple):
    """What one task has read: messages and rows by topic, the rows' (topic, key, bucket), and what was refused.

    ``unreadable`` are dead letters that could not be read: a letter about them would have none to read it either. It
    travels as a list: if msgspec knew this class, it would leave in it what cannot be sent to a worker.
    """

    messages: dict[str, int]
    rows: dict[str, int]
    keys: list[tuple[str, str, int]]
    refused: int
    unreadable: list[str]


class Taken(NamedTuple):
    """A message's row, and its record's topic key."""

    row: Row
    key: str
    message: Message


def spark_schema() -> str:
    """Return the schema of the batches, in Spark's words."""
    structs = [
        f"{table.name} struct<{', '.join(f'`{one.name}`: {SPARK[one.kind]}' for one in table.columns)}>"
        for table in TABLES.values()
    ]
    return ", ".join([*structs, "summary binary"])


def arrow_schema() -> pa.Schema:
    """Return the schema of the batches."""
    structs = [
        pa.field(table.name, pa.struct([pa.field(one.name, ARROW[one.kind]) for one in table.columns]))
        for table in TABLES.values()
    ]
    return pa.schema([*structs, pa.field("summary", pa.binary())])


def messages_of(batch: pa.RecordBatch) -> Iterator[Message]:
    """Give the messages of a batch of ``COLUMNS``."""
    for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
        yield message_of(*row)


def message_of(
    topic: str, partition: int, offset: int, ts_ms: int, key: bytes | None, value: bytes | None, version: bytes | None
) -> Message:
    """Return a message with no header but ``v``, as far as its bytes can be read."""
    headers = Headers() if version is None else Headers(v=version.decode(errors="replace"))
    return Message(topic, partition, offset, ts_ms, (key or b"").decode(errors="replace"), headers, value or b"")


def require_storable(table: Table, row: Row) -> None:
    """Make sure that Cassandra takes the row.

    Raises:
        FrameError: a key or the whole is too long.
    """
    sizes = {column.name: _size(cell) for column, cell in zip(table.columns, row, strict=True)}
    partition = sum(sizes[name] for name in table.partition)
    if max(partition, *(sizes[name] for name in table.cluster)) > KEY_BYTES - 64:  # each part has some bytes around it
        raise FrameError(f"its key is too long: Cassandra takes {KEY_BYTES} bytes")
    if sum(sizes.values()) > ROW_BYTES:
        raise FrameError(f"too large: {sum(sizes.values())} bytes, Cassandra takes {ROW_BYTES}")


def _size(cell: object) -> int:
    return len(cell.encode(errors="replace")) if isinstance(cell, str) else len(cell) if isinstance(cell, bytes) else 8


class Reading:
    """One task's way from messages to rows; ``send`` takes dead letters.

    Of one row key the last message counts: in one write of several, Cassandra would pick the larger of their values,
    column by column. A key's messages are in one partition of Kafka, thus in one task, in order. Where records are
    written again on purpose (candles), rows are held back to the task's end; elsewhere repeats are the same rows.
    """

    def __init__(self, send: Callable[[Outgoing], None]) -> None:
        self._send = send
        self._schema = arrow_schema()
        self._pending: dict[str, dict[Any, Taken]] = {name: {} for name in TABLES}
        self.key_of = {name: _primary_key(table) for name, table in TABLES.items()}
        self._messages, self._rows = Counter[str](), Counter[str]()
        self._keys: set[tuple[str, str, int]] = set()
        self.refused, self.unreadable = 0, list[str]()

    def batches(self, given: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Give batches of rows, and last the summary."""
        for batch in given:
            for message in messages_of(batch):
                self.take(message)
            yield from self._flush(name for name, table in TABLES.items() if "seq" in table.cluster)
        yield from self._flush(TABLES)
        summary = Summary(self._messages, self._rows, sorted(self._keys), self.refused, self.unreadable)
        yield self._batch("summary", pa.array([msgspec.msgpack.encode(list(summary))], pa.binary()))

    def take(self, message: Message) -> None:
        """Take a message: its row is to be drained, or it is refused."""
        self._messages[message.topic] += 1
        table = TABLES[message.topic]
        try:
            message.require_version()
            record: Published = codec.decode(table.topic.type, message.value)  # type: ignore[assignment]
            row = table.row(record)
            if len(message.value) > SMALL_BYTES:
                require_storable(table, row)
        except (FrameError, *_UNSTORABLE) as error:
            self._refuse(message, str(error))
        else:
            self._pending[message.topic][self.key_of[message.topic](row)] = Taken(row, key_of(record), message)

    def _refuse(self, message: Message, reason: str) -> None:
        if message.topic == "dead-letters":
            self.unreadable.append(f"{message.place}: {reason}")
        else:
            self.refused += 1
            self._send(outgoing(message.refused(reason), message.ts_ms, Headers()))

    def _flush(self, topics: Iterable[str]) -> Iterator[pa.RecordBatch]:
        for topic in [one for one in topics if self._pending[one]]:
            taken, rows = self.drain(topic)
            if taken:
                self._rows[topic] += len(taken)
                self._keys.update((topic, one.key, one.row[0]) for one in taken)  # type: ignore[misc]
                yield self._batch(TABLES[topic].name, rows)

    def drain(self, topic: str) -> tuple[list[Taken], pa.Array]:
        """Return a topic's rows since the last time, of each row key the last, and their structs."""
        table, taken = TABLES[topic], list(self._pending[topic].values())
        self._pending[topic].clear()
        try:
            return taken, _array(table, taken)
        except _UNSTORABLE:
            taken = [one for one in taken if self._fits(table, one)]
            return taken, _array(table, taken)

    def _fits(self, table: Table, one: Taken) -> bool:
        try:
            _array(table, [one])
        except _UNSTORABLE as error:
            self._refuse(one.message, f"cannot be stored: {error}")
            return False
        return True

    def _batch(self, name: str, rows: pa.Array) -> pa.RecordBatch:
        columns = [rows if one.name == name else pa.nulls(len(rows), one.type) for one in self._schema]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def _primary_key(table: Table) -> Callable[[Row], Any]:
    names = [column.name for column in table.columns]
    return itemgetter(*(names.index(name) for name in (*table.partition, *table.cluster)))


def _array(table: Table, pending: list[Taken]) -> pa.Array:
    cells = zip(*(one.row for one in pending), strict=True) if pending else [()] * len(table.columns)
    arrays = [pa.array(column, ARROW[one.kind]) for one, column in zip(table.columns, cells, strict=True)]
    return pa.StructArray.from_arrays(arrays, names=[one.name for one in table.columns])


def reader(producer: dict[str, Any]) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Return the function for ``mapInArrow``; ``producer`` are the settings of Kafka's client for dead letters."""

    def read(given: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Read the frames of a partition, a batch of rows for each batch; dead letters are flushed at its end."""
        letters = _Letters(producer)
        yield from Reading(letters.send).batches(given)
        letters.flush()

    return read


class _Letters:
    """Sends dead letters, if there are any; after ``flush`` the brokers have them.

    Raises:
        OSError: they do not take them: the task is tried again.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._producer: Any = None
        self._failed: list[str] = []

    def send(self, one: Outgoing) -> None:
        """Send a dead letter; waits while the client's queue is full."""
        if self._producer is None:
            from confluent_kafka import Producer

            self._producer = Producer(self._settings)
        while True:
            try:
                self._producer.produce(
                    one.topic, one.value, one.key, headers=one.headers.items(), timestamp=max(one.ts_ms, 1),
                    on_delivery=lambda error, _: self._failed.append(error.str()) if error else None,
                )  # fmt: skip
            except BufferError:
                self._producer.poll(1.0)  # its queue is full
            else:
                return

    def flush(self) -> None:
        """Wait until all letters are delivered.

        Raises:
            OSError: Kafka does not take them.
        """
        if self._producer is not None and (self._producer.flush(60) or self._failed):
            raise OSError(f"Kafka does not take dead letters: {(self._failed or ['no answer'])[0]}")
