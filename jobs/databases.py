"""Which SQLite file holds whose rows: one a source, so that the prices of two never mix in one chart."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from zlib import crc32

from api.store_sqlite import SqliteStore
from quicksilver.errors import InputError
from setup.alone import alone

MAX_NAME = 40  # characters of a recording's name: enough to know it by, and a file name has its limits


def name_of(kind: str, recording: Path) -> str:
    """Return the name of the database of a recording; a digest of the whole path keeps files of one name apart."""
    whole = recording.resolve()
    name = re.sub(r"[^\w-]+", "-", whole.stem)[:MAX_NAME]
    return f"{kind}-{name}-{crc32(bytes(whole)):08x}.sqlite"


@contextmanager
def open_store(path: Path, lasting: bool, keep_hours: float) -> Iterator[SqliteStore]:
    """Keep a database open, without the rows of earlier runs if they are not ``lasting``: those were of another market.

    No two runs have the same one: the second would remove the first's rows, or mix its own with them.

    Raises:
        InputError: another run has it, the file cannot be used, or those rows not removed.
    """
    taken = f"another run writes {path}: stop that one, or choose another folder with DATA="
    with alone(path.with_name(f"{path.name}.lock"), taken):
        if not lasting:
            _remove(path)
        with closing(SqliteStore(path, int(keep_hours * 3600))) as store:
            yield store


def _remove(path: Path) -> None:
    try:
        for suffix in ("", "-wal", "-shm"):  # the last two are what SQLite leaves when it is killed
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: an earlier run's rows cannot be removed: {error.strerror}") from error
