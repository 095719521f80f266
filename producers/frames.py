"""A frame: exactly what came over a wire, and when; what tapes hold and parsers read."""

from typing import TypeAlias

import msgspec

from quicksilver.raw import FrameDirection

Direction: TypeAlias = FrameDirection


NOT_NEEDED = b"its last symbol was removed"
"""Payload of a ``disconnect`` that we have wanted: no other connection takes its place."""


class Frame(msgspec.Struct, frozen=True):
    """One message of one connection, verbatim.

    ``direction`` is ``rest`` for a response body (then ``url`` says what was asked), ``audit`` for one that was fetched
    to be compared with a book alone; ``lost`` where a message of a recording cannot be read any more (``payload`` is
    what is left of it); ``drop`` where we ourselves give a book up (``payload`` is the symbol, a space, and why).

    ``ts_recv_ns`` is our clock, nanoseconds since 1970 UTC. ``conn`` names the connection: venues number messages per
    connection. ``source`` is ``file:line`` for a person who looks for the frame; empty on a live connection.
    """

    venue: str
    conn: str
    direction: Direction
    ts_recv_ns: int
    payload: bytes
    url: str | None = None
    source: str = ""
