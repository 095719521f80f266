"""``quicksilver schema``: Cassandra's tables as ``quicksilver/tables.py`` declares them.

A keyspace that is not there is made with SimpleStrategy and ``CASSANDRA_REPLICATION`` copies (default 1), which fits
one rack of machines. For several data centres make it by hand before: a keyspace that is there is left as it is. As in
``CREATE KEYSPACE quicksilver WITH replication = {'class': 'NetworkTopologyStrategy', 'paris': 3, 'tokyo': 3}``.

Which version of the tables was applied when is kept in the table ``schema_version``. A table that holds nothing can be
made anew, with another key.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from quicksilver.errors import InputError, StoreError
from quicksilver.tables import DAY_S, KEYS, SCHEMA_VERSION, TABLES, Table
from setup.cassandra.client import FAILURES, CassandraSettings, connect, why

CHANGE_S = 60.0  # nodes agree on each change of the schema before the next
WINDOWS = 30  # of compaction in a table's life, at most: a whole window is dropped at once when its rows have expired
GRACE_S = 10_800  # no row is ever deleted, so expired ones need to stay no longer than hints of a node that was away


class Present(NamedTuple):
    """A table as it is: ``key`` is its primary key as CQL says it, ``columns`` are names and types."""

    key: str
    columns: Mapping[str, str]
    ttl_s: int
    compaction: Mapping[str, str]
    empty: bool = False  # looked for only where another key is wanted


class Change(NamedTuple):
    """One change: what is said of it, and its CQL."""

    says: str
    cql: str


def window(ttl_s: int) -> tuple[str, int]:
    """Return unit and size of the compaction windows of a table whose rows live so long.

    >>> window(2 * DAY_S), window(30 * DAY_S), window(365 * DAY_S)
    (('HOURS', 2), ('DAYS', 1), ('DAYS', 13))
    """
    least_s = -(-ttl_s // WINDOWS)
    unit, unit_s = "MINUTES", 60
    for larger, larger_s in (("HOURS", 3600), ("DAYS", DAY_S)):
        if least_s >= larger_s:
            unit, unit_s = larger, larger_s
    return unit, -(-least_s // unit_s)


def compaction_of(ttl_s: int) -> dict[str, str]:
    """Return the compaction of a table whose rows live so long."""
    unit, size = window(ttl_s)
    return {
        "class": "org.apache.cassandra.db.compaction.TimeWindowCompactionStrategy",
        "compaction_window_size": str(size),
        "compaction_window_unit": unit,
    }


def key_of(table: Table) -> str:
    """Return a table's primary key and order.

    >>> key_of(TABLES["latency"])
    '((hop, day), ts_event_ns DESC)'
    """
    return f"(({', '.join(table.wide_partition)}), {', '.join(f'{name} DESC' for name in table.clustering)})"


def create(table: Table) -> str:
    """Return the CQL that makes a table."""
    columns = ", ".join(f"{column.name} {column.kind}" for column in table.columns)
    key, order = ", ".join(table.wide_partition), ", ".join(f"{name} DESC" for name in table.clustering)
    return (
        f"CREATE TABLE {table.name} ({columns}, PRIMARY KEY (({key}), {', '.join(table.clustering)}))"
        f" WITH CLUSTERING ORDER BY ({order}) AND gc_grace_seconds = {GRACE_S} AND {_options(table)}"
    )


def _options(table: Table) -> str:
    return f"default_time_to_live = {table.ttl_s} AND compaction = {compaction_of(table.ttl_s)}"


_OWN = {
    "keys": f"CREATE TABLE keys ({', '.join(f'{column.name} {column.kind}' for column in KEYS)},"
    f" PRIMARY KEY (topic, key, day)) WITH CLUSTERING ORDER BY (key ASC, day DESC) AND gc_grace_seconds = {GRACE_S}",
    "schema_version": "CREATE TABLE schema_version (name text, version int, applied timestamp,"
    " PRIMARY KEY (name, version)) WITH CLUSTERING ORDER BY (version DESC)",
}


def plan(present: Mapping[str, Present], tables: Sequence[Table]) -> list[Change]:
    """Return what takes the tables that are there to those that are wanted.

    Raises:
        InputError: that would lose rows or columns, or needs them written anew.
    """
    changes = [
        change
        for table in tables
        for change in (
            _changes(present[table.name], table)
            if table.name in present
            else [Change(f"table {table.name}: created", create(table))]
        )
    ]
    return changes + [Change(f"table {name}: created", cql) for name, cql in _OWN.items() if name not in present]


def _changes(now: Present, table: Table) -> list[Change]:
    def refuse(what: str) -> InputError:
        """Return the error that says why the table stays as it is."""
        return InputError(f"table {table.name}: {what}. Nothing was changed")

    wanted = {column.name: column.kind for column in table.columns}
    if now.key != key_of(table):
        if now.empty:
            return [
                Change(f"table {table.name}: removed, for it is empty", f"DROP TABLE {table.name}"),
                Change(f"table {table.name}: created", create(table)),
            ]
        raise refuse(f"its primary key would change from {now.key} to {key_of(table)}; rows cannot be moved to another")
    for name, kind in now.columns.items():
        if name not in wanted:
            raise refuse(f"column {name} would be removed, with all that is in it")
        if kind != wanted[name]:
            raise refuse(f"column {name} would change from {kind} to {wanted[name]}; what is in it would be lost")
    if now.ttl_s == 0 or now.ttl_s > table.ttl_s:
        raise refuse(f"its rows' life would fall from {now.ttl_s or 'unlimited'} to {table.ttl_s} s")
    changes = [
        Change(f"table {table.name}: column {name} added", f"ALTER TABLE {table.name} ADD {name} {kind}")
        for name, kind in wanted.items()
        if name not in now.columns
    ]
    if now.ttl_s < table.ttl_s:
        says = f"table {table.name}: life of new rows raised from {now.ttl_s} to {table.ttl_s} s"
        changes.append(Change(says, f"ALTER TABLE {table.name} WITH {_options(table)}"))
    elif not compaction_of(table.ttl_s).items() <= now.compaction.items():
        changes.append(
            Change(f"table {table.name}: compaction changed", f"ALTER TABLE {table.name} WITH {_options(table)}")
        )
    return changes


def apply_schema(
    settings: CassandraSettings,
    say: Callable[[str], None],
    tables: Mapping[str, Table] = TABLES,
    version: int = SCHEMA_VERSION,
) -> int:
    """Create keyspace and tables that are missing and change what differs; returns how many changes that took.

    Nothing is changed if some change would lose data. A longer life is that of rows written from now on.

    Raises:
        InputError: no Cassandra answers, the tables are of a newer version, or a change would lose data.
    """
    try:
        session = connect(settings)
    except StoreError as error:
        raise InputError(f"{error}: `quicksilver cluster up` starts one") from error
    try:
        return _apply(session, settings, say, tables, version)
    except FAILURES as error:
        raise InputError(f"Cassandra at {settings.where} did not do it: {why(error)}; apply again") from error
    finally:
        session.cluster.shutdown()


def _apply(
    session: Any,
    settings: CassandraSettings,
    say: Callable[[str], None],
    tables: Mapping[str, Table],
    version: int,
) -> int:
    name = settings.keyspace
    missing = not list(session.execute("SELECT * FROM system_schema.keyspaces WHERE keyspace_name = %s", (name,)))
    present = {} if missing else _present(session, name)
    before = _version(session, name) if "schema_version" in present else 0
    if before > version:
        raise InputError(
            f"the tables at {settings.where} are of version {before}, this is {version}: update Quicksilver"
        )
    changes = plan(_with_empty(session, name, present, tables), list(tables.values()))
    if missing:
        how = f"{{'class': 'SimpleStrategy', 'replication_factor': {settings.replication}}}"
        session.execute(f"CREATE KEYSPACE {name} WITH replication = {how}", timeout=CHANGE_S)
        say(f"keyspace {name}: created")
    session.set_keyspace(name)
    for change in changes:
        session.execute(change.cql, timeout=CHANGE_S)
        say(change.says)
    if before < version:
        session.execute(
            f"INSERT INTO {name}.schema_version (name, version, applied) VALUES (%s, %s, toTimestamp(now()))",
            ("quicksilver", version),
        )
    return len(changes) + missing


def _with_empty(
    session: Any, keyspace: str, present: dict[str, Present], tables: Mapping[str, Table]
) -> dict[str, Present]:
    """Find out which of the tables that are to have another key hold nothing."""
    other = [one.name for one in tables.values() if one.name in present and present[one.name].key != key_of(one)]
    empty = [name for name in other if not list(session.execute(f"SELECT * FROM {keyspace}.{name} LIMIT 1"))]
    return present | {name: present[name]._replace(empty=True) for name in empty}


def _version(session: Any, keyspace: str) -> int:
    rows = session.execute(f"SELECT version FROM {keyspace}.schema_version WHERE name = 'quicksilver' LIMIT 1")
    return next((row.version for row in rows), 0)


def _present(session: Any, keyspace: str) -> dict[str, Present]:
    """Read the tables that are there from Cassandra's own."""
    columns: dict[str, list[Any]] = {}
    for row in session.execute("SELECT * FROM system_schema.columns WHERE keyspace_name = %s", (keyspace,)):
        columns.setdefault(row.table_name, []).append(row)
    return {
        row.table_name: Present(
            _key(columns[row.table_name]),
            {one.column_name: one.type for one in columns[row.table_name]},
            row.default_time_to_live or 0,
            dict(row.compaction),
        )
        for row in session.execute("SELECT * FROM system_schema.tables WHERE keyspace_name = %s", (keyspace,))
    }


def _key(columns: Sequence[Any]) -> str:
    ordered = sorted(columns, key=lambda one: one.position)
    partition = [one.column_name for one in ordered if one.kind == "partition_key"]
    clustering = [f"{one.column_name} {one.clustering_order.upper()}" for one in ordered if one.kind == "clustering"]
    return f"(({', '.join(partition)}), {', '.join(clustering)})"
