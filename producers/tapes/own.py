"""Quicksilver's own tape: zstd-compressed JSON lines: a header, one frame a line, and an end.

``{"quicksilver_tape": 2, ...}`` says what is recorded (``Header``); ``{"ts": ns, "dir": "recv", "venue": "kraken",
"conn": "kraken.1", "text": "..."}`` is a frame (``quicksilver/raw.py``), with ``"url"`` for REST bodies and ``"b64"``
in the place of ``"text"`` where the bytes are not UTF-8; ``{"quicksilver_tape_end": n}`` ends a tape of n frames. A
tape without its end was never finished, and is said to be torn. Tapes of version 1 have neither fields nor end.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import msgspec
import zstandard

from producers.frames import Frame
from quicksilver.codec import UNREADABLE
from quicksilver.errors import FrameError
from quicksilver.raw import RawFrame

VERSION = 2
MARK = b'{"quicksilver_tape'  # begins a header and an end, and no frame
_END = b'{"quicksilver_tape_end"'
FLUSH_EVERY_NS = 1_000_000_000  # recorded time after which what is there can be read, whatever happens
TORN = "the tape is torn here"


class Header(msgspec.Struct):
    """What a tape says of itself.

    ``recording`` names the run that wrote it, ``part`` its place among the files of that run, from 1; ``about`` is what
    was recorded, for people (source, venues, symbols, version of the program).
    """

    quicksilver_tape: int = VERSION
    recording: str = ""
    part: int = 0
    about: dict[str, Any] = {}


class _End(msgspec.Struct):
    quicksilver_tape_end: int


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


def whole(stream: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines of a tape, or of several one after another; what is torn ends with a ``FrameError``."""
    expected = False  # of tapes of version 1 nobody knows whether they are whole
    frames = 0
    for line in stream:
        if expected and not line.endswith(b"\n"):
            raise FrameError(f"{TORN}, in the midst of a line of {len(line):,} bytes")
        if not line.startswith(MARK):
            frames += line != b"\n"
        elif line.startswith(_END):
            _check_end(line, frames)
            expected = False
        else:
            _not_yet(expected)
            expected, frames = header_of(line).quicksilver_tape > 1, 0
        yield line
    _not_yet(expected)


def _not_yet(expected: bool) -> None:
    if expected:
        raise FrameError(f"{TORN}: the recording was not finished, and may have lost its last second")


def _check_end(line: bytes, frames: int) -> None:
    try:
        said = _end(line).quicksilver_tape_end
    except UNREADABLE as error:
        raise FrameError(f"not the end of a tape: {error}") from error
    if said != frames:
        raise FrameError(f"{TORN}: it says that it holds {said:,} frames, and {frames:,} are there")


class TapeWriter:
    """Writes a tape; each second's frames end a zstd block, so a torn tape can be read up to the tear.

    ``exclusive``: a file that is there is not overwritten, but ``FileExistsError``.
    """

    def __init__(self, path: Path, header: Header | None = None, *, exclusive: bool = False) -> None:
        self.path = path
        self.frames = 0
        self._file: BinaryIO = path.open("xb" if exclusive else "wb")
        self._stream = zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(self._file, closefd=False)
        self._stream.write(msgspec.json.encode(header or Header()) + b"\n")
        self._flushed_ns = 0

    @property
    def size(self) -> int:
        """Bytes of the file so far; what the compressor holds back comes on top."""
        return self._file.tell()

    def write(self, frame: Frame) -> None:
        """Append a frame."""
        self._stream.write(encode_line(OwnLine.of(frame)) + b"\n")
        self.frames += 1
        if frame.ts_recv_ns - self._flushed_ns >= FLUSH_EVERY_NS:
            self._stream.flush(zstandard.FLUSH_BLOCK)
            self._flushed_ns = frame.ts_recv_ns

    def sync(self) -> None:
        """Put all that was written on the disk: not even a power cut can take it from there."""
        self._stream.flush(zstandard.FLUSH_BLOCK)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """End the tape."""
        try:
            self._stream.write(encode_line(_End(self.frames)) + b"\n")
            self._stream.flush(zstandard.FLUSH_FRAME)
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close the file as it is, without an end: for one whose disk has failed, or whose frames have."""
        with suppress(OSError):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()
