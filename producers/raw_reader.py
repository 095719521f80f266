"""Topic ``raw`` read back: frames in the order in which they were recorded."""

import heapq
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from producers.exchanges.base import Reject
from producers.frames import Frame
from producers.tapes.own import OwnLine
from quicksilver.codec import UNREADABLE
from quicksilver.errors import FrameError, InputError
from quicksilver.records import DeadLetter
from quicksilver.streaming.message import Headers, Message
from quicksilver.topics import RAW

ANSWER_S = 10.0
SILENCE_S = 30.0  # after which a broker is taken to be away
SKEW_MS = 10_000  # how much earlier than one before it in its partition a message may have been published
AHEAD_MS = 60_000  # how far partitions may be read ahead of each other: what is ahead lies in memory
LEAST, MOST = -(2**63), 2**63 - 1
READ, POLL_S = 1_000, 0.2  # messages at a time, and how long so many are waited for
_HEADERS = frozenset(Headers.__struct_fields__)
_line = msgspec.json.Decoder(OwnLine).decode


class _Recorded(NamedTuple):
    """A frame as it lies in Kafka, by the order in which frames are to come.

    Times of publishing never fall within a session, so the order of ``place`` within each is kept.
    """

    ts_ms: int
    session: str
    place: int  # among all frames of its session
    number: int  # among those of its key; 0: it has none
    read: int  # among all that were read: no two are the same
    frame: Frame


def read_raw(servers: str, reject: Reject, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Frame]:
    """Yield the frames of topic ``raw`` received in ``[start_ns, end_ns)``, to what is its end now.

    What several recorded at one time is merged by when it was published. A message that cannot be read goes to
    ``reject``; where one is missing, its connection ends with a ``disconnect``.

    Raises:
        InputError: Kafka does not answer, or has no such topic.
    """
    reader = Consumer(
        {
            "bootstrap.servers": servers, "group.id": "quicksilver-raw", "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "log_level": 0,
        }
    )  # fmt: skip
    try:
        parts = _Partitions(reader, servers, reject, start_ns)
        yield from _whole(parts, reject, LEAST if start_ns is None else start_ns, MOST if end_ns is None else end_ns)
    except KafkaException as error:
        raise InputError(f"Kafka at {servers} does not answer: {error.args[0].str()}") from error
    finally:
        reader.close()


def _whole(parts: "_Partitions", reject: Reject, start_ns: int, end_ns: int) -> Iterator[Frame]:
    last: dict[tuple[str, str, str], int] = {}
    for _, session, _, number, _, frame in parts.merged():
        key = (session, frame.venue, frame.conn)
        before = last.get(key) if number else None
        if before is not None and number <= before:
            continue  # sent twice by a producer that did not know whether it had come
        last[key] = number
        if not start_ns <= frame.ts_recv_ns < end_ns:
            continue
        if before is not None and number > before + 1:
            missing = number - before - 1
            reason = f"message {number} of {frame.venue}:{frame.conn} follows {before}: {missing} not there"
            reject(DeadLetter(frame.ts_recv_ns, frame.source, frame.venue, None, reason, b""))
            yield msgspec.structs.replace(frame, direction="disconnect", payload=reason.encode(), url=None)
        yield frame


class _Partitions:
    """The partitions of the topic, from the first message that may be wanted to what is the last one now."""

    def __init__(self, reader: Consumer, servers: str, reject: Reject, start_ns: int | None) -> None:
        self._reader, self._reject, self._servers = reader, reject, servers
        self._heap: list[_Recorded] = []
        self._n_read = 0
        self._ends: dict[int, int] = {}  # of the partitions that are not read to their end
        self._read_to: dict[int, int] = {}  # the last time of publishing read of each of these, milliseconds
        found = reader.list_topics(timeout=ANSWER_S).topics
        if RAW.name not in found:
            raise InputError(f"Kafka at {servers} has no topic {RAW.name}: `quicksilver record --raw` fills it")
        # A frame is published after it was received: none of the span is in a message older than its start.
        since_ms = 0 if start_ns is None else max(0, start_ns // 1_000_000)
        asked = [TopicPartition(RAW.name, one, since_ms) for one in found[RAW.name].partitions]
        wanted = [one for place in reader.offsets_for_times(asked, timeout=ANSWER_S) if (one := self._begin(place))]
        reader.assign(wanted)

    def _begin(self, place: TopicPartition) -> TopicPartition | None:
        part = place.partition
        first, end = self._reader.get_watermark_offsets(TopicPartition(RAW.name, part), timeout=ANSWER_S)
        offset = max(first, place.offset if place.offset >= 0 else end)
        if offset >= end:
            return None
        self._ends[part], self._read_to[part] = end, 0
        return TopicPartition(RAW.name, part, offset)

    def merged(self) -> Iterator[_Recorded]:
        """Yield all messages in order; each waits until nothing that belongs before it can come."""
        while self._ends:
            self._read()
            sure_ms = min(self._read_to.values(), default=MOST) - SKEW_MS
            while self._heap and self._heap[0].ts_ms < sure_ms:
                yield heapq.heappop(self._heap)
        while self._heap:
            yield heapq.heappop(self._heap)

    def _read(self) -> None:
        """Read some; partitions far ahead of the last wait for it."""
        limit = min(self._read_to.values()) + AHEAD_MS
        ahead = [TopicPartition(RAW.name, one) for one, at_ms in self._read_to.items() if at_ms > limit]
        self._reader.pause(ahead)
        heard, some = time.monotonic(), list[Any]()
        while not some:
            some = self._reader.consume(READ, POLL_S)
            if time.monotonic() - heard > SILENCE_S:
                raise InputError(f"topic {RAW.name} cannot be read to its end: Kafka at {self._servers} is silent")
        self._reader.resume(ahead)
        for one in some:
            self._take(one)

    def _take(self, raw: Any) -> None:
        part, offset = raw.partition(), raw.offset()
        if raw.error() is not None or part not in self._ends or offset >= self._ends[part]:
            return
        ts_ms = max(raw.timestamp()[1], 0)
        self._read_to[part] = max(self._read_to[part], ts_ms)
        try:
            self._n_read += 1
            heapq.heappush(self._heap, _recorded(raw, ts_ms, self._n_read))
        except (FrameError, *UNREADABLE, ValueError) as error:
            source = f"{RAW.name}[{part}]@{offset}"
            self._reject(DeadLetter(ts_ms * 1_000_000, source, "", None, f"not a frame: {error}", raw.value() or b""))
        if offset == self._ends[part] - 1:
            del self._ends[part], self._read_to[part]


def _recorded(raw: Any, ts_ms: int, read: int) -> _Recorded:
    known = {name: text.decode() for name, text in raw.headers() or () if name in _HEADERS and text}
    message = Message(raw.topic(), raw.partition(), raw.offset(), ts_ms, "", Headers(**known), raw.value() or b"")
    message.require_version()
    frame = _line(message.value).frame(message.place)
    return _Recorded(ts_ms, message.headers.s, message.ordinal, message.number, read, frame)
