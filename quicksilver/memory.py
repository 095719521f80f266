"""The in-memory twins of the bus and the store: what tests and the embedded runner use."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from quicksilver.ports import Listener
from quicksilver.records import Published
from quicksilver.tables import TABLES
from quicksilver.topics import TOPIC_OF, key_of


class MemoryBus:
    """Calls every listener in publishing order, on the publisher's thread."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def publish(self, record: Published) -> None:
        """Hand the record to all listeners."""
        topic, key = TOPIC_OF[type(record)].name, key_of(record)
        for listener in self._listeners:
            listener(topic, key, record)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` for each record from now on; the returned function ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


class MemoryStore:
    """Keeps rows in dictionaries."""

    def __init__(self) -> None:
        self._rows: dict[str, defaultdict[str, dict[str, Published]]] = {name: defaultdict(dict) for name in TABLES}

    def write(self, records: Sequence[Published]) -> None:
        """Upsert the records."""
        for record in records:
            table = TABLES[TOPIC_OF[type(record)].name]
            self._rows[table.topic.name][key_of(record)][table.row_key(record)] = record

    def read(
        self, topic: str, key: str, *, start_ns: int | None = None, end_ns: int | None = None, limit: int = 1000
    ) -> list[msgspec.Struct]:
        """Return the newest ``limit`` rows of ``key`` with ``start_ns <= time < end_ns``, oldest first."""
        table = TABLES[topic]
        rows = [
            row
            for row in self._rows[topic].get(key, {}).values()
            if (start_ns is None or table.time_of(row) >= start_ns) and (end_ns is None or table.time_of(row) < end_ns)
        ]
        rows.sort(key=lambda row: (*table.order_of(row), table.row_key(row)))
        return list(rows[-limit:] if limit else [])

    def keys(self, topic: str) -> list[str]:
        """Return the keys that have rows, sorted."""
        return sorted(self._rows[topic])

    def count(self, topic: str) -> int:
        """Return the number of rows."""
        return sum(map(len, self._rows[topic].values()))

    def close(self) -> None:
        """Do nothing: memory needs no closing."""
