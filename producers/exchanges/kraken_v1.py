"""Kraken, websocket v1: book and trade, as older tapes have them.

Rules (https://docs.kraken.com/api/docs/websocket-v1/book and .../trade, 2026-11):

1. A message is ``[channel, body, ..., "book-1000", "XBT/USD"]``, of a book with one body, or two if both sides change.
2. ``as`` and ``bs`` are the whole book within the subscribed depth; it has no checksum. ``a`` and ``b`` set levels,
   size 0 removes one; a fourth element ``r`` says that a level comes into the depth again.
3. As of v2 (``kraken.py``): levels beyond the depth are dropped; ``c`` is the CRC32 of the best ten after the message.
4. A trade is ``[price, size, seconds, "b" or "s", ...]``, the side is the taker's. It has no number.
"""

from typing import TYPE_CHECKING

import msgspec

from producers.decimals import float_of
from producers.exchanges.instrument import Instrument
from producers.exchanges.kraken_checksum import ChecksumBook
from producers.frames import Frame
from producers.levels import LevelScanner
from producers.times import check_time, seconds_to_ns
from quicksilver.codec import UNREADABLE
from quicksilver.errors import ForeignFrameError, FrameError
from quicksilver.events import AnyEvent, Side

if TYPE_CHECKING:
    from producers.exchanges.base import Parser

COINS = {"XBT": "BTC", "XDG": "DOGE"}
LEAST_PARTS = 4
DEPTHS = (10, 25, 100, 500, 1000)  # levels a side that can be subscribed to, of v2 too
_MISSING, _NONE = msgspec.Raw(b""), msgspec.Raw(b"[]")
_SIDES: dict[str, Side] = {"b": "buy", "s": "sell"}


class _Book(msgspec.Struct, rename={"whole_asks": "as", "whole_bids": "bs", "asks": "a", "bids": "b", "checksum": "c"}):
    whole_asks: msgspec.Raw = _MISSING
    whole_bids: msgspec.Raw = _MISSING
    asks: msgspec.Raw = _MISSING
    bids: msgspec.Raw = _MISSING
    checksum: str = ""


class V1:
    """Reads v1 messages for a parser, whose instruments they are of."""

    def __init__(self, parser: "Parser") -> None:
        self._parser = parser
        self._decode = msgspec.json.Decoder(list[msgspec.Raw]).decode
        self._decode_book = msgspec.json.Decoder(_Book).decode
        self._decode_rows = msgspec.json.Decoder(list[list[str]]).decode
        self._scanner = LevelScanner()
        self._books: dict[str, ChecksumBook] = {}

    def message(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the events of one message.

        Raises:
            FrameError: it is unreadable, or not Kraken's.
        """
        try:
            parts = self._decode(frame.payload)
            if len(parts) < LEAST_PARTS:
                raise ForeignFrameError("not a Kraken v1 message: it names no channel and pair")
            channel, pair = (msgspec.json.decode(part, type=str) for part in parts[-2:])
            if channel == "trade":
                self._trades(frame, self._instrument(pair), self._decode_rows(parts[1]), events)
            elif channel.startswith("book-"):
                one, depth = self._instrument(pair), int(channel.removeprefix("book-"))
                if depth not in DEPTHS:  # memory is made for so many levels
                    raise FrameError(f"not a depth of Kraken's books: {channel[:40]!r}")
                self._book(frame, one, depth, [self._decode_book(part) for part in parts[1:-2]], events)
            else:
                self._parser.counts.skipped += 1
        except (*UNREADABLE, ValueError, IndexError) as error:
            raise FrameError(str(error)) from error

    def _instrument(self, pair: str) -> Instrument:
        base, slash, quote = pair.partition("/")
        if not (base and slash and quote):
            raise FrameError(f"not a Kraken pair: {pair[:40]!r}")
        return self._parser.instrument(f"{COINS.get(base, base)}-{COINS.get(quote, quote)}".upper())

    def _book(self, frame: Frame, one: Instrument, depth: int, parts: list[_Book], events: list[AnyEvent]) -> None:
        one.counts.frames += 1
        whole = parts[0]
        if bytes(whole.whole_bids) and bytes(whole.whole_asks):
            whole_book = self._books[one.symbol] = ChecksumBook(depth)
            bids, asks, _ = whole_book.read(self._scanner, whole.whole_bids, whole.whole_asks)
            self._parser.observed(one, frame, frame.ts_recv_ns, bids, asks)
            events.append(one.snapshot(frame, frame.ts_recv_ns, bids, asks, depth))
            return
        if not one.live:
            one.counts.skipped += 1
            return
        book = self._books.get(one.symbol)
        if book is None:
            raise FrameError(f"a change of v1 to {one.symbol}, whose book is of v2")
        bids_text = next((part.bids for part in parts if bytes(part.bids)), _NONE)
        asks_text = next((part.asks for part in parts if bytes(part.asks)), _NONE)
        bids, asks, ours = book.read(self._scanner, bids_text, asks_text)
        ts_ns, theirs = self._time(frame, bids_text, asks_text), parts[-1].checksum
        if f"{ours:.0f}" == theirs:
            one.counts.checksums_passed += 1
            events.append(one.delta(frame, ts_ns, bids, asks))
        else:
            one.counts.checksums_failed += 1
            events += one.gap(frame, ts_ns, f"checksum {ours:.0f} is not Kraken's {theirs}")

    def _time(self, frame: Frame, *sides: msgspec.Raw) -> int:
        """The venue's time of a message: that of its newest change; levels that come into the depth again are older."""
        rows = [row for side in sides for row in self._decode_rows(side)]
        return check_time(frame, max(seconds_to_ns(row[2]) for row in rows)) if rows else frame.ts_recv_ns

    def _trades(self, frame: Frame, one: Instrument, rows: list[list[str]], events: list[AnyEvent]) -> None:
        one.counts.frames += 1
        for price, size, seconds, side, *_ in rows:
            ts_ns = check_time(frame, seconds_to_ns(seconds))
            events.append(one.trade(frame, ts_ns, float_of(price), float_of(size), _SIDES.get(side), None))
