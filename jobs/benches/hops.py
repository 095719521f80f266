"""From a message received to a bot's websocket: producer, Kafka, Flink, Kafka, API; beside Kafka alone."""

import asyncio
import gc
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
from jobs.benches.measure import Row, quiet
from producers.kafka import KafkaPublisher, client_settings
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot
from quicksilver.streaming.message import Outgoing
from quicksilver.topics import FEATURES

BARE = "bench-bare"
ALONE, ALONE_S = 1_500, 0.005  # messages one at a time, and the pause between an answer and the next
RATE, SECONDS = 5_000, 12
TOGETHER = 5  # of them at a time: to sleep before each would cost more of the two cores than all that is measured
WARM_S = 90  # of that rate before anything is measured: Java compiles what it runs, on the same cores
SETTLE, SETTLE_S = 100, 1.0  # of the first messages, not counted, and a pause: connections open, caches fill
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
        self.answer = asyncio.Event()
        self._loop = asyncio.get_running_loop()
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
            message = self._reader.poll(0.05)  # not ``consume``, which waits for more
            now_ns = time.perf_counter_ns()
            if message is None or message.error() is not None:
                continue
            row = decoder.decode(message.value() or b"{}")
            if row.venue == self._venue:
                self.seen[row.symbol, row.seq] = now_ns
                self._loop.call_soon_threadsafe(self.answer.set)
        self._reader.close()

    def stop(self) -> None:
        """End, and wait for it."""
        self._stop_now.set()
        self.join()


class SocketReader:
    """Notes when each row of a venue comes out of a websocket; ``answer`` is set with each."""

    def __init__(self, url: str, venue: str) -> None:
        self.seen: Times = {}
        self.answer = asyncio.Event()
        self._url, self._venue = url, venue
        self._ready = asyncio.Event()

    async def start(self) -> None:
        """Return once the subscription holds."""
        self._task = asyncio.create_task(self._run())
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({ready, self._task}, timeout=TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.is_set():
            raise InputError(f"{self._url} does not answer")

    async def stop(self) -> None:
        """Close it."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        decoder = msgspec.json.Decoder(_Rows)
        async with connect(self._url, max_size=None, compression=None) as socket:
            await socket.recv()
            await socket.send('{"op":"subscribe","channels":["features"],"history":0}')
            await socket.send('{"op":"ping","id":1}')
            async for text in socket:
                now_ns = time.perf_counter_ns()
                message = decoder.decode(text)
                if message.type == "pong":
                    self._ready.set()
                for row in message.rows:
                    if row.venue == self._venue:
                        self.seen[row.symbol, row.seq] = now_ns
                        self.answer.set()


def bare_ms(servers: str, sent: Sequence[Outgoing]) -> list[float]:
    """Return the milliseconds from produce to consume, one message at a time."""
    admin = AdminClient({"bootstrap.servers": servers})
    for done in admin.create_topics([NewTopic(BARE, 1, 1)]).values():
        done.exception()  # it may be there already
    producer, taken = Producer(client_settings(servers) | {"linger.ms": 0}), list[float]()
    reader = Consumer({"bootstrap.servers": servers, "group.id": "bench", "fetch.wait.max.ms": 5, "log_level": 0})
    reader.assign([TopicPartition(BARE, 0, reader.get_watermark_offsets(TopicPartition(BARE, 0), 30)[1])])
    for one in sent:
        began = time.perf_counter_ns()
        producer.produce(BARE, one.value, one.key, headers=[*one.headers.items()])
        while True:
            message = reader.poll(TIMEOUT_S)
            if message is not None and message.error() is None:
                break
        taken.append((time.perf_counter_ns() - began) / 1e6)
        time.sleep(ALONE_S)
    reader.close()
    producer.flush()
    return taken[SETTLE:]


async def _publish(servers: str, events: Sequence[AnyEvent], rate: int, answer: asyncio.Event) -> Times:
    """Publish at a rate a second (0: each once the one before is answered); returns when each event of a book was."""
    venue, published = events[0].venue, Times()
    publisher = KafkaPublisher(servers, venue, quiet, universe=venue)
    gc.freeze()  # the events are not walked through while they are published
    began = time.perf_counter()
    for i, event in enumerate(events):
        if i == SETTLE:  # else all that was published while connections opened would be late
            await publisher.flush()
            await asyncio.sleep(SETTLE_S)
            began = time.perf_counter() - i / (rate or 1)
        wait_s = began + i / rate - time.perf_counter() if rate else ALONE_S
        if wait_s > 0 and not (rate and i % TOGETHER):
            await asyncio.sleep(wait_s)
        answer.clear()
        now_ns = time.perf_counter_ns()
        await publisher.event(event)
        if isinstance(event, BookSnapshot | BookDelta):
            published[event.symbol, event.seq] = now_ns
            if not rate:
                await asyncio.wait_for(answer.wait(), TIMEOUT_S)
    await publisher.flush()
    return published


async def _ms(published: Times, seen: Times) -> list[float]:
    """Return the milliseconds of each, when all are there."""
    async with asyncio.timeout(TIMEOUT_S):
        while len(seen) < len(published):
            await asyncio.sleep(0.1)
    return [(seen[key] - published[key]) / 1e6 for key in [*published][SETTLE:]]


async def to_topic(servers: str, events: Sequence[AnyEvent], rate: int) -> list[float]:
    """Return the milliseconds from publishing to the topic of features."""
    reader = TopicReader(servers, FEATURES.name, events[0].venue)
    reader.start()
    try:
        return await _ms(await _publish(servers, events, rate, reader.answer), reader.seen)
    finally:
        await asyncio.to_thread(reader.stop)


async def to_socket(servers: str, events: Sequence[AnyEvent], rate: int, url: str) -> list[float]:
    """Return the milliseconds from publishing to a websocket of the API."""
    reader = SocketReader(url, events[0].venue)
    await reader.start()
    try:
        return await _ms(await _publish(servers, events, rate, reader.answer), reader.seen)
    finally:
        await reader.stop()


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

    def topic(venue: str, n: int, rate: int = 0) -> list[float]:
        """Return the ms of each message until its features are in their topic; ``rate`` 0: one at a time."""
        return asyncio.run(to_topic(servers, busy_market(venue, n), rate))

    def socket(venue: str, n: int, rate: int = 0) -> list[float]:
        """Return the same until they come over the API's websocket."""
        return asyncio.run(to_socket(servers, busy_market(venue, n), rate, url))

    socket("warm", RATE * WARM_S, RATE)
    bare = bare_ms(servers, messages(busy_market("bare", ALONE), "bare"))
    return [
        *_rows("message -> features topic, one at a time", topic("alone-1", ALONE), bare),
        *_rows("message -> websocket, one at a time", socket("alone-2", ALONE), bare),
        *_rows(f"message -> features topic, {RATE:,}/s", topic("loaded-1", RATE * SECONDS, RATE), bare),
        *_rows(f"message -> websocket, {RATE:,}/s", socket("loaded-2", RATE * SECONDS, RATE), bare),
    ]
