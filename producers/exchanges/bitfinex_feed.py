"""Bitfinex's public socket: what is sent and fetched. What comes is read in ``bitfinex.py``."""

from collections.abc import Sequence
from typing import Any

import msgspec

from producers.exchanges.bitfinex_listings import PAIRS, native_of
from producers.exchanges.feed import Feed
from producers.exchanges.limits import Limits, Rate
from quicksilver.codec import UNREADABLE

SEQUENCE, CHECKSUM, TIMESTAMP = 65_536, 131_072, 32_768  # flags of ``conf``


class Event(msgspec.Struct, rename={"channel_id": "chanId"}):
    """A message that is no list: what was subscribed to, what is wrong, what the venue has to say."""

    event: str = ""
    channel: str = ""
    channel_id: int = -1
    symbol: str = ""
    prec: str = ""
    code: int = 0
    msg: str = ""


class BitfinexFeed(Feed):
    """Bitfinex's public socket."""

    url = "wss://api-pub.bitfinex.com/ws/2"
    ping = '{"event":"ping"}'  # its heartbeats are fifteen seconds apart
    rest_url = "https://api-pub.bitfinex.com"
    listings = PAIRS
    limits = Limits(
        "https://docs.bitfinex.com/docs/ws-public and .../docs/requirements-and-limitations (2026-11)",
        connections=Rate(20, 60), channels=25, rest=Rate(30, 60),
    )  # fmt: skip
    precision = "P0"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._channels: dict[tuple[str, str], int] = {}  # by kind and the venue's name

    def greeting(self) -> list[str]:
        """Return the message that asks for numbers, checksums and times."""
        return [_request(event="conf", flags=SEQUENCE | CHECKSUM | TIMESTAMP)]

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Return the messages that subscribe to books and trades."""
        trades = [_request(event="subscribe", channel="trades", symbol=self.native(symbol)) for symbol in symbols]
        return [*(message for symbol in symbols for message in self.subscribe_book(symbol)), *trades]

    def heed(self, payload: bytes) -> None:
        """Take note of a channel's number: only by that can it be left."""
        if not payload.startswith(b"{"):
            return
        try:
            event = msgspec.json.decode(payload, type=Event)
        except UNREADABLE:
            return
        if event.event == "subscribed":
            self._channels[event.channel, event.symbol] = event.channel_id
        elif event.event == "unsubscribed":
            self._channels = {place: number for place, number in self._channels.items() if number != event.channel_id}

    def forget(self, symbols: Sequence[str]) -> None:
        """Forget these symbols' channels: their numbers are those of a connection."""
        gone = {self.native(symbol) for symbol in symbols}
        self._channels = {place: number for place, number in self._channels.items() if place[1] not in gone}

    def unsubscribe(self, symbol: str) -> list[str]:
        """Return the messages that end one symbol's book and trades."""
        return [*self.unsubscribe_book(symbol), *self._leave("trades", symbol)]

    def unsubscribe_book(self, symbol: str) -> list[str]:
        """Return the message that ends one book."""
        return self._leave("book", symbol)

    def _leave(self, channel: str, symbol: str) -> list[str]:
        number = self._channels.pop((channel, self.native(symbol)), None)
        return [] if number is None else [_request(event="unsubscribe", chanId=number)]

    async def _restate(self, symbol: str) -> None:
        """Subscribe to the trades anew, too: who has not heard the number of their channel cannot tell them."""
        await self.renew(symbol)

    def guess(self, symbol: str) -> str:
        """Return Bitfinex's name: ``tBTCUSD``, ``tDUSK:USD``."""
        return native_of(symbol)

    def subscribe_book(self, symbol: str) -> list[str]:
        """Return the message that asks for one book; it follows."""
        name = self.native(symbol)
        return [_request(event="subscribe", channel="book", symbol=name, prec=self.precision, freq="F0", len="250")]

    def audit_url(self, symbol: str) -> str | None:
        """Return the address of the best levels; there is none of more than 100 a side."""
        return f"{self.rest_url}/v2/book/{self.native(symbol)}/P0?len=100"


def _request(**fields: object) -> str:
    return msgspec.json.encode(fields).decode()


class BitfinexOrdersFeed(BitfinexFeed):
    """The same, order by order."""

    precision = "R0"
