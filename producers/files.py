"""Opening what users name: any file, compressed or not, recognised by its first bytes."""

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import zstandard

from quicksilver.errors import InputError

READ_ERRORS = (OSError, EOFError, zstandard.ZstdError, lzma.LZMAError, zlib.error, zipfile.BadZipFile)
"""What reading a damaged or torn compressed file may raise."""


def open_binary(path: Path) -> BinaryIO:
    """Open ``path`` for reading, decompressed (gzip, zstd, xz, bzip2, zip of one file).

    Raises:
        InputError: it is missing, not a file, empty or a zip of several files.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path}: not a file")
    with path.open("rb") as file:
        magic = file.read(6)
    if not magic:
        raise InputError(f"{path}: the file is empty")
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(path))
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        reader = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True, closefd=True)
        return cast(BinaryIO, io.BufferedReader(reader, 1 << 20))
    if magic.startswith(b"\xfd7zXZ\x00"):
        return cast(BinaryIO, lzma.open(path))
    if magic.startswith(b"BZh"):
        return cast(BinaryIO, bz2.open(path))
    if magic.startswith(b"PK\x03\x04"):
        return _open_zip(path)
    return path.open("rb")


def _open_zip(path: Path) -> BinaryIO:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: a damaged archive: {error}") from error
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if len(names) != 1:
        raise InputError(f"{path}: the archive holds {len(names)} files, not one: {', '.join(names[:5])}")
    try:
        return cast(BinaryIO, archive.open(names[0]))
    except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:  # a password, a method of another world
        raise InputError(f"{path}: {names[0]} cannot be unpacked: {error}") from error


def open_text(path: Path) -> TextIO:
    """Open ``path`` as UTF-8 text, or UTF-16 where its first bytes say so, as a spreadsheet's "Unicode text" does.

    Bytes that are no such text become U+FFFD, so that one bad row stays one bad row.

    Raises:
        InputError: as ``open_binary``.
    """
    with open_binary(path) as file:
        wide = _begins_utf16(file)
    return io.TextIOWrapper(
        open_binary(path), encoding="utf-16" if wide else "utf-8-sig", errors="replace", newline=""
    )  # fmt: skip


def _begins_utf16(file: BinaryIO) -> bool:
    try:
        return file.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
    except READ_ERRORS:  # whoever reads on is told
        return False
