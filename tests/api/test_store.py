"""The store's contract, for the file and for its twin in memory."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from api.store_sqlite import QUEUE_BATCHES, SqliteStore
from quicksilver.errors import InputError
from quicksilver.memory import MemoryBus, MemoryStore
from quicksilver.ports import Store
from quicksilver.records import Latency
from tests.api.store_contract import StoreContract, status


class TestEmbedded(StoreContract):
    """The file, and its twin in memory."""

    @pytest.fixture(params=["memory", "sqlite"])
    def store(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
        made: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "x.sqlite")
        yield made
        made.close()


def test_rows_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.sqlite"
    first = SqliteStore(path)
    first.write([status(1, 100)])
    first.close()
    second = SqliteStore(path)
    assert second.read("status", "kraken:BTC-USD") == [status(1, 100)]
    second.close()


def test_a_file_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with sqlite3.connect(path) as old:
        old.execute("CREATE TABLE tops (key TEXT)")
    old.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="another version"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_what_is_no_database_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_bytes(b"hello, this is no database" * 100)
    with pytest.raises(InputError, match="cannot be used as a database"):
        SqliteStore(tmp_path / "x.sqlite")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used"):
        SqliteStore(tmp_path / "file" / "x.sqlite")


WRITER = """
import sys
from pathlib import Path
from api.store_sqlite import SqliteStore
from quicksilver.records import Status
store = SqliteStore(Path(sys.argv[1]))
for i in range(10**9):
    store.write([Status("kraken", "BTC-USD", i, i, i, "LIVE", "")] * 3)
    store.flush()
    print(i, flush=True)
"""


def test_a_killed_writer_leaves_a_readable_file_with_all_that_was_flushed(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        try:
            for _ in range(50):
                flushed = int(writer.stdout.readline())
        finally:
            os.kill(writer.pid, signal.SIGKILL)
    store = SqliteStore(path)
    rows = store.read("status", "kraken:BTC-USD", limit=10**6)
    store.close()
    assert [row.seq for row in rows] == list(range(len(rows)))  # type: ignore[attr-defined]
    assert len(rows) > flushed


def test_the_bus_calls_listeners_in_order_until_they_leave() -> None:
    bus, heard = MemoryBus(), []
    leave = bus.subscribe(lambda topic, key, record: heard.append((topic, key)))
    bus.publish(status(1, 1))
    bus.publish(Latency("hop", 1, 1, 1.0, 1.0, 1.0))
    leave()
    bus.publish(status(2, 2))
    assert heard == [("status", "kraken:BTC-USD"), ("latency", "hop")]


def test_expired_rows_leave_at_the_next_start(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "x.sqlite")
    first.write([status(1, 1 * 10**9), status(2, 100 * 10**9)])
    first.close()
    second = SqliteStore(tmp_path / "x.sqlite", keep_s=10)
    second.write([status(3, 101 * 10**9)])
    second.flush()
    assert second.read("status", "kraken:BTC-USD") == [status(2, 100 * 10**9), status(3, 101 * 10**9)]
    second.close()


@pytest.mark.timeout(30)
def test_what_cannot_be_written_stops_writing_and_nobody_waits_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteStore(tmp_path / "x.sqlite")
    store.write([status(1, 100)])
    store.write([status(2, 101), status(3, 2**63)])  # SQLite's numbers have 64 bits
    store.flush()
    for _ in range(2):
        with pytest.raises(InputError, match="writing failed: Python int too large"):
            store.write([status(4, 102)])
    assert store.read("status", "kraken:BTC-USD") == [status(1, 100)]
    store.close()
    store.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'x.sqlite'}: writing failed; nothing more is stored"
    ]


def test_a_full_disk_is_said_without_a_traceback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = SqliteStore(tmp_path / "x.sqlite")
    store.flush()
    store._writer.execute("PRAGMA max_page_count=1")
    store.write([status(seq, seq) for seq in range(1000)])
    store.flush()
    with pytest.raises(InputError, match="writing failed: database or disk is full"):
        store.write([status(1, 1)])
    store.close()
    (record,) = caplog.records
    assert (record.levelname, record.exc_info) == ("ERROR", None)


@pytest.mark.timeout(30)
def test_a_failure_lets_go_of_whoever_waits_for_a_place_in_the_queue(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.sqlite")
    with suppress(InputError):  # more than the queue holds: some of these wait while the failure happens
        for seq in range(10 * QUEUE_BATCHES):
            store.write([status(seq, 2**63 if seq else 100)])
    store.close()


def test_expired_rows_leave(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.sqlite", keep_s=10)
    store.write([status(1, 1 * 10**9), status(2, 100 * 10**9)])
    store.flush()
    store._expire()
    assert [row.seq for row in store.read("status", "kraken:BTC-USD")] == [2]  # type: ignore[attr-defined]
    store.close()
