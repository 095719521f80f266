"""The name of a run of a source: told from the content where there is one, so that a run done again has the same name.

A producer that was killed then publishes the same messages as before, and readers drop what they have.
"""

import hashlib
import re
import time
from datetime import UTC, datetime
from pathlib import Path

from producers.csv_prices import CsvFile
from producers.tapes import venue_of
from quicksilver import __version__
from quicksilver.errors import InputError

_NAME = re.compile(r"[\w.:+-]{1,64}", re.ASCII)


def tape_session(path: Path) -> str:
    """Return the session of a tape, or of a folder of tapes: whose they are, and all their bytes.

    Raises:
        InputError: a file cannot be read.
    """
    files = sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
    parts = [part for one in files for part in (venue_of(one), _digest(one))]
    return f"tape-{_joined(parts)}"


def csv_session(file: CsvFile, times: int | None = 1) -> str:
    """Return the session of a CSV file: its bytes, how they are read, and how often it is played (None: for ever).

    Raises:
        InputError: the file cannot be read.
    """
    return f"csv-{_joined([_digest(file.path), file.venue, repr(file.layout), str(times)])}"


def live_session() -> str:
    """Return the session of a source that is never the same again: when it started."""
    now_ns = time.time_ns()
    return f"live-{datetime.fromtimestamp(now_ns // 10**9, UTC):%Y%m%dT%H%M%S}.{now_ns // 10**6 % 1000:03d}"


def checked(session: str) -> str:
    """Return a session's name that a user gave.

    Raises:
        InputError: it cannot go into a header.
    """
    if not _NAME.fullmatch(session):
        raise InputError(f"session {session[:80]!r}: give 1 to 64 letters, digits or .:+-_")
    return session


def _digest(path: Path) -> str:
    """All bytes count, a second for each gigabyte: a price put right in the middle makes another file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _joined(parts: list[str]) -> str:
    """Another version of this program may read the same file otherwise, so it is a part of every name."""
    return hashlib.blake2b("\0".join([__version__, *parts]).encode(), digest_size=8).hexdigest()
