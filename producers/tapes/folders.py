"""A folder of tapes as one: in receive order, a recording's files one after another, none opened before its time."""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeAlias

from producers.exchanges.base import MAX_NS, Reject
from producers.frames import Frame
from producers.tapes.own import TORN
from producers.tapes.rotating import Part, part_of
from quicksilver.errors import InputError
from quicksilver.records import DeadLetter

Open: TypeAlias = Callable[[Path, Reject], Iterator[Frame]]


class _Stream(NamedTuple):
    """Frames in order, of which none is before ``start_ns``."""

    start_ns: int
    frames: Iterator[Frame]


def merged(files: list[Path], read: Open, reject: Reject) -> Iterator[Frame]:
    """Yield the frames of all files in receive order.

    Files of one recording (``rotating.py``) follow each other; all others are merged. Where a file of a recording is
    missing or torn, what is known of its connections ends with a ``disconnect``, for so much may have been lost.

    Raises:
        InputError: a file that is no recording's is no tape.
    """
    parts = {path: part for path in files if (part := part_of(path)) is not None}
    streams = [_Stream(-MAX_NS, read(path, reject)) for path in files if path not in parts]
    ordered = sorted(parts.items(), key=lambda item: (item[1].recording, item[1].number))
    for _, group in groupby(ordered, key=lambda item: item[1].recording):
        chain = list(group)
        streams.append(_Stream(chain[0][1].start_ns, _chained(chain, read, reject)))
    return _in_receive_order(sorted(streams, key=lambda one: one.start_ns))


def _in_receive_order(streams: list[_Stream]) -> Iterator[Frame]:
    waiting = deque(enumerate(streams))
    heap: list[tuple[int, int, Frame, Iterator[Frame]]] = []
    while waiting or heap:
        while waiting and (not heap or waiting[0][1].start_ns <= heap[0][0]):
            place, stream = waiting.popleft()
            first = next(stream.frames, None)
            if first is not None:
                heapq.heappush(heap, (first.ts_recv_ns, place, first, stream.frames))
        if not heap:
            continue
        _, place, frame, frames = heap[0]
        yield frame
        following = next(frames, None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following.ts_recv_ns, place, following, frames))


def _chained(chain: list[tuple[Path, Part]], read: Open, reject: Reject) -> Iterator[Frame]:
    """Yield the frames of one recording, file after file."""
    known = _Connections()
    losses: list[str] = []

    def lost(letter: DeadLetter) -> None:
        losses.append(letter.reason)
        reject(letter)

    expected = 1
    for path, part in chain:
        source = f"{path}:1"
        if part.number != expected:
            missing = f"file {expected}" if part.number == expected + 1 else f"files {expected} to {part.number - 1}"
            reason = f"{TORN}: {missing} of recording {part.recording} is not there"
            lost(DeadLetter(known.last_ns or part.start_ns, source, "", None, reason, b""))
        expected = part.number + 1
        for frame in _readable(path, read, lost):
            if losses:
                yield from known.broken(losses, source)
            known.note(frame)
            yield frame
        if losses:
            yield from known.broken(losses, source)


def _readable(path: Path, read: Open, reject: Reject) -> Iterator[Frame]:
    """Yield a file's frames; one that was made and never written is torn, and no reason not to read the others."""
    try:
        yield from read(path, reject)
    except InputError as error:
        reject(DeadLetter(0, f"{path}:1", "", None, f"{TORN}: {error}", b""))


class _Connections:
    """The connections of a recording that are open, and its last receive time."""

    def __init__(self) -> None:
        self.last_ns = 0
        self._open: dict[tuple[str, str], None] = {}

    def note(self, frame: Frame) -> None:
        """Take note of a frame."""
        self.last_ns = frame.ts_recv_ns
        if frame.direction == "disconnect":
            self._open.pop((frame.venue, frame.conn), None)
        else:
            self._open[frame.venue, frame.conn] = None

    def broken(self, losses: list[str], source: str) -> Iterator[Frame]:
        """Yield a ``disconnect`` for each connection, for a reason among ``losses``, which are then told."""
        reason = f"not recorded: {losses[-1]}".encode()
        losses.clear()
        for venue, conn in self._open:
            yield Frame(venue, conn, "disconnect", self.last_ns, reason, None, source)
