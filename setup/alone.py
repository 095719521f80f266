"""One process at a time: a file that is locked while the work lasts, and let go by whatever ends the process."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quicksilver.errors import InputError

TRY_S = 0.02


@contextmanager
def alone(mark: Path, otherwise: str, patience_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of a file while the context lasts; the file is made where it is not there, and stays.

    Whoever holds it is waited for, for ``patience_s`` seconds.

    Raises:
        InputError: another process holds it, which is what ``otherwise`` says.
    """
    mark.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + patience_s
    with mark.open("a") as lock:
        while not _taken(lock.fileno()):
            if time.monotonic() >= until:
                raise InputError(otherwise)
            time.sleep(TRY_S)
        yield


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
