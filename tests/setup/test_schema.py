"""Cassandra's tables by the contract: made, migrated, and what would lose data refused; on a real Cassandra."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from jobs.cli import app
from quicksilver.errors import InputError
from quicksilver.records import Record, Status
from quicksilver.tables import DAY, DAY_S, SCHEMA_VERSION, TABLES, Table
from quicksilver.topics import Topic
from setup.cassandra.client import CassandraSettings, connect
from setup.cassandra.schema import WINDOWS, Present, apply_schema, key_of, plan, window
from setup.stack import Stack
from tests.cassandra_node import keyspace_on, needs_cassandra, running_node
from tests.ports import cluster_settings

STATUS, FULL_BOOKS = TABLES["status"], TABLES["full-books"]
COLUMNS = {column.name: column.kind for column in STATUS.columns}
ALL = [f"table {table.name}: created" for table in TABLES.values()] + [
    "table keys: created", "table schema_version: created",
]  # fmt: skip
numbers = itertools.count()


def record_of(**fields: Any) -> type[msgspec.Struct]:
    """A record like Status, with other fields."""
    return msgspec.defstruct("Other", list(fields.items()), bases=(Record,), frozen=True)


def status_table(kind: type[msgspec.Struct] = Status, **changed: Any) -> dict[str, Table]:
    return {"status": msgspec.structs.replace(STATUS, topic=Topic("status", kind), **changed)}


def present(**changed: Any) -> dict[str, Present]:
    """The status table as it would be there."""
    return {"status": Present(key_of(STATUS), COLUMNS, STATUS.ttl_s, {})._replace(**changed)}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_windows_divide_a_tables_life_into_thirty_at_most(table: Table) -> None:
    unit, size = window(table.ttl_s)
    windows = table.ttl_s / (size * {"MINUTES": 60, "HOURS": 3600, "DAYS": DAY_S}[unit])
    assert WINDOWS / 2 < windows <= WINDOWS


def test_short_lives_have_windows_of_minutes() -> None:
    assert window(600) == ("MINUTES", 1)
    assert window(29 * 3600) == ("MINUTES", 58)


@pytest.mark.parametrize(
    ("there", "wanted", "why"),
    [
        (present(columns={**COLUMNS, "note": "text"}), status_table(), "column note would be removed"),
        (present(columns={**COLUMNS, "reason": "double"}), status_table(), "reason would change from double to text"),
        (present(key="((venue, day), ts_event_ns DESC)"), status_table(), "its primary key would change from"),
        (present(), status_table(cluster=("ts_event_ns",)), "its primary key would change from"),
        (present(), status_table(ttl_s=60), f"its rows' life would fall from {30 * DAY_S} to 60 s"),
        (present(ttl_s=0), status_table(), f"its rows' life would fall from unlimited to {30 * DAY_S} s"),
        (present(), status_table(record_of(reason=str)), "column state would be removed"),
        (present(), status_table(record_of(state=str, reason=bytes)), "column reason would change from text to blob"),
    ],
)  # fmt: skip
def test_what_loses_data_is_refused(there: Mapping[str, Present], wanted: Mapping[str, Table], why: str) -> None:
    with pytest.raises(InputError, match=f"^table status: .*{why}.*Nothing was changed$"):
        plan(there, list(wanted.values()))


def test_a_table_that_holds_nothing_is_made_anew_with_another_key() -> None:
    wanted = status_table(cluster=("ts_event_ns",))
    changes = plan(present(empty=True), list(wanted.values()))
    assert [one.says for one in changes][:2] == ["table status: removed, for it is empty", "table status: created"]
    assert changes[0].cql == "DROP TABLE status"


def test_without_cassandra_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASSANDRA_PORT", str(cluster_settings(tmp_path).cassandra_port))
    done = CliRunner().invoke(app, ["schema", "apply"])
    assert done.exit_code == 2
    assert "(Connection refused): `quicksilver cluster up` starts one" in done.output


@pytest.mark.parametrize(("name", "value"), [("PORT", "x"), ("KEYSPACE", "a-b"), ("REPLICATION", "0")])
def test_settings_that_cannot_be_used_are_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"CASSANDRA_{name}", value)
    with pytest.raises(InputError, match=f"CASSANDRA_{name}={value}: "):
        CassandraSettings.from_environment()


def test_a_host_of_no_name_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cassandra at nowhere\.invalid port 9042 does not answer"):
        apply_schema(CassandraSettings(hosts="nowhere.invalid"), print)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_node(tmp_path_factory.mktemp("cassandra")) as made:
        yield made


@pytest.fixture
def settings(node: Stack) -> CassandraSettings:
    return keyspace_on(node, f"schema_{next(numbers)}")


def rows(settings: CassandraSettings, cql: str) -> list[Any]:
    session = connect(settings, settings.keyspace)
    try:
        return list(session.execute(cql))
    finally:
        session.cluster.shutdown()


class TestServer:
    """On a real Cassandra."""

    pytestmark = needs_cassandra

    def test_all_tables_are_made_once(self, settings: CassandraSettings) -> None:
        said: list[str] = []
        assert apply_schema(settings, said.append) == len(said)
        assert said == [f"keyspace {settings.keyspace}: created", *ALL]
        assert apply_schema(settings, said.append) == 0
        assert len(said) == 1 + len(ALL)
        found = rows(settings, f"SELECT * FROM system_schema.tables WHERE keyspace_name = '{settings.keyspace}'")
        by_name = {row.table_name: row for row in found}
        for table in TABLES.values():
            assert by_name[table.name].default_time_to_live == table.ttl_s
            assert by_name[table.name].compaction["class"].endswith(".TimeWindowCompactionStrategy")
        assert [row.version for row in rows(settings, "SELECT version FROM schema_version")] == [SCHEMA_VERSION]

    def test_the_command_makes_them(self, settings: CassandraSettings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CASSANDRA_PORT", str(settings.port))
        monkeypatch.setenv("CASSANDRA_KEYSPACE", settings.keyspace)
        done = CliRunner().invoke(app, ["schema", "apply"])
        assert done.output.splitlines() == [
            f"keyspace {settings.keyspace}: created", *ALL, f"{len(ALL) + 1} changes",
        ]  # fmt: skip

    def test_new_columns_and_longer_lives_keep_the_rows(self, settings: CassandraSettings) -> None:
        apply_schema(settings, print, status_table())
        rows(
            settings,
            "INSERT INTO status (venue, symbol, day, ts_event_ns, seq, state) VALUES ('v', 's', 0, 1, 2, 'LIVE')",
        )
        said: list[str] = []
        wider = status_table(record_of(state=str, reason=str, mid=float | None, parts=list[int]), ttl_s=60 * DAY_S)
        assert apply_schema(settings, said.append, wider, SCHEMA_VERSION + 1) == 3
        assert said == [
            "table status: column mid added",
            "table status: column parts added",
            f"table status: life of new rows raised from {30 * DAY_S} to {60 * DAY_S} s",
        ]
        assert apply_schema(settings, said.append, wider, SCHEMA_VERSION + 1) == 0
        (row,) = rows(settings, "SELECT * FROM status")
        assert (row.venue, row.seq, row.state, row.mid, row.parts) == ("v", 2, "LIVE", None, None)
        versions = rows(settings, "SELECT version FROM schema_version")
        assert [one.version for one in versions] == [SCHEMA_VERSION + 1, SCHEMA_VERSION]
        with pytest.raises(InputError, match=f"of version {SCHEMA_VERSION + 1}, this is {SCHEMA_VERSION}: update"):
            apply_schema(settings, print, status_table())

    def test_another_key_is_given_to_an_empty_table_only(self, settings: CassandraSettings) -> None:
        by_day = msgspec.structs.replace(FULL_BOOKS, bucket=DAY)
        apply_schema(settings, print, {"full-books": by_day}, SCHEMA_VERSION - 1)
        said: list[str] = []
        assert apply_schema(settings, said.append, {"full-books": FULL_BOOKS}) == 2
        assert said == ["table full_books: removed, for it is empty", "table full_books: created"]
        insert = "INSERT INTO full_books (venue, symbol, minute, ts_event_ns, seq) VALUES ('v', 's', 0, 1, 2)"
        rows(settings, insert)
        with pytest.raises(InputError, match="table full_books: its primary key would change"):
            apply_schema(settings, print, {"full-books": by_day})
        assert len(rows(settings, "SELECT * FROM full_books")) == 1

    def test_a_refused_change_changes_nothing_else(self, settings: CassandraSettings) -> None:
        apply_schema(settings, print, status_table())
        wanted = {"trades": TABLES["trades"], **status_table(record_of(reason=str, mid=float))}
        with pytest.raises(InputError, match="table status: column state would be removed"):
            apply_schema(settings, print, wanted)
        names = rows(settings, f"SELECT table_name FROM system_schema.tables WHERE keyspace_name='{settings.keyspace}'")
        assert {row.table_name for row in names} == {"status", "keys", "schema_version"}

    def test_another_compaction_is_put_right(self, settings: CassandraSettings) -> None:
        apply_schema(settings, print, status_table())
        rows(settings, "ALTER TABLE status WITH compaction = {'class': 'SizeTieredCompactionStrategy'}")
        said: list[str] = []
        assert apply_schema(settings, said.append, status_table()) == 1
        assert said == ["table status: compaction changed"]

    def test_a_keyspace_made_by_hand_is_left_as_it_is(self, settings: CassandraSettings) -> None:
        how = "{'class': 'NetworkTopologyStrategy', 'datacenter1': 1}"
        session = connect(settings)
        session.execute(f"CREATE KEYSPACE {settings.keyspace} WITH replication = {how}")
        session.cluster.shutdown()
        assert apply_schema(settings, print, status_table()) == 3
        (row,) = rows(settings, f"SELECT * FROM system_schema.keyspaces WHERE keyspace_name='{settings.keyspace}'")
        assert row.replication["class"].endswith("NetworkTopologyStrategy")

    def test_tables_that_are_not_ours_are_left_alone(self, settings: CassandraSettings) -> None:
        apply_schema(settings, print, status_table())
        rows(settings, "CREATE TABLE notes (id int PRIMARY KEY)")
        assert apply_schema(settings, print, status_table()) == 0
        assert rows(settings, "SELECT * FROM notes") == []
