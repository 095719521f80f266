"""One websocket's side of the hub: what it asked for and what waits for it, bounded whatever the client does."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator

from api.picks import Followed
from api.streams import Stream

MAX_WAITING_BYTES = 8 << 20  # a client this far behind is closed
MAX_KEY_CHARS = 1 << 18  # some 20,000 keys; a client may name keys that do not exist, so they must be bounded


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
        self.followed = Followed()
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
        if channel == "picks":
            self.followed.forget(keys)
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

    def awaits_snapshot(self, stream: Stream) -> bool:
        """Return whether a snapshot of it waits."""
        return stream in self._snapshots

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
