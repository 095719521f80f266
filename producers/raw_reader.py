"""Topic ``raw`` read back: frames in the order in which they were recorded."""

import time
from collections import deque
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
READ, POLL_S = 1_000, 0.2  # messages at a time, and how long so many are waited for
_HEADERS = frozenset(Headers.__struct_fields__)
_line = msgspec.json.Decoder(OwnLine).decode


class _Recorded(NamedTuple):
    """A frame, and its place among all frames of its session and among those of its key."""

    frame: Frame
    session: str
    place: int
    number: int


def read_raw(servers: str, reject: Reject, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Frame]:
    """Yield the frames of topic ``raw`` received in ``[start_ns, end_ns)``, to what is its end now.

    What was recorded at one time by several is merged by receive time. A message that cannot be read goes to
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
        yield from _whole(parts, reject, start_ns, end_ns)
    except KafkaException as error:
        raise InputError(f"Kafka at {servers} does not answer: {error.args[0].str()}") from error
    finally:
        reader.close()


def _whole(parts: "_Partitions", reject: Reject, start_ns: int | None, end_ns: int | None) -> Iterator[Frame]:
    last: dict[tuple[str, str, str], int] = {}
    for frame, session, _, number in parts.merged():
        key = (session, frame.venue, frame.conn)
        before = last.get(key)
        if before is not None and number <= before:
            continue  # a producer that did not know whether its message had come
        last[key] = number
        if (start_ns is not None and frame.ts_recv_ns < start_ns) or (
            end_ns is not None and frame.ts_recv_ns >= end_ns
        ):
            continue
        if before is not None and number > before + 1:
            reason = (
                f"message {number} of {frame.venue}:{frame.conn} after {before}: {number - before - 1} are not there"
            )
            reject(DeadLetter(frame.ts_recv_ns, frame.source, frame.venue, None, reason, b""))
            yield msgspec.structs.replace(frame, direction="disconnect", payload=reason.encode(), url=None)
        yield frame


class _Partitions:
    """The partitions of the topic, from the first message that may be wanted to what is the last one now."""

    def __init__(self, reader: Consumer, servers: str, reject: Reject, start_ns: int | None) -> None:
        self._reader, self._reject, self._servers = reader, reject, servers
        found = reader.list_topics(timeout=ANSWER_S).topics
        if RAW.name not in found:
            raise InputError(f"Kafka at {servers} has no topic {RAW.name}: `quicksilver record --raw` fills it")
        # Published after it was received: no frame of the span is in a message older than the span's start.
        since_ms = 0 if start_ns is None else max(0, start_ns // 1_000_000)
        asked = [TopicPartition(RAW.name, one, since_ms) for one in found[RAW.name].partitions]
        self._left: dict[int, int] = {}
        wanted = []
        for place in reader.offsets_for_times(asked, timeout=ANSWER_S):
            first, end = reader.get_watermark_offsets(TopicPartition(RAW.name, place.partition), timeout=ANSWER_S)
            offset = place.offset if place.offset >= 0 else end
            if max(offset, first) < end:
                self._left[place.partition] = end
                wanted.append(TopicPartition(RAW.name, place.partition, max(offset, first)))
        self._heads: dict[int, deque[_Recorded]] = {one: deque() for one in self._left}
        reader.assign(wanted)

    def merged(self) -> Iterator[_Recorded]:
        """Yield all messages: those of a session in its order, sessions by receive time."""
        while True:
            waiting = [one for one in self._left if not self._heads[one]]
            if waiting:
                self._read(waiting)
                continue
            heads = [queue for queue in self._heads.values() if queue]
            if not heads:
                return
            first = heads[0]
            for queue in heads[1:]:
                if _before(queue[0], first[0]):
                    first = queue
            yield first.popleft()

    def _read(self, waiting: list[int]) -> None:
        """Read until one of the partitions that are waited for has spoken or ended; others do not run far ahead."""
        ahead = [
            TopicPartition(RAW.name, one) for one in self._left if one not in waiting and len(self._heads[one]) > READ
        ]
        self._reader.pause(ahead)
        heard = time.monotonic()
        while all(one in self._left and not self._heads[one] for one in waiting):
            some = self._reader.consume(READ, POLL_S)
            heard = time.monotonic() if some else heard
            if time.monotonic() - heard > SILENCE_S:
                raise InputError(f"topic {RAW.name} cannot be read to its end: Kafka at {self._servers} is silent")
            for one in some:
                self._take(one)
        self._reader.resume([one for one in ahead if one.partition in self._left])

    def _take(self, raw: Any) -> None:
        part, offset = raw.partition(), raw.offset()
        if raw.error() is not None or part not in self._left or offset >= self._left[part]:
            return
        if offset == self._left[part] - 1:
            del self._left[part]
        try:
            self._heads[part].append(_recorded(raw))
        except (FrameError, *UNREADABLE, ValueError) as error:
            source, stamp_ns = f"{RAW.name}[{part}]@{offset}", max(raw.timestamp()[1], 0) * 1_000_000
            self._reject(DeadLetter(stamp_ns, source, "", None, f"not a frame: {error}", raw.value() or b""))


def _before(one: _Recorded, other: _Recorded) -> bool:
    if one.session == other.session:
        return one.place < other.place
    return one.frame.ts_recv_ns < other.frame.ts_recv_ns


def _recorded(raw: Any) -> _Recorded:
    known = {name: text.decode() for name, text in raw.headers() or () if name in _HEADERS and text}
    message = Message(raw.topic(), raw.partition(), raw.offset(), 0, "", Headers(**known), raw.value() or b"")
    message.require_version()
    return _Recorded(_line(message.value).frame(message.place), message.headers.s, message.ordinal, message.number)
