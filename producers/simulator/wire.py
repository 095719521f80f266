"""The market in the words of Kraken's websocket v2, to the letter of captured frames.

https://docs.kraken.com/api/docs/websocket-v2/book, /trade, /status, /heartbeat, /ping and
https://docs.kraken.com/api/docs/guides/spot-ws-book-v2 (2026-11). Prices and quantities are JSON numbers with all their
decimal places, because the checksum is made of their digits.
"""

import zlib
from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from producers.simulator.ladder import Ladder
from producers.simulator.listings import Listing
from producers.simulator.orderflow import Book, Fill, Step

CHECKED = 10  # levels a side in the checksum
BEYOND = 1 << 62  # an edge that no level passes: the side has fewer levels than the depth
HEARTBEAT = '{"channel":"heartbeat"}'
ANSWER_NS = 40_000  # time_out - time_in: what Kraken takes for an answer in the captures


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def iso(ts_ns: int) -> str:
    """Return RFC 3339 in UTC, with microseconds.

    >>> iso(1_786_253_023_523_084_000)
    '2026-08-09T05:23:43.523084Z'
    """
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


def decimal(units: int, places: int) -> str:
    """Return ``units`` of the last decimal place as a number with all its places.

    >>> decimal(7725097, 8), decimal(647320, 1)
    ('0.07725097', '64732.0')
    """
    whole, part = divmod(units, 10**places)
    return f"{whole}.{part:0{places}d}" if places else str(whole)


def level(listing: Listing, price: int, lots: int) -> str:
    """Return one level, from ticks and lots."""
    return f'{{"price":{decimal(price, listing.price_decimals)},"qty":{decimal(lots, listing.qty_decimals)}}}'


def checksum(book: Book) -> int:
    """Return the CRC32 of the best ten asks, then bids: an integer's digits have no point and no leading zero."""
    best = [f"{abs(key)}{side.lots[key]}" for side in (book.asks, book.bids) for key in side.keys[:CHECKED]]
    return zlib.crc32("".join(best).encode())


class DepthView:
    """What the subscribers of one symbol's book at one depth have been told.

    Kraken's rule (https://docs.kraken.com/api/docs/guides/spot-ws-book-v2, 2026-11):

    1. A change within the depth is sent; a removal if the level was within it before.
    2. A level that is pushed out of the depth is not mentioned: the reader drops it.
    3. A level that comes back into the depth is sent again.
    """

    def __init__(self, book: Book, depth: int) -> None:
        self._book = book
        self._depth = depth
        self._edges = {side.sign: self._edge(side) for side in (book.bids, book.asks)}

    def snapshot(self, ts_ns: int) -> str:
        """Return the message that begins a subscription; valid between two updates."""
        book, depth = self._book, self._depth
        bids, asks = ([(key, side.lots[key]) for key in side.keys[:depth]] for side in (book.bids, book.asks))
        return self._message("snapshot", bids, asks, checksum(book), ts_ns)

    def update(self, step: Step, crc: int) -> str | None:
        """Return the message of a step, None if it changed nothing within the depth; ``crc`` is the book's now."""
        bids = self._visible(self._book.bids, step.bids)
        asks = self._visible(self._book.asks, step.asks)
        return self._message("update", bids, asks, crc, step.ts_ns) if bids or asks else None

    def _edge(self, side: Ladder) -> int:
        return side.keys[self._depth - 1] if len(side.keys) >= self._depth else BEYOND

    def _visible(self, side: Ladder, changes: list[tuple[int, int]]) -> list[tuple[int, int]]:
        if not changes:
            return changes
        before, now = self._edges[side.sign], self._edge(side)
        self._edges[side.sign] = now
        visible = [(key, lots) for key, lots in changes if key <= (now if lots else before)]
        if now > before:
            changed = {key for key, _ in changes}
            back = side.keys[bisect_right(side.keys, before) : self._depth]
            visible += [(key, side.lots[key]) for key in back if key not in changed]
        return visible

    def _message(
        self, kind: str, bids: list[tuple[int, int]], asks: list[tuple[int, int]], crc: int, ts_ns: int
    ) -> str:
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
    return msgspec.json.encode({**given, "time_in": iso(now_ns), "time_out": iso(now_ns + ANSWER_NS)}).decode()
