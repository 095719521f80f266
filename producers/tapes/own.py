"""Quicksilver's own tape: zstd-compressed JSON lines, a header and then one frame a line.

``{"quicksilver_tape": 1}`` and ``{"ts": ns, "dir": "recv", "venue": "kraken", "conn": "kraken.1", "text": "..."}``,
with ``"url"`` for REST bodies and ``"b64"`` in the place of ``"text"`` where the bytes are not UTF-8.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import zstandard

from producers.frames import Direction, Frame

HEADER = b'{"quicksilver_tape":1}'
FLUSH_EVERY_NS = 1_000_000_000  # what a kill can lose: the last second of frames


class OwnLine(msgspec.Struct, omit_defaults=True):
    """One line of the tape."""

    ts: int
    dir: Direction
    venue: str
    conn: str
    url: str | None = None
    text: str | None = None
    b64: bytes | None = None

    def frame(self, source: str) -> Frame:
        """Return the frame that this line holds."""
        payload = self.text.encode() if self.text is not None else self.b64 or b""
        return Frame(self.venue, self.conn, self.dir, self.ts, payload, self.url, source)


class TapeWriter:
    """Writes a tape; each second's frames end a zstd block, so a torn tape can be read up to the tear."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._stream = zstandard.ZstdCompressor(level=3).stream_writer(self._file)
        self._stream.write(HEADER + b"\n")
        self._flushed_ns = 0

    def write(self, frame: Frame) -> None:
        """Append a frame."""
        line = OwnLine(frame.ts_recv_ns, frame.direction, frame.venue, frame.conn, frame.url)
        try:
            line.text = frame.payload.decode()
        except UnicodeDecodeError:
            line.b64 = frame.payload
        self._stream.write(msgspec.json.encode(line) + b"\n")
        if frame.ts_recv_ns - self._flushed_ns >= FLUSH_EVERY_NS:
            self._stream.flush(zstandard.FLUSH_BLOCK)
            self._flushed_ns = frame.ts_recv_ns

    def close(self) -> None:
        """End the tape."""
        self._stream.flush(zstandard.FLUSH_FRAME)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
