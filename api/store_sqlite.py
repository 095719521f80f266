"""The embedded store: one SQLite file, written by a thread of its own.

A row is its record's JSON (so that it is served without being decoded) beside the columns that it is found by. The
queue to the writing thread is bounded: a disk that cannot follow slows the publisher, and nothing is dropped. In one
process the publisher is the event loop, so that pages wait with it: late is better than lost.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Queue

import msgspec

from api.answers import bounded
from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.records import Published
from quicksilver.tables import TABLES
from quicksilver.topics import TOPIC_OF, key_of

log = logging.getLogger(__name__)

SCHEMA = 3  # SQLite user_version of files with these tables
QUEUE_BATCHES = 256
EXPIRE_EVERY = 2_000  # batches between looks for expired rows; the first look is at the start, for runs can be short


class SqliteReader:
    """Rows of a SQLite file that may be another process's, which is not kept waiting: nothing is written.

    Raises:
        InputError: the file cannot be read, or has no tables of this version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_lock = threading.Lock()
        try:
            self._reader = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
            self._require_ours(self._reader)
        except sqlite3.Error as error:
            raise InputError(f"{path}: cannot be used as a database: {error}") from error

    def _require_ours(self, connection: sqlite3.Connection, or_empty: bool = False) -> None:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if schema != SCHEMA and (tables or not or_empty):
            raise InputError(f"{self._path}: made by another version of Quicksilver; move it away, or delete it")

    def read_json(
        self, topic: str, key: str, *, start_ns: int | None = None, end_ns: int | None = None, limit: int = 1000
    ) -> list[bytes]:
        """Return rows as ``read`` does, each as its JSON: the newest that fit into an answer (``api/answers.py``)."""
        with self._read_lock:
            return bounded(self._bodies(topic, key, start_ns, end_ns, limit))

    def read(
        self, topic: str, key: str, *, start_ns: int | None = None, end_ns: int | None = None, limit: int = 1000
    ) -> list[msgspec.Struct]:
        """Return the newest ``limit`` rows of ``key`` with ``start_ns <= time < end_ns``, oldest first."""
        with self._read_lock:
            bodies = list(self._bodies(topic, key, start_ns, end_ns, limit))
        return [codec.decode(TABLES[topic].topic.type, body) for body in reversed(bodies)]

    def _bodies(self, topic: str, key: str, start_ns: int | None, end_ns: int | None, limit: int) -> Iterator[bytes]:
        """Give the newest rows of a span, newest first."""
        query = (
            f"SELECT body FROM {TABLES[topic].name} WHERE key = ? AND time_ns >= ? AND time_ns < ?"
            " ORDER BY time_ns DESC, seq DESC, row DESC LIMIT ?"
        )
        span = (start_ns if start_ns is not None else -(2**63), end_ns if end_ns is not None else 2**63 - 1)
        for (body,) in self._reader.execute(query, (key, *span, limit)):
            yield body

    def keys(self, topic: str) -> list[str]:
        """Return the keys that have rows, sorted."""
        with self._read_lock:
            found = self._reader.execute(f"SELECT DISTINCT key FROM {TABLES[topic].name} ORDER BY key").fetchall()
        return [key for (key,) in found]

    def count(self, topic: str) -> int:
        """Return the number of rows."""
        with self._read_lock:
            (number,) = self._reader.execute(f"SELECT count(*) FROM {TABLES[topic].name}").fetchone()
        return int(number)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()


class SqliteStore(SqliteReader):
    """Rows in a SQLite file; ``write`` returns at once unless 256 batches wait, ``flush`` when all is on disk.

    ``keep_s`` shortens the tables' lives, for a laptop's disk: features come at hundreds of kilobytes a second.

    Raises:
        InputError: the file cannot be opened or is no SQLite database.
    """

    def __init__(self, path: Path, keep_s: int | None = None) -> None:
        self._path = path
        self._keep_s = keep_s
        self._queue: Queue[Sequence[Published] | None] = Queue(QUEUE_BATCHES)
        self._failure: Exception | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = sqlite3.connect(path, check_same_thread=False)
            self._create()
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"{path}: cannot be used as a database: {error}") from error
        super().__init__(path)
        self._thread = threading.Thread(target=self._write_for_ever, name="sqlite-store", daemon=True)
        self._thread.start()

    def _create(self) -> None:
        self._require_ours(self._writer, or_empty=True)
        self._writer.execute(f"PRAGMA user_version={SCHEMA}")
        self._writer.execute("PRAGMA journal_mode=WAL")
        self._writer.execute("PRAGMA synchronous=NORMAL")  # a kill loses nothing, a power cut the last moments
        for table in TABLES.values():
            self._writer.execute(
                f"CREATE TABLE IF NOT EXISTS {table.name} (key TEXT, row TEXT, time_ns INTEGER, seq INTEGER, body BLOB,"
                " PRIMARY KEY (key, row))"  # with row ids: rows of a kilobyte fill a B-tree of keys to a third only
            )
            self._writer.execute(f"CREATE INDEX IF NOT EXISTS {table.name}_time ON {table.name} (key, time_ns, seq)")
        self._writer.commit()

    def write(self, records: Sequence[Published]) -> None:
        """Queue the records to be upserted, all or none; waits when the disk is far behind.

        Raises:
            InputError: an earlier write failed (the disk is full, a number is beyond 64 bits).
        """
        if self._failure is not None:
            raise InputError(f"{self._path}: writing failed: {self._failure}")
        self._queue.put(list(records))

    def flush(self) -> None:
        """Wait until all that was written is on disk."""
        self._queue.join()

    def _write_for_ever(self) -> None:
        batches = 0
        self._attempt(self._expire)
        while (records := self._queue.get()) is not None:
            batches += 1
            self._attempt(self._upsert, records)
            if batches % EXPIRE_EVERY == 0:
                self._attempt(self._expire)
            self._queue.task_done()
        self._queue.task_done()

    def _attempt(self, work: Callable[..., None], *given: Sequence[Published]) -> None:
        """Work unless work has failed before; whatever fails, the thread lives on to empty the queue.

        A thread that ended would leave the publisher, and whoever closes the store, waiting for ever.
        """
        if self._failure is not None:
            return
        try:
            work(*given)
        except Exception as error:
            self._failure = error
            fault = None if isinstance(error, sqlite3.Error) else error  # a full disk is none of ours: no traceback
            log.error("%s: writing failed; nothing more is stored", self._path, exc_info=fault)

    def _upsert(self, records: Sequence[Published]) -> None:
        by_table: dict[str, list[tuple[str, str, int, int, bytes]]] = {}
        for record in records:
            table = TABLES[TOPIC_OF[type(record)].name]
            row = (key_of(record), table.row_key(record), *table.order_of(record), codec.encode(record))
            by_table.setdefault(table.name, []).append(row)
        with self._writer:
            for name, rows in by_table.items():
                self._writer.executemany(f"INSERT OR REPLACE INTO {name} VALUES (?, ?, ?, ?, ?)", rows)

    def _expire(self) -> None:
        with self._writer:
            for table in TABLES.values():
                self._writer.execute(
                    f"DELETE FROM {table.name} WHERE time_ns < (SELECT max(time_ns) FROM {table.name}) - ?",
                    (min(table.ttl_s, self._keep_s or table.ttl_s) * 1_000_000_000,),
                )

    def close(self) -> None:
        """Write what is queued and close the file; doing it again does nothing."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._reader.close()
        self._writer.close()
