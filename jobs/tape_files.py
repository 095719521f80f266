"""Tapes that commands write: our own layout, never over a file that is there, and none left that is not whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from producers.tapes import TapeWriter
from producers.tapes.own import Header
from quicksilver.errors import InputError


@contextmanager
def new_tape(path: Path, about: dict[str, Any]) -> Iterator[TapeWriter]:
    """Write a tape; if that fails, no part of it is left.

    Raises:
        InputError: the file is there already, or cannot be made.
    """
    try:
        writer = TapeWriter(path, Header(about=about), exclusive=True)
    except FileExistsError:
        raise InputError(f"{path} is there already, and is not overwritten: name another file") from None
    except OSError as error:
        raise InputError(f"{path}: the tape cannot be written: {error.strerror}") from error
    try:
        with writer:
            yield writer
    except BaseException:
        path.unlink(missing_ok=True)
        raise
