"""The storage contract: every table, its keys and how long its rows live; declared once for every store.

A table's partition is the topic key (in Cassandra together with the day of the event); rows within it are ordered by
time. ``cluster`` are the columns that make a row unique there, so that writing a row again writes it onto itself. Time
stands before ``seq``: the numbers start again with each session, time does not.
"""

import msgspec

from quicksilver import topics
from quicksilver.records import Published
from quicksilver.topics import Topic

DAY_S = 86_400


class Table(msgspec.Struct, frozen=True):
    """One table; ``time`` is the column that ranges are asked by, ``ttl_s`` the life of a row in seconds of it."""

    topic: Topic
    cluster: tuple[str, ...]
    ttl_s: int
    time: str = "ts_event_ns"

    @property
    def name(self) -> str:
        """Return the table's name: the topic's, as an identifier."""
        return self.topic.name.replace("-", "_")

    def time_of(self, record: Published) -> int:
        """Return the row's time, nanoseconds since 1970."""
        value: int = getattr(record, self.time)
        return value

    def order_of(self, record: Published) -> tuple[int, int]:
        """Return the row's place within its partition: its time, and ``seq`` among rows of one time."""
        return self.time_of(record), getattr(record, "seq", 0)

    def row_key(self, record: Published) -> str:
        """Return what makes the row unique within its partition."""
        return "/".join(str(getattr(record, column)) for column in self.cluster)


_EVENT = ("ts_event_ns", "seq")
_FORECAST = ("ts_event_ns", "seq", "horizon_ns", "model", "version")

TABLES: dict[str, Table] = {
    table.topic.name: table
    for table in (
        Table(topics.TOPS, _EVENT, 2 * DAY_S),
        Table(topics.TRADES, _EVENT, 30 * DAY_S),
        Table(topics.CANDLES, ("interval_ns", "ts_open_ns"), 365 * DAY_S, time="ts_open_ns"),
        Table(topics.FEATURES, _EVENT, 7 * DAY_S),
        Table(topics.LABELS, ("ts_event_ns", "seq", "horizon_ns"), 30 * DAY_S),
        Table(topics.PREDICTIONS, _FORECAST, 30 * DAY_S),
        Table(topics.SCORES, _FORECAST, 30 * DAY_S),
        Table(topics.FRONTIERS, _EVENT, 7 * DAY_S),
        Table(topics.STATUS, _EVENT, 30 * DAY_S),
        Table(topics.LATENCY, ("ts_event_ns",), 7 * DAY_S),
        Table(topics.DEAD_LETTERS, ("ts_recv_ns", "source"), 30 * DAY_S, time="ts_recv_ns"),
    )
}
