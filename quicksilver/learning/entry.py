"""A version as it is kept: its card, how it was judged, and the bytes of the file that holds both."""

import hashlib

import msgspec

from quicksilver.learning.results import Validation
from quicksilver.models.card import AnyCard


class Entry(msgspec.Struct, frozen=True):
    """One version: its card, and the scores of the walk-forward run.

    ``tried`` is how many configurations were, this one included, when it was kept; ``instruments`` are those that it
    has learned from, ``venue:symbol``; ``n_examples`` how many decisions the data held (0: not known), of which it may
    have learned from the newest alone.
    """

    card: AnyCard
    validation: Validation
    tried: int = 1
    instruments: tuple[str, ...] = ()
    n_examples: int = 0


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str
    entry: msgspec.Raw


def sealed(entry: Entry) -> bytes:
    """Return a version as its file holds it: JSON, with what tells damage to any bit of it."""
    data = msgspec.json.encode(entry)
    return msgspec.json.encode(_Sealed(hashlib.sha256(data).hexdigest(), msgspec.Raw(data)))


def unsealed(data: bytes) -> Entry:
    """Return the version that a file holds.

    Raises:
        ValueError: it is not as it was written, or of another program's making.
    """
    found = msgspec.json.decode(data, type=_Sealed)
    if hashlib.sha256(found.entry).hexdigest() != found.sha256 or msgspec.json.encode(found) != data:
        raise ValueError("its bytes are not those that were written")
    return msgspec.json.decode(found.entry, type=Entry)
