"""Poloniex, spot, websocket v2: book_lv2 and trades; and tapes of the push API that came before (``poloniex_push.py``).

Rules (https://api-docs.poloniex.com/spot/websocket/market-data, 2026-11):

1. ``book_lv2`` sends the best 20 levels a side (``snapshot``), then each change (``update``): a level's new size, 0
   removes it. A level that falls out of the 20 is removed by a message too.
2. ``lastId`` of each update is the ``id`` of the symbol's message before; else messages were lost, or the numbers began
   anew: subscribe again. An ``id`` that was there before, or nearly so late, is a repetition, unless its ``lastId``
   says that it follows: a number that then does not rise is wrong.
3. There is no checksum.
4. A connection from which nothing comes for 30 s is closed: ``{"event":"ping"}`` now and then is answered.

``takerSide`` of a trade is the taker's; ``id`` rises.
"""

from collections.abc import Iterable, Sequence

import msgspec

from producers.decimals import float_of
from producers.exchanges import poloniex_rest
from producers.exchanges.base import NEAR, Parser, Reject, ignore
from producers.exchanges.feed import Feed
from producers.exchanges.instrument import Instrument
from producers.exchanges.limits import Limits, Rate
from producers.exchanges.poloniex_listings import MARKETS
from producers.exchanges.poloniex_push import Push
from producers.exchanges.reading import integer_of
from producers.exchanges.trade_ids import TradeIds
from producers.exchanges.venue import Venue
from producers.frames import Frame
from producers.levels import LevelScanner
from producers.times import MS_NS, check_time
from quicksilver.codec import UNREADABLE
from quicksilver.errors import ForeignFrameError, FrameError, RefusalError
from quicksilver.events import AnyEvent, Side

_MISSING = msgspec.Raw(b"")


class _Entry(msgspec.Struct, rename="camel"):
    """One element of ``data``, of the book or the trades."""

    symbol: str = ""
    create_time: int = 0
    bids: msgspec.Raw = _MISSING
    asks: msgspec.Raw = _MISSING
    last_id: int = -1
    id: int | str = -1
    price: str = ""
    quantity: str = ""
    taker_side: Side | None = None


class _Message(msgspec.Struct):
    event: str = ""
    channel: str = ""
    action: str = ""
    message: str = ""
    data: list[_Entry] | None = None


class _Other(msgspec.Struct):
    event: str = ""
    channel: str = ""
    symbols: list[str] = []


class _Request(msgspec.Struct):
    """A message of ours."""

    event: str
    channel: list[str] = []
    symbols: list[str] = []


