"""The cluster's store: Cassandra's tables, one column a field; see ``quicksilver/tables.py``.

It connects in a thread of its own, for as long as that takes: whoever starts it goes on, and what is asked of it
meanwhile is refused with a sentence. A node that goes away later is in use again a second after it is back.
"""

import logging
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from api.answers import bounded
from quicksilver.errors import InputError, StoreError
from quicksilver.records import Published
from quicksilver.tables import KEYS_LIFE_S, SCHEMA_VERSION, TABLES, Row, Table
from quicksilver.topics import TOPIC_OF, key_of
from setup.cassandra.client import (
    FAILURES,
    UNSET_VALUE,
    CassandraSettings,
    InvalidRequest,
    connect,
    execute_concurrent,
    why,
)

log = logging.getLogger(__name__)

RETRY_S = 1.0
CONCURRENCY = 128  # rows on their way at once; more waits in the node's queue, not less in ours
COUNT_S = 120.0  # counting reads a whole partition
LEAST, MOST = -(2**63), 2**63 - 1


class _Statements(NamedTuple):
    insert: Any
    read: Any
    count: Any


def _prepare(session: Any, table: Table) -> _Statements:
    names = ", ".join(column.name for column in table.columns)
    marks = ", ".join("?" for _ in table.columns)
    there = " AND ".join(f"{name} = ?" for name in table.wide_partition)
    made = _Statements(
        session.prepare(f"INSERT INTO {table.name} ({names}) VALUES ({marks})"),
        session.prepare(
            f"SELECT {names} FROM {table.name} WHERE {there} AND {table.time} >= ? AND {table.time} < ? LIMIT ?"
        ),
        session.prepare(f"SELECT count(*) FROM {table.name} WHERE {there}"),
    )
    for statement in made:
        statement.is_idempotent = True  # rows are written onto themselves: the driver may ask another node
        statement.fetch_size = table.rows_at_once  # a page is in the node's memory and in ours
    return made


class _Connection:
    """A session with its prepared statements, in a keyspace whose tables are this version's.

    Raises:
        StoreError: no node answers, or the tables are not there or of another version.
    """

    def __init__(self, settings: CassandraSettings) -> None:
        self.session = connect(settings)
        try:
            self._require_tables(settings.keyspace)
            self.session.set_keyspace(settings.keyspace)
            self.tables = {name: _prepare(self.session, table) for name, table in TABLES.items()}
            prepare = self.session.prepare
            self.write_key = prepare("INSERT INTO keys (topic, key, day) VALUES (?, ?, ?) USING TTL ?")
            self.buckets = prepare("SELECT day FROM keys WHERE topic = ? AND key = ? AND day >= ? AND day <= ?")
            self.keys = prepare("SELECT key FROM keys WHERE topic = ? GROUP BY key")
            self.partitions = prepare("SELECT key, day FROM keys WHERE topic = ?")
        except FAILURES as error:
            self.close()
            raise StoreError(f"Cassandra at {settings.where}: {why(error)}") from error
        except StoreError:
            self.close()
            raise

    def _require_tables(self, keyspace: str) -> None:
        try:
            rows = self.session.execute(
                f"SELECT version FROM {keyspace}.schema_version WHERE name = 'quicksilver' LIMIT 1"
            )
        except InvalidRequest as error:
            raise StoreError(f"Cassandra has no tables in {keyspace}: `quicksilver schema apply` makes them") from error
        version = next((row.version for row in rows), 0)
        if version != SCHEMA_VERSION:
            remedy = "update Quicksilver" if version > SCHEMA_VERSION else "run `quicksilver schema apply`"
            raise StoreError(f"Cassandra's tables are of version {version}, this is {SCHEMA_VERSION}: {remedy}")

    def close(self) -> None:
        """End the session."""
        self.session.cluster.shutdown()


