"""Poloniex's push API, of which there are only tapes: it was switched off in August 2022.

Rules (https://web.archive.org/web/2021/https://docs.poloniex.com/#websocket-api):

1. A message is ``[channel, number, [change, ...]]``; a channel is one pair's, and its number rises by one.
2. The first has ``["i", {"currencyPair": "USDT_BTC", "orderBook": [asks, bids]}]``, prices to sizes: the whole book.
   The quote currency comes first. A number far below the last one began anew: what lay between is not known.
3. ``["o", side, price, size, ...]`` sets a level, side 1 is a bid; size 0 removes it.
4. ``["t", id, side, price, size, seconds, ...]`` is a trade, side 1 bought by the taker.
5. Channels from 1000 on are not a pair's: tickers, heartbeats.

Books have no time of their own: they have that of their arrival.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from producers.decimals import float_of
from producers.exchanges.base import NEAR
from producers.exchanges.instrument import Instrument
from producers.frames import Frame
from producers.levels import levels_of
from producers.times import check_time
from quicksilver.codec import UNREADABLE
from quicksilver.errors import ForeignFrameError, FrameError
from quicksilver.events import SECOND_NS, AnyEvent

if TYPE_CHECKING:
    from producers.exchanges.base import Parser

FIRST_OTHER = 1000
COINS = {"STR": "XLM"}  # renamed since
_BAD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # of a list that is none of these messages


class Push:
    """Reads messages of the push API for a parser, whose instruments they are of."""

    def __init__(self, parser: "Parser") -> None:
        self._parser = parser
        self._decode = msgspec.json.Decoder(list[Any]).decode
        self._channels: dict[int, Instrument] = {}
        self._last: dict[int, int] = {}

    def message(self, frame: Frame, events: list[AnyEvent]) -> None:
        """Append the events of one message.

        Raises:
            FrameError: it is unreadable.
        """
        try:
            message = self._decode(frame.payload)
            channel = int(message[0])
        except (*UNREADABLE, *_BAD) as error:
            raise FrameError(str(error)) from error
        if channel < 0:
            raise FrameError(f"not a channel: {channel}")
        if channel >= FIRST_OTHER or len(message) == 2:  # an acknowledgement
            self._parser.counts.skipped += 1
            return
        if len(message) != 3 or not isinstance(message[2], list):
            raise ForeignFrameError("not a message of Poloniex's push API")
        try:
            self._changes(frame, channel, int(message[1]), message[2], events)
        except _BAD as error:
            raise FrameError(f"not a message of Poloniex's push API: {error!r}") from error

    def _changes(self, frame: Frame, channel: int, number: int, changes: list[Any], events: list[AnyEvent]) -> None:
        kinds = {change[0] for change in changes}
        if "i" in kinds:
            self._start(frame, channel, number, changes, events)
            return
        one = self._channels.get(channel)
        if one is None or not one.live:
            (one.counts if one is not None else self._parser.counts).skipped += 1
            return
        one.counts.frames += 1
        last = self._last[channel]
        if last - NEAR < number <= last:
            one.counts.duplicates += 1
        elif number != last + 1:
            lost = f"{number - last - 1} lost" if number > last else "the numbers began anew"
            events += one.gap(frame, frame.ts_recv_ns, f"message {number} after {last}: {lost}")
        else:
            self._apply(frame, one, changes, events)
            self._last[channel] = number

    def _start(self, frame: Frame, channel: int, number: int, changes: list[Any], events: list[AnyEvent]) -> None:
        whole = next(change[1] for change in changes if change[0] == "i")
        quote, underscore, base = str(whole["currencyPair"]).partition("_")
        if not (quote and underscore and base):
            raise FrameError(f"not a Poloniex pair: {quote[:40]!r}")
        one = self._parser.instrument(f"{COINS.get(base, base)}-{COINS.get(quote, quote)}")
        asks, bids = (levels_of(side.items()) for side in whole["orderBook"])
        one.counts.frames += 1
        self._parser.observed(one, frame, frame.ts_recv_ns, bids, asks)
        events.append(one.snapshot(frame, frame.ts_recv_ns, bids, asks, None))
        self._channels[channel], self._last[channel] = one, number

    def _apply(self, frame: Frame, one: Instrument, changes: list[Any], events: list[AnyEvent]) -> None:
        sides: tuple[list[Any], list[Any]] = ([], [])
        trades = []
        for change in changes:
            if change[0] == "o":
                sides[0 if change[1] == 1 else 1].append(change[2:4])
            elif change[0] == "t":
                trades.append(change)
            else:
                raise FrameError(f"an unknown change {change[0]!r}")
        bids, asks = levels_of(sides[0]), levels_of(sides[1])
        made = []
        for _, number, side, price, size, seconds, *_ in trades:
            ts_ns = check_time(frame, int(seconds) * SECOND_NS)
            made.append((ts_ns, float_of(price), float_of(size), "buy" if side == 1 else "sell", str(number)))
        if bids or asks:
            events.append(one.delta(frame, frame.ts_recv_ns, bids, asks))
        events += [one.trade(frame, *fields) for fields in made]  # type: ignore[arg-type]
