"""The market in the words of Kraken's websocket v2: snapshots, updates with checksums, trades, acknowledgements.

https://docs.kraken.com/api/docs/websocket-v2/book and /trade (2026-11). Decimals are written with all their places, as
Kraken does: the checksum is made of them.
"""

import json
import zlib
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime

from producers.simulator.market import Market, Step, SymbolMarket

CHECKED = 10
Side = dict[int, int]


def iso(ts_ns: int) -> str:
    """RFC 3339 with microseconds."""
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def decimal(units: int, decimals: int) -> str:
    """``units`` of the last place as a decimal with all its places.

    >>> decimal(7725097, 8)
    '0.07725097'
    """
    whole, part = divmod(units, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"


def checksum(bids: Side, asks: Side) -> int:
    """CRC32 of the best ten asks and bids; in units of the last place a level is its own digits."""
    best_asks, best_bids = sorted(asks)[:CHECKED], sorted(bids, reverse=True)[:CHECKED]
    text = "".join(f"{price}{asks[price]}" for price in best_asks) + "".join(f"{p}{bids[p]}" for p in best_bids)
    return zlib.crc32(text.encode())


class View:
    """One symbol's book as subscribers of one depth have it."""

    def __init__(self, book: SymbolMarket, depth: int) -> None:
        self._book = book
        self._depth = depth
        self.bids, self.asks = self._top()

    def _top(self) -> tuple[Side, Side]:
        bids, asks = self._book.bids, self._book.asks
        best_bids = sorted(bids, reverse=True)[: self._depth]
        return {p: bids[p] for p in best_bids}, {p: asks[p] for p in sorted(asks)[: self._depth]}

    def snapshot(self, ts_ns: int) -> str:
        """Return the message that begins a subscription."""
        return self._message("snapshot", self.bids, self.asks, ts_ns)

    def update(self, ts_ns: int) -> str | None:
        """Return what has changed since the last message, or None.

        A level that is pushed out of the depth is not mentioned: the reader drops it, as Kraken's do.
        """
        bids, asks = self._top()
        changed_bids = _changes(self.bids, bids, self._book.bids)
        changed_asks = _changes(self.asks, asks, self._book.asks)
        self.bids, self.asks = bids, asks
        return self._message("update", changed_bids, changed_asks, ts_ns) if changed_bids or changed_asks else None

    def _message(self, kind: str, bids: Side, asks: Side, ts_ns: int) -> str:
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{self._book.listing.symbol}",'
            f'"bids":[{self._levels(bids)}],"asks":[{self._levels(asks)}],'
            f'"checksum":{checksum(self.bids, self.asks)},"timestamp":"{iso(ts_ns)}"}}]}}'
        )

    def _levels(self, side: Side) -> str:
        listing = self._book.listing
        return ",".join(
            f'{{"price":{decimal(price, listing.price_decimals)},"qty":{decimal(size, listing.size_decimals)}}}'
            for price, size in side.items()
        )


def _changes(old: Side, new: Side, book: Side) -> Side:
    gone = {price: 0 for price in old if price not in book}
    return gone | {price: size for price, size in new.items() if old.get(price) != size}


class Trades:
    """One symbol's trades and their numbers."""

    def __init__(self, book: SymbolMarket) -> None:
        self._listing = book.listing
        self._number = 0
        self._recent: deque[str] = deque(maxlen=50)

    def update(self, step: Step) -> str | None:
        """Return the message of a step's trades, or None."""
        entries = []
        for fill in step.fills:
            self._number += 1
            entries.append(
                f'{{"symbol":"{self._listing.symbol}","side":"{fill.side}",'
                f'"price":{decimal(fill.price, self._listing.price_decimals)},'
                f'"qty":{decimal(fill.size, self._listing.size_decimals)},"ord_type":"market",'
                f'"trade_id":{self._number},"timestamp":"{iso(step.ts_ns)}"}}'
            )
        self._recent.extend(entries)
        return f'{{"channel":"trade","type":"update","data":[{",".join(entries)}]}}' if entries else None

    def snapshot(self) -> str:
        """Return the message of the last trades."""
        return f'{{"channel":"trade","type":"snapshot","data":[{",".join(self._recent)}]}}'


def acknowledgement(method: str, channel: str, symbol: str, depth: int | None, now_ns: int) -> str:
    """Return Kraken's answer to a request for one symbol."""
    result: dict[str, object] = {"channel": channel, "symbol": symbol}
    if depth is not None:
        result["depth"] = depth
    if method == "subscribe":
        result["snapshot"] = True
    return json.dumps(
        {"method": method, "result": result, "success": True, "time_in": iso(now_ns), "time_out": iso(now_ns)},
        separators=(",", ":"),
    )


def refusal(method: str, symbol: str, reason: str, now_ns: int) -> str:
    """Return Kraken's refusal of a request."""
    return json.dumps(
        {
            "error": reason,
            "method": method,
            "success": False,
            "symbol": symbol,
            "time_in": iso(now_ns),
            "time_out": iso(now_ns),
        },
        separators=(",", ":"),
    )


STATUS = (
    '{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2",'
    '"connection_id":1}]}'
)
HEARTBEAT = '{"channel":"heartbeat"}'


def frames(market: Market, depth: int = 100) -> Iterator[tuple[int, bytes]]:
    """Yield ``(ts_ns, payload)`` for ever, as a subscriber of everything would receive them; no socket involved."""
    yield market.now_ns, STATUS.encode()
    views, trades = {}, {}
    for name, book in market.books.items():
        views[name], trades[name] = View(book, depth), Trades(book)
        yield market.now_ns, acknowledgement("subscribe", "book", name, depth, market.now_ns).encode()
        yield market.now_ns, views[name].snapshot(market.now_ns).encode()
    for step in market.steps():
        for message in (trades[step.symbol].update(step), views[step.symbol].update(step.ts_ns)):
            if message is not None:
                yield step.ts_ns, message.encode()
