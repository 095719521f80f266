"""The two seams: where records go (Bus) and where they rest (Store). In-memory twins are in ``memory.py``."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import msgspec

from quicksilver.records import Published

Listener: TypeAlias = Callable[[str, str, Published], None]
"""Called with ``(topic, key, record)`` in publishing order."""


class Bus(Protocol):
    """Carries records by topic and key, in order within a key."""

    def publish(self, record: Published) -> None:
        """Send the record to its topic under its key."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` for each record from now on; the returned function ends that."""


class Rows(Protocol):
    """Records at rest."""

    def read(
        self,
        topic: str,
        key: str,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        limit: int = 1000,
    ) -> list[msgspec.Struct]:
        """Return the newest ``limit`` rows of ``key`` with ``start_ns <= ts_event_ns < end_ns``, oldest first."""

    def keys(self, topic: str) -> list[str]:
        """Return the keys that have rows, sorted."""

    def count(self, topic: str) -> int:
        """Return the number of rows."""

    def close(self) -> None:
        """Flush and let go of all resources."""


class Store(Rows, Protocol):
    """Keeps records; writing the same key twice leaves one row."""

    def write(self, records: Sequence[Published]) -> None:
        """Upsert the records, all or none."""
