"""The storage contract: every table, its keys, its columns and how long its rows live; declared once for every store.

A table's partition is the topic key (in the wide store together with the day of the row's time, or the minute where
rows are large); rows within it are ordered by time. ``cluster`` are the columns that make a row unique there, so that
writing a row again writes it onto itself. Time stands before ``seq``: the numbers start again with each session, time
does not.

The wide store (Cassandra) has one column for each field of the record, of the same name; a field that is no scalar is
the text of its JSON, as ``codec.encode`` writes it. ``Table.row`` and ``Table.record`` or ``Table.json`` go between
the two, to the bit. A column that was added later is null in older rows, and read as its field's default.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin

import msgspec

from quicksilver import codec, topics
from quicksilver.records import Published
from quicksilver.topics import Topic

SCHEMA_VERSION = 6  # of the wide store; rises with every change of its tables
DAY_S = 86_400
DAY_NS = DAY_S * 1_000_000_000

Kind: TypeAlias = Literal["int", "bigint", "double", "text", "boolean", "blob"]
Cell: TypeAlias = int | float | str | bool | bytes | None
Row: TypeAlias = tuple[Cell, ...]

_KINDS: dict[Any, Kind] = {int: "bigint", float: "double", str: "text", bool: "boolean", bytes: "blob"}


class Column(msgspec.Struct, frozen=True):
    """One column of the wide store: ``type`` is the record's field's, without None; ``nested`` text holds its JSON."""

    name: str
    kind: Kind
    type: Any
    optional: bool = False
    nested: bool = False


DAY, MINUTE = Column("day", "int", int), Column("minute", "int", int)
"""The first column of every table, its bucket: whole days from 1970 to the row's time, or whole minutes.

A partition is to have some 100 MB at most: full books of 5,000 levels, one a second, are 30 MB a minute.
"""
BUCKET_NS = {DAY.name: DAY_NS, MINUTE.name: 60 * 1_000_000_000}

KEYS = (Column("topic", "text", str), Column("key", "text", str), DAY)
"""The columns, all of them its key, of the table ``keys``: which partitions of which tables there are.

