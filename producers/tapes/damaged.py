"""Opening tapes so that damage costs no more than the place where it is.

A zstd file is made of frames, which know nothing of each other; our own tapes begin one each ``own.FRAME_BYTES``. Where
one cannot be decompressed, what it held before the damage is given, and the next one is looked for by the four bytes
that each begins with.
"""

import io
import mmap
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import zstandard

from producers.files import open_binary

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAGIC = b"\x28\xb5\x2f\xfd"
STEP = 4096  # compressed bytes at a time: so many before the damage cannot be read either
HELD = 512 << 10  # bytes that wait for their frame's checksum: ours are shorter; a longer one's are given before it
BUFFER = 1 << 20


class ZstdFrames(io.RawIOBase):
    """A zstd file, decompressed.

    At a place that cannot be read it is at its end, and ``damage`` says why; whoever empties that reads on behind it.
    """

    def __init__(self, path: Path) -> None:
        self.damage = ""
        with path.open("rb") as file:
            self._packed = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._begin = self._at = 0  # of the frame, and of what comes next
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._held, self._ready = bytearray(), bytearray()

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read some bytes; none at the end, and where there is damage."""
        while not self._ready and not self.damage and self._at < len(self._packed):
            self._unpack()
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._ready))
        view[:size] = self._ready[:size]
        del self._ready[:size]
        return size

    def _unpack(self) -> None:
        if self._frame is None:
            self._begin, self._frame = self._at, zstandard.ZstdDecompressor().decompressobj()
        piece = self._packed[self._at : self._at + STEP]
        try:
            self._held += self._frame.decompress(piece)
        except zstandard.ZstdError as error:
            self._skip(str(error))
            return
        self._at += len(piece)
        if self._frame.eof:
            self._at -= len(self._frame.unused_data)
            self._frame = None
        if self._frame is None or len(self._held) > HELD or self._at >= len(self._packed):
            self._give()

    def _skip(self, why: str) -> None:
        """Go to the next frame; of one whose checksum is wrong nobody knows which of its bytes are."""
        self.damage = why
        if "checksum" in why:
            self._held.clear()
        self._give()
        following = self._packed.find(MAGIC, self._begin + 1)
        self._at, self._frame = len(self._packed) if following < 0 else following, None

    def _give(self) -> None:
        self._ready += self._held
        self._held.clear()

    def close(self) -> None:
        """Close the file."""
        self._packed.close()
        super().close()


def open_tape(path: Path) -> BinaryIO:
    """Open a tape for reading, decompressed, as ``open_binary`` does; of zstd one ``damage_at`` tells what is damaged.

    Raises:
        InputError: as ``open_binary``.
    """
    file = open_binary(path)
    with path.open("rb") as packed:
        if packed.read(len(MAGIC)) != MAGIC:
            return file
    file.close()
    return cast(BinaryIO, io.BufferedReader(ZstdFrames(path), BUFFER))


def damage_at(file: BinaryIO) -> str:
    """Return why a tape cannot be read where it is, and have it read on behind that; empty at its end."""
    frames = getattr(file, "raw", None)
    if not isinstance(frames, ZstdFrames):
        return ""
    why, frames.damage = frames.damage, ""
    return why
