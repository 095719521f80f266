"""A record goes through its table's columns and comes back, to the bit."""

import types
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quicksilver import codec, topics
from quicksilver.events import Trade
from quicksilver.records import DeadLetter, FeedStats, Frontier, FullBook, Latency, Pick, Prediction, Score
from quicksilver.tables import DAY_NS, TABLES, Table
from quicksilver.topics import key_of

integer = st.integers(-(2**63), 2**63 - 1)
number = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [-0.0, 5e-324, 1.7976931348623157e308, 1e-5]
)
CELLS = {"int": int, "bigint": int, "double": float, "text": str, "boolean": bool, "blob": bytes}
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    int: integer, float: number, str: st.text(max_size=9), bool: st.booleans(), bytes: st.binary(max_size=9),
    types.NoneType: st.none(),
}  # fmt: skip


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of an annotation."""
    origin, given = typing.get_origin(kind), typing.get_args(kind)
    if kind in SCALARS:
        return SCALARS[kind]
    if origin is typing.Literal:
        return st.sampled_from(given)
    if origin is list or ... in given:
        return st.lists(values(given[0]), max_size=2).map(origin)
    if origin in {tuple, dict}:
        parts = [values(one) for one in given]
        return st.tuples(*parts) if origin is tuple else st.dictionaries(*parts, max_size=2)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of([values(one) for one in given])
    return records_of(kind)


def records_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    fields = {field.name: values(field.type) for field in msgspec.structs.fields(kind)}
    if kind is DeadLetter:
        fields["symbol"] = st.none() | st.text(min_size=1, max_size=9)  # the empty text stands for None in a key
    return st.builds(kind, **fields)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
@given(data=st.data())
def test_rows_give_back_the_record_and_its_bytes(table: Table, data: st.DataObject) -> None:
    record = data.draw(records_of(table.topic.type))
    row = table.row(record)
    assert table.json(row) == codec.encode(record)
    assert table.json(list(row)) == codec.encode(record)
    back = table.record(row)
    assert type(back) is type(record)
    assert codec.encode(back) == codec.encode(record)  # by bytes: -0.0 == 0.0
    assert back == record
    for column, value in zip(table.columns, row, strict=True):
        assert value is None or type(value) is CELLS[column.kind]
        assert value is not None or (column.optional and column.name not in {*table.partition, *table.cluster})


def test_columns_are_the_day_and_the_fields_with_their_kinds() -> None:
    shown = [(one.name, one.kind, one.optional, one.nested) for one in TABLES["trades"].columns]
    assert shown == [
        ("day", "int", False, False),
        ("venue", "text", False, False),
        ("symbol", "text", False, False),
        ("seq", "bigint", False, False),
        ("ts_event_ns", "bigint", False, False),
        ("ts_recv_ns", "bigint", False, False),
        ("price", "double", False, False),
        ("size", "double", False, False),
        ("side", "text", True, False),
        ("trade_id", "text", True, False),
    ]
    kinds = {column.name: column.kind for table in TABLES.values() for column in table.columns}
    assert (kinds["direction"], kinds["state"], kinds["closed"], kinds["payload"]) == (
        "bigint", "text", "boolean", "blob",
    )  # fmt: skip
    nested = {(name, one.name) for name, table in TABLES.items() for one in table.columns if one.nested}
    assert nested == {(name, side) for name in ("tops", "full-books") for side in ("bids", "asks")} | {
        ("frontiers", name)
        for name in (
            "assets", "correlation", "picks", "frontier", "frontier_weights", "cloud", "prices", "ages_ns", "absent",
            "held", "estimators", "sources", "costs", "constraints",
        )
    }  # fmt: skip


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_keys_are_columns_of_their_table_and_time_leads(table: Table) -> None:
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    assert {*table.partition, *table.cluster, table.time} <= set(names)
    assert table.clustering[0] == table.time
    assert sorted(table.clustering) == sorted(table.cluster)


def test_only_candles_are_rewritten_and_nothing_in_them_may_be_unknown() -> None:
    """The wide store leaves unknown values unset: a value rewritten by None would stay."""
    assert not any(column.optional or column.nested for column in TABLES["candles"].columns)


def test_a_topic_key_gives_the_partition_of_its_records() -> None:
    letter = DeadLetter(7, "a:1", "kraken", None, "why", b"")
    for record, wanted in (
        (Trade("kraken", "BTC-USD", 1, 2, 3, 4.0, 5.0, "buy"), ("kraken", "BTC-USD")),
        (Trade("kraken", "A:B", 1, 2, 3, 4.0, 5.0, "buy"), ("kraken", "A:B")),
        (Latency("a:b", 5, 1, 1.0, 2.0, 3.0), ("a:b",)),
        (letter, ("kraken", "")),
        (FeedStats("kraken", "", 5, "LIVE", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0), ("kraken", "")),
        (DeadLetter(7, "a:1", "", "X-Y", "why", b""), ("", "X-Y")),
    ):
        table = TABLES[topics.TOPIC_OF[type(record)].name]
        assert table.partition_of(key_of(record)) == wanted
    assert TABLES["trades"].partition_of("nonsense") == ("nonsense", "")


def test_the_day_is_that_of_the_tables_time() -> None:
    table = TABLES["latency"]
    days = [table.bucket_of(Latency("h", ts, 1, 1.0, 1.0, 1.0)) for ts in (-1, 0, DAY_NS - 1, DAY_NS, 2**63 - 1)]
    assert days == [-1, 0, 0, 1, 106_751]


def test_full_books_lie_by_the_minute() -> None:
    table, minute_ns = TABLES["full-books"], 60_000_000_000
    assert table.wide_partition == ("venue", "symbol", "minute")
    times = (-1, 0, minute_ns - 1, minute_ns, 2**63 - 1, -(2**63))
    books = [FullBook("v", "A-B", 1, ts, ts, [], [], 0, 0, 0, 0, 0.0, 0.0) for ts in times]
    assert [table.bucket_of(one) for one in books] == [-1, 0, 0, 1, 153_722_867, -153_722_868]
    assert [table.row(one)[0] for one in books] == [table.bucket_of(one) for one in books]


def test_nested_columns_hold_the_codecs_json() -> None:
    picks = {"max_sharpe": Pick([0.5, 0.5], 1.0, 2.0, -0.0)}
    frontier = Frontier("u", 1, 2, 3, 4, ["é"], 1, 1, [[1.0]], picks, [(1e-7, 2.0)], [[1.0]], [])
    table = TABLES["frontiers"]
    row = dict(zip([one.name for one in table.columns], table.row(frontier), strict=True))
    assert row["assets"] == '["é"]'
    assert row["picks"] == '{"max_sharpe":{"weights":[0.5,0.5],"mean_bps":1.0,"risk_bps":2.0,"sharpe":-0.0}}'


@pytest.mark.parametrize(
    "record",
    [
        Prediction("v", "A-B", 1, 2, 3, 4, "m", "1", 0.2, 0.3, 0.5, 1, 0.5),
        Score("v", "A-B", 1, 2, 3, 4, "m", "1", 5, 1, 0, 10, 0.5, 1.0, 0.4, 1.1),
        Frontier("u", 1, 2, 3, 4, ["a"], 1, 1, [[1.0]], {}, [(1.0, 2.0)], [[1.0]], []),
    ],
)
def test_columns_that_a_row_is_older_than_are_read_as_their_defaults(record: Prediction | Score | Frontier) -> None:
    table = TABLES[topics.TOPIC_OF[type(record)].name]
    added = [False, *(not field.required for field in msgspec.structs.fields(type(record)))]
    row = [None if new else value for new, value in zip(added, table.row(record), strict=True)]
    assert row.count(None) == sum(added) > 2
    assert table.record(row) == record
    assert table.json(row) == codec.encode(record)
