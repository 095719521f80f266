"""Bitfinex's books as text: levels, trades, and the checksum that is made of them.

https://docs.bitfinex.com/docs/ws-websocket-checksum (2026-11).
"""

from zlib import crc32

from producers.exchanges.bitfinex_levels import CHECKED
from producers.simulator.ladder import Ladder
from producers.simulator.orderflow import Book
from producers.simulator.venues.text import javascript
from producers.simulator.venues.window import Window

NAMES = {"USDT": "UST", "ALGO": "ALG", "DASH": "DSH"}  # of https://docs.bitfinex.com/reference/rest-public-conf


def native_of(symbol: str) -> str:
    """Return what the venue calls a symbol.

    >>> native_of("BTC-USDT"), native_of("ALGO-USD"), native_of("DOGE-USD")
    ('tBTCUST', 'tALGUSD', 'tDOGE:USD')
    """
    base, quote = (NAMES.get(coin, coin) for coin in symbol.split("-"))
    return f"t{base}{quote}" if len(base) == len(quote) == 3 else f"t{base}:{quote}"


class Shown:
    """The levels that all readers of a book of one length have been shown, from which the checksum is made."""

    def __init__(self, book: Book, depth: int) -> None:
        self.window = Window(book, depth)
        self.sides = (Ladder(-1), Ladder(1))
        self.changed = False
        for mine, theirs in zip(self.sides, (book.bids, book.asks), strict=True):
            for key in theirs.keys[:depth]:
                mine.put(key, theirs.lots[key])
            mine.commit()


def level_text(book: Book, sign: int, key: int, lots: int) -> str:
    """Return ``price,count,amount``; the number of orders is made up, the amount's sign says the side."""
    listing = book.listing
    price = javascript(abs(key), listing.price_decimals)
    minus = "-" if sign < 0 else ""
    return f"{price},{1 + lots % 3},{minus}{javascript(lots, listing.qty_decimals)}" if lots else f"{price},0,{sign}"


def trade_text(book: Book, number: int, ts_ns: int, side: str, ticks: int, lots: int) -> str:
    """Return ``id,ms,amount,price``; an amount that was sold is negative."""
    listing = book.listing
    amount = ("" if side == "buy" else "-") + javascript(lots, listing.qty_decimals)
    return f"{number},{ts_ns // 1_000_000},{amount},{javascript(ticks, listing.price_decimals)}"


def checksum(book: Book, shown: Shown) -> int:
    """Return the signed CRC32 of the best 25 levels, a bid and an ask in turn."""
    parts: list[str] = []
    for place in range(CHECKED):
        for sign, side in zip((1, -1), shown.sides, strict=True):
            if place < len(side.keys):
                price, _, amount = level_text(book, sign, side.keys[place], side.lots[side.keys[place]]).split(",")
                parts += [price, amount]
    number = crc32(":".join(parts).encode())
    return number - (1 << 32) if number >> 31 else number
