"""Coinbase Exchange, the feed that was GDAX's and Coinbase Pro's: level2, level2_batch, matches; full elsewhere.

Rules (https://docs.cdp.coinbase.com/exchange/websocket-feed/channels, 2026-11):

1. ``snapshot`` holds the whole book of ``product_id`` and replaces what was there.
2. ``l2update`` sets the size of each level named, a size of 0 removes it. The venue guarantees that none is left out,
   and numbers none: a loss shows by a crossed book alone. ``level2_batch`` are the same messages, each 50 ms.
3. ``full`` gives every order (``coinbase_full.py``).
4. ``match`` is a trade; its ``side`` is the maker's, its ``trade_id`` rises by one. ``last_match`` is history.

Tapes have them under the name of the venue that they share with Advanced Trade, whose parser hands them over
(``coinbase.py``); where they come from live is ``coinbaseexchange.py``.
"""

from typing import TYPE_CHECKING

import msgspec

from producers.decimals import float_of
from producers.exchanges import coinbase_full
from producers.exchanges.instrument import Instrument
from producers.exchanges.reading import decoded
from producers.exchanges.trade_ids import TradeIds
from producers.frames import Frame
from producers.levels import LevelScanner, levels_of
from producers.times import check_time, iso_to_ns
from quicksilver.errors import FrameError
from quicksilver.events import AnyEvent, Side

if TYPE_CHECKING:
    from producers.exchanges.base import Parser

MESSAGE_TYPES = {
    "snapshot", "l2update", "match", "last_match", "ticker", "heartbeat", "subscriptions", "status", "received", "open",
    "done", "change", "activate",
}  # fmt: skip
BOOKS = {"level2", "level2_batch", "level2_50", "full"}
_MISSING = msgspec.Raw(b"")
_TAKER: dict[str, Side] = {"buy": "sell", "sell": "buy"}


class _Channel(msgspec.Struct):
    name: str = ""
    product_ids: list[str] = []


class _Message(msgspec.Struct):
    type: str
    product_id: str = ""
    bids: msgspec.Raw = _MISSING
    asks: msgspec.Raw = _MISSING
    changes: list[tuple[str, str, str]] = []
    time: str = ""
    trade_id: int = 0
    side: str = ""
    price: str | float | None = ""
    size: str | float | None = ""
    channels: list[_Channel | str] = []


class Exchange:
    """Reads the Exchange's messages for a parser, whose instruments they are of."""

    def __init__(self, parser: "Parser") -> None:
        self._parser = parser
        self._decode = msgspec.json.Decoder(_Message).decode
        self._scanner = LevelScanner()
        self._trade_ids = TradeIds()
        self.full = coinbase_full.Full(parser)

    def message(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the events of one message, of one of ``MESSAGE_TYPES``.

        Raises:
            FrameError: it is unreadable.
        """
        message = decoded(self._decode, frame.payload)
        if message.type not in {"snapshot", "l2update", "last_match", *coinbase_full.NUMBERED}:
            self._other(frame, message, events)
            return
        if "-" not in message.product_id:
            raise FrameError(f"not a Coinbase product: {message.product_id[:40]!r}")
        one = self._parser.instrument(message.product_id)
        one.counts.frames += 1
        if message.type in coinbase_full.NUMBERED:
            new = self.full.message(frame, one, message.type, events)
            if message.type == "match" and new:
                self._match(frame, one, message, events)
        elif self.full.feeds(one) and message.type in {"snapshot", "l2update"}:
            one.counts.skipped += 1
        elif message.type == "snapshot":
            self.full.yields(one)
            bids, asks = self._scanner.two(message.bids, message.asks)
            ts_ns = check_time(frame, iso_to_ns(message.time)) if message.time else frame.ts_recv_ns
            self._parser.observed(one, frame, ts_ns, bids, asks)
            events.append(one.snapshot(frame, ts_ns, bids, asks, None))
        elif message.type == "l2update":
            self._update(frame, one, message, events)
        else:
            self._match(frame, one, message, events)

    def _other(self, frame: Frame, message: _Message, events: list[AnyEvent]) -> None:
        """Take in what carries no market data, and what is subscribed to from now on.

        A product's heartbeat, a second apart, shows that it is not forgotten.
        """
        one = self._parser.instruments.get(message.product_id)
        if one is not None:
            one.counts.frames += 1
        (one or self._parser).counts.skipped += 1
        if message.type == "subscriptions":
            books = [one for one in message.channels if isinstance(one, _Channel) and one.name in BOOKS]
            self._parser.end_all_but(frame, events, [product for one in books for product in one.product_ids])

    def _update(self, frame: Frame, one: Instrument, message: _Message, events: list[AnyEvent]) -> None:
        sides: dict[str, list[tuple[str, str]]] = {"buy": [], "sell": []}
        for side, *level in message.changes:
            if side not in sides:
                raise FrameError(f"a price level that is neither bought nor sold: {side[:40]!r}")
            sides[side].append((level[0], level[1]))
        if not message.changes:
            raise FrameError("no price levels")
        bids, asks = levels_of(sides["buy"]), levels_of(sides["sell"])
        ts_ns = check_time(frame, iso_to_ns(message.time))
        if one.live:
            events.append(one.delta(frame, ts_ns, bids, asks))
        else:
            one.counts.skipped += 1

    def _match(self, frame: Frame, one: Instrument, message: _Message, events: list[AnyEvent]) -> None:
        price, size = float_of(message.price), float_of(message.size)
        ts_ns, history = iso_to_ns(message.time), message.type == "last_match"
        if not history:
            check_time(frame, ts_ns)
        if not self._trade_ids.new(one, message.trade_id, ts_ns):
            return
        if history:
            one.counts.skipped += 1
        else:
            side = _TAKER.get(message.side)
            events.append(one.trade(frame, ts_ns, price, size, side, str(message.trade_id)))
