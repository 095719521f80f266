"""Topic ``raw``: every frame as it came, to Kafka.

A message's value is a line of our own tapes (``quicksilver/raw.py``), its key ``venue:connection``, so that Kafka keeps
each connection's order; header ``n`` numbers the messages of a key, ``g`` all of a session: in the order of ``g`` the
frames are as the recorder saw them, over all venues. ``raw_reader.py`` reads them back.
"""

from collections import Counter

from producers.frames import Frame
from producers.kafka import MAX_BYTES, KafkaPublisher, Say
from producers.tapes.own import OwnLine, encode_line
from quicksilver.records import DeadLetter
from quicksilver.streaming.message import Headers
from quicksilver.topics import RAW, key_of


class RawPublisher(KafkaPublisher):
    """Publishes frames; ``events`` counts them.

    Raises:
        InputError: ``servers`` are no addresses.
    """

    def __init__(self, servers: str, session: str, say: Say, *, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(servers, session, say, max_bytes=max_bytes)
        self._numbers: Counter[str] = Counter()

    async def frame(self, frame: Frame) -> None:
        """Publish a frame when there is room, as ``send`` does."""
        await self.send(frame, self.number(frame))

    def number(self, frame: Frame) -> int:
        """Return the next number of the frame's key: readers miss one that is never sent."""
        key = key_of(OwnLine.of(frame))
        self._numbers[key] += 1
        return self._numbers[key]

    async def send(self, frame: Frame, number: int) -> None:
        """Publish a frame by its number when there is room.

        One that is too large for Kafka becomes a dead letter, and its number is left out, which readers see.

        Raises:
            InputError: a message before could not be delivered.
        """
        line = OwnLine.of(frame)
        value, key = encode_line(line), key_of(line)
        if len(value) > self._max_bytes:
            reason = f"a frame of {len(value):,} bytes: Kafka takes {self._max_bytes:,}"
            self.letter(DeadLetter(frame.ts_recv_ns, RAW.name, frame.venue, None, reason, frame.payload))
            return
        headers = Headers(s=self.session, n=str(number), g=str(self.events + 1)).items()
        await self._send(RAW.name, key, value, headers, self._now_ms())
        self.events += 1
