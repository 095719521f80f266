"""What is published on one channel and key: numbered rows, of which the last are kept, and messages of them."""

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any

import msgspec

RING = 1000  # rows kept per channel and key for a new subscriber's snapshot ...
RING_BYTES = 4 << 20  # ... or fewer: a full book is of half a megabyte


class Binary(bytes):
    """A message that goes out as binary data; all others are texts."""


class Stream:
    """One channel and key: the number of its last row, and its last rows as JSON."""

    __slots__ = ("bytes", "channel", "key", "rows", "seq")

    def __init__(self, channel: str, key: str) -> None:
        self.channel, self.key, self.seq = channel, key, 0
        self.rows: deque[bytes] = deque()
        self.bytes = 0

    def append(self, row: bytes) -> None:
        """Number a row and keep it."""
        self.seq += 1
        self.rows.append(row)
        self.bytes += len(row)
        while len(self.rows) > RING or (self.bytes > RING_BYTES and len(self.rows) > 1):
            self.bytes -= len(self.rows.popleft())

    def snapshot(self, history: int) -> bytes:
        """Return the message with the last ``history`` rows."""
        return self._message(b"snapshot", islice(self.rows, max(0, len(self.rows) - max(0, history)), None))

    def delta(self, rows: list[bytes]) -> bytes:
        """Return the message with ``rows``, the last of which is the stream's last."""
        return self._message(b"delta", rows)

    def _message(self, kind: bytes, rows: Iterable[bytes]) -> bytes:
        head: Any = msgspec.json.encode({"channel": self.channel, "key": self.key, "seq": self.seq})
        return b'{"type":"' + kind + b'",' + head[1:-1] + b',"rows":[' + b",".join(rows) + b"]}"
