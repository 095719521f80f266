"""The market in the words of Kraken's websocket v2, to the letter of captured frames.

https://docs.kraken.com/api/docs/websocket-v2/book, /trade, /status, /heartbeat, /ping and
https://docs.kraken.com/api/docs/guides/spot-ws-book-v2 (2026-11). Prices and quantities are JSON numbers with all their
decimal places, because the checksum is made of their digits.
"""

import zlib
from collections.abc import Iterable

from producers.simulator.ladder import Ladder
from producers.simulator.listings import Listing
from producers.simulator.orderflow import Book, Fill
from producers.simulator.venues.base import Changes, Saved, json
from producers.simulator.venues.text import decimal, iso
from producers.simulator.venues.window import Window

CHECKED = 10  # levels a side in the checksum
HEARTBEAT = '{"channel":"heartbeat"}'
ANSWER_NS = 40_000  # time_out - time_in: what Kraken takes for an answer in the captures


def level(listing: Listing, price: int, lots: int) -> str:
    """Return one level, from ticks and lots."""
    return f'{{"price":{decimal(price, listing.price_decimals)},"qty":{decimal(lots, listing.qty_decimals)}}}'


def checksum(book: Book) -> int:
    """Return the CRC32 of the best ten asks, then bids: an integer's digits have no point and no leading zero."""
    asks, bids = book.asks.lots, book.bids.lots
    best = [f"{key}{asks[key]}" for key in book.asks.keys[:CHECKED]]
    best += [f"{-key}{bids[key]}" for key in book.bids.keys[:CHECKED]]
    return zlib.crc32("".join(best).encode())


class DepthView(Window):
    """What the subscribers of one symbol's book at one depth have been told.

    Kraken's rule (https://docs.kraken.com/api/docs/guides/spot-ws-book-v2, 2026-11):

    1. A change within the depth is sent; a removal if the level was within it before.
    2. A level that is pushed out of the depth is not mentioned: the reader drops it.
    3. A level that comes back into the depth is sent again.
    """

    def snapshot(self, book: Saved) -> str:
        """Return the message that begins a subscription; valid between two updates."""
        return self._message("snapshot", book.bids[: self.depth], book.asks[: self.depth], book.number, book.ts_ns)

    def update(self, bids: Changes, asks: Changes, crc: int, ts_ns: int) -> str:
        """Return the message of a book's last changes, or nothing; ``crc`` is the book's now."""
        bids, asks = self.told(bids, asks)
        return self._message("update", bids, asks, crc, ts_ns) if bids or asks else ""

    def _shown(self, side: Ladder, changes: Changes, before: int, now: int) -> Changes:
        visible = [(key, lots) for key, lots in changes if key <= (now if lots else before)]
        return visible + self._back(side, changes, before, now)

    def _message(self, kind: str, bids: Changes, asks: Changes, crc: int, ts_ns: int) -> str:
        listing = self._book.listing
        bid_text, ask_text = (",".join([level(listing, abs(key), lots) for key, lots in side]) for side in (bids, asks))
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{listing.symbol}","bids":[{bid_text}],'
            f'"asks":[{ask_text}],"checksum":{crc},"timestamp":"{iso(ts_ns)}"}}]}}'
        )


def trades(kind: str, listing: Listing, fills: Iterable[Fill]) -> str:
    """Return a message of the trade channel; ``kind`` is ``snapshot`` or ``update``."""
    entries = [
        f'{{"symbol":"{listing.symbol}","side":"{fill.side}","price":{decimal(fill.price, listing.price_decimals)},'
        f'"qty":{decimal(fill.lots, listing.qty_decimals)},"ord_type":"{"limit" if fill.limit else "market"}",'
        f'"trade_id":{fill.trade_id},"timestamp":"{iso(fill.ts_ns)}"}}'
        for fill in fills
    ]
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(entries)}]}}'


def status(connection_id: int) -> str:
    """Return what a new connection is greeted with."""
    return (
        '{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2",'
        f'"connection_id":{connection_id}}}]}}'
    )


def answer(now_ns: int, **fields: object) -> str:
    """Return the answer to a request: the fields that are not None in alphabetical order, as Kraken has them."""
    given = {name: value for name, value in sorted(fields.items()) if value is not None}
    return json({**given, "time_in": iso(now_ns), "time_out": iso(now_ns + ANSWER_NS)}).decode()
