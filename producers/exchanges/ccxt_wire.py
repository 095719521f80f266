"""What the ccxt adapter's frames say: books and trades as ccxt unifies them, as JSON, and our names for symbols.

ccxt hands out no message of a venue, only what it has made of one; so the adapter's feed writes that down, and a tape
of these frames holds all that ccxt said. ``n`` numbers the messages about one symbol's book on one connection, from 1:
a frame that is lost between feed and parser shows. Times are ccxt's, milliseconds since 1970 UTC; absent is null.
https://docs.ccxt.com/#/README?id=order-book-structure
"""

from typing import TypeAlias

import msgspec

from quicksilver.events import Side

DEPTH = 400  # levels a side that are told: what lies beyond moves no feature, and costs time at each message


class Message(msgspec.Struct, tag_field="kind", tag=str.lower, frozen=True):
    """What every message says; ``symbol`` is ours."""

    symbol: str


class Book(Message, frozen=True):
    """The best ``depth`` levels a side, ``[[price, size], ...]``, best first; ``nonce`` is the venue's number, if any.

    Both sides as they stand in the text: the parser's scanner reads them.
    """

    n: int
    ts: int | None
    nonce: int | None
    depth: int
    bids: msgspec.Raw
    asks: msgspec.Raw


class Change(Message, frozen=True):
    """Levels that are new, or of a new size, since the message before; 0 removes one."""

    n: int
    ts: int | None
    nonce: int | None
    bids: msgspec.Raw
    asks: msgspec.Raw


class Lost(Message, frozen=True):
    """The book is in doubt, for ccxt found it so: its checksum or number differs."""

    n: int
    reason: str


class Refused(Message, frozen=True):
    """The venue, or ccxt, will not give what we asked for."""

    reason: str


class Execution(msgspec.Struct, frozen=True):
    """One trade; ``side`` is the taker's."""

    id: str | None
    ts: int | None
    price: float
    size: float
    side: Side | None


class Trades(Message, frozen=True):
    """Trades of one message, in the venue's order."""

    trades: list[Execution]


AnyMessage: TypeAlias = Book | Change | Lost | Refused | Trades


def symbol_of(unified: str) -> str:
    """Return our name for a symbol of ccxt's.

    A contract's name goes on with what it is settled in, and when: no colon, for that parts venue and symbol.

    >>> symbol_of("BTC/USDT"), symbol_of("BTC/USDT:USDT"), symbol_of("BTC/USDT:USDT-270326")
    ('BTC-USDT', 'BTC-USDT_USDT', 'BTC-USDT_USDT-270326')
    """
    return unified.replace("/", "-").replace(":", "_").upper()
