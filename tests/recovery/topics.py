"""What the topics hold of one run."""

import time
from collections.abc import Collection

from confluent_kafka import Consumer, TopicPartition

from quicksilver.streaming.message import Message
from tests.recovery.tape import Place
from tests.stack.kafka import distinct, message_of, place_of


class TopicReader:
    """Reads the topics of these places from where they end now."""

    def __init__(self, servers: str, places: Collection[Place]) -> None:
        self._places = places
        self._reader = Consumer(
            {"bootstrap.servers": servers, "group.id": "recovery", "fetch.wait.max.ms": 20, "log_level": 0}
        )
        known = self._reader.list_topics(timeout=30).topics
        parts = [
            TopicPartition(name, part) for name in {topic for topic, _ in places} for part in known[name].partitions
        ]
        for one in parts:
            one.offset = self._reader.get_watermark_offsets(one, timeout=30)[1]
        self._reader.assign(parts)
        self.messages: list[Message] = []
        self._seen: set[tuple[str, str, str, str]] = set()

    def read(self, n: int, timeout_s: float) -> dict[Place, list[bytes]]:
        """Return each place's values in their order, once there are ``n`` distinct messages, or the time is up."""
        until = time.monotonic() + timeout_s
        try:
            while len(self._seen) < n and time.monotonic() < until:
                self._take()
            self._take()
        finally:
            self._reader.close()
        return distinct(self.messages)

    def _take(self) -> None:
        for raw in self._reader.consume(5000, 0.2):
            if raw.error() is None and (raw.topic(), (raw.key() or b"").decode()) in self._places:
                one = message_of(raw)
                self.messages.append(one)
                self._seen.add((one.topic, one.key, *place_of(one)))

    @property
    def repeats(self) -> int:
        return len(self.messages) - len(self._seen)
