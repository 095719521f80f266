"""What Binance's streams and REST books look like.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams and
https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints#order-book (2026-11).
"""

from typing import Any

import msgspec

MISSING = msgspec.Raw(b"")


class Error(msgspec.Struct):
    """Why a request is refused."""

    code: int = 0
    msg: str = ""


class Data(
    msgspec.Struct,
    rename={
        "kind": "e", "time_ms": "E", "pair": "s", "first": "U", "last": "u", "before": "pu", "bids": "b", "asks": "a",
        "price": "p", "size": "q", "trade_ms": "T", "buyer_made": "m", "trade_id": "t",
        "bid_size": "B", "ask_size": "A",
    },
):  # fmt: skip
    """A stream's message; ``asks`` is the number of an aggTrade, and with ``bids`` the prices of a bookTicker."""

    kind: str = ""
    time_ms: int = 0
    pair: str = ""
    first: int = -1
    last: int = -1
    before: int = -1
    bids: msgspec.Raw = MISSING
    asks: msgspec.Raw = MISSING
    price: str = ""
    size: str = ""
    trade_ms: int = 0
    buyer_made: bool | None = None
    trade_id: int = 0
    bid_size: str = ""
    ask_size: str = ""


class Message(Data):
    """What comes over a socket: a message, alone or in the envelope of combined streams; or an answer to a request."""

    stream: str = ""
    data: Data | None = None


class Other(msgspec.Struct, rename={"kind": "e"}):
    """What carries no market data: other streams, and answers to requests."""

    stream: str = ""
    kind: str = ""
    data: Any = None
    id: Any = None
    error: Error | None = None
    code: int = 0
    msg: str = ""


class Book(msgspec.Struct, rename={"last": "lastUpdateId", "time_ms": "E"}):
    """A REST book, as of change ``last``."""

    last: int
    bids: msgspec.Raw
    asks: msgspec.Raw
    time_ms: int = 0  # of the futures' books alone
