"""Recording a live source while it runs: every frame as it came, to tapes, before it is parsed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec

from jobs.settings import RunSettings
from jobs.sources import Source
from producers.frames import Frame
from producers.tapes.recorder import TapeRecorder
from producers.tapes.rotating import RotatingTape
from quicksilver import __version__
from quicksilver.errors import InputError


@runtime_checkable
class Tapped(Protocol):
    """A source that hands each frame to ``tap`` before it is parsed."""

    tap: Callable[[Frame], None]

    def restate(self, venue: str, conn: str) -> None:
        """Have the books of a connection given anew, to one who has lost some of its frames."""


def about(source: Source) -> dict[str, Any]:
    """Return what a tape of this source says of itself."""
    return {
        "source": source.info.kind, "detail": source.info.detail, "program": f"quicksilver {__version__}",
        "instruments": [f"{venue}:{symbol}" for venue, symbol in source.instruments],
    }  # fmt: skip


def tape_of(source: Source, folder: Path, settings: RunSettings) -> RotatingTape:
    """Return the tape that records a source.

    Raises:
        InputError: the folder cannot be written.
    """
    seconds = settings.record_minutes * 60.0
    return RotatingTape(folder, about(source), max_bytes=settings.record_mb << 20, max_s=seconds)


def tapped(source: Source) -> Tapped:
    """Return the source as one that can be recorded.

    Raises:
        InputError: it is itself recorded.
    """
    if not isinstance(source, Tapped):
        raise InputError(f"RECORD= is for live feeds and the simulator, and this is a {source.info.kind.lower()} file")
    return source


@contextmanager
def recording(source: Source, settings: RunSettings, say: Callable[[str], None]) -> Iterator[None]:
    """Record a source to ``RECORD`` while the context lasts, if that is set; the source itself is never held up.

    Raises:
        InputError: the source is none that can be recorded, or the folder cannot be written.
    """
    if settings.record is None:
        yield
        return
    one = tapped(source)
    tape = tape_of(source, settings.record, settings)
    recorder = TapeRecorder(tape, say, one.restate)
    one.tap = recorder.put
    say(f"recording to {settings.record}")
    try:
        yield
    finally:
        recorder.close()
        say(f"recorded {msgspec.json.encode(written(tape, recorder)).decode()}")


def written(tape: RotatingTape, recorder: TapeRecorder) -> dict[str, Any]:
    """Return what a recording has written."""
    return {
        "frames": tape.frames,
        "bytes": tape.bytes,
        "lost": recorder.lost,
        "files": [str(one) for one in tape.files],
    }
