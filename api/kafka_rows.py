"""Kafka's messages to rows for the hub: each once, none that a client could not read.

A row goes to clients as the bytes that it came as. They are decoded all the same: one row that is no record of its
topic would make a whole message unreadable to every client.
"""

import time
from collections import deque
from typing import Any, NamedTuple

from quicksilver import codec
from quicksilver.errors import FrameError
from quicksilver.events import Trade
from quicksilver.records import FullBook, Published
from quicksilver.streaming.message import Headers, Message
from quicksilver.topics import RECORD_TOPICS, TRADES, key_of

READ = {topic.name: topic for topic in (*RECORD_TOPICS, TRADES)}
MAX_ENDED = 8  # ended sessions of a key that are remembered, so that a straggler of theirs is known for one
NEWER_S = 60.0  # so long after the last message of a newer version this program is said to be too old
_ONE_OF_AN_EVENT = {Trade, FullBook}  # their event's number tells them apart where they have none of their own
_HEADERS = frozenset(Headers.__struct_fields__)


class Row(NamedTuple):
    """A record and its JSON; ``ts_ms`` is when its cause was published, ``fresh`` whether that was since the start."""

    topic: str
    key: str
    record: Published
    value: bytes
    ts_ms: int
    fresh: bool


class _Chain:
    """The rows of one topic and key: the session they are of, the last number, and sessions that have ended."""

    __slots__ = ("ended", "last", "session")

    def __init__(self, session: str) -> None:
        self.session, self.last = session, 0
        self.ended: deque[str] = deque(maxlen=MAX_ENDED)

    def is_new(self, session: str, number: int) -> bool:
        """Take note of a row; returns whether it was not there before."""
        if session != self.session:
            if session in self.ended:
                return False
            self.ended.append(self.session)
            self.session, self.last = session, 0
        if number <= self.last:
            return False
        self.last = number
        return True


class RowReader:
    """Reads messages, drops those that were there before, and counts those that it refuses.

    A number left out is no loss: the numbers of a chain run through several topics.
    """

    def __init__(self) -> None:
        self.rejected = 0
        self.duplicates = 0
        self.refusal = ""
        self._newer_at = -NEWER_S
        self._chains: dict[tuple[str, str], _Chain] = {}

    @property
    def is_too_old(self) -> bool:
        """Whether messages of a newer version of the contract come."""
        return time.monotonic() - self._newer_at < NEWER_S

    def row(self, raw: Any, fresh: bool) -> Row | None:
        """Return the row of a message of ``confluent_kafka``; None if it was there before or is refused."""
        place = f"{raw.topic()}[{raw.partition()}]@{raw.offset()}"
        try:
            return self._read(_message(raw), fresh)
        except (FrameError, ValueError) as error:  # ValueError: bytes that are no text, numbers beyond reason
            self.rejected += 1
            self.refusal = f"{place}: {error}"
            return None

    def _read(self, message: Message, fresh: bool) -> Row | None:
        try:
            message.require_version()
        except FrameError:
            self._newer_at = time.monotonic()
            raise
        message.value.decode()  # what the decoder skips it does not look at
        record: Any = codec.decode(READ[message.topic].type, message.value)
        if key_of(record) != message.key:
            raise FrameError(f"its key is {message.key[:100]!r}, its record's {key_of(record)[:100]!r}")
        number = message.number or (record.seq if type(record) in _ONE_OF_AN_EVENT else 0)
        if number and not self._is_new(message, number):
            self.duplicates += 1
            return None
        return Row(message.topic, message.key, record, message.value, message.ts_ms, fresh)

    def _is_new(self, message: Message, number: int) -> bool:
        place = (message.topic, message.key)
        chain = self._chains.get(place)
        if chain is None:
            chain = self._chains[place] = _Chain(message.headers.s)
        return chain.is_new(message.headers.s, number)


def _message(raw: Any) -> Message:
    key, value = raw.key(), raw.value()
    if not key or value is None:
        raise FrameError("a message without a key" if not key else "a message without a value")
    known = {name: text.decode(errors="replace") for name, text in raw.headers() or () if name in _HEADERS and text}
    _, ts_ms = raw.timestamp()
    return Message(raw.topic(), raw.partition(), raw.offset(), ts_ms, key.decode(), Headers(**known), value)
