"""One websocket's side of the hub: what it asked for and what waits for it, bounded whatever the client does."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

RING = 1000  # rows kept per channel and key for a new subscriber's snapshot ...
RING_BYTES = 4 << 20  # ... or fewer: a full book is of half a megabyte
MAX_WAITING_BYTES = 8 << 20  # a client this far behind is closed
MAX_KEY_CHARS = 1 << 18  # some 20,000 keys; a client may name keys that do not exist, so they must be bounded


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


class _Keys:
    """Which keys of one channel are wanted: those named or, with ``all_but``, all that are not named."""

    def __init__(self, all_but: bool) -> None:
        self.all_but = all_but
        self.named: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return (key in self.named) != self.all_but

    def set(self, keys: Iterable[str], wanted: bool) -> None:
        """Want the keys from now on, or no longer."""
        if wanted != self.all_but:
            self.named.update(keys)
        else:
            self.named.difference_update(keys)


class Client:
    """What one websocket asked for, and what waits to be sent: answers, snapshots owed, and rows for deltas.

    A snapshot that waits is a number only: it is built when its turn comes, and holds the rows that came until then.
    """

    def __init__(self) -> None:
        self.waiting_bytes = 0
        self.wake = asyncio.Event()
        self.too_slow = asyncio.Event()
        self._asked: dict[str, _Keys] = {}
        self._answers: deque[bytes] = deque()
        self._snapshots: dict[Stream, int] = {}
        self._rows: dict[Stream, list[bytes]] = {}

    @property
    def owes_snapshots(self) -> bool:
        """Whether any snapshot waits."""
        return bool(self._snapshots)

    def wants(self, channel: str, key: str) -> bool:
        """Return whether the client has asked for it."""
        keys = self._asked.get(channel)
        return keys is not None and key in keys

    def subscribe(self, channel: str, keys: list[str] | None) -> None:
        """Want the keys of a channel; None: all, also ones that appear later.

        Raises:
            ValueError: the client names too many keys.
        """
        if keys is None:
            self._asked[channel] = _Keys(all_but=True)
        else:
            self._name(channel, keys, wanted=True)

    def unsubscribe(self, channel: str, keys: list[str] | None) -> None:
        """Want the keys no longer, and let go of what waits of them; None: all.

        Raises:
            ValueError: the client names too many keys.
        """
        if keys is None:
            self._asked.pop(channel, None)
        elif channel in self._asked:
            self._name(channel, keys, wanted=False)
        for stream in [one for one in (*self._rows, *self._snapshots) if not self.wants(one.channel, one.key)]:
            self._forget(stream)

    def _name(self, channel: str, keys: list[str], wanted: bool) -> None:
        named = sum(len(key) for asked in self._asked.values() for key in asked.named)
        if named + sum(map(len, keys)) > MAX_KEY_CHARS:
            raise ValueError(f"the keys named have more than {MAX_KEY_CHARS} characters: ask for all, or for fewer")
        self._asked.setdefault(channel, _Keys(all_but=False)).set(keys, wanted)

    def owe_snapshot(self, stream: Stream, history: int) -> None:
        """Let a snapshot be sent; it takes the place of one that waits, and of all rows that wait."""
        self._forget(stream)
        self._snapshots[stream] = history
        self.wake.set()

    def _forget(self, stream: Stream) -> None:
        self._snapshots.pop(stream, None)
        self.waiting_bytes -= sum(map(len, self._rows.pop(stream, ())))

    def answer(self, message: bytes) -> None:
        """Let a message wait that is of no stream."""
        if self._has_room(message):
            self._answers.append(message)

    def take(self, stream: Stream, row: bytes) -> None:
        """Let a row wait to be sent; a snapshot that waits will hold it by itself."""
        if stream not in self._snapshots and self._has_room(row):
            self._rows.setdefault(stream, []).append(row)

    def _has_room(self, message: bytes) -> bool:
        if self.waiting_bytes + len(message) > MAX_WAITING_BYTES:
            self.too_slow.set()
            return False
        self.waiting_bytes += len(message)
        self.wake.set()
        return True

    def due(self) -> Iterator[bytes]:
        """Yield the answers, one snapshot and all deltas, each made only when the one before is on its way.

        What is on its way still counts as waiting, but for snapshots: the client asked for those.
        """
        while self._answers:
            message = self._answers.popleft()
            yield message
            self.waiting_bytes -= len(message)
        if self._snapshots:
            stream = next(iter(self._snapshots))
            yield stream.snapshot(self._snapshots.pop(stream))
        for stream in list(self._rows):
            rows = self._rows.pop(stream, None)  # it may be gone: the client asks for other things meanwhile
            if rows:
                yield stream.delta(rows)
                self.waiting_bytes -= sum(map(len, rows))
