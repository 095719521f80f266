"""Bitstamp: diff_order_book, order_book, live_trades, and the REST book.

https://www.bitstamp.net/websocket/v2/ and https://www.bitstamp.net/api/#tag/Order-book (2026-11); the letter of the
messages is that of recordings of 2021 and 2026. ``bts:request_reconnect`` comes before the venue closes a connection.
"""

import msgspec

from producers.simulator.orderflow import Market, Step
from producers.simulator.venues.base import (
    NO_BOOK,
    Answer,
    Changes,
    Message,
    Notice,
    Post,
    Session,
    VenueEngine,
    json,
    listed,
)
from producers.simulator.venues.text import pair, price, size
from quicksilver.events import SECOND_NS

CHANNELS = ("diff_order_book", "order_book", "live_trades")
BEST = 100  # levels a side of order_book


class _Channel(msgspec.Struct):
    channel: str = ""


class _Request(msgspec.Struct):
    event: str
    data: _Channel = msgspec.field(default_factory=_Channel)


class BitstampEngine(VenueEngine):
    """Bitstamp's public channels over a simulated market."""

    listings_path = "/api/v2/markets"
    rest_books = True

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self._decode = msgspec.json.Decoder(_Request).decode
        self._pairs = {symbol.replace("-", "").lower(): symbol for symbol in self.books}
        self._back_ns = dict.fromkeys(self.books, 0)  # how far the times of a symbol have been set back

    def greet(self, session: Session) -> None:
        """Greet with nothing."""

    def request(self, session: Session, text: str | bytes) -> list[Message]:
        """Return the answer to a message of the client's."""
        try:
            request = self._decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [_error("Incorrect JSON format.")]
        if request.event == "bts:heartbeat":
            return [_said("bts:heartbeat", "", {"status": "success"})]
        channel = request.data.channel
        kind, _, name = channel.rpartition("_")
        if request.event not in {"bts:subscribe", "bts:unsubscribe"}:
            return [_error("Bad event string.")]
        if kind not in CHANNELS or name not in self._pairs:
            return [_error("Bad subscription string.")]
        stream = (kind, self._pairs[name])
        if request.event == "bts:unsubscribe":
            session.streams.pop(stream, None)
            return [_said("bts:unsubscription_succeeded", channel, {})]
        session.streams[stream] = 0
        return [_said("bts:subscription_succeeded", channel, {})]

    def _times(self, symbol: str, ts_ns: int) -> str:
        micros = (ts_ns - self._back_ns[symbol]) // 1_000
        return f'"timestamp":"{micros // 1_000_000}","microtimestamp":"{micros}"'

    def _data(self, channel: str, symbol: str, bids: Changes, asks: Changes) -> str:
        book = self.books[symbol]
        sides = (listed([pair(book, *one) for one in some]) for some in (bids, asks))
        bid_text, ask_text = sides
        return (
            f'{{"data":{{{self._times(symbol, self.now_ns)},"bids":{bid_text},"asks":{ask_text}}},'
            f'"channel":"{channel}_{symbol.replace("-", "").lower()}","event":"data"}}'
        )

    def changed(self, symbol: str, bids: Changes, asks: Changes) -> list[Post]:
        """Tell the readers of diff_order_book what changed, and those of order_book all of its best levels."""
        posts: list[Post] = []
        readers = self.readers("diff_order_book", symbol)
        if readers:
            text = self._data("diff_order_book", symbol, bids, asks)
            message = self.told(text, symbol, bids, asks)
            posts += [(session, message) for session in readers]
        readers = self.readers("order_book", symbol)
        if readers:
            book = self.books[symbol]
            best = ([(key, side.lots[key]) for key in side.keys[:BEST]] for side in (book.bids, book.asks))
            message = Message(self._data("order_book", symbol, *best), "snapshot", symbol, self.truth(symbol))
            posts += [(session, message) for session in readers]
        return posts

    def traded(self, symbol: str, step: Step) -> list[Post]:
        """Tell the readers of live_trades, a message for each."""
        book, name, posts = self.books[symbol], symbol.replace("-", "").lower(), []
        readers = self.readers("live_trades", symbol)
        for fill in step.fills if readers else ():
            amount, worth, orders = size(book, fill.lots), price(book, fill.price), 2 * fill.trade_id
            buyer, seller = (orders + 1, orders) if fill.side == "buy" else (orders, orders + 1)
            micros = fill.ts_ns // 1_000
            text = (
                f'{{"data":{{"id":{fill.trade_id},"timestamp":"{micros // 1_000_000}","amount":{float(amount)!r},'
                f'"amount_str":"{amount}","price":{float(worth)!r},"price_str":"{worth}",'
                f'"type":{0 if fill.side == "buy" else 1},"microtimestamp":"{micros}","buy_order_id":{buyer},'
                f'"sell_order_id":{seller}}},"channel":"live_trades_{name}","event":"trade"}}'
            )
            posts += [(session, Message(text, "trade", symbol)) for session in readers]
        return posts

    def reset(self, symbol: str) -> None:
        """Set the symbol's clock back by a minute: there are no numbers to begin anew."""
        super().reset(symbol)
        self._back_ns[symbol] += 60 * SECOND_NS

    def notice(self) -> Notice:
        """Ask to connect anew, then close."""
        return Notice(['{"event":"bts:request_reconnect","channel":"","data":""}'], True, [])

    def listings(self) -> bytes:
        """Return the markets."""
        return json([self._market(native, symbol) for native, symbol in self._pairs.items()])

    def _market(self, native: str, symbol: str) -> dict[str, object]:
        (base, counter), listing = symbol.split("-"), self.books[symbol].listing
        return {
            "name": f"{base}/{counter}", "market_symbol": native, "base_currency": base,
            "base_decimals": listing.qty_decimals, "counter_currency": counter,
            "counter_decimals": listing.price_decimals, "minimum_order_value": "10", "trading": "Enabled",
            "instant_order_counter_decimals": 2,
        }  # fmt: skip

    def book_at(self, target: str) -> Answer:
        """Return the whole book."""
        parts = target.partition("?")[0].strip("/").split("/")
        if parts[:3] != ["api", "v2", "order_book"] or len(parts) != 4 or parts[3] not in self._pairs:
            return NO_BOOK
        symbol = self._pairs[parts[3]]
        truth, saved, book = self.truth(symbol), self.saved(symbol), self.books[symbol]
        bids, asks = (listed([pair(book, *one) for one in side]) for side in (saved.bids, saved.asks))
        body = f'{{{self._times(symbol, saved.ts_ns)},"bids":{bids},"asks":{asks}}}'
        return Answer(200, body.encode(), symbol, truth)


def _said(event: str, channel: str, data: object) -> Message:
    return Message(json({"event": event, "channel": channel, "data": data}).decode())


def _error(message: str) -> Message:
    return _said("bts:error", "", {"code": None, "message": message})


ENGINE = BitstampEngine