class PoloniexParser(Parser):
    """Poloniex frames to events."""

    listings = MARKETS
    keeps_best = True

    def __init__(self, venue: str = "poloniex", reject: Reject = ignore) -> None:
        super().__init__(venue, reject)
        self._decode = msgspec.json.Decoder(_Message).decode
        self._decode_other = msgspec.json.Decoder(_Other).decode
        self._scanner = LevelScanner()
        self._pairs: dict[str, Instrument] = {}
        self._last: dict[str, int] = {}
        self._trade_ids = TradeIds()
        self._push = Push(self)

    def native(self, symbol: str) -> str:
        """Return Poloniex's name: ``BTC_USDT``."""
        return self.natives.get(symbol) or symbol.replace("-", "_")

    def _instrument(self, pair: str) -> Instrument:
        found = self._pairs.get(pair)
        if found is None:
            base, underscore, quote = pair.partition("_")
            if not (base and underscore and quote):
                raise FrameError(f"not a Poloniex pair: {pair[:40]!r}")
            found = self.named(self._pairs, pair, self.our_names.get(pair) or f"{base}-{quote}".upper())
        return found

    def number_of(self, symbol: str) -> int | None:
        """Return the ``id`` of the last change."""
        return self._last.get(symbol)

    def response(self, frame: Frame, events: list[AnyEvent]) -> None:  # noqa: ARG002 (the base's signature)
        """Show a book to who compares: the websocket gives all that the books need.

        Raises:
            FrameError: the body is not an order book.
        """
        one = self._pairs.get(poloniex_rest.asked_for(frame.url or ""))
        if one is not None:
            time_ms, bids, asks = poloniex_rest.book_of(frame.payload)
            ts_ns = check_time(frame, time_ms * MS_NS) if time_ms else frame.ts_recv_ns
            self.observed(one, frame, ts_ns, bids, asks)
        self.aside(one)

    def message(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the events of one websocket message.

        Raises:
            FrameError: the frame is unreadable or not Poloniex's.
        """
        if frame.payload[:1] == b"[":
            self._push.message(frame, events)
            return
        try:
            message = self._decode(frame.payload)
        except UNREADABLE as error:
            self._other(frame, error, events)
            return
        if message.event == "error":
            raise RefusalError(f"Poloniex refuses: {message.message}")
        if message.event or message.channel not in {"book_lv2", "trades"}:
            self._other(frame, None, events)
        elif not message.data:
            raise FrameError(f"a {message.channel} message without data")
        else:
            for entry in message.data:
                one = self._instrument(entry.symbol)
                one.counts.frames += 1
                if message.channel == "trades":
                    self._trade(frame, one, entry, events)
                else:
                    self._book(frame, one, message.action, entry, events)

    def _other(self, frame: Frame, error: Exception | None, events: list[AnyEvent]) -> None:
        """Take in what carries no market data: acknowledgements, pongs, other channels."""
        try:
            other = self._decode_other(frame.payload)
        except UNREADABLE as failure:
            raise FrameError(str(failure)) from failure
        if error is not None and other.channel in {"book_lv2", "trades"}:
            raise FrameError(str(error))
        if not (other.event or other.channel):
            raise ForeignFrameError("not a Poloniex message: it has neither an event nor a channel")
        if other.event == "unsubscribe" and other.channel == "book_lv2":
            for pair in self._pairs.keys() & other.symbols:
                self.end(self._pairs[pair], frame, events)
        self.counts.skipped += 1

    def leaving(self, frame: Frame) -> Iterable[str]:
        """Return the symbols whose books a message of ours asks Poloniex to end."""
        asked = msgspec.json.decode(frame.payload, type=_Request)
        if asked.event != "unsubscribe" or "book_lv2" not in asked.channel:
            return ()
        return [self._pairs[pair].symbol for pair in self._pairs.keys() & asked.symbols]

    def _book(self, frame: Frame, one: Instrument, action: str, entry: _Entry, events: list[AnyEvent]) -> None:
        if action not in {"snapshot", "update"} or not isinstance(entry.id, int):
            raise FrameError(f"a book message without an action or a number: {action[:40]!r} {entry.id!r}")
        bids, asks = self._scanner.two(entry.bids, entry.asks)
        if action == "snapshot":
            ts_ns = check_time(frame, frame.ts_recv_ns)  # its createTime is that of the last change, days ago
            self.observed(one, frame, ts_ns, bids, asks, entry.id)
            self._last[one.symbol] = entry.id
            events.append(one.snapshot(frame, ts_ns, bids, asks, None))
            return
        ts_ns = check_time(frame, entry.create_time * MS_NS)
        last = self._last.get(one.symbol, -1)
        if not one.live:
            one.counts.skipped += 1  # until a snapshot comes
        elif last - NEAR < entry.id <= last and entry.last_id < last:
            one.counts.duplicates += 1
        elif entry.last_id != last or entry.id <= last:
            which = f"change {entry.id} after {entry.last_id}"
            events += one.gap(frame, ts_ns, f"{which}, {last} was the last: some were lost, or the numbers are wrong")
        else:
            self._last[one.symbol] = entry.id
            events.append(one.delta(frame, ts_ns, bids, asks))

    def _trade(self, frame: Frame, one: Instrument, entry: _Entry, events: list[AnyEvent]) -> None:
        number = entry.id if isinstance(entry.id, int) else integer_of(entry.id, "trade id")
        price, size = float_of(entry.price), float_of(entry.quantity)
        ts_ns = check_time(frame, entry.create_time * MS_NS)
        if self._trade_ids.new(one, number, ts_ns):
            events.append(one.trade(frame, ts_ns, price, size, entry.taker_side, str(number)))


class PoloniexFeed(Feed):
    """Poloniex's public socket."""

    url = "wss://ws.poloniex.com/ws/public"
    rest_url = "https://api.poloniex.com"
    ping = '{"event":"ping"}'
    listings = MARKETS
    limits = Limits(
        "https://api-docs.poloniex.com/spot/websocket and https://api-docs.poloniex.com/spot/api (2026-11)",
        messages=Rate(500, 1), rest=Rate(200, 1),
    )  # fmt: skip

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Return the messages that subscribe to books and trades."""
        return [self._request("subscribe", channel, symbols) for channel in ("book_lv2", "trades")]

    def unsubscribe(self, symbol: str) -> list[str]:
        """Return the messages that end one symbol's book and trades."""
        return [self._request("unsubscribe", channel, [symbol]) for channel in ("book_lv2", "trades")]

    def unsubscribe_book(self, symbol: str) -> list[str]:
        """Return the message that ends one book."""
        return [self._request("unsubscribe", "book_lv2", [symbol])]

    def subscribe_book(self, symbol: str) -> list[str]:
        """Return the message that asks for one book; its snapshot follows."""
        return [self._request("subscribe", "book_lv2", [symbol])]

    def guess(self, symbol: str) -> str:
        """Return Poloniex's name: ``BTC_USDT``."""
        return symbol.replace("-", "_")

    def audit_url(self, symbol: str) -> str | None:
        """Return the address of the best levels; there is none of more than 150 a side."""
        return f"{self.rest_url}/markets/{self.native(symbol)}/orderBook?limit=150"

    def _request(self, event: str, channel: str, symbols: Sequence[str]) -> str:
        names = [self.native(symbol) for symbol in symbols]
        return msgspec.json.encode({"event": event, "channel": [channel], "symbols": names}).decode()


VENUE = Venue("poloniex", PoloniexParser, PoloniexFeed)
