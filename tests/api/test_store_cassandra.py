"""The store's contract over a real Cassandra, and what it does while Cassandra is away."""

import ast
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.server import serving
from api.store_cassandra import CassandraStore
from producers.kafka import MAX_BYTES
from quicksilver import codec
from quicksilver.errors import InputError, StoreError
from quicksilver.grid import MAX_FULL_BOOK_LEVELS
from quicksilver.records import DeadLetter, Features, TopLevel
from quicksilver.tables import SCHEMA_VERSION, TABLES
from quicksilver.topics import key_of
from setup.cassandra.client import CassandraSettings, connect
from setup.cassandra.schema import apply_schema
from setup.stack import Stack
from tests.api.store_contract import StoreContract, full_book, status
from tests.cassandra_node import keyspace_on, needs_cassandra, running_node
from tests.killing import kill
from tests.quicksilver.test_tables import records_of

pytestmark = needs_cassandra
ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60.0
numbers = itertools.count()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_node(tmp_path_factory.mktemp("cassandra")) as made:
        yield made


@pytest.fixture
def settings(node: Stack) -> CassandraSettings:
    """A keyspace of the test's own, with all tables."""
    made = keyspace_on(node, f"store_{next(numbers)}")
    apply_schema(made, print)
    return made


@pytest.fixture
def store(settings: CassandraSettings) -> Iterator[CassandraStore]:
    made = CassandraStore(settings, print)
    try:
        assert made.wait(WAIT_S)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def lasting(node: Stack) -> Iterator[CassandraStore]:
    """One keyspace for tests that touch a table each."""
    settings = keyspace_on(node, "lasting")
    apply_schema(settings, print)
    made = CassandraStore(settings, print)
    try:
        assert made.wait(WAIT_S)
        yield made
    finally:
        made.close()


class TestCassandra(StoreContract):
    """The fixture is the module's."""


def eventually(holds: Callable[[], Any]) -> None:
    """Wait until it holds; a store that is away is asked again."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            assert holds()
        except (StoreError, AssertionError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


@pytest.mark.parametrize("topic", TABLES)
def test_every_record_comes_back_to_the_bit(lasting: CassandraStore, topic: str) -> None:
    table = TABLES[topic]

    @given(records=st.lists(records_of(table.topic.type), min_size=1, max_size=20))
    @hypothesis_settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    def check(records: list[Any]) -> None:
        records = [
            msgspec.structs.replace(one, **{table.time: one_time, **instrument(one)})
            for one, one_time in zip(records, itertools.count(next(numbers) * 1000), strict=False)
        ]
        lasting.write(records)
        for one in records:
            when = {"start_ns": table.time_of(one), "end_ns": table.time_of(one) + 1}
            assert lasting.read_json(topic, key_of(one), **when) == [codec.encode(one)]
            assert [codec.encode(row) for row in lasting.read(topic, key_of(one), **when)] == [codec.encode(one)]

    check()


def instrument(record: Any) -> dict[str, str]:
    """A venue without a colon: the first one in a key is where the venue ends."""
    return {"venue": record.venue.replace(":", "")} if hasattr(record, "venue") else {}


def test_pages_are_bounded_and_all_rows_come(store: CassandraStore) -> None:
    rows = [status(i, 100 + i) for i in range(2500)]
    store.write(rows)
    assert store.read("status", "kraken:BTC-USD", limit=10_000) == rows
    assert store.count("status") == 2500


def test_full_books_of_any_size_are_stored_and_come_in_small_pages(store: CassandraStore) -> None:
    """The largest that may be, in the longest numbers there are, fits into a message of Kafka's and a row here."""
    long = [TopLevel(-1.7976931348623157e308, -2.2250738585072014e-308, -1.7976931348623157e308, 2**63 - 1)]
    largest = replace(full_book(1, 1), bids=long * MAX_FULL_BOOK_LEVELS, asks=long * MAX_FULL_BOOK_LEVELS)
    deep = [TopLevel(64_000.5 + i, 0.12345678, 1.5 * i) for i in range(5_000)]
    usual = [replace(full_book(i, i * 500_000_000), bids=deep, asks=deep) for i in range(2, 32)]
    assert 9_000_000 < len(codec.encode(largest)) < MAX_BYTES
    store.write([largest, *usual])
    assert store.read_json("full-books", "kraken:BTC-USD") == [codec.encode(one) for one in (largest, *usual)]


def test_unknown_values_are_left_unset_and_rows_expire(store: CassandraStore, settings: CassandraSettings) -> None:
    unknown = Features("kraken", "BTC-USD", 1, 2, 3, *(None for _ in Features.__struct_fields__[5:]))
    known = msgspec.structs.replace(unknown, mid=1.5)
    for record in (unknown, known, unknown):
        store.write([record])
    assert store.read("features", "kraken:BTC-USD") == [known]  # a null would have been a tombstone over it
    session = connect(settings, settings.keyspace)
    try:
        (life_s,) = session.execute("SELECT TTL(ts_recv_ns) FROM features").one()
    finally:
        session.cluster.shutdown()
    assert 0 < life_s <= TABLES["features"].ttl_s


