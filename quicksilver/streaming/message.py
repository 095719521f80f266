"""A message on the wire: what Kafka knows of it, and the headers that every message of ours carries.

Headers are short ASCII texts, so that any Kafka console shows them; all of them may be missing.
"""

from collections.abc import Iterable

import msgspec

from quicksilver import codec
from quicksilver.errors import FrameError
from quicksilver.events import AnyEvent
from quicksilver.models.card import Deployment
from quicksilver.portfolio.config import Universe
from quicksilver.records import DeadLetter, Published
from quicksilver.topics import CONTRACT_VERSION, DEPLOYMENTS, EVENT_TOPIC_OF, TOPIC_OF, UNIVERSES, Topic, key_of

VERSION = str(CONTRACT_VERSION)
_TOLD_BY: dict[type, Topic] = {Deployment: DEPLOYMENTS, Universe: UNIVERSES}  # what jobs are told, and do not compute
PAYLOAD_BYTES = 8 << 20  # of a dead letter: in base64 it is a third longer, and Kafka takes 16 MiB
DIGITS = 19  # of a number that fits into 64 bits; int() itself fails on texts of thousands


class Headers(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a message stands.

    - ``v``: version of the contract that it was written by.
    - ``s``: session, one run of one source; for recordings and files it is derived from the content, so that a
      producer killed and started again repeats the same messages.
    - ``n``: its number in the chain of its topic (see ``topics.py``), from 1 for each key and session; readers drop
      what they have had.
    - ``g``: the number of the event that caused it among all events of its session: the order in which one process saw
      several instruments.
    - ``i``: nanoseconds between the rows of a price series; none for market data.
    - ``u``: the universe that the instrument's price belongs to; of a ``Universe`` the one whose prices it reads.
    """

    v: str = VERSION
    s: str = ""
    n: str = ""
    g: str = ""
    i: str = ""
    u: str = ""

    def items(self) -> list[tuple[str, bytes]]:
        """Return them as Kafka clients want them; the version always, the others where they are known."""
        named = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return [(name, value.encode()) for name, value in named if value]


def _number(text: str) -> int:
    if text and not (text.isdecimal() and len(text) < DIGITS):
        raise FrameError(f"a header that is no number: {text[:DIGITS]!r}")
    return int(text or 0)


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message that was read; ``ts_ms`` is when its cause was published, by its producer's clock."""

    topic: str
    partition: int
    offset: int
    ts_ms: int
    key: str
    headers: Headers
    value: bytes

    @property
    def place(self) -> str:
        """Return where it lies, for people: ``books[3]@1234``."""
        return f"{self.topic}[{self.partition}]@{self.offset}"

    @property
    def instrument(self) -> str:
        """Return the key of its instrument: of a deployment's what stands before its name, else the whole."""
        return self.key.rpartition("/")[0] if self.topic == DEPLOYMENTS.name else self.key

    @property
    def number(self) -> int:
        """Return its number in its chain; 0 where it has none.

        Raises:
            FrameError: the header is no number.
        """
        return _number(self.headers.n)

    @property
    def ordinal(self) -> int:
        """Return the place of its cause in the session; 0 where that is not known.

        Raises:
            FrameError: the header is no number.
        """
        return _number(self.headers.g)

    def require_version(self) -> None:
        """Make sure that this program can read it.

        Raises:
            FrameError: it is of a newer version of the contract, or of none.
        """
        version = self.headers.v
        readable = version.isdecimal() and len(version) < DIGITS and int(version) <= CONTRACT_VERSION
        if version != VERSION and not readable:
            raise FrameError(
                f"a message of contract version {version[:20]}, this is {CONTRACT_VERSION}: update Quicksilver"
            )

    def refused(self, reason: str) -> DeadLetter:
        """Return the dead letter of a message that cannot be read; the same message always gives the same letter.

        Of a very long one it has the beginning.
        """
        venue, _, symbol = self.instrument.partition(":")
        size, payload = len(self.value), self.value[:PAYLOAD_BYTES]
        if size > PAYLOAD_BYTES:
            reason = f"{reason} (the payload is the first {PAYLOAD_BYTES} of {size} bytes)"
        return DeadLetter(max(self.ts_ms, 0) * 1_000_000, self.place, venue, symbol or None, reason, payload)


class Outgoing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message to be written."""

    topic: str
    key: str
    ts_ms: int
    headers: Headers
    value: bytes


def event_message(event: AnyEvent, ts_ms: int, headers: Headers) -> Outgoing:
    """Return the message of an event; its number is the event's."""
    topic = EVENT_TOPIC_OF[type(event)].name
    return Outgoing(
        topic, key_of(event), ts_ms, msgspec.structs.replace(headers, n=str(event.seq)), codec.encode(event)
    )


def outgoing(record: Published | Deployment | Universe, ts_ms: int, headers: Headers) -> Outgoing:
    """Return the message of a record; its cause may have had no time, which Kafka writes as -1 and does not take."""
    topic = _TOLD_BY.get(type(record)) or TOPIC_OF[type(record)]
    return Outgoing(topic.name, key_of(record), max(ts_ms, 0), headers, codec.encode(record))


_messages = msgspec.msgpack.Decoder(list[Message])
_outgoing = msgspec.msgpack.Encoder()


def decode_messages(data: bytes) -> list[Message]:
    """Decode what the Flink source hands over (``setup/flink/java``): a msgpack array of ``Message``."""
    return _messages.decode(data)


def encode_outgoing(messages: Iterable[Outgoing]) -> bytes:
    """Encode for the Flink sink: a msgpack array with the msgpack of each ``Outgoing``."""
    return _outgoing.encode([_outgoing.encode(one) for one in messages])
