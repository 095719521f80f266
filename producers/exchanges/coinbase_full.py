"""Coinbase Exchange's ``full`` channel: every order, with its REST book of level 3.

Rules (https://docs.cdp.coinbase.com/exchange/websocket-feed/channels#full-channel, 2026-11):

1. ``sequence`` counts a product's messages and rises by one. Above the next: messages were lost. One at or below the
   last was seen before, but at 0 it begins anew; ``ticker``, ``heartbeat`` and others have no number of their own.
2. Keep the messages, fetch ``/products/PRODUCT/book?level=3``: all orders, ``[price, size, id]``, at its ``sequence``.
   Drop kept messages up to that number, apply the others; a book older than the first kept message bridges nothing.
3. ``open``: an order rests now, with ``remaining_size``. ``done``: it is gone; ignore it of an order that never rested.
   ``match``: the maker's order shrinks by ``size``. ``change``: an order that rests has ``new_size`` and, where it was
   modified, ``new_price``. ``received`` and ``activate`` change nothing.
4. Orders of a price are matched in the order of their arrival
   (https://docs.cdp.coinbase.com/exchange/concepts/matching-engine).
"""

from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from producers.exchanges.instrument import Instrument
from producers.exchanges.reading import decoded, price_of, size_of, split_address, text_of
from producers.frames import Frame
from producers.times import check_time, iso_to_ns
from quicksilver.errors import FrameError
from quicksilver.events import AnyEvent
from quicksilver.orders import ASK, BID, OrderBook, OrderId, units_of

if TYPE_CHECKING:
    from producers.exchanges.base import Parser

NUMBERED = {"received", "open", "done", "change", "match"}  # types of messages
KEPT_MESSAGES = 200_000  # some minutes of the busiest product
_SIDES = {"buy": BID, "sell": ASK}
_MISSING = msgspec.Raw(b"")


class Told(msgspec.Struct):
    """One message; sizes and prices as they are written."""

    type: str
    product_id: str = ""
    sequence: int = -1
    time: str = ""
    order_id: str = ""
    maker_order_id: str = ""
    side: str = ""
    price: msgspec.Raw = _MISSING
    size: msgspec.Raw = _MISSING
    remaining_size: msgspec.Raw = _MISSING
    new_size: msgspec.Raw = _MISSING
    new_price: msgspec.Raw = _MISSING


class _Whole(msgspec.Struct):
    """A REST book of level 3."""

    sequence: int
    bids: list[tuple[str, str, str]]
    asks: list[tuple[str, str, str]]
    time: str = ""


class _Product:
    def __init__(self) -> None:
        self.book: OrderBook | None = None  # what feeds the symbol's book; None: levels do
        self.kept: deque[tuple[Told, int]] = deque(maxlen=KEPT_MESSAGES)
        self.last = -1


