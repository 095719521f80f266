"""Kafka's record topics to the hub: a thread reads all partitions and hands rows to the event loop in batches.

There is no consumer group: each process of the API reads everything, from a little before the end, so that clients of
one just started get recent rows too. What the loop has not taken yet is bounded; beyond that nothing is read.
https://docs.confluent.io/platform/current/clients/confluent-kafka-python/html/index.html
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from api.kafka_rows import READ, Row, RowReader
from quicksilver.errors import QuicksilverError

log = logging.getLogger(__name__)

RECENT = 1_000  # messages of a partition that are read at the start; a client gets so many rows of a key at most
# An old status still holds; the others are big.
RECENT_OF = {"status": 20_000, "frontiers": 50, "dead-letters": 100, "full-books": 10}
BATCH = 500  # messages handed over at once: some milliseconds of the loop's time
IN_FLIGHT = 2  # batches that the loop has not taken yet
POLL_S = 0.2  # how long a message is waited for before the thread looks whether it shall end
PROBE_S = 1.0
RETRY_S = 0.5
WATERMARK_S = 10.0
SAY_AGAIN_S = 60.0


def _consumer(servers: str, on_error: Callable[[KafkaError], None]) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "quicksilver-api",  # the client wants one; it is never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.min.bytes": 1,  # the broker answers as soon as there is one message
            "fetch.wait.max.ms": 50,
            "fetch.queue.backoff.ms": 5,
            "fetch.error.backoff.ms": 50,
            "queued.max.messages.kbytes": 32 << 10,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
            "socket.timeout.ms": 10_000,
            "socket.nagle.disable": True,
            "error_cb": on_error,
            "log_level": 0,  # what is wrong is said in health, in our words
        }
    )


class KafkaBus:
    """Reads Kafka from ``start`` to ``close``; a broker that is away is waited for.

    ``take`` gets the rows of a batch on the event loop. ``keep``, if any, gets them before, on the reading thread: it
    may wait for a disk. ``say`` is told when the state changes.
    """

    def __init__(
        self,
        servers: str,
        take: Callable[[list[Row]], None],
        keep: Callable[[list[Row]], None] | None = None,
        say: Callable[[str], None] = log.info,
    ) -> None:
        self.state = f"waiting for Kafka at {servers}"
        self.connected = False
        self.rows = RowReader()
        self._servers, self._take, self._keep, self._say = servers, take, keep, say
        self._closing = threading.Event()
        self._room = threading.Semaphore(IN_FLIGHT)
        self._ends: dict[tuple[str, int], int] = {}
        self._said_s, self._probed_s = -SAY_AGAIN_S, 0.0
        self._thread = threading.Thread(target=self._run, name="kafka-bus", daemon=True)

    def start(self) -> asyncio.Future[None]:
        """Begin; the future is done with an error if the bus cannot go on."""
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self._thread.start()
        return self.failed

    async def close(self) -> None:
        """End the thread; what it holds is let go of."""
        self._closing.set()
        await asyncio.to_thread(self._thread.join)

    def health(self) -> dict[str, object]:
        """Return what ``/api/health`` says of the bus."""
        rows = self.rows
        return {
            "status": "ok" if self.connected and not rows.is_too_old else "degraded",
            "bus": self.state,
            "rejected": rows.rejected,
            "refusal": rows.refusal,
            "duplicates": rows.duplicates,
        }

    def _run(self) -> None:
        try:
            consumer = _consumer(self._servers, self._on_error)
            try:
                places = self._places(consumer)
                if places is not None:
                    consumer.assign(places)
                    self._read_on(consumer)
            finally:
                consumer.close()
        except QuicksilverError as error:  # of ``keep``; it says all that a user can do about it
            self._loop.call_soon_threadsafe(self._fail, error)
        except Exception as error:
            log.exception("the reader of Kafka at %s failed", self._servers)
            self._loop.call_soon_threadsafe(self._fail, error)

    def _fail(self, error: Exception) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    def _set(self, connected: bool, state: str) -> None:
        if state != self.state:
            self._say(state)
        self.connected, self.state = connected, state

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._set(False, f"waiting for Kafka at {self._servers}")

    def _places(self, consumer: Consumer) -> list[TopicPartition] | None:
        """Return where to begin in each partition, once Kafka is there and has the topics; None when closed before."""
        while not self._closing.is_set():
            try:
                present = consumer.list_topics(timeout=PROBE_S).topics
                missing = [name for name in READ if name not in present]
                if not missing:
                    return [self._place(consumer, name, number) for name in READ for number in present[name].partitions]
                remedy = "`quicksilver topics apply` makes it"
                self._set(False, f"waiting for topic {missing[0]!r} of Kafka at {self._servers}: {remedy}")
            except KafkaException:
                self._set(False, f"waiting for Kafka at {self._servers}")
            self._closing.wait(RETRY_S)
        return None

    def _place(self, consumer: Consumer, topic: str, number: int) -> TopicPartition:
        place = TopicPartition(topic, number)
        first, end = consumer.get_watermark_offsets(place, timeout=WATERMARK_S)
        self._ends[topic, number] = end
        place.offset = max(first, end - RECENT_OF.get(topic, RECENT))
        return place

    def _read_on(self, consumer: Consumer) -> None:
        self._set(True, f"Kafka at {self._servers}")
        while not self._closing.is_set():
            first = consumer.poll(POLL_S)
            if first is not None:  # and whatever else is there: asked for many at once, the client waits for as many
                self._hand_over([first, *consumer.consume(BATCH - 1, 0)])
            if not self.connected and (first is None or time.monotonic() - self._probed_s > PROBE_S):
                self._probe(consumer)

    def _probe(self, consumer: Consumer) -> None:
        """See whether the broker is back; messages alone do not tell, for some were read before it went."""
        self._probed_s = time.monotonic()
        try:
            consumer.list_topics(timeout=PROBE_S)
        except KafkaException:
            return
        self._set(True, f"Kafka at {self._servers}")

    def _hand_over(self, messages: list[Any]) -> None:
        rows = [row for row in map(self._row, messages) if row is not None]
        if not rows:
            return
        if self._keep is not None:
            self._keep(rows)
        while not self._room.acquire(timeout=POLL_S):
            if self._closing.is_set():
                return
        self._loop.call_soon_threadsafe(self._deliver, rows)

    def _row(self, raw: Any) -> Row | None:
        error = raw.error()
        if error is not None:
            self._complain(f"{raw.topic()}[{raw.partition()}]: {error.str()}")
            return None
        rejected = self.rows.rejected
        row = self.rows.row(raw, raw.offset() >= self._ends.get((raw.topic(), raw.partition()), 0))
        if self.rows.rejected != rejected:
            self._complain(f"messages refused: {self.rows.rejected}; the last: {self.rows.refusal}")
        return row

    def _complain(self, what: str) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s >= SAY_AGAIN_S:
            self._said_s = now_s
            log.warning("Kafka at %s: %s", self._servers, what)

    def _deliver(self, rows: list[Row]) -> None:
        try:
            self._take(rows)
        except Exception as error:
            log.exception("rows from Kafka at %s could not be taken", self._servers)
            self._fail(error)
        finally:
            self._room.release()
