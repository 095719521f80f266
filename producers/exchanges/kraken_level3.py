"""Kraken v2's ``level3``: every order of the best levels, with a checksum that proves their queues too.

Rules (https://docs.kraken.com/api/docs/websocket-v2/level3 and https://docs.kraken.com/api/docs/guides/spot-ws-l3-v2,
2026-11):

1. A ``snapshot`` lists the orders of the subscribed depth of levels, those of a price as they queue; it replaces what
   was there.
2. An ``update`` has for each order ``add``, ``modify`` or ``delete``; changes apply in the order given.
3. After each message levels beyond the depth are dropped; no removal is sent for them. When a level comes into the
   depth again, all its orders are sent.
4. ``checksum`` is the CRC32 of the ten best levels after the message: of each ask order, best price first and in queue
   order, then of each bid order, price and size as written without the point and leading zeros.
5. Amended orders keep their place "where possible" (https://docs.kraken.com/api/docs/guides/spot-amends): another price
   loses it. Of a larger size that is not said; the checksum tells which of the two it was.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias
from zlib import crc32

import msgspec

from producers.exchanges.instrument import Instrument
from producers.exchanges.reading import decoded, price_of, size_of
from producers.frames import Frame
from producers.times import check_time, iso_to_ns
from quicksilver.errors import FrameError
from quicksilver.events import AnyEvent
from quicksilver.orders import ASK, BID, OrderBook

if TYPE_CHECKING:
    from producers.exchanges.base import Parser

DEPTHS = (10, 100, 1000)
CHECKED = 10  # levels a side
Kind: TypeAlias = Literal["add", "modify", "delete"]
Text: TypeAlias = tuple[bytes, bytes]
"""An order's price and size as the checksum takes them."""


class _Order(msgspec.Struct):
    order_id: str
    limit_price: msgspec.Raw
    order_qty: msgspec.Raw
    event: Kind = "add"


class _Entry(msgspec.Struct):
    symbol: str
    bids: list[_Order]
    asks: list[_Order]
    checksum: int
    timestamp: str = ""


class _Message(msgspec.Struct):
    type: Literal["snapshot", "update"]
    data: list[_Entry]


class _Book:
    """The orders of one symbol and how they are written."""

    def __init__(self, depth: int) -> None:
        self.orders = OrderBook()
        self.depth = depth
        self.texts: dict[str, Text] = {}
        self._grown: list[str] = []  # at their price, by the last message

    def apply(self, side: int, order: _Order) -> None:
        """Apply one order's change.

        Raises:
            FrameError: it has no price or size.
        """
        price, units, text = _read(order)
        known = self.orders.get(order.order_id)
        if order.event == "delete" or not units:
            self.orders.remove(order.order_id)
            self.texts.pop(order.order_id, None)
        elif known is None:
            if order.event == "add":  # else it is of a level that was dropped
                self.orders.add(order.order_id, side, price, units)
                self.texts[order.order_id] = text
        else:
            if price == known.price and units > known.units:
                self._grown.append(order.order_id)
            self.orders.change(order.order_id, price, units, keep=True)
            self.texts[order.order_id] = text

    def agrees(self, checksum: int) -> bool:
        """Whether the book has that checksum; larger orders lose their places if that makes it right."""
        self.orders.truncate(self.depth)
        grown, self._grown = self._grown, []
        if self.checksum() == checksum:
            return True
        for order_id in grown:
            if order_id in self.orders:
                self.orders.to_back(order_id)
        return bool(grown) and self.checksum() == checksum

    def checksum(self) -> int:
        """Return the CRC32 of the best levels."""
        text = b"".join(part for side in (ASK, BID) for one in self._checked(side) for part in self.texts[one])
        return crc32(text)

    def _checked(self, side: int) -> Iterator[str]:
        for _, price in zip(range(CHECKED), self.orders.prices(side), strict=False):
            for order in self.orders.queue(side, price):
                yield str(order.id)

    def forget_dropped(self) -> None:
        """Forget how orders are written that left with their levels."""
        if len(self.texts) > 2 * len(self.orders) + 1000:
            self.texts = {order_id: text for order_id, text in self.texts.items() if order_id in self.orders}


