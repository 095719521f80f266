"""What was done with each predictor, and why: a line for each decision, in ``history.jsonl`` beside its versions."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from jobs.whole_files import add_lines, read_line
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.spans import require_name

HISTORY = "history.jsonl"

What: TypeAlias = Literal["training", "failed", "nothing new", "live", "shadow", "promoted", "dropped"]


class Happening(msgspec.Struct, frozen=True):
    """One line: what was done at ``ts_ns`` of event time, to which version, and why.

    A training is followed by what came of it: ``failed``, ``nothing new`` (the same version), ``live`` or ``shadow``; a
    shadow by ``promoted`` or ``dropped``.
    """

    ts_ns: int
    what: What
    why: str
    version: str = ""


def told(happening: Happening) -> str:
    """Return a line for people, its time in UTC.

    >>> told(Happening(1_790_000_000_000_000_000, "dropped", "its log-loss is higher", "0b5f"))
    '2026-09-21 14:13:20  dropped 0b5f: its log-loss is higher'
    """
    time = datetime.fromtimestamp(happening.ts_ns // SECOND_NS, UTC)
    return f"{time:%Y-%m-%d %H:%M:%S}  {happening.what}{happening.version and ' ' + happening.version}: {happening.why}"


class History:
    """The lines of all predictors in a registry's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, happening: Happening) -> None:
        """Keep a line; it is on disk when this returns.

        Raises:
            InputError: the folder cannot be written to.
        """
        path = self._folder / name / HISTORY
        try:
            add_lines(path, [msgspec.json.encode(happening)], on_disk=True)
        except OSError as error:
            raise InputError(f"{path}: cannot be written to: {error.strerror}") from error

    def of(self, name: str) -> list[Happening]:
        """Return a predictor's lines, the oldest first; one that a crash has cut short is left out.

        Raises:
            InputError: it is no predictor's name, or the file cannot be read.
        """
        require_name(name)
        path = self._folder / name / HISTORY
        try:
            lines = path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        return [one for line in lines if (one := read_line(line, Happening)) is not None]
