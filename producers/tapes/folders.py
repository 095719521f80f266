"""A folder of tapes as one: in receive order, a recording's files one after another, none opened before its time."""

import hashlib
import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeAlias

from producers.exchanges.base import Reject
from producers.frames import Frame
from producers.tapes.own import NO_END, TORN, Ended, unheard
from producers.tapes.rotating import Part, part_by_content, part_of
from producers.times import MAX_NS
from quicksilver.errors import InputError
from quicksilver.records import DeadLetter

Open: TypeAlias = Callable[[Path, Reject, Ended], Iterator[Frame]]
CHUNK = 1 << 20  # bytes of a file at a time, to compare it with another


class _Stream(NamedTuple):
    """Frames in order, of which none is before ``start_ns``."""

    start_ns: int
    frames: Iterator[Frame]


def merged(files: list[Path], read: Open, reject: Reject) -> Iterator[Frame]:
    """Yield the frames of all files in receive order.

    Files of one recording (``rotating.py``) follow each other; all others are merged. Where a file of a recording is
    missing or torn, what is known of its connections ends with a ``disconnect``, for so much may have been lost. A copy
    of another file is left out, and said.

    Raises:
        InputError: a file that is no recording's is no tape.
    """
    found = list(_without_copies(files, reject))
    streams = [_Stream(-MAX_NS, read(path, reject, unheard)) for path, part in found if part is None]
    ordered = sorted(((path, part) for path, part in found if part is not None), key=lambda item: item[1])
    for _, group in groupby(ordered, key=lambda item: item[1].recording):
        chain = list(group)
        streams.append(_Stream(chain[0][1].start_ns, _chained(chain, read, reject)))
    return _in_receive_order(sorted(streams, key=lambda one: one.start_ns))


def _without_copies(files: list[Path], reject: Reject) -> Iterator[tuple[Path, Part | None]]:
    """Yield each file with its place in a recording, but those that hold what another holds."""
    sizes = Counter(path.stat().st_size for path in files)
    known: dict[Part | bytes, Path] = {}
    for path in sorted(files, key=lambda path: (part_of(path) is None, path)):  # a copy has another name
        part = part_by_content(path)
        key = part or (_digest(path) if sizes[path.stat().st_size] > 1 else bytes(path))
        first = known.setdefault(key, path)
        if first == path:
            yield path, part
        else:
            reject(DeadLetter(0, f"{path}:1", "", None, f"a copy of {first.name}, and not read again", b""))


def _digest(path: Path) -> bytes:
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.digest()


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
        """Pass a dead letter on, and remember its reason."""
        losses.append(letter.reason)
        reject(letter)

    more: list[bool] = []  # what the last file says at its end
    expected, source = 1, ""
    for path, part in chain:
        source = f"{path}:1"
        more.clear()
        if part.number != expected:
            missing = f"file {expected}" if part.number == expected + 1 else f"files {expected} to {part.number - 1}"
            reason = f"{TORN}: {missing} of recording {part.recording} is not there"
            lost(DeadLetter(known.last_ns or part.start_ns, source, "", None, reason, b""))
        expected = part.number + 1
        for frame in _readable(path, read, lost, more.append):
            if losses:
                yield from known.broken(losses, source)
            known.note(frame)
            yield frame
        if losses:
            yield from known.broken(losses, source)
    if more[-1:] == [True]:
        reason = f"{TORN}: file {expected} is missing, and what may have come after it: {NO_END}"
        lost(DeadLetter(known.last_ns, source, "", None, reason, b""))
        yield from known.broken(losses, source)


def _readable(path: Path, read: Open, reject: Reject, ended: Ended) -> Iterator[Frame]:
    """Yield a file's frames; one that was made and never written is torn, and no reason not to read the others."""
    try:
        yield from read(path, reject, ended)
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
