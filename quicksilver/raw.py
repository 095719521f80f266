"""The exact frame on the wire: a message of topic ``raw``, and a line of our own tapes."""

from typing import Literal, TypeAlias

import msgspec

FrameDirection: TypeAlias = Literal["recv", "send", "connect", "disconnect", "rest", "audit", "lost", "drop"]


class RawFrame(msgspec.Struct, omit_defaults=True):
    """One message of one connection, verbatim: ``text`` where its bytes are UTF-8, else ``b64``.

    ``ts`` is our clock, nanoseconds since 1970 UTC. ``dir`` is ``rest`` for a response body, and ``url`` then says what
    was asked. ``conn`` names the connection: venues number their messages by connection.
    """

    ts: int
    dir: FrameDirection
    venue: str
    conn: str
    url: str | None = None
    text: str | None = None
    b64: bytes | None = None
