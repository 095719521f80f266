"""A saved state of a replay: what a run that is cut in two hands to its second part."""

from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import msgspec

from jobs.outputs import Mark
from quicksilver.errors import InputError, StateError
from quicksilver.events import AnyEvent

EventId: TypeAlias = tuple[str, str, int, int]
_DIGEST = 32  # bytes of SHA-256


class Cut(msgspec.Struct, frozen=True):
    """Events taken, the last of them, books doubted and when, the pipeline, and what was written by then."""

    events: int = 0
    last: EventId | None = None
    doubts: dict[int, tuple[str, str]] = {}
    pipeline: bytes = b""
    written: dict[str, Mark] = {}

    def save(self, path: Path) -> None:
        """Write it, behind a digest of itself: a damaged state must not pass for a sound one."""
        data = msgspec.msgpack.encode(self)
        path.write_bytes(sha256(data).digest() + data)

    @classmethod
    def load(cls, path: Path) -> "Cut":
        """Read a saved state.

        Raises:
            InputError: the file cannot be read.
            StateError: it is not a saved state, or damaged, or of another version.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
        if sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
            raise StateError(f"{path}: not a saved state, or a damaged one")
        try:
            return msgspec.msgpack.decode(data[_DIGEST:], type=cls)
        except msgspec.DecodeError as error:
            raise StateError(f"{path}: a saved state of another version: {error}") from error


def id_of(event: AnyEvent) -> EventId:
    """Return what tells an event from those of another tape."""
    return event.venue, event.symbol, event.seq, event.ts_event_ns