class Level3:
    """Reads the ``level3`` channel for a parser, whose instruments it is of."""

    def __init__(self, parser: "Parser", instrument: Callable[[str], Instrument]) -> None:
        self._parser = parser
        self._instrument = instrument
        self._decode = msgspec.json.Decoder(_Message).decode
        self._books: dict[str, _Book] = {}  # by Kraken's symbol
        self._fed: dict[str, bool] = {}  # whether the last whole book came from here
        self._depths: dict[str, int] = {}  # as acknowledged

    def feeds(self, native: str) -> bool:
        """Whether a live book comes from here, and the ``book`` channel is of no use to it."""
        return self._fed.get(native, False) and self._instrument(native).live

    def yields(self, one: Instrument, native: str) -> None:
        """Leave the book to the ``book`` channel: its snapshot came."""
        if self._fed.pop(native, False):
            del self._parser.order_books[one.symbol]

    def acknowledged(self, native: str, depth: int) -> None:
        """Take note of how many levels a symbol's subscription has."""
        if depth in DEPTHS:
            self._depths[native] = depth

    def message(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the events of one message of the channel.

        Raises:
            FrameError: it cannot be read.
        """
        message = decoded(self._decode, frame.payload)
        if not message.data:
            raise FrameError("a level3 message without data")
        for entry in message.data:
            one = self._instrument(entry.symbol)
            one.counts.frames += 1
            if message.type == "snapshot":
                self._snapshot(frame, one, entry, events)
            else:
                self._update(frame, one, entry, events)

    def _snapshot(self, frame: Frame, one: Instrument, entry: _Entry, events: list[AnyEvent]) -> None:
        if one.live and not self._fed.get(entry.symbol):
            one.counts.skipped += 1  # the book channel feeds it
            return
        levels = max(len({bytes(order.limit_price) for order in side}) for side in (entry.bids, entry.asks))
        depth = self._depths.get(entry.symbol) or next((depth for depth in DEPTHS if depth >= levels), DEPTHS[-1])
        book = self._books[entry.symbol] = _Book(depth)
        ts_ns = self._apply(frame, book, entry)
        if self._proved(one, book, entry):
            self._fed[entry.symbol] = True
            self._parser.order_books[one.symbol] = book.orders
            events.append(one.folded(frame, ts_ns, book.orders.whole(), depth))
        else:
            events += one.refuse(frame, ts_ns, f"checksum {book.checksum()} is not Kraken's {entry.checksum}")

    def _update(self, frame: Frame, one: Instrument, entry: _Entry, events: list[AnyEvent]) -> None:
        if not (one.live and self._fed.get(entry.symbol)):
            one.counts.skipped += 1
            return
        book = self._books[entry.symbol]
        ts_ns = self._apply(frame, book, entry)
        if self._proved(one, book, entry):
            events.append(one.refolded(frame, ts_ns, book.orders.changes()))
            book.forget_dropped()
        else:
            events += one.gap(frame, ts_ns, f"checksum {book.checksum()} is not Kraken's {entry.checksum}")

    @staticmethod
    def _apply(frame: Frame, book: _Book, entry: _Entry) -> int:
        """Apply a message's changes; returns its time."""
        ts_ns = check_time(frame, iso_to_ns(entry.timestamp)) if entry.timestamp else frame.ts_recv_ns
        for side, orders in ((BID, entry.bids), (ASK, entry.asks)):
            for order in orders:
                book.apply(side, order)
        return ts_ns

    @staticmethod
    def _proved(one: Instrument, book: _Book, entry: _Entry) -> bool:
        right = book.agrees(entry.checksum)
        one.counts.checksums_passed += right
        one.counts.checksums_failed += not right
        return right


def _read(order: _Order) -> tuple[float, int, Text]:
    """Return price, units and how both are written.

    Raises:
        FrameError: they are no numbers.
    """
    price_text, size_text = (bytes(raw).strip(b'"') for raw in (order.limit_price, order.order_qty))
    return price_of(price_text), size_of(size_text), (_digits(price_text), _digits(size_text))


def _digits(text: bytes) -> bytes:
    return text.replace(b".", b"").lstrip(b"0")
