"""Bitfinex v2's raw books (R0): every order of the best ones.

Rules (https://docs.bitfinex.com/reference/ws-public-raw-books and
https://docs.bitfinex.com/docs/ws-websocket-checksum, 2026-11):

1. The first message of a channel is the whole book, ``[[id, price, amount], ...]``, and replaces what was there. A
   positive amount is a bid, a negative one an ask.
2. Then ``[id, price, amount]`` sets one order; a price of 0 removes it, as one that falls out of the subscribed length.
3. ``cs`` is the CRC32 of the ids and amounts of the best 25 orders a side, a bid and an ask in turn.

How orders of the same price follow each other is not said. In our book they queue as they came, those of the whole
book as it lists them; in the venue's own example the smaller id goes first
(https://gist.github.com/prdn/b9c9c24fb1bb38604dcd1e94ee89dd9e). The book is right if either makes the checksum right.
"""

from collections.abc import Iterator
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING, NamedTuple

from producers.exchanges.bitfinex_levels import signed_crc32
from producers.exchanges.instrument import Instrument
from producers.frames import Frame
from quicksilver.errors import FrameError
from quicksilver.events import AnyEvent
from quicksilver.orders import ASK, BID, Order, OrderBook, units_of

if TYPE_CHECKING:
    from producers.exchanges.base import Parser

CHECKED = 25  # orders a side


class _Told(NamedTuple):
    id: int
    price: float
    side: int
    units: int
    text: bytes  # id and amount as the checksum takes them


class _Book:
    def __init__(self) -> None:
        self.orders = OrderBook()
        self.texts: dict[int, bytes] = {}

    def apply(self, told: _Told) -> None:
        """Take in what a message says of one order."""
        known = self.orders.get(told.id)
        if not told.price:
            self.orders.remove(told.id)
            self.texts.pop(told.id, None)
            return
        if known is None or known.side != told.side:
            self.orders.add(told.id, told.side, told.price, told.units)
        else:
            self.orders.change(told.id, told.price, told.units)
        self.texts[told.id] = told.text

    def checksums(self) -> Iterator[int]:
        """Yield the signed CRC32 of the best orders, as they queue and by their ids."""
        for by_id in (False, True):
            sides = [list(islice(self._best(side, by_id), CHECKED)) for side in (BID, ASK)]
            texts = [text for text in chain.from_iterable(zip_longest(*sides)) if text is not None]
            yield signed_crc32(texts)

    def _best(self, side: int, by_id: bool) -> Iterator[bytes]:
        for price in self.orders.prices(side):
            queue = self.orders.queue(side, price)
            for order in sorted(queue, key=_id_of) if by_id else queue:
                yield self.texts[_id_of(order)]


class Raw:
    """Reads raw books for a parser, whose instruments they are of."""

    def __init__(self, parser: "Parser") -> None:
        self._parser = parser
        self._books: dict[str, _Book] = {}

    def feeds(self, one: Instrument) -> bool:
        """Whether a live book comes from here, and levels are of no use to it."""
        return one.live and one.symbol in self._books

    def yields(self, one: Instrument) -> None:
        """Leave the book to the channel of levels: its whole book came."""
        if self._books.pop(one.symbol, None) is not None:
            del self._parser.order_books[one.symbol]

    def whole(self, frame: Frame, one: Instrument, ts_ns: int, body: bytes, events: list[AnyEvent]) -> None:
        """Append the whole book.

        Raises:
            FrameError: it is none.
        """
        if one.live and not self.feeds(one):
            one.counts.skipped += 1  # levels feed it
            return
        book = _Book()
        for text in body[2:-2].split(b"],[") if len(body) > 2 else []:
            told = _told(text)
            if not told.price:
                raise FrameError("a whole book with an order that is removed")
            book.apply(told)
        self._books[one.symbol] = book
        self._parser.order_books[one.symbol] = book.orders
        events.append(one.folded(frame, ts_ns, book.orders.whole()))

    def update(self, frame: Frame, one: Instrument, ts_ns: int, body: bytes, events: list[AnyEvent]) -> None:
        """Append what a change of one order changes.

        Raises:
            FrameError: it is none.
        """
        told = _told(body[1:-1])
        if not self.feeds(one):
            one.counts.skipped += 1
            return
        book = self._books[one.symbol]
        book.apply(told)
        fold = book.orders.changes()
        if fold:
            events.append(one.refolded(frame, ts_ns, fold))
        else:
            one.counts.duplicates += 1  # an order that is gone already

    def check(self, frame: Frame, one: Instrument, ts_ns: int, number: int, events: list[AnyEvent]) -> None:
        """Compare with the venue's checksum; append a gap if the book is wrong."""
        if not self.feeds(one):
            one.counts.skipped += 1
            return
        ours = list(self._books[one.symbol].checksums())
        if number in ours:
            one.counts.checksums_passed += 1
        else:
            one.counts.checksums_failed += 1
            events += one.gap(frame, ts_ns, f"checksum {ours[0]} is not Bitfinex's {number}")


def _id_of(order: Order) -> int:
    return int(order.id)


def _told(text: bytes) -> _Told:
    """Read ``id,price,amount``.

    Raises:
        FrameError: it is not that.
    """
    try:
        number, price_text, amount = text.split(b",")
        identity, price = int(number), float(price_text)
        units = units_of(amount.lstrip(b"-").decode())
    except ValueError as error:
        raise FrameError(f"not an order: {error}") from error
    if not (0 <= price < float("inf") and units and identity > 0):
        raise FrameError(f"not an order: {text[:60]!r}")
    return _Told(identity, price, int(amount.startswith(b"-")), units, number + b":" + amount)