``day`` is the number of the bucket, also where buckets are minutes.
"""

KEYS_LIFE_S = 3600
"""How much longer a row of ``keys`` lives than the rows that it stands for: it is written before them."""


def column_of(name: str, annotation: Any) -> Column:
    """Return the column of a field.

    >>> column_of("side", Literal["buy", "sell"] | None).kind
    'text'
    >>> column_of("bids", list[float]).nested
    True
    """
    kinds = [one for one in _members(annotation) if one is not NoneType]
    optional = len(kinds) < len(_members(annotation))
    scalars = {type(value) for value in get_args(kinds[0])} if get_origin(kinds[0]) is Literal else {kinds[0]}
    scalar = _KINDS.get(scalars.pop()) if len(kinds) == len(scalars) == 1 else None
    bare = kinds[0] if len(kinds) == 1 else Union[tuple(kinds)]  # noqa: UP007 (made of a list)
    return Column(name, scalar or "text", bare, optional, nested=scalar is None)


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)


class Table(msgspec.Struct, frozen=True, dict=True):
    """One table; ``time`` is the column that ranges are asked by, ``ttl_s`` the life of a row in seconds of it.

    ``partition`` are the columns that the topic key is made of. ``rows_at_once`` rows are what a node or a reader is to
    hold in memory at once.
    """

    topic: Topic
    cluster: tuple[str, ...]
    ttl_s: int
    time: str = "ts_event_ns"
    partition: tuple[str, ...] = ("venue", "symbol")
    bucket: Column = DAY
    rows_at_once: int = 1_000

    @property
    def name(self) -> str:
        """Return the table's name: the topic's, as an identifier."""
        return self.topic.name.replace("-", "_")

    def time_of(self, record: Published) -> int:
        """Return the row's time, nanoseconds since 1970."""
        value: int = getattr(record, self.time)
        return value

    @property
    def bucket_ns(self) -> int:
        """Return the span of time of a bucket."""
        return BUCKET_NS[self.bucket.name]

    def bucket_of(self, record: Published) -> int:
        """Return whole buckets from 1970 to the row's time."""
        return self.time_of(record) // self.bucket_ns

    def order_of(self, record: Published) -> tuple[int, int]:
        """Return the row's place within its partition: its time, and ``seq`` among rows of one time."""
        return self.time_of(record), getattr(record, "seq", 0)

    def row_key(self, record: Published) -> str:
        """Return what makes the row unique within its partition."""
        return "/".join(str(getattr(record, column)) for column in self.cluster)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The wide store's columns: the bucket, then the record's fields in their order."""
        fields = msgspec.structs.fields(self.topic.type)
        return self.bucket, *(column_of(field.encode_name, field.type) for field in fields)

    @property
    def wide_partition(self) -> tuple[str, ...]:
        """Return the wide store's partition key: the topic key's columns and the bucket."""
        return *self.partition, self.bucket.name

    @cached_property
    def clustering(self) -> tuple[str, ...]:
        """The columns of ``cluster`` in the wide store's order: time first."""
        return self.time, *(name for name in self.cluster if name != self.time)

    def partition_of(self, key: str) -> tuple[str, ...]:
        """Return the partition columns' values for a topic key; what is not known is the empty text there.

        >>> TABLES["dead-letters"].partition_of("kraken:None")
        ('kraken', '')
        """
        parts = key.split(":", 1) if len(self.partition) == 2 else [key]
        parts += [""] * (len(self.partition) - len(parts))
        return tuple(
            "" if index in self._blank and part == "None" else part
            for index, part in zip(self._partition_indices, parts, strict=True)
        )

    @cached_property
    def _partition_indices(self) -> tuple[int, ...]:
        return tuple([column.name for column in self.columns].index(name) for name in self.partition)

    @cached_property
    def _blank(self) -> frozenset[int]:
        """Partition columns that may be unknown: a key has no nulls, so they hold the empty text instead."""
        return frozenset(index for index in self._partition_indices if self.columns[index].optional)

    @cached_property
    def _defaults(self) -> dict[int, Cell]:
        """What stands for a null that the field's type does not know: the row is older than its column."""
        fields = msgspec.structs.fields(self.topic.type)
        columns = enumerate(zip(self.columns[1:], fields, strict=True), 1)
        added = {i: (one, field) for i, (one, field) in columns if not one.optional and not field.required}
        empty = {i: field.default_factory() for i, (one, field) in added.items() if one.nested}
        return {i: field.default for i, (_, field) in added.items()} | {
            i: codec.encode(value).decode() for i, value in empty.items()
        }

    @cached_property
    def _nested(self) -> tuple[int, ...]:
        return tuple(index for index, column in enumerate(self.columns) if column.nested)

    @cached_property
    def _values_of(self) -> Callable[[Published], Row]:
        return attrgetter(*self.topic.type.__struct_fields__)

    @cached_property
    def _decoders(self) -> dict[int, msgspec.json.Decoder[Any]]:
        return {index: msgspec.json.Decoder(self.columns[index].type) for index in self._nested}

    def row(self, record: Published) -> Row:
        """Return the record as a row of ``columns``."""
        row: list[Any] = [self.bucket_of(record), *self._values_of(record)]
        for index in self._nested:
            if row[index] is not None:
                row[index] = codec.encode(row[index]).decode()
        for index in self._blank:
            row[index] = row[index] or ""
        return tuple(row)

    def record(self, row: Sequence[Cell]) -> msgspec.Struct:
        """Return the record of a row of ``columns``.

        Raises:
            msgspec.DecodeError: a nested column does not hold JSON of its type.
        """
        values = self._known(row)
        for index, decoder in self._decoders.items():
            if values[index] is not None:
                values[index] = decoder.decode(values[index])
        return self.topic.type(*values[1:])

    def json(self, row: Sequence[Cell]) -> bytes:
        """Return the JSON of the record of a row of ``columns``: what ``codec.encode`` would give, byte for byte."""
        values = self._known(row)
        for index in self._nested:
            if values[index] is not None:
                values[index] = msgspec.Raw(values[index])
        return codec.encode(self.topic.type(*values[1:]))

    def _known(self, row: Sequence[Cell]) -> list[Any]:
        values: list[Any] = list(row)
        for index in self._blank:
            values[index] = values[index] or None
        for index, default in self._defaults.items():
            if values[index] is None:
                values[index] = default
        return values


_EVENT = ("ts_event_ns", "seq")
_FORECAST = ("ts_event_ns", "seq", "horizon_ns", "model", "version")

TABLES: dict[str, Table] = {
    table.topic.name: table
    for table in (
        Table(topics.TOPS, _EVENT, 2 * DAY_S),
        Table(topics.FULL_BOOKS, _EVENT, 2 * DAY_S, bucket=MINUTE, rows_at_once=10),
        Table(topics.TRADES, _EVENT, 30 * DAY_S),
        Table(topics.CANDLES, ("interval_ns", "ts_open_ns"), 365 * DAY_S, time="ts_open_ns"),
        Table(topics.FEATURES, _EVENT, 7 * DAY_S),
        Table(topics.LABELS, ("ts_event_ns", "seq", "horizon_ns"), 30 * DAY_S),
        Table(topics.PREDICTIONS, _FORECAST, 30 * DAY_S),
        Table(topics.SCORES, _FORECAST, 30 * DAY_S),
        Table(topics.FRONTIERS, _EVENT, 7 * DAY_S, partition=("universe",)),
        Table(topics.STATUS, _EVENT, 30 * DAY_S),
        Table(topics.AUDITS, _EVENT, 30 * DAY_S),
        Table(topics.LATENCY, ("ts_event_ns",), 7 * DAY_S, partition=("hop",)),
        Table(topics.FEEDS, ("ts_event_ns",), 7 * DAY_S),
        Table(topics.DEAD_LETTERS, ("ts_recv_ns", "source"), 30 * DAY_S, time="ts_recv_ns"),
    )
}
