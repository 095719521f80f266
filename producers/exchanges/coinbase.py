"""Coinbase Advanced Trade websocket: level2, market_trades, heartbeats; and the Exchange's (``coinbase_pro.py``).

Rules (https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels, 2026-11):

1. ``sequence_num`` counts all messages of a connection, whatever their channel; it rises by one. A number above the
   next: messages were lost, so every book of the connection is in doubt. One at or below the last: seen before.
2. ``l2_data`` of type ``snapshot`` holds the whole book of ``product_id`` and replaces what was there.
3. ``l2_data`` of type ``update`` sets ``new_quantity`` at ``price_level``; 0 removes the level.
4. There is no checksum; a crossed book shows damage that the numbers cannot.

``side`` of a market trade is the **maker's**: a "SELL" was lifted by a buyer (seen on recordings: SELL prints at the
ask; https://docs.cdp.coinbase.com/exchange/websocket-feed/channels#match says the same of the older feed).
"""

from collections.abc import Iterable, Sequence

import msgspec

from producers.exchanges.base import Parser, Reject, ignore
from producers.exchanges.coinbase_listings import MARKET_PRODUCTS, PRODUCTS
from producers.exchanges.coinbase_pro import BOOKS, MESSAGE_TYPES, Exchange
from producers.exchanges.coinbase_rest import RestBooks
from producers.exchanges.feed import Feed
from producers.exchanges.instrument import Instrument
from producers.exchanges.limits import Limits, Rate
from producers.exchanges.reading import decimal_of, decoded, integer_of
from producers.exchanges.trade_ids import TradeIds
from producers.exchanges.venue import Venue
from producers.frames import Frame
from producers.levels import LevelScanner
from producers.times import check_time, iso_to_ns
from quicksilver.errors import ForeignFrameError, FrameError, RefusalError
from quicksilver.events import AnyEvent, Side

_MISSING = msgspec.Raw(b"")  # no list of levels
_TAKER: dict[str, Side] = {"BUY": "sell", "SELL": "buy"}
_DATA = {"l2_data", "market_trades"}
_OTHERS = {
    "heartbeats", "subscriptions", "ticker", "ticker_batch", "candles", "status", "user", "futures_balance_summary",
}  # fmt: skip


class _Trade(msgspec.Struct):
    trade_id: str
    product_id: str
    price: str
    size: str
    side: str
    time: str


class _Event(msgspec.Struct):
    type: str = ""
    product_id: str = ""
    updates: msgspec.Raw = _MISSING
    trades: list[_Trade] | None = None
    subscriptions: dict[str, list[str]] | None = None


class _Message(msgspec.Struct):
    channel: str = ""
    type: str = ""
    message: str = ""
    reason: str = ""  # of the Exchange's errors
    timestamp: str = ""
    sequence_num: int = -1
    events: list[_Event] | None = None


class _Request(msgspec.Struct):
    """A message of ours; the Exchange's name several channels."""

    type: str
    product_ids: list[str] = []
    channel: str = ""
    channels: list[str] = []


