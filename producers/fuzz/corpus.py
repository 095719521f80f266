"""The frames that are mutated: those of recordings, where there are any, and a short session that is always there."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from producers.exchanges.venue import venues
from producers.frames import Frame
from producers.fuzz.samples import session
from producers.tapes import read_frames
from quicksilver.codec import UNREADABLE
from quicksilver.errors import InputError, QuicksilverError

PER_FILE = 1_500  # frames: where a recording begins there is one of every kind
LARGEST = 64 << 10  # bytes of a frame: of larger books the first levels do
LONGEST = 200
START_NS = 1_600_000_000_000_000_000  # of a session where there is no recording


def _same_parser(venue: str) -> set[str]:
    """The venues whose messages this venue's parser reads: tapes name but one of them."""
    known = venues()
    if venue not in known:
        raise InputError(f"no parser for venue {venue!r}; there are {', '.join(sorted(known))}")
    return {name for name, other in known.items() if issubclass(known[venue].parser, other.parser)}


def _shortened(payload: bytes) -> bytes:
    """A large book with the first levels of its lists: to parse all of it again and again would tell nothing new."""

    def cut(value: Any) -> Any:
        """Return a JSON value, each list in it cut to ``LONGEST``."""
        if isinstance(value, list):
            return [cut(one) for one in value[:LONGEST]]
        return {key: cut(one) for key, one in value.items()} if isinstance(value, dict) else value

    try:
        return msgspec.json.encode(cut(msgspec.json.decode(payload)))
    except UNREADABLE:
        return payload[:LARGEST]


def _of_file(path: Path, names: set[str]) -> Iterator[Frame]:
    try:
        for frame in read_frames(path):
            if frame.venue in names:
                yield frame if len(frame.payload) <= LARGEST else replace(frame, payload=_shortened(frame.payload))
    except QuicksilverError:  # other files lie in the same folders
        return


def recorded(venue: str, folder: Path) -> list[list[Frame]]:
    """Return the beginnings of a venue's recordings below a folder, or of the one file that it is.

    Raises:
        InputError: there is no such venue.
    """
    names = _same_parser(venue)
    files = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    found = [list(islice(_of_file(path, names), PER_FILE)) for path in files]
    return [[replace(frame, venue=venue, conn=venue) for frame in frames] for frames in found if len(frames) > 1]


def sessions(venue: str, folder: Path | None) -> list[list[Frame]]:
    """Return all there is of a venue to be mutated.

    Raises:
        InputError: no such venue, or nothing at all.
    """
    found = recorded(venue, folder) if folder is not None and folder.exists() else []
    _same_parser(venue)
    found += [one for one in [session(venue, START_NS)] if one]
    if not found:
        raise InputError(f"there are no frames of {venue}: name a recording of it, or a folder of recordings")
    return found


def foreign(venue: str) -> list[bytes]:
    """Return messages of all other venues."""
    names = _same_parser(venue)
    others = sorted(set(venues()) - names)
    return [frame.payload for name in others for frame in session(name, START_NS)] or [b"{}"]
