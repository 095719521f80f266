"""Files of which nobody sees a half: one that is replaced as a whole, one of JSON lines that is only ever added to."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from quicksilver.codec import UNREADABLE

T = TypeVar("T")
PART = ".part"  # how the names of files end that are not whole yet


def replace_whole(path: Path, data: bytes, on_disk: bool = False) -> None:
    """Write a file as a whole: who reads meanwhile sees the old one or the new one.

    With ``on_disk`` it is on the disk when this returns, and so it is after a crash.

    Raises:
        OSError: it cannot be written; the old one is there.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        with part.open("wb") as file:
            file.write(data)
            if on_disk:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def add_lines(path: Path, lines: Iterable[bytes], on_disk: bool = False) -> None:
    """Add lines to a file, which and whose folder need not be there; each in one write, so that several processes may.

    One that a crash has torn before them ends here, and costs no other. With ``on_disk`` they are on the disk when this
    returns.

    Raises:
        OSError: they cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+", buffering=0) as file:
        for line in lines:
            size = file.seek(0, os.SEEK_END)
            torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
            file.write(b"\n" * torn + line + b"\n")
        if on_disk:
            os.fsync(file.fileno())


def whole_lines(path: Path, offset: int = 0) -> Iterator[tuple[bytes, int]]:
    """Yield the lines of a file from a place on, each with the place behind it; none where there is no file.

    The last one is left out while its end is not there: it is being written, or was torn.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                yield line, offset
    except FileNotFoundError:
        return


def read_line(line: bytes, kind: type[T]) -> T | None:
    """Return what a line or a file of JSON holds; None if it is torn, damaged, or of another program's making."""
    try:
        return msgspec.json.decode(line, type=kind)
    except (*UNREADABLE, ValueError):
        return None
