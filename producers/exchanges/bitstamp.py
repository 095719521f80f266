"""Bitstamp websocket v2: diff_order_book with its REST snapshot, and live_trades; orders are in ``bitstamp_orders.py``.

Rules (https://www.bitstamp.net/websocket/v2/ and https://www.bitstamp.net/api/#tag/Order-book, 2026-11):

1. Subscribe to ``diff_order_book_PAIR`` and keep its messages.
2. Fetch ``/api/v2/order_book/PAIR/``; it is the whole book at its ``microtimestamp``.
3. Drop kept messages whose ``microtimestamp`` is not above the snapshot's; apply the others, and all later ones.
   (The book must be no older than the first kept message. Our own feed waits before it asks, and asks again; what
   others recorded holds one book alone, asked for at once: there it may be older by ``RECORDED_NS``.)
4. A diff sets the size of each level named; 0 removes it.
5. There is no sequence number and no checksum. A ``microtimestamp`` below the last applied one shows reordering; an
   unreadable frame may have been a diff. Both put the book in doubt.

``type`` of a trade is the taker's side: 0 buy, 1 sell.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from itertools import islice

import msgspec

from producers.decimals import float_of
from producers.exchanges.base import Parser, Reject, ignore
from producers.exchanges.bitstamp_listings import MARKETS
from producers.exchanges.bitstamp_orders import ACTIONS, BEST, CHANGES, LIVE_ORDERS, PUSHER_SYMBOL, Orders, Told
from producers.exchanges.bitstamp_rows import folded, listed_orders, rows_of
from producers.exchanges.feed import FetchedBookFeed
from producers.exchanges.instrument import Instrument
from producers.exchanges.limits import Limits, Rate
from producers.exchanges.reading import decoded
from producers.exchanges.venue import Venue
from producers.frames import Frame
from producers.levels import LevelScanner
from producers.times import check_time, micros_to_ns
from quicksilver.errors import ForeignFrameError, FrameError, RefusalError
from quicksilver.events import AnyEvent, Levels, Side

QUOTES = ("usdc", "usdt", "pyusd", "eurc", "usd", "eur", "gbp", "pax", "btc", "eth")
WAYS = 64  # messages
RECORDED_NS = 2_000_000_000  # REST books are up to a second old
KEPT_DIFFS = 10_000  # about half an hour of the busiest pair; older ones are of no use to a fresh snapshot
_MISSING = msgspec.Raw(b"")  # no list of levels
_SIDES: dict[int, Side] = {0: "buy", 1: "sell"}
_BOOK, _TRADES = CHANGES, "live_trades_"
_OTHERS = ("detail_order_book_", "funding_rate_", "private-")  # channels
_EVENTS_OF: dict[str, Collection[str]] = {BEST: ("data",), LIVE_ORDERS: ACTIONS}
_PUSHER = (b"order_", b"trade ")  # how messages from before 2018 begin


class _Data(msgspec.Struct):
    """``data`` of a diff, of a trade, or the body of the REST book: they share their names."""

    microtimestamp: str = ""
    bids: msgspec.Raw = _MISSING
    asks: msgspec.Raw = _MISSING
    id: int = 0
    price_str: str = ""
    amount_str: str = ""
    type: int = -1
    order_type: int = -1
    message: str = ""


class _Message(msgspec.Struct):
    event: str
    channel: str = ""
    data: _Data | str | None = None


class _Channel(msgspec.Struct, frozen=True):
    channel: str = ""


class _Request(msgspec.Struct):
    """A message of ours."""

    event: str
    data: _Channel = _Channel()


class BitstampParser(Parser):
    """Bitstamp frames to events."""

    listings = MARKETS

    def __init__(self, venue: str = "bitstamp", reject: Reject = ignore) -> None:
        super().__init__(venue, reject)
        self._decode = msgspec.json.Decoder(_Message).decode
        self._decode_book = msgspec.json.Decoder(_Data).decode
        self._scanner = LevelScanner()
        self._kept: dict[str, deque[tuple[Frame, int, Levels, Levels]]] = {}
        self._snapshot_ns: dict[str, int] = {}
        self._lost_ns: dict[str, int] = {}
        self._last_ns: dict[str, int] = {}
        self._ways_ns: deque[int] = deque(maxlen=WAYS)  # what our clock said after the venue's, of the newest messages
        self._pairs: dict[str, Instrument] = {}
        self._orders = Orders(self)

    def native(self, symbol: str) -> str:
        """Return Bitstamp's name: ``btcusd``."""
        return self.natives.get(symbol) or native_of(symbol)

    def _instrument(self, pair: str) -> Instrument:
        found = self._pairs.get(pair)
        if found is None:
            found = self.named(self._pairs, pair, self.our_names.get(pair) or symbol_of(pair))
        return found

    def message(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the events of one websocket message.

        Raises:
            FrameError: the frame is unreadable or not Bitstamp's.
        """
        if frame.payload.startswith(_PUSHER):
            self._orders.pusher(frame, self.instrument(PUSHER_SYMBOL), events)
            return
        message = decoded(self._decode, frame.payload)
        channel, data = message.channel, message.data
        if message.event == "data" and channel.startswith(_BOOK) and isinstance(data, _Data):
            self._diff(frame, self._instrument(channel.removeprefix(_BOOK)), data, events)
        elif message.event == "trade" and channel.startswith(_TRADES) and isinstance(data, _Data):
            self._trade(frame, self._instrument(channel.removeprefix(_TRADES)), data, events)
        elif message.event in _EVENTS_OF.get(channel[: channel.rfind("_") + 1], ()) and isinstance(data, _Data):
            self._by_order(frame, message, data, events)
        elif message.event == "bts:error":
            raise RefusalError(f"Bitstamp refuses: {data.message if isinstance(data, _Data) else data}")
        elif not message.event.startswith("bts:") and not channel:
            raise ForeignFrameError("not a Bitstamp message: unknown event without a channel")
        elif not (message.event.startswith("bts:") or channel.startswith(_OTHERS)):
            # Nobody has asked for it: it is a message of ours that is damaged.
            raise FrameError(f"an event {message.event[:40]!r} of the channel {channel[:40]!r}, or without data")
        else:
            if message.event == "bts:subscription_succeeded":
                self._orders.hear(channel)
            elif message.event == "bts:unsubscription_succeeded":
                for symbol in self._books_of(channel):
                    self.end(self.instrument(symbol), frame, events)
            self.counts.skipped += 1

    def _books_of(self, channel: str) -> list[str]:
        """The symbol whose book a channel keeps up to date, if it is one of those."""
        kind = channel[: channel.rfind("_") + 1]
        one = self._pairs.get(channel.removeprefix(kind)) if kind in {_BOOK, BEST, LIVE_ORDERS} else None
        return [] if one is None else [one.symbol]

    def leaving(self, frame: Frame) -> Iterable[str]:
        """Return the symbol whose book a message of ours asks Bitstamp to end."""
        asked = msgspec.json.decode(frame.payload, type=_Request)
        return self._books_of(asked.data.channel) if asked.event == "bts:unsubscribe" else ()

    def _by_order(self, frame: Frame, message: _Message, data: _Data, events: list[AnyEvent]) -> None:
        """Take in what is said of orders, and books that are pushed."""
        pair = message.channel.removeprefix(LIVE_ORDERS).removeprefix(BEST)
        if message.event in ACTIONS:
            told = Told(
                ACTIONS[message.event], data.id, data.order_type, data.price_str, data.amount_str,
                micros_to_ns(data.microtimestamp),
            )  # fmt: skip
            self._orders.order(frame, self._instrument(pair), told, events)
        else:
            ts_ns = check_time(frame, micros_to_ns(data.microtimestamp))
            self._orders.push(frame, self._instrument(pair), ts_ns, rows_of(data.bids), rows_of(data.asks), events)

    def _diff(self, frame: Frame, one: Instrument, data: _Data, events: list[AnyEvent]) -> None:
        one.counts.frames += 1
        ts_ns = check_time(frame, micros_to_ns(data.microtimestamp))
        bids, asks = self._scanner.two(data.bids, data.asks)
        if self._orders.feeds(one):
            one.counts.skipped += 1
            return
        way_ns = frame.ts_recv_ns - ts_ns
        self._ways_ns.append(way_ns)
        if not one.live:
            one.counts.skipped += 1  # until a snapshot calls for it
            one.conn = frame.conn
            self._orders.hear(_BOOK + self.native(one.symbol))
            self._kept.setdefault(one.symbol, deque(maxlen=KEPT_DIFFS)).append((frame, ts_ns, bids, asks))
            return
        last_ns = self._last_ns[one.symbol]
        if ts_ns <= last_ns == self._snapshot_ns[one.symbol]:
            one.counts.duplicates += 1  # the first after the book, which has them
        elif ts_ns < last_ns:
            events += one.gap(frame, ts_ns, f"a diff of {ts_ns} after one of {last_ns}: reordered")
        elif ts_ns == last_ns:
            one.counts.duplicates += 1
        else:
            self._last_ns[one.symbol] = ts_ns
            events.append(one.delta(frame, ts_ns, bids, asks))

    def _trade(self, frame: Frame, one: Instrument, data: _Data, events: list[AnyEvent]) -> None:
        one.counts.frames += 1
        ts_ns = check_time(frame, micros_to_ns(data.microtimestamp))
        price, size = float_of(data.price_str), float_of(data.amount_str)
        events.append(one.trade(frame, ts_ns, price, size, _SIDES.get(data.type), str(data.id)))

    def response(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the book that a REST response gives, and the kept diffs that follow it; while it is live: compare.

        Raises:
            FrameError: the body is not an order book.
        """
        one = self._asked_for(frame.url or "")
        if one is None:
            self.aside(None)
            return
        data = decoded(self._decode_book, frame.payload)
        ts_ns = check_time(frame, micros_to_ns(data.microtimestamp))
        listed = listed_orders(data.bids, data.asks)
        bids, asks = folded(listed) if listed else self._scanner.two(data.bids, data.asks)
        if not (bids or asks):
            raise FrameError("an empty order book")
        if self.awaiting(one, frame) is None:
            self.observed(one, frame, ts_ns, bids, asks)
            return
        old = self._too_old(one, ts_ns)
        if old:
            events += one.refuse(frame, ts_ns, f"the book is older than {old}: it bridges nothing")
            one.counts.skipped += 1
            return
        if listed and self._orders.expects(one, LIVE_ORDERS):
            self._orders.whole(frame, one, ts_ns, listed, events)
            return
        self._orders.yields(one)
        events.append(one.snapshot(frame, ts_ns, bids, asks, None))
        self._snapshot_ns[one.symbol] = self._last_ns[one.symbol] = ts_ns
        self._bridge(one, frame, events)

    def _too_old(self, one: Instrument, ts_ns: int) -> str:
        """Say what a book is older than that it should hold, or nothing."""
        if ts_ns <= self._lost_ns.get(one.symbol, 0) or self._before_last(one, ts_ns):
            return "what was lost"
        firsts = [ts_ns for _, ts_ns, _, _ in islice(self._kept.get(one.symbol, ()), 1)] + self._orders.first(one)
        slack_ns = 0 if self.endings.heard(one.conn) else RECORDED_NS
        return "the first change that came" if ts_ns < min(firsts, default=0) - slack_ns else ""

    def _before_last(self, one: Instrument, ts_ns: int) -> bool:
        """Whether a book lacks changes that were applied before the doubt; not where the venue's clock was set back."""
        last_ns, kept = self._last_ns.get(one.symbol, 0), self._kept.get(one.symbol, ())
        return ts_ns < last_ns and not (kept and kept[-1][1] < last_ns)

    def _asked_for(self, url: str) -> Instrument | None:
        """The instrument of a REST book's address ``.../order_book/btcusd/``, or of a tape's ``?symbol=BTC-USD``.

        Some tapes do not say; then it is the only instrument there is.
        """
        if "/order_book/" in url:
            return self._instrument(url.split("/order_book/")[1].split("?", maxsplit=1)[0].strip("/").lower())
        named = url.partition("symbol=")[2]
        if named:
            return self._instrument(self.native(named))
        known = list(self.instruments.values())
        return known[0] if len(known) == 1 and not url.startswith("http") else None

    def _bridge(self, one: Instrument, snapshot: Frame, events: list[AnyEvent]) -> None:
        """Apply rule 3 to the kept diffs."""
        for frame, ts_ns, bids, asks in self._kept.pop(one.symbol, ()):
            one.counts.skipped -= 1
            if ts_ns > self._last_ns[one.symbol]:
                self._last_ns[one.symbol] = ts_ns
                # Known only now, together with the snapshot that it follows.
                events.append(one.delta(msgspec.structs.replace(snapshot, conn=frame.conn), ts_ns, bids, asks))
            else:
                one.counts.duplicates += 1

    def lost(self, frame: Frame, reason: str) -> list[AnyEvent]:
        """Say which books are in doubt; what was kept before a loss is no bridge either, nor any older book."""
        if frame.direction == "rest":
            return self._unreadable_book(frame, reason)
        for one in self.concerned(frame):
            kept = self._kept.pop(one.symbol, ())
            times = [*(ts_ns for _, ts_ns, _, _ in kept), *self._orders.lost(one)]
            # What was lost happened before that, by the venue's clock, however far ours is from it.
            until_ns = frame.ts_recv_ns - self._quick_ns()
            self._lost_ns[one.symbol] = max([until_ns, *times])
        return super().lost(frame, reason)

    def _quick_ns(self) -> int:
        """How much our clock says after the venue's of a quick message; the quickest may have had a damaged time."""
        ways = sorted(self._ways_ns)
        return ways[len(ways) // 8] if ways else 0

    def _unreadable_book(self, frame: Frame, reason: str) -> list[AnyEvent]:
        """A book that cannot be read is missed only where one is waited for; what was kept bridges to the next."""
        with suppress(FrameError):
            one = self._asked_for(frame.url or "")
            if one is not None and not one.live:
                return one.refuse(frame, frame.ts_recv_ns, reason)
        return []


def symbol_of(pair: str) -> str:
    """Return ``BASE-QUOTE`` of a pair's name, by the quote currencies that there are.

    >>> symbol_of("btcusd"), symbol_of("ethpyusd")
    ('BTC-USD', 'ETH-PYUSD')

    Raises:
        FrameError: it ends with none of them.
    """
    quote = next((quote for quote in QUOTES if pair.endswith(quote) and pair != quote), None)
    if quote is None:
        raise FrameError(f"not a Bitstamp pair: {pair[:40]!r}")
    return f"{pair.removesuffix(quote)}-{quote}".upper()


def native_of(symbol: str) -> str:
    """Return a pair's name at the venue.

    >>> native_of("BTC-USD")
    'btcusd'
    """
    return symbol.replace("-", "").lower()


class BitstampFeed(FetchedBookFeed):
    """Bitstamp's public socket and its REST book."""

    url = "wss://ws.bitstamp.net"
    farewell = b'"bts:request_reconnect"'
    ping = '{"event":"bts:heartbeat"}'
    settle_s = 2.0  # REST books are up to a second old: one fetched at once could be older than the first diff
    rest_url = "https://www.bitstamp.net"
    listings = MARKETS
    limits = Limits(
        "https://www.bitstamp.net/api/#section/Response-codes (2026-11): 400 a second and 10,000 in ten minutes",
        rest=Rate(160, 10),
    )  # fmt: skip
    book_channel = _BOOK
    grouping = ""  # of the REST book: by price

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Return the messages that subscribe to books and trades."""
        return [self._request("subscribe", kind, symbol) for symbol in symbols for kind in (self.book_channel, _TRADES)]

    def unsubscribe(self, symbol: str) -> list[str]:
        """Return the messages that end one symbol's book and trades."""
        return [self._request("unsubscribe", kind, symbol) for kind in (self.book_channel, _TRADES)]

    def snapshot_url(self, symbol: str) -> str | None:
        """Return the address of the whole book."""
        return f"{self.rest_url}/api/v2/order_book/{self.native(symbol)}/{self.grouping}"

    def guess(self, symbol: str) -> str:
        """Return Bitstamp's name: ``btcusd``."""
        return native_of(symbol)

    def audit_url(self, symbol: str) -> str | None:
        """Return the same address: the book has its time in microseconds."""
        return self.snapshot_url(symbol)

    def _request(self, kind: str, channel: str, symbol: str) -> str:
        data = {"channel": channel + self.native(symbol)}
        return msgspec.json.encode({"event": f"bts:{kind}", "data": data}).decode()


class BitstampOrdersFeed(BitstampFeed):
    """The same, order by order."""

    book_channel = LIVE_ORDERS
    grouping = "?group=2"


class BitstampBestFeed(BitstampFeed):
    """The same, of the best 100 levels, pushed whole: nothing has to be fetched."""

    book_channel = BEST

    def snapshot_url(self, symbol: str) -> str | None:  # noqa: ARG002 (the base's signature)
        """Return nothing: each push is a whole book."""
        return None


VENUE = Venue("bitstamp", BitstampParser, BitstampFeed, {"orders": BitstampOrdersFeed, "best": BitstampBestFeed})