class CassandraStore:
    """Rows in Cassandra; ``say`` is told when the store waits, for what, and when it need not wait any longer."""

    def __init__(self, settings: CassandraSettings, say: Callable[[str], None] = log.warning) -> None:
        self._settings, self._say = settings, say
        self._connection: _Connection | None = None
        self._waits_for = f"Cassandra at {settings.where} is being connected to"
        self._closing, self._tried = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._connect_until_done, name="cassandra-store", daemon=True)
        self._thread.start()

    def _connect_until_done(self) -> None:
        said = ""
        while not self._closing.is_set():
            try:
                self._connection = _Connection(self._settings)
            except StoreError as error:
                self._waits_for = str(error)
                if self._waits_for != said:
                    said = self._waits_for
                    self._say(f"{said}; waiting")
                self._closing.wait(RETRY_S)
            else:
                if said:
                    self._say(f"Cassandra at {self._settings.where} is there")
                self._tried.set()
                return

    def wait(self, timeout_s: float) -> bool:
        """Wait until the store is connected; returns whether it is."""
        return self._tried.wait(timeout_s)

    def _connected(self) -> _Connection:
        if self._connection is None:
            raise StoreError(self._waits_for)
        return self._connection

    def _failed(self, error: Exception) -> StoreError:
        does = "refuses" if isinstance(error, InvalidRequest) else "does not answer"
        return StoreError(f"Cassandra at {self._settings.where} {does} ({why(error)})")

    def _ask(self, statement: Any, values: Sequence[Any], timeout_s: float | None = None) -> list[Any]:
        session = self._connected().session
        try:
            return list(session.execute(statement, values, **({} if timeout_s is None else {"timeout": timeout_s})))
        except FAILURES as error:
            raise self._failed(error) from error

    def write(self, records: Sequence[Published]) -> None:
        """Upsert the records; returns when all are stored. After an error some may be: write them again.

        Unknown values are left unset: as nulls they would be tombstones, which slow each read. That is sound because a
        row written again is the same row, but for candles, in which nothing may be unknown.

        Raises:
            InputError: a number is beyond 64 bits (then nothing was written), or a row is larger than Cassandra takes.
            StoreError: Cassandra is away.
        """
        connection = self._connected()
        keys: dict[tuple[str, str, int], Any] = {}
        # Of one row the last only: what is sent at once has no order. Of large ones the driver takes one at a time.
        rows, large = (dict[tuple[str, str, str], Any]() for _ in range(2))
        for record in records:
            table = TABLES[TOPIC_OF[type(record)].name]
            topic, key = table.topic.name, key_of(record)
            row = [UNSET_VALUE if value is None else value for value in table.row(record)]
            try:
                bound = connection.tables[topic].insert.bind(row)
            except (TypeError, struct.error) as error:
                raise InputError(f"{topic}: a row cannot be stored: {error}") from error
            (large if table.rows_at_once < CONCURRENCY else rows)[topic, key, table.row_key(record)] = bound
            bucket = table.bucket_of(record)
            keys[topic, key, bucket] = connection.write_key.bind((topic, key, bucket, table.ttl_s + KEYS_LIFE_S))
        try:
            # Keys first: a row without its key would not be found.
            for some, at_once in ((keys, CONCURRENCY), (rows, CONCURRENCY), (large, 1)):
                execute_concurrent(connection.session, [(one, None) for one in some.values()], at_once)
        except InvalidRequest as error:
            raise InputError(f"Cassandra refuses a row: {why(error)}") from error  # as it would each time
        except FAILURES as error:
            raise self._failed(error) from error

    def _rows(
        self, topic: str, key: str, start_ns: int | None = None, end_ns: int | None = None, limit: int = 1000
    ) -> Iterator[Row]:
        """Give the newest rows of a span, newest first: buckets back from the last, until there are enough."""
        start, end = LEAST if start_ns is None else start_ns, MOST if end_ns is None else end_ns
        connection, table, left = self._connected(), TABLES[topic], limit
        first, last = start // table.bucket_ns, (end - 1) // table.bucket_ns
        for (bucket,) in self._ask(connection.buckets, (topic, key, first, last)):
            if left <= 0:
                return
            found = self._ask(connection.tables[topic].read, (*table.partition_of(key), bucket, start, end, left))
            yield from found
            left -= len(found)

    def read_json(
        self, topic: str, key: str, *, start_ns: int | None = None, end_ns: int | None = None, limit: int = 1000
    ) -> list[bytes]:
        """Return rows as ``read`` does, each as its JSON: the newest that fit into an answer (``api/answers.py``).

        Raises:
            StoreError: Cassandra is away.
        """
        return bounded(map(TABLES[topic].json, self._rows(topic, key, start_ns, end_ns, limit)))

    def read(
        self, topic: str, key: str, *, start_ns: int | None = None, end_ns: int | None = None, limit: int = 1000
    ) -> list[msgspec.Struct]:
        """Return the newest ``limit`` rows of ``key`` with ``start_ns <= time < end_ns``, oldest first.

        Raises:
            StoreError: Cassandra is away.
        """
        record = TABLES[topic].record
        return [record(row) for row in self._rows(topic, key, start_ns, end_ns, limit)][::-1]

    def keys(self, topic: str) -> list[str]:
        """Return the keys that have rows, sorted.

        Raises:
            StoreError: Cassandra is away.
        """
        return [key for (key,) in self._ask(self._connected().keys, (topic,))]

    def count(self, topic: str) -> int:
        """Return the number of rows; reads them all.

        Raises:
            StoreError: Cassandra is away.
        """
        connection, table = self._connected(), TABLES[topic]
        return sum(
            self._ask(connection.tables[topic].count, (*table.partition_of(key), bucket), COUNT_S)[0][0]
            for key, bucket in self._ask(connection.partitions, (topic,))
        )

    def close(self) -> None:
        """End the connection; doing it again does nothing."""
        self._closing.set()
        self._thread.join()
        if self._connection is not None:
            self._connection.close()
