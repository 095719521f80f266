"""A recording in several files: a new one after so many bytes or so much time, each put on the disk each second.

The files of a recording are called ``20260809T051500.000000000-000001.tape.zst``: the receive time of the recording's
first frame in UTC, and the number of the file. So they sort in the order in which they were written, and recordings by
when they began. A file's end says whether another follows: it shows where the last ones are missing. What can be lost:
``kill -9`` and power cuts, the frames since the last ``sync`` (``SYNC_S``).
"""

import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from producers.files import READ_ERRORS
from producers.frames import Frame
from producers.tapes.damaged import open_tape
from producers.tapes.own import Header, TapeWriter, header_of
from quicksilver.errors import FrameError, InputError
from quicksilver.events import SECOND_NS

MAX_BYTES = 256 << 20  # of a file: some hours of a few instruments, and still quick to copy
MAX_S = 3600.0
SYNC_S = 1.0
_NAME = re.compile(r"(\d{8}T\d{6}\.\d{9})-(\d{6,})\.tape\.zst")
_START = datetime(1970, 1, 1, tzinfo=UTC)


class Part(NamedTuple):
    """What a file's name says: the recording, when that began, and the file's number in it, from 1."""

    recording: str
    start_ns: int
    number: int


def recording_of(start_ns: int) -> str:
    """Return the name of a recording whose first frame came at ``start_ns``.

    >>> recording_of(1786252500000000001)
    '20260809T051500.000000001'
    """
    moment = _START + timedelta(seconds=start_ns // SECOND_NS)
    return f"{moment:%Y%m%dT%H%M%S}.{start_ns % SECOND_NS:09d}"


def part_of(path: Path) -> Part | None:
    """Return what the name of a recording's file says; None for any other file."""
    return _part(path.name)


def part_by_content(path: Path) -> Part | None:
    """Return what a file says itself of its place in a recording; what its name says where it cannot be read."""
    try:
        with open_tape(path) as file:
            header = header_of(file.readline())
    except (FrameError, InputError, *READ_ERRORS):
        return part_of(path)
    return _part(f"{header.recording}-{header.part:06d}.tape.zst") if header.part else None


def _part(name: str) -> Part | None:
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    recording, number = found.groups()
    seconds, _, fraction = recording.partition(".")
    try:
        moment = datetime.strptime(seconds, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    since = moment - _START
    return Part(recording, (since.days * 86_400 + since.seconds) * SECOND_NS + int(fraction), int(number))


class RotatingTape:
    """Writes frames into the files of one recording; a file is begun with its first frame.

    A file ends when it holds ``max_bytes`` (compressed; the compressor's last block comes on top) or frames of
    ``max_s``.

    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(
        self, folder: Path, about: dict[str, Any] | None = None, *, max_bytes: int = MAX_BYTES, max_s: float = MAX_S
    ) -> None:
        self.folder = folder
        self.files: list[Path] = []
        self.frames = self.bytes = 0
        self._ended = 0  # frames of the files before this one
        self._about = about or {}
        self._max_bytes, self._max_ns = max_bytes, int(max_s * SECOND_NS)
        self._recording = ""
        self._tape: TapeWriter | None = None
        self._first_ns = 0
        self._dirty = False
        self._synced_s = time.monotonic()
        require_writable(folder)

    def write(self, frame: Frame) -> None:
        """Append a frame, to a new file where the last one is full.

        Raises:
            OSError: the disk does not take it.
        """
        tape = self._tape
        if tape is None or tape.size >= self._max_bytes or frame.ts_recv_ns - self._first_ns >= self._max_ns:
            tape = self._next(frame.ts_recv_ns)
        tape.write(frame)
        self.frames += 1
        self._dirty = True

    def sync(self) -> None:
        """Put what was written on the disk, if that was not done for ``SYNC_S``.

        Raises:
            OSError: the disk does not take it.
        """
        now = time.monotonic()
        if self._dirty and self._tape is not None and now - self._synced_s >= SYNC_S:
            self._tape.sync()
            self._dirty, self._synced_s = False, now

    def close(self) -> None:
        """End the recording.

        Raises:
            OSError: the disk does not take the rest.
        """
        self._close(more=False)

    def _close(self, *, more: bool) -> None:
        if self._tape is not None:
            self._tape.close(more)
            self._closed(self._tape)

    def abandon(self) -> None:
        """Close the file with what is on the disk, for one that has failed; ``frames`` are then those on it."""
        if self._tape is not None:
            self._tape.abandon()
            self._closed(self._tape)

    def _closed(self, tape: TapeWriter) -> None:
        self._tape = None
        self._ended += tape.frames
        self.frames = self._ended
        self.bytes += tape.path.stat().st_size

    def _next(self, ts_ns: int) -> TapeWriter:
        self._close(more=True)
        self._recording = self._recording or recording_of(ts_ns)
        number = len(self.files) + 1
        path = self.folder / f"{self._recording}-{number:06d}.tape.zst"
        self.folder.mkdir(parents=True, exist_ok=True)
        header = Header(recording=self._recording, part=number, about=self._about)
        self._tape = tape = TapeWriter(path, header, exclusive=True)
        self.files.append(path)
        tape.sync()
        _sync_folder(self.folder)
        self._first_ns, self._synced_s = ts_ns, time.monotonic()
        return tape


def require_writable(folder: Path) -> None:
    """Make sure that tapes can be written to a folder, or that it can be made: it is not before there is a frame.

    Raises:
        InputError: they cannot.
    """
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not there.is_dir():
        raise InputError(f"{folder}: tapes cannot be written there: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: tapes cannot be written there: no permission to make files in {there}")


def _sync_folder(folder: Path) -> None:
    """Put the name of a new file on the disk too."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
