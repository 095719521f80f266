"""What Kraken's messages of websocket v2 look like, and the answers to requests of v1."""

import msgspec

from quicksilver.events import Side

_MISSING = msgspec.Raw(b"")  # no list of levels: a side left out is a damaged message, for Kraken sends both


class Entry(msgspec.Struct):
    """One element of ``data``, of the book or the trade channel."""

    symbol: str = ""
    bids: msgspec.Raw = _MISSING
    asks: msgspec.Raw = _MISSING
    checksum: int = -1
    timestamp: str = ""
    side: Side | None = None
    price: float = 0.0
    qty: float = 0.0
    trade_id: int = 0


class Subscription(msgspec.Struct):
    """What an acknowledgement says was subscribed to, or ended; ``depth`` in levels a side."""

    channel: str = ""
    symbol: str = ""
    depth: int = 0


class Envelope(msgspec.Struct, rename={"error_message": "errorMessage"}):
    """A message without market data: an answer to a request, a heartbeat, another channel's."""

    event: str = ""  # of v1
    error_message: str = ""
    channel: str = ""
    method: str = ""
    error: str = ""
    success: bool = True
    symbol: str = ""  # of what is refused
    result: Subscription | None = None


class Wanted(msgspec.Struct):
    """What a request is about."""

    channel: str = ""
    symbol: list[str] = []


class Request(msgspec.Struct):
    """A message of ours."""

    method: str
    params: Wanted


class Message(msgspec.Struct):
    """A message of the ``book`` or ``trade`` channel; ``type`` is ``snapshot`` or ``update``."""

    channel: str = ""
    type: str = ""
    data: list[Entry] = []
