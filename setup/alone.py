"""One process at a time: a file that is locked while the work lasts, and let go by whatever ends the process."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quicksilver.errors import InputError


@contextmanager
def alone(mark: Path, otherwise: str) -> Iterator[None]:
    """Hold the lock of a file while the context lasts; the file is made where it is not there, and stays.

    Raises:
        InputError: another process holds it, which is what ``otherwise`` says.
    """
    mark.parent.mkdir(parents=True, exist_ok=True)
    with mark.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(otherwise) from None
        yield
