"""Events through Flink's features job, state and all, beside the same machines in one process without Flink."""

import time
from collections.abc import Sequence

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from jobs.benches.events import busy_market
from jobs.benches.measure import Row, quiet, rate_row
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot
from quicksilver.streaming.instruments import FeatureMachine
from quicksilver.streaming.message import Headers, Message, Outgoing, decode_messages, encode_outgoing, event_message
from quicksilver.topics import FEATURES
from setup.flink.jobs import Jobs

N = 400_000
POLL_S = 0.2
MOST_S = 180.0
MIDDLE = (0.25, 0.9)  # of the run, between which the rate is taken: workers have started, and nothing runs out


def messages(events: Sequence[AnyEvent], session: str) -> list[Outgoing]:
    """Return the events' messages, published now."""
    now_ms = time.time_ns() // 1_000_000
    return [event_message(one, now_ms, Headers(s=session, g=str(i), u=session)) for i, one in enumerate(events, 1)]


def publish(servers: str, sent: Sequence[Outgoing]) -> None:
    """Publish all as fast as Kafka takes them."""
    producer = Producer(
        {
            "bootstrap.servers": servers, "acks": "all", "enable.idempotence": True, "compression.type": "lz4",
            "linger.ms": 5, "partitioner": "murmur2_random", "queue.buffering.max.messages": len(sent) + 1,
            "queue.buffering.max.kbytes": 2_000_000,
        }
    )  # fmt: skip
    for one in sent:
        producer.produce(one.topic, one.value, one.key, headers=[*one.headers.items()], timestamp=one.ts_ms)
    producer.flush()


def books_of(events: Sequence[AnyEvent]) -> int:
    """Return how many of the events are of books."""
    return sum(isinstance(one, BookSnapshot | BookDelta) for one in events)


def end_of(reader: Consumer, topic: str) -> int:
    """Return how many messages a topic has had."""
    parts = reader.list_topics(topic, 30).topics[topic].partitions
    return sum(reader.get_watermark_offsets(TopicPartition(topic, part), 30)[1] for part in parts)


def flink_rate(servers: str, flink: Jobs, events: Sequence[AnyEvent], session: str, slots: int) -> float:
    """Return book messages a second through the features job: they are all there before it starts."""
    publish(servers, messages(events, session))
    reader = Consumer({"bootstrap.servers": servers, "group.id": "bench", "log_level": 0})
    first, books = end_of(reader, FEATURES.name), books_of(events)
    low, high = (first + share * books for share in MIDDLE)
    flink.submit("features", quiet, slots)
    until, seen = time.monotonic() + MOST_S, list[tuple[float, int]]()
    while (not seen or seen[-1][1] < high) and time.monotonic() < until:
        time.sleep(POLL_S)
        seen.append((time.monotonic(), end_of(reader, FEATURES.name)))
    reader.close()
    flink.stop("features")
    if seen[-1][1] < high:
        raise InputError(f"only {seen[-1][1] - first} of {books} book messages went through Flink in {MOST_S:.0f} s")
    middle = [one for one in seen if low <= one[1]]
    (t0, n0), (t1, n1) = middle[0], middle[-1]
    return (n1 - n0) / (t1 - t0)


def bare_rate(events: Sequence[AnyEvent]) -> float:
    """Return book messages a second through the same machines, from and to the same bytes, in this process."""
    packed = [
        msgspec.msgpack.encode([Message(one.topic, 0, i, one.ts_ms, one.key, one.headers, one.value)])
        for i, one in enumerate(messages(events, "bare"))
    ]
    machines: dict[str, FeatureMachine] = {}
    started = time.perf_counter()
    for data in packed:
        (message,) = decode_messages(data)
        machine = machines.get(message.key) or machines.setdefault(message.key, FeatureMachine(message.key))
        encode_outgoing(machine.take(message))
    return books_of(events) / (time.perf_counter() - started)


def rows(servers: str, flink: Jobs, n: int = N) -> list[Row]:
    """Return the rows of one slot and of two; no job must run, and two slots must be free."""
    bare_rate(busy_market("warm", n // 20))
    bare = bare_rate(busy_market("bare", n // 4))
    one = flink_rate(servers, flink, busy_market("one", n), "one", 1)
    two = flink_rate(servers, flink, busy_market("two", n, seed=4), "two", 2)
    name, unit = "Flink, book messages with all features and state", "msg/s"
    return [
        rate_row(f"{name}, 1 slot", unit, one, "the same machines without Flink", bare),
        rate_row(f"{name}, 2 slots", unit, two, "1 slot", one),
    ]
