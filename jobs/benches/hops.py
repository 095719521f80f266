"""From a message received to a bot's websocket: producer, Kafka, Flink, Kafka, API; beside Kafka alone."""

import asyncio
import threading
import time
from collections.abc import Sequence

import msgspec
import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from websockets.asyncio.client import connect

from jobs.benches.events import busy_market
from jobs.benches.flink_rate import messages
from jobs.benches.measure import Row
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot
from quicksilver.streaming.message import Outgoing
from quicksilver.topics import FEATURES

BARE = "bench-bare"
ALONE, ALONE_S = 600, 0.02  # messages one at a time, and the pause after each
RATE, SECONDS = 5_000, 12
SETTLE = 100  # of the first messages, not counted: connections open, caches fill
TIMEOUT_S = 60.0

Times = dict[tuple[str, int], int]
"""When a row was seen, by symbol and ``seq``; nanoseconds of the clock that all parts share."""


class _Row(msgspec.Struct):
    symbol: str
    seq: int
    venue: str


class _Rows(msgspec.Struct):
    type: str
    rows: list[_Row] = []


class TopicReader(threading.Thread):
    """Notes when each row of a venue can be read from a topic."""

    def __init__(self, servers: str, topic: str, venue: str) -> None:
        super().__init__(daemon=True)
        self.seen: Times = {}
        self._venue = venue
        self._stop_now = threading.Event()
        self._reader = Consumer(
            {"bootstrap.servers": servers, "group.id": "bench", "fetch.wait.max.ms": 5, "log_level": 0}
        )
        parts = self._reader.list_topics(topic, 30).topics[topic].partitions
        ends = {part: self._reader.get_watermark_offsets(TopicPartition(topic, part), 30)[1] for part in parts}
        self._reader.assign([TopicPartition(topic, part, end) for part, end in ends.items()])

    def run(self) -> None:
        """Read until ``stop``."""
        decoder = msgspec.json.Decoder(_Row)
        while not self._stop_now.is_set():
            for message in self._reader.consume(500, 0.02):
                now_ns = time.perf_counter_ns()
                row = decoder.decode(message.value() or b"{}")
                if row.venue == self._venue:
                    self.seen[row.symbol, row.seq] = now_ns
        self._reader.close()

    def stop(self) -> None:
        """End, and wait for it."""
        self._stop_now.set()
        self.join()


async def _listen(url: str, venue: str, seen: Times, ready: asyncio.Event) -> None:
    decoder = msgspec.json.Decoder(_Rows)
    async with connect(url, max_size=None, compression=None) as socket:
        await socket.recv()
        await socket.send(b'{"op":"subscribe","channels":["features"],"history":0}'.decode())
        await socket.send('{"op":"ping","id":1}')
        async for text in socket:
            now_ns = time.perf_counter_ns()
            message = decoder.decode(text)
            if message.type == "pong":
                ready.set()
            for row in message.rows:
                if row.venue == venue:
                    seen[row.symbol, row.seq] = now_ns


def _producer(servers: str) -> Producer:
    return Producer(
        {"bootstrap.servers": servers, "acks": "all", "enable.idempotence": True, "compression.type": "lz4",
         "linger.ms": 0, "partitioner": "murmur2_random"}
    )  # fmt: skip


def _send(producer: Producer, one: Outgoing, topic: str) -> int:
    now_ns = time.perf_counter_ns()
    producer.produce(topic, one.value, one.key, headers=[*one.headers.items()], timestamp=time.time_ns() // 1_000_000)
    producer.poll(0)
    return now_ns


def bare_ms(servers: str, sent: Sequence[Outgoing]) -> list[float]:
    """Return the milliseconds from produce to consume, one message at a time."""
    admin = AdminClient({"bootstrap.servers": servers})
    for done in admin.create_topics([NewTopic(BARE, 1, 1)]).values():
        done.exception()  # it may be there already
    producer, taken = _producer(servers), list[float]()
    reader = Consumer({"bootstrap.servers": servers, "group.id": "bench", "fetch.wait.max.ms": 5, "log_level": 0})
    reader.assign([TopicPartition(BARE, 0, 0)])
    for one in sent:
        began = _send(producer, one, BARE)
        while True:
            message = reader.poll(TIMEOUT_S)
            if message is not None and message.error() is None:
                break
        taken.append((time.perf_counter_ns() - began) / 1e6)
        time.sleep(ALONE_S / 4)
    reader.close()
    return taken[SETTLE:]


async def through(
    servers: str, url: str, events: Sequence[AnyEvent], venue: str, pause_s: float
) -> tuple[list[float], list[float]]:
    """Return milliseconds from publishing to the topic of features, and to a websocket, of each message of a book."""
    at_topic, at_socket, ready = TopicReader(servers, FEATURES.name, venue), Times(), asyncio.Event()
    at_topic.start()
    listening = asyncio.create_task(_listen(url, venue, at_socket, ready))
    await ready.wait()
    producer, published = _producer(servers), Times()
    began = time.perf_counter()
    for i, (event, one) in enumerate(zip(events, messages(events, venue), strict=True)):
        wait_s = began + i * pause_s - time.perf_counter()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        sent_ns = _send(producer, one, one.topic)
        if isinstance(event, BookSnapshot | BookDelta):
            published[event.symbol, event.seq] = sent_ns
    async with asyncio.timeout(TIMEOUT_S):
        while len(at_socket) < len(published):
            await asyncio.sleep(0.1)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await asyncio.to_thread(at_topic.stop)
    keys = list(published)[SETTLE:]
    return tuple([(times[key] - published[key]) / 1e6 for key in keys] for times in (at_topic.seen, at_socket))  # type: ignore[return-value]


def _rows(name: str, taken: Sequence[float], bare: Sequence[float]) -> list[Row]:
    out = []
    for label, share in (("p50", 50), ("p99", 99), ("p99.9", 99.9)):
        ours, peer = float(np.percentile(taken, share)), float(np.percentile(bare, share))
        out.append(
            Row(
                f"{name}, {label}", round(ours, 3), "ms", f"Kafka alone, {label}", round(peer, 3), round(ours / peer, 3)
            )
        )
    return out


def rows(servers: str, url: str) -> list[Row]:
    """Return the rows; the features job and the API must run."""
    alone = busy_market("alone", ALONE)
    bare = bare_ms(servers, messages(alone, "bare"))
    topic, socket = asyncio.run(through(servers, url, alone, "alone", ALONE_S))
    loaded_topic, loaded_socket = asyncio.run(
        through(servers, url, busy_market("loaded", RATE * SECONDS), "loaded", 1 / RATE)
    )
    return [
        *_rows("message -> features topic, one at a time", topic, bare),
        *_rows("message -> websocket, one at a time", socket, bare),
        *_rows(f"message -> features topic, {RATE:,}/s", loaded_topic, bare),
        *_rows(f"message -> websocket, {RATE:,}/s", loaded_socket, bare),
    ]
