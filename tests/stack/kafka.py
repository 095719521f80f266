"""What tests put into the real Kafka and read from it."""

import time
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import Consumer, Producer, TopicPartition

from jobs.settings import FullBookSettings
from quicksilver.events import AnyEvent
from quicksilver.streaming.message import Headers, Message, Outgoing, event_message

MOST_S = 120.0
FULL_BOOKS = FullBookSettings(full_books_per_s=2.0, full_book_levels=8)
"""What the cluster's features job makes of them."""


def producer(servers: str) -> Producer:
    return Producer(
        {
            "bootstrap.servers": servers, "acks": "all", "enable.idempotence": True, "compression.type": "lz4",
            "partitioner": "murmur2_random", "message.max.bytes": 16 << 20, "log_level": 0,
        }
    )  # fmt: skip


def publish(servers: str, sent: Iterable[Outgoing]) -> None:
    """Send messages with the time of now: to what seems to come late a job gives more patience."""
    to = producer(servers)
    for one in sent:
        now_ms = int(time.time() * 1000)
        to.produce(one.topic, key=one.key, value=one.value, headers=[*one.headers.items()], timestamp=now_ms)
        to.poll(0)
    assert to.flush(60) == 0


def messages_of(events: Iterable[AnyEvent], session: str, universe: str, interval: str = "") -> list[Outgoing]:
    """Return what a producer sends."""
    return [
        event_message(event, 0, Headers(s=session, g=str(i), i=interval, u=universe))
        for i, event in enumerate(events, 1)
    ]


def read_until(
    servers: str, topics: Sequence[str], enough: Callable[[list[Message]], bool], timeout_s: float = MOST_S
) -> list[Message]:
    """Read the topics from their beginning until what was read is enough; fails with what came when it never is."""
    reader = Consumer({"bootstrap.servers": servers, "group.id": "test", "fetch.wait.max.ms": 20, "log_level": 0})
    found: list[Message] = []
    try:
        known = reader.list_topics(timeout=30).topics
        reader.assign([TopicPartition(name, part, 0) for name in topics for part in known[name].partitions])
        until = time.monotonic() + timeout_s
        while not enough(found):
            assert time.monotonic() < until, f"{len(found)} messages of {topics} came in {timeout_s} s"
            found += [message_of(one) for one in reader.consume(1000, 0.2) if one.error() is None]
    finally:
        reader.close()
    return found


def message_of(one: object) -> Message:
    headers = {name: value.decode() for name, value in one.headers() or []}  # type: ignore[attr-defined]
    return Message(
        one.topic(), one.partition(), one.offset(), one.timestamp()[1], (one.key() or b"").decode(),  # type: ignore[attr-defined]
        Headers(**headers), one.value() or b"",  # type: ignore[attr-defined]
    )  # fmt: skip


def place_of(message: Message) -> tuple[str, str]:
    """What tells a message of a topic and key from all others: full books have no number but their event's."""
    return message.headers.s, message.headers.n or message.headers.g


def distinct(messages: Iterable[Message]) -> dict[tuple[str, str], list[bytes]]:
    """The values by topic and key in order, each message once, as a reader keeps them; repeats must be the same."""
    found: dict[tuple[str, str], dict[tuple[str, str], bytes]] = {}
    for one in messages:
        rows = found.setdefault((one.topic, one.key), {})
        place = place_of(one)
        assert rows.setdefault(place, one.value) == one.value, f"{one.place} repeats another message under {place}"
    return {key: list(rows.values()) for key, rows in found.items()}
