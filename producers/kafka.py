"""Publishing to Kafka: each message until it is delivered, in the order of its key, as fast as the broker takes it.

The client's settings: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, cast

import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer
from msgspec.structs import replace

from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, Gap, Price
from quicksilver.records import Audit, DeadLetter, FeedStats
from quicksilver.streaming.message import Headers, Outgoing, outgoing
from quicksilver.topics import EVENT_TOPIC_OF, key_of

MAX_BYTES = 16_000_000  # of a message; a full book is 5 MB, and the broker takes 16 MiB with what lies around it
LETTER_BYTES = MAX_BYTES // 2  # of a dead letter's payload, which JSON makes a third longer
QUEUE_MESSAGES = 100_000
QUEUE_KB = 65_536
MAX_LETTERS = 10_000  # dead letters that may wait for room: they come where nobody can wait
BREATHE = 500  # messages after which the event loop and the delivery reports have their turn
FULL_S = 0.005
STALLED_S = 5.0  # a broker that takes nothing for this long is away, whatever its connection says
ASK_S = 1.0
LINGER_MS = 5  # messages that follow each other wait so long for company: a request costs more than ten messages
ALONE_S = 0.002  # after such a pause a message is alone: it is sent at once, and waited for no longer than AT_ONCE_S
AT_ONCE_S = 0.001
Say = Callable[[str], None]


class _Broker(msgspec.Struct):
    state: str


class _Statistics(msgspec.Struct):
    brokers: dict[str, _Broker]


_statistics = msgspec.json.Decoder(_Statistics)


def client_settings(servers: str) -> dict[str, Any]:
    """Return the client's settings: never a loss, never two of the same.

    Nothing times out, so that a broker that is away means waiting; what can never succeed fails all the same.
    """
    return {
        "bootstrap.servers": servers,
        "enable.idempotence": True,  # brings acks=all, endless retries and at most 5 requests in flight
        "acks": "all",
        "message.timeout.ms": 0,
        "linger.ms": LINGER_MS,
        "compression.type": "lz4",
        "partitioner": "murmur2_random",  # as Java's: any other client finds a key where ours has put it
        "message.max.bytes": MAX_BYTES + 65_536,  # keys and headers count too
        "queue.buffering.max.messages": QUEUE_MESSAGES,
        "queue.buffering.max.kbytes": QUEUE_KB,
        "reconnect.backoff.max.ms": 1_000,
        "delivery.report.only.error": True,
        "statistics.interval.ms": int(ASK_S * 1000),
        "log_level": 0,  # it is said here, in our own words
    }


class KafkaPublisher:
    """Publishes the events and dead letters of one session; ``counts`` are those it has taken, by topic.

    Raises:
        InputError: ``servers`` are no addresses.
    """

    def __init__(
        self, servers: str, session: str, say: Say, *, universe: str = "", interval_ns: int | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:  # fmt: skip
        self.servers, self.session = servers, session
        self.events = 0
        self.counts: Counter[str] = Counter()
        self._say, self._max_bytes = say, max_bytes
        headers = Headers(s=session, u=universe)
        self._headers = headers.items()
        self._price_headers = replace(headers, i="" if interval_ns is None else str(interval_ns)).items()
        self._letters: deque[Outgoing] = deque()
        self._last_ms = 0
        self._sent_s = 0.0
        self._failure = ""
        self._away = False
        self._unseen = 0  # statistics in a row that knew of no connection
        self._connecting = False
        self._moved = (time.monotonic(), 0)
        settings = client_settings(servers) | {
            "error_cb": self._on_error, "stats_cb": self._on_statistics, "on_delivery": self._on_failure,
        }  # fmt: skip
        try:
            self._producer = Producer(settings)
        except KafkaException as error:
            raise InputError(f"KAFKA_SERVERS={servers}: {error.args[0].str()}") from error

    async def connect(self, topics: Iterable[str]) -> None:
        """Wait for the broker, and make sure that it has the topics.

        Raises:
            InputError: it has not.
        """
        self._connecting = True
        while True:
            try:
                found = (await asyncio.to_thread(self._producer.list_topics, timeout=ASK_S)).topics
                break
            except KafkaException as error:
                if not self._away:
                    self._away = True
                    why = error.args[0].str()
                    self._say(
                        f"no Kafka at {self.servers} ({why}): waiting for it; `quicksilver cluster up` starts one"
                    )
                self._serve()
                await asyncio.sleep(ASK_S / 2)
        missing = sorted(set(topics) - set(found))
        if missing:
            raise InputError(_no_topic(self.servers, ", ".join(missing)))
        if self._away:
            self._say(f"Kafka at {self.servers} is there")
        self._serve()  # statistics of the time before
        self._away, self._unseen, self._moved = False, 0, (time.monotonic(), 0)
        self._connecting = False

    @property
    def waiting(self) -> int:
        """How many messages the broker has not confirmed yet."""
        return len(self._producer) + len(self._letters)

    @property
    def delivered(self) -> int:
        """How many messages the broker has confirmed."""
        return self.counts.total() - len(self._producer)

    async def event(self, event: AnyEvent) -> AnyEvent:
        """Publish an event when there is room; returns what was published.

        In place of one that is too large for Kafka that is a gap, for in a chain there must be no hole; the event
        becomes a dead letter.

        Raises:
            InputError: a message before could not be delivered.
        """
        topic, value = EVENT_TOPIC_OF[type(event)].name, codec.encode(event)
        if len(value) > self._max_bytes:
            reason = f"an event of {len(value):,} bytes: Kafka takes {self._max_bytes:,}"
            self.letter(DeadLetter(event.ts_recv_ns, topic, event.venue, event.symbol, reason, value))
            event = Gap(event.venue, event.symbol, event.seq, event.ts_event_ns, event.ts_recv_ns, reason)
            topic, value = EVENT_TOPIC_OF[Gap].name, codec.encode(event)
        # What `event_message` makes of it (a test compares them), without a struct and its encoding for each.
        headers = [
            *(self._price_headers if isinstance(event, Price) else self._headers),
            ("n", b"%d" % event.seq), ("g", b"%d" % (self.events + 1)),
        ]  # fmt: skip
        await self._send(topic, key_of(event), value, headers, self._now_ms())
        self.events += 1  # not before: who is told to stop while he waits for room has not published it
        return event

    def letter(self, letter: DeadLetter) -> None:
        """Publish a dead letter, as soon as there is room; holds up everything where too many wait for that.

        Raises:
            InputError: a message before could not be delivered.
        """
        limit = min(LETTER_BYTES, self._max_bytes // 2)
        if len(letter.payload) > limit:
            reason = f"{letter.reason} (the first {limit:,} of {len(letter.payload):,} bytes)"
            letter = replace(letter, reason=reason, payload=letter.payload[:limit])
        self._aside(letter)

    def audit(self, audit: Audit) -> None:
        """Publish an audit, as ``letter`` does a letter.

        Raises:
            InputError: a message before could not be delivered.
        """
        self._aside(audit)

    def _aside(self, record: DeadLetter | Audit) -> None:
        self._letters.append(outgoing(record, self._now_ms(), Headers(s=self.session)))
        while self._letters and not self._post_letters() and len(self._letters) > MAX_LETTERS:
            self._producer.poll(ASK_S / 10)
            self.look()

    def report(self, stats: FeedStats) -> None:
        """Publish a feed's counts, or nothing while there is no room: those of the next report contain them.

        Raises:
            InputError: the broker refuses it.
        """
        one = outgoing(stats, self._now_ms(), Headers(s=self.session))
        self._post(one.topic, one.key, one.value, one.headers.items(), one.ts_ms)

    async def flush(self) -> None:
        """Return when everything is delivered.

        Raises:
            InputError: something cannot be.
        """
        while self.waiting:
            self._post_letters()
            self.look()
            await asyncio.sleep(FULL_S)
        self.look()

    def look(self) -> None:
        """Take in the delivery reports, and say once that the broker is away or back; call it about each second.

        Raises:
            InputError: a message could not be delivered.
        """
        self._serve()
        if self._connecting:
            return  # ``connect`` says what it waits for
        now, delivered = time.monotonic(), self.delivered
        if delivered != self._moved[1] or not self.waiting:
            self._moved = (now, delivered)
        away = self._unseen > 1 or now - self._moved[0] > STALLED_S
        if away == self._away:
            return
        self._away = away
        state = "does not answer" if away else "is back"
        self._say(f"Kafka at {self.servers} {state}: {self.waiting:,} messages wait")

    def discard(self) -> int:
        """Give up what is not delivered; returns how many messages that were."""
        left = self.waiting
        self._letters.clear()
        self._producer.purge()
        return left

    async def _send(self, topic: str, key: str, value: bytes, headers: list[tuple[str, bytes]], ts_ms: int) -> None:
        if self.events % BREATHE == 0:
            self._serve()
            await asyncio.sleep(0)
        while not (self._post_letters() and self._post(topic, key, value, headers, ts_ms)):
            self.look()
            await asyncio.sleep(FULL_S)
        now = time.monotonic()
        alone, self._sent_s = now - self._sent_s > ALONE_S, now
        if alone:
            self._producer.flush(AT_ONCE_S)

    def _post_letters(self) -> bool:
        while self._letters:
            one = self._letters[0]
            if not self._post(one.topic, one.key, one.value, one.headers.items(), one.ts_ms):
                return False
            self._letters.popleft()
        return True

    def _post(self, topic: str, key: str, value: bytes, headers: list[tuple[str, bytes]], ts_ms: int) -> bool:
        """Hand a message over; False if the queue is full."""
        try:
            self._producer.produce(topic, value, key.encode(), headers=cast(Any, headers), timestamp=ts_ms)
        except BufferError:
            return False
        except KafkaException as error:
            raise InputError(_failure(self.servers, topic, error.args[0])) from error
        self.counts[topic] += 1
        return True

    def _now_ms(self) -> int:
        """Our clock, which never goes back: readers tell by it what may still come."""
        self._last_ms = max(self._last_ms, time.time_ns() // 1_000_000)
        return self._last_ms

    def _serve(self) -> None:
        self._producer.poll(0)
        if self._failure:
            raise InputError(self._failure)

    def _on_failure(self, error: KafkaError, message: Any) -> None:
        if error.code() not in {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}:
            self._failure = self._failure or _failure(self.servers, message.topic(), error)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._AUTHENTICATION:
            self._failure = self._failure or f"Kafka at {self.servers}: {error.str()}"

    def _on_statistics(self, text: str) -> None:
        up = any(one.state == "UP" for one in _statistics.decode(text).brokers.values())
        self._unseen = 0 if up else self._unseen + 1


def _no_topic(servers: str, names: str) -> str:
    return f"Kafka at {servers} has no topic {names}: `quicksilver topics apply` creates what is missing"


def _failure(servers: str, topic: str, error: KafkaError) -> str:
    unknown = {KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART}
    if error.code() in unknown:
        return _no_topic(servers, topic)
    return f"a message to topic {topic} of Kafka at {servers} could not be delivered: {error.str()}"