def test_what_cannot_be_written_is_refused_before_anything_is(store: CassandraStore) -> None:
    with pytest.raises(InputError, match="status: a row cannot be stored"):
        store.write([status(1, 100), status(2**63, 101)])
    assert store.count("status") == 0
    assert store.keys("status") == []


def test_a_row_too_large_is_refused_and_the_next_is_taken(store: CassandraStore) -> None:
    letter = DeadLetter(7, "a:1", "kraken", None, "why", b"x" * (14 << 20))
    with pytest.raises(InputError, match=r"^Cassandra refuses a row: CQL Message of size .* exceeds"):
        store.write([letter])
    eventually(lambda: store.count("dead-letters") == 0)
    store.write([msgspec.structs.replace(letter, payload=b"x" * (1 << 20))])
    assert store.count("dead-letters") == 1


def test_a_node_that_hangs_is_said_and_used_again(node: Stack, store: CassandraStore) -> None:
    store.write([status(1, 100)])
    pid = node.process("cassandra").pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreError, match=r"does not answer \(it takes too long\)"):
            store.read("status", "kraken:BTC-USD")
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: store.read("status", "kraken:BTC-USD") == [status(1, 100)])


def test_tables_that_are_missing_or_of_another_version_are_waited_for(node: Stack) -> None:
    settings = keyspace_on(node, "late")
    said: list[str] = []
    store = CassandraStore(settings, said.append)
    try:
        eventually(lambda: said == ["Cassandra has no tables in late: `quicksilver schema apply` makes them; waiting"])
        with pytest.raises(StoreError, match="no tables in late"):
            store.keys("status")
        apply_schema(settings, print, version=SCHEMA_VERSION + 8)
        eventually(
            lambda: said[-1].endswith(
                f"are of version {SCHEMA_VERSION + 8}, this is {SCHEMA_VERSION}: update Quicksilver; waiting"
            )
        )
        session = connect(settings, "late")
        session.execute(f"DELETE FROM schema_version WHERE name='quicksilver' AND version={SCHEMA_VERSION + 8}")
        session.cluster.shutdown()
        eventually(lambda: "version 0" in said[-1] and "run `quicksilver schema apply`" in said[-1])
        apply_schema(settings, print)
        assert store.wait(WAIT_S)
        assert store.keys("status") == []
    finally:
        store.close()


async def test_killed_it_is_waited_for_and_the_api_says_so(
    node: Stack, store: CassandraStore, settings: CassandraSettings
) -> None:
    store.write([status(1, 100)])
    said: list[str] = []
    late = None
    app = create_app(Hub(SourceInfo("SIMULATED", "a test")), store, None)
    async with (
        serving(app, "127.0.0.1", 0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as client,
    ):
        assert (await client.get("/api/status/kraken:BTC-USD")).json()["rows"][0]["seq"] == 1
        kill(node.process("cassandra"))
        try:
            late = CassandraStore(settings, said.append)
            for path in ("/api/status", "/api/status/kraken:BTC-USD"):
                answer = await client.get(path)
                assert answer.status_code == 503
                assert answer.json()["detail"].startswith(
                    f"Cassandra at 127.0.0.1 port {settings.port} does not answer ("
                )
            with pytest.raises(StoreError, match="does not answer"):
                store.write([status(2, 101)])
            eventually(
                lambda: (
                    said
                    == [f"Cassandra at 127.0.0.1 port {settings.port} does not answer (Connection refused); waiting"]
                )
            )
            with pytest.raises(StoreError, match="does not answer"):
                late.count("status")
            node.up(print)
            eventually(lambda: store.count("status") == 1)
            assert late.wait(WAIT_S)
            assert late.read("status", "kraken:BTC-USD") == [status(1, 100)]
            assert said[1:] == [f"Cassandra at 127.0.0.1 port {settings.port} is there"]
            assert (await client.get("/api/status/kraken:BTC-USD")).json()["rows"][0]["seq"] == 1
        finally:
            node.up(print)
            if late is not None:
                late.close()


def test_what_is_written_survives_a_kill_at_once(node: Stack, store: CassandraStore) -> None:
    store.write([status(i, 100 + i) for i in range(1, 200)])
    kill(node.process("cassandra"))
    node.up(print)
    eventually(lambda: store.count("status") == 199)


def test_closing_twice_or_while_it_waits_does_nothing(tmp_path: Path, node: Stack) -> None:
    store = CassandraStore(CassandraSettings(port=node.settings.cassandra_jmx_port), print)
    store.close()
    store.close()


def test_without_the_driver_the_remedy_is_said() -> None:
    code = "import sys; sys.modules['cassandra'] = None\nimport api.store_cassandra"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "InputError: the Cassandra driver is not installed" in done.stderr
    assert "`make cluster` installs it" in done.stderr


def test_the_driver_is_imported_in_one_place() -> None:
    importing = set()
    for folder in ("quicksilver", "producers", "jobs", "api", "setup"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if any(name.split(".")[0] == "cassandra" for name in names):
                    importing.add(str(path.relative_to(ROOT)))
    assert importing == {"setup/cassandra/client.py"}