class CoinbaseParser(Parser):
    """Coinbase Advanced Trade frames to events."""

    listings = PRODUCTS

    def __init__(self, venue: str = "coinbase", reject: Reject = ignore) -> None:
        super().__init__(venue, reject)
        self._decode = msgspec.json.Decoder(_Message).decode
        self._scanner = LevelScanner("price_level", "new_quantity", "side")
        self._trade_ids = TradeIds()
        self._exchange = Exchange(self)
        self._rest = RestBooks()

    def native(self, symbol: str) -> str:
        """Return Coinbase's name, which is ours: ``BTC-USD``."""
        return symbol

    def response(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the Exchange's book of all orders where one is waited for; show other books to who compares.

        Those carry no number to bridge to the stream.

        Raises:
            FrameError: the body is not an order book.
        """
        product = self._exchange.full.product_of(frame)
        if product is not None:
            waiting = self.awaiting(self._instrument(product), frame)
            if waiting is not None:
                self._exchange.full.whole(frame, waiting, events)
            return
        book = self._rest.read(frame.url or "", frame.payload)
        one = self.instruments.get(book.product) if book is not None else None
        if book is not None and one is not None:
            ts_ns = check_time(frame, book.ts_ns) if book.ts_ns else frame.ts_recv_ns
            self.observed(one, frame, ts_ns, book.bids, book.asks, book.number)
        self.aside(one)

    def lost(self, frame: Frame, reason: str) -> list[AnyEvent]:
        """Say which books are in doubt; what was kept before a loss is no bridge to a later book."""
        product = self._exchange.full.product_of(frame)
        if product is not None:
            one = self.instruments.get(product)
            return [] if one is None or one.live else one.refuse(frame, frame.ts_recv_ns, reason)
        if frame.direction != "rest":
            for one in self.concerned(frame):
                self._exchange.full.lost(one, anew=frame.direction in {"connect", "disconnect"})
        return super().lost(frame, reason)

    def message(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the events of one websocket message.

        Raises:
            FrameError: the frame is unreadable or not Coinbase's.
        """
        message = decoded(self._decode, frame.payload)
        channel = message.channel
        if message.type == "error":
            raise RefusalError(f"Coinbase refuses: {': '.join(filter(None, (message.message, message.reason)))}")
        if not channel and message.type in MESSAGE_TYPES:
            self._exchange.message(frame, events)
            return
        if message.sequence_num < 0:
            if channel != "subscriptions":
                raise ForeignFrameError("not a Coinbase Advanced Trade message: no sequence_num")
            self._other(frame, message, events)
            return
        if not self.in_sequence(frame, "sequence_num", message.sequence_num, events):  # rule 1
            return
        if channel not in _DATA:
            if channel not in _OTHERS:  # its number is that of a message of ours, whose channel's name is damaged
                raise FrameError(f"unknown channel {channel[:40]!r}")
            self._other(frame, message, events)
            return
        if message.events is None:
            raise FrameError(f"a message of {channel} without events")
        self.counts.skipped += not message.events
        take = self._book if channel == "l2_data" else self._trades
        for change in message.events:
            take(frame, message, change, events)

    def leaving(self, frame: Frame) -> Iterable[str]:
        """Return the symbols whose books a message of ours asks Coinbase to end."""
        asked = msgspec.json.decode(frame.payload, type=_Request)
        books = BOOKS.intersection([asked.channel, *asked.channels])
        return asked.product_ids if asked.type == "unsubscribe" and books else ()

    def _other(self, frame: Frame, message: _Message, events: list[AnyEvent]) -> None:
        """Take in what carries no market data: heartbeats, other channels, and what is subscribed to from now on."""
        self.counts.skipped += 1
        for change in message.events or () if message.channel == "subscriptions" else ():
            if change.subscriptions is not None:
                self.end_all_but(frame, events, change.subscriptions.get("level2", []))

    def _book(self, frame: Frame, message: _Message, change: _Event, events: list[AnyEvent]) -> None:
        one = self.instruments.get(change.product_id) or self._instrument(change.product_id)
        one.counts.frames += 1
        if change.type == "update" and not one.live:
            one.counts.skipped += 1
            return
        bids, asks = self._scanner.sides(change.updates)
        ts_ns = check_time(frame, iso_to_ns(message.timestamp))
        if change.type == "update":
            events.append(one.delta(frame, ts_ns, bids, asks))
        elif change.type == "snapshot":
            self.observed(one, frame, ts_ns, bids, asks)
            events.append(one.snapshot(frame, ts_ns, bids, asks, None))
        else:
            raise FrameError(f"unknown l2_data type {change.type[:40]!r}")

    def _instrument(self, product: str) -> Instrument:
        if "-" not in product:
            raise FrameError(f"not a Coinbase product: {product[:40]!r}")
        return self.instrument(product)

    def _trades(self, frame: Frame, message: _Message, change: _Event, events: list[AnyEvent]) -> None:  # noqa: ARG002
        if change.trades is None:
            raise FrameError("a market_trades event without trades")
        for trade in reversed(change.trades):  # the venue lists the newest first
            one = self._instrument(trade.product_id)
            one.counts.frames += 1
            number, ts_ns, history = (
                integer_of(trade.trade_id, "trade id"),
                iso_to_ns(trade.time),
                change.type == "snapshot",
            )
            if not history:
                check_time(frame, ts_ns)
            if not self._trade_ids.new(one, number, ts_ns):
                continue
            if history:
                one.counts.skipped += 1
            else:
                price, size = decimal_of(trade.price), decimal_of(trade.size)
                events.append(one.trade(frame, ts_ns, price, size, _TAKER.get(trade.side), trade.trade_id))


class CoinbaseFeed(Feed):
    """Coinbase's public socket: https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/guides/websocket."""

    url = "wss://advanced-trade-ws.coinbase.com"
    rest_url = "https://api.coinbase.com"
    listings = MARKET_PRODUCTS
    limits = Limits(
        "https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-rate-limits (2026-11)"
        " and .../advanced-trade-apis/rest-api/rate-limits",
        connections=Rate(8, 1), messages=Rate(8, 1), rest=Rate(10, 1),
    )  # fmt: skip

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Return the messages that subscribe to books, trades and heartbeats; the venue wants one a channel."""
        channels = ("heartbeats", "level2", "market_trades")
        return [self._request("subscribe", channel, symbols) for channel in channels]

    def unsubscribe_book(self, symbol: str) -> list[str]:
        """Return the message that ends one book."""
        return [self._request("unsubscribe", "level2", [symbol])]

    def subscribe_book(self, symbol: str) -> list[str]:
        """Return the message that asks for one book; its snapshot follows."""
        return [self._request("subscribe", "level2", [symbol])]

    def unsubscribe(self, symbol: str) -> list[str]:
        """Return the messages that end one symbol's book and trades."""
        return [self._request("unsubscribe", channel, [symbol]) for channel in ("level2", "market_trades")]

    def audit_url(self, symbol: str) -> str | None:
        """Return the address of the best levels."""
        return f"{self.rest_url}/api/v3/brokerage/market/product_book?product_id={self.native(symbol)}&limit=1000"

    @staticmethod
    def _request(kind: str, channel: str, symbols: Sequence[str]) -> str:
        return msgspec.json.encode({"type": kind, "product_ids": list(symbols), "channel": channel}).decode()


VENUE = Venue("coinbase", CoinbaseParser, CoinbaseFeed)
