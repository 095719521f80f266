"""Quicksilver's own tape: zstd-compressed JSON lines: a header, one frame a line, and an end.

``{"quicksilver_tape": 2, ...}`` says what is recorded (``Header``); ``{"ts": ns, "dir": "recv", "venue": "kraken",
"conn": "kraken.1", "text": "..."}`` is a frame (``quicksilver/raw.py``), with ``"url"`` for REST bodies and ``"b64"``
in the place of ``"text"`` where the bytes are not UTF-8; ``{"quicksilver_tape_end": n}`` ends a tape of n frames. A
tape without its end was never finished, and is said to be torn. A file of a recording says there whether it is the last
one (``"more"``). Tapes of version 1 have neither fields nor end.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeAlias

import msgspec
import zstandard

from producers.frames import Frame
from quicksilver.codec import UNREADABLE
from quicksilver.errors import FrameError
from quicksilver.raw import RawFrame

VERSION = 2
MARK = b'{"quicksilver_tape'  # begins a header and an end, and no frame
_END = b'{"quicksilver_tape_end"'
FRAME_BYTES = 256 << 10  # of lines in a zstd frame: what damage costs; the ratio is some per cent worse than without
FLUSH_EVERY_NS = 1_000_000_000  # recorded time after which what is there can be read, whatever happens
TORN = "the tape is torn here"
NO_END = "the recording has no end: it was cut off, or is still running"


class Header(msgspec.Struct):
    """What a tape says of itself.

    ``recording`` names the run that wrote it, ``part`` its place among the files of that run, from 1; ``about`` is what
    was recorded, for people (source, venues, symbols, version of the program).
    """

    quicksilver_tape: int = VERSION
    recording: str = ""
    part: int = 0
    about: dict[str, Any] = {}


class _End(msgspec.Struct, omit_defaults=True):
    quicksilver_tape_end: int
    more: bool | None = None  # None: of no recording in several files, or of one that did not say it yet


Piece: TypeAlias = bytes | FrameError
"""A line of a tape, or why there is none: lines are lost here."""

Ended: TypeAlias = Callable[[bool], None]
"""Told at each end of a tape whether it says that another file of its recording follows."""


def unheard(more: bool) -> None:
    """Take no note of an end."""


class OwnLine(RawFrame, omit_defaults=True):
    """One line of the tape, and one message of topic ``raw``."""

    @classmethod
    def of(cls, frame: Frame) -> "OwnLine":
        """Return the line of a frame."""
        line = cls(frame.ts_recv_ns, frame.direction, frame.venue, frame.conn, frame.url)
        try:
            line.text = frame.payload.decode()
        except UnicodeDecodeError:
            line.b64 = frame.payload
        return line

    def frame(self, source: str) -> Frame:
        """Return the frame that this line holds."""
        payload = self.text.encode() if self.text is not None else self.b64 or b""
        return Frame(self.venue, self.conn, self.dir, self.ts, payload, self.url, source)


encode_line = msgspec.json.Encoder().encode
_header = msgspec.json.Decoder(Header).decode
_end = msgspec.json.Decoder(_End).decode


def header_of(line: bytes) -> Header:
    """Return the header that a line holds.

    Raises:
        FrameError: it holds none, or that of a newer version.
    """
    try:
        header = _header(line)
    except UNREADABLE as error:
        raise FrameError(f"not the header of a tape: {error}") from error
    if header.quicksilver_tape > VERSION:
        raise FrameError(f"a tape of version {header.quicksilver_tape}, this is {VERSION}: update Quicksilver")
    return header


def whole(stream: Iterator[Piece], ended: Ended = unheard) -> Iterator[Piece]:
    """Yield the lines of a tape, or of several one after another, and a ``FrameError`` in the place of what is lost.

    Raises:
        FrameError: the tape is torn, and this is its end.
    """
    expected = False  # of tapes of version 1 nobody knows whether they are whole
    frames: int | None = 0  # None: some of them are lost, which was said
    for line in stream:
        if isinstance(line, FrameError):
            frames = None
            yield line
            continue
        if expected and not line.endswith(b"\n"):
            raise FrameError(f"{TORN}, in the midst of a line of {len(line):,} bytes")
        if not line.startswith(MARK):
            frames = frames if frames is None else frames + (line != b"\n")
        elif line.startswith(_END):
            yield from _wrong(line, frames, ended)
            expected = False
        else:
            if expected and frames is not None:
                yield FrameError(f"{TORN}: {NO_END}")
            expected, frames = header_of(line).quicksilver_tape > 1, 0
        yield line
    if expected:
        raise FrameError(f"{TORN}: {NO_END}")


def _wrong(line: bytes, frames: int | None, ended: Ended) -> Iterator[FrameError]:
    """Yield what is wrong with the end of a tape that has so many frames."""
    try:
        end = _end(line)
    except UNREADABLE as error:
        yield FrameError(f"{TORN}: not the end of a tape: {error}")
        return
    if frames is not None and (said := end.quicksilver_tape_end) != frames:
        yield FrameError(f"{TORN}: it says that it holds {said:,} frames, and {frames:,} are there")
    ended(bool(end.more))


class TapeWriter:
    """Writes a tape; each second's frames end a zstd block, so a torn tape can be read up to the tear.

    Each ``FRAME_BYTES`` end a zstd frame, so a damaged one can be read behind the damage.

    ``frames`` are those that were written; after ``abandon`` those that the file holds. ``exclusive``: a file that is
    there is not overwritten, but ``FileExistsError``.
    """

    def __init__(self, path: Path, header: Header | None = None, *, exclusive: bool = False) -> None:
        self.path = path
        self.frames = 0
        self._given = (0, 0)  # frames and bytes that the system has taken: a full disk may refuse all that follow
        self._file: BinaryIO = path.open("xb" if exclusive else "wb")
        self._stream = zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(self._file, closefd=False)
        self._stream.write(msgspec.json.encode(header or Header()) + b"\n")
        self._flushed_ns = self._framed = 0

    @property
    def size(self) -> int:
        """Bytes of the file so far; what the compressor holds back comes on top."""
        return self._file.tell()

    def write(self, frame: Frame) -> None:
        """Append a frame."""
        line = encode_line(OwnLine.of(frame)) + b"\n"
        self._stream.write(line)
        self.frames += 1
        self._framed += len(line)
        if self._framed >= FRAME_BYTES:
            self._stream.flush(zstandard.FLUSH_FRAME)
            self._framed = 0
        if frame.ts_recv_ns - self._flushed_ns >= FLUSH_EVERY_NS:
            self._give()
            self._flushed_ns = frame.ts_recv_ns

    def _give(self) -> None:
        self._stream.flush(zstandard.FLUSH_BLOCK)
        self._file.flush()
        self._given = (self.frames, self._file.tell())

    def sync(self) -> None:
        """Put all that was written on the disk: not even a power cut can take it from there."""
        self._give()
        os.fsync(self._file.fileno())

    def close(self, more: bool | None = None) -> None:
        """End the tape; ``more`` says whether another file of its recording follows.

        Raises:
            OSError: the disk does not take it: the tape is to be abandoned.
        """
        self._stream.write(encode_line(_End(self.frames, more)) + b"\n")
        self._stream.flush(zstandard.FLUSH_FRAME)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Close the file without an end: for one whose disk has failed, or whose frames have.

        What lies beyond the last block that the disk took whole is cut off, so that the file holds the ``frames`` that
        are counted.
        """
        self.frames, length = self._given
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            os.truncate(self.path, length)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.close()
        finally:
            if not self._file.closed:
                self.abandon()