class Full:
    """Reads the channel for a parser, whose instruments it is of."""

    def __init__(self, parser: "Parser") -> None:
        self._parser = parser
        self._decode = msgspec.json.Decoder(Told).decode
        self._decode_whole = msgspec.json.Decoder(_Whole).decode
        self._products: dict[str, _Product] = {}

    def feeds(self, one: Instrument) -> bool:
        """Whether a live book comes from here, and levels are of no use to it."""
        found = self._products.get(one.symbol)
        return found is not None and one.live and found.book is not None

    def yields(self, one: Instrument) -> None:
        """Leave the book to the channel of levels: its whole book came."""
        found = self._products.get(one.symbol)
        if found is not None:
            found.book = None
            self._parser.order_books.pop(one.symbol, None)

    def lost(self, one: Instrument, anew: bool) -> None:
        """Forget what was kept before a loss, and on a new connection what was the last number."""
        found = self._products.get(one.symbol)
        if found is not None:
            found.kept.clear()
            found.last = -1 if anew else found.last

    def message(self, frame: Frame, one: Instrument, kind: str, events: list[AnyEvent]) -> bool:
        """Append what a message of ``NUMBERED`` changes; False if it was seen before.

        Raises:
            FrameError: it cannot be read.
        """
        found = self._products.get(one.symbol)
        if found is None and kind == "match":
            return True  # of the channel ``matches``
        told = decoded(self._decode, frame.payload)
        if told.sequence < 0:
            raise FrameError(f"a {kind} message without a sequence")
        if found is None:
            found = self._products[one.symbol] = _Product()
        ts_ns = check_time(frame, iso_to_ns(told.time))
        last = found.last
        if 0 < told.sequence <= last:
            one.counts.duplicates += 1
            return False
        found.last = told.sequence
        if last >= 0 and told.sequence != last + 1:
            found.kept.clear()
            events += one.gap(frame, ts_ns, f"sequence {told.sequence} after {last}: messages lost")
        self._take(frame, one, found, told, ts_ns, events)
        return True

    def _take(
        self, frame: Frame, one: Instrument, found: _Product, told: Told, ts_ns: int, events: list[AnyEvent]
    ) -> None:
        quiet = told.type == "match"  # it is counted as a trade
        if not one.live:
            one.counts.skipped += not quiet  # until a book calls for it
            found.kept.append((told, ts_ns))
        elif found.book is None:
            one.counts.skipped += not quiet
        else:
            _apply(found.book, told)
            fold = found.book.changes()
            if fold:
                events.append(one.refolded(frame, ts_ns, fold))
            else:
                one.counts.skipped += not quiet

    def product_of(self, frame: Frame) -> str | None:
        """Return the product whose book of level 3 a REST response is."""
        parts = split_address(frame.url or "")
        names = parts.path.strip("/").split("/")
        level = parse_qs(parts.query).get("level", [""])[0]
        return names[1].upper() if len(names) == 3 and names[::2] == ["products", "book"] and level == "3" else None

    def whole(self, frame: Frame, one: Instrument, events: list[AnyEvent]) -> None:
        """Append the book of a REST response, with what was kept applied to it.

        Raises:
            FrameError: it lists no orders.
        """
        whole = decoded(self._decode_whole, frame.payload)
        orders = [*_listed(BID, whole.bids), *_listed(ASK, whole.asks)]
        ts_ns = check_time(frame, iso_to_ns(whole.time)) if whole.time else frame.ts_recv_ns
        if not orders:
            raise FrameError("an empty order book")
        found = self._products.setdefault(one.symbol, _Product())
        first = found.kept[0][0].sequence if found.kept else found.last + 1
        if first > whole.sequence + 1:
            events += one.refuse(frame, ts_ns, f"a book at {whole.sequence}, older than all that was kept from {first}")
            one.counts.skipped += 1
            return
        found.book = OrderBook()
        found.book.load(orders)
        found.last = max(found.last, whole.sequence)
        kept, found.kept = found.kept, deque(maxlen=KEPT_MESSAGES)
        for told, at_ns in kept:
            if told.sequence > whole.sequence:
                _apply(found.book, told)
                ts_ns = max(ts_ns, at_ns)
        self._parser.order_books[one.symbol] = found.book
        events.append(one.folded(frame, ts_ns, found.book.whole()))


def _apply(book: OrderBook, told: Told) -> None:
    """Apply rule 3.

    Raises:
        FrameError: a number that is needed cannot be read.
    """
    if told.type == "open":
        if told.side not in _SIDES:
            raise FrameError(f"an order that neither buys nor sells: {told.side[:40]!r}")
        units = size_of(text_of(told.remaining_size))
        if units:
            book.add(told.order_id, _SIDES[told.side], price_of(text_of(told.price)), units)
    elif told.type == "done":
        book.remove(told.order_id)
    elif told.type == "match":
        if told.maker_order_id in book:
            book.match(told.maker_order_id, size_of(text_of(told.size)))
    elif told.type == "change":
        order = book.get(told.order_id)
        if order is not None:
            price = price_of(text_of(told.new_price)) if told.new_price != _MISSING else order.price
            book.change(told.order_id, price, size_of(text_of(told.new_size)))


def _listed(side: int, rows: list[tuple[str, str, str]]) -> list[tuple[OrderId, int, float, int]]:
    """Return the orders of one side; there may be a hundred thousand.

    Raises:
        FrameError: a price or size is none.
    """
    try:
        return [(order_id, side, price_of(price), units_of(size)) for price, size, order_id in rows]
    except ValueError as error:
        raise FrameError(f"not an order: {error}") from error
