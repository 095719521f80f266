"""The order-by-order feeds against a local venue: a real websocket and a real REST book, bridged to a live book."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from producers.exchanges.bitstamp import BitstampOrdersFeed
from producers.exchanges.coinbaseexchange import CoinbaseExchangeOrdersFeed
from producers.exchanges.feed import Feed
from producers.exchanges.kraken_feed import TOKEN, KrakenOrdersFeed
from producers.exchanges.venue import feed_of, parser_of
from producers.frames import Frame
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot
from tests.producers import test_bitstamp_channels as bitstamp
from tests.producers import test_full_coinbase as coinbase
from tests.producers import test_level3_kraken as kraken


class Venue:
    """Sends ``first`` when it is subscribed to, answers REST requests with ``body``, and sends ``then`` after those."""

    def __init__(self, first: Sequence[bytes], body: bytes, then: Sequence[bytes]) -> None:
        self.first, self.body, self.then = first, body, then
        self.asked: list[str] = []
        self.heard: list[bytes] = []
        self.fetched = asyncio.Event()
        if not body:
            self.fetched.set()

    def answer(self, client: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return None
        self.asked.append(request.path)
        self.fetched.set()
        return client.respond(200, self.body.decode())

    async def talk(self, client: ServerConnection) -> None:
        self.heard.append(str(await client.recv()).encode())
        for payload in self.first:
            await client.send(payload.decode())
        await self.fetched.wait()
        await asyncio.sleep(0.3 if self.body else 0.0)  # until the answer has been read
        for payload in self.then:
            await client.send(payload.decode())
        await client.wait_closed()


@contextlib.asynccontextmanager
async def address_of(venue: Venue) -> AsyncIterator[str]:
    async with serve(venue.talk, "127.0.0.1", 0, process_request=venue.answer) as server:
        yield f"127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def events_of(feed: Feed, name: str, enough: int) -> tuple[list[AnyEvent], list[Frame]]:
    """Read and parse until there are so many events."""
    parser = parser_of(name, lambda letter: pytest.fail(letter.reason))
    events: list[AnyEvent] = []
    frames: list[Frame] = []
    async with asyncio.timeout(60), contextlib.aclosing(feed.frames()) as stream:
        async for frame in stream:
            frames.append(frame)
            clock = frame if frame.direction == "send" else msgspec.structs.replace(frame, ts_recv_ns=1)
            events += parser.parse(clock)
            if len(events) >= enough:
                break
    return events, frames


def run(feed_type: type[Feed], name: str, symbol: str, venue: Venue, enough: int) -> tuple[list[AnyEvent], list[Frame]]:
    async def both() -> tuple[list[AnyEvent], list[Frame]]:
        async with address_of(venue) as address:
            feed = feed_type(name, [symbol], f"ws://{address}", f"http://{address}")
            return await events_of(feed, name, enough)

    return asyncio.run(both())


def test_bitstamp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BitstampOrdersFeed, "settle_s", 0.0)
    first = [bitstamp.ACK.payload, bitstamp.order("order_created", 4, 0, "99.5", "2", 90).payload]
    then = [bitstamp.order("order_deleted", 4, 0, "99.5", "2", 400).payload]
    venue = Venue(first, bitstamp.WHOLE.payload, then)
    events, _ = run(BitstampOrdersFeed, "bitstamp", "BTC-USD", venue, 2)
    assert venue.asked == ["/api/v2/order_book/btcusd/?group=2"]
    assert b"live_orders_btcusd" in venue.heard[0]
    whole = events[0]
    assert isinstance(whole, BookSnapshot)
    assert whole.bids.tolist()[0] == [99.5, 3.0]
    assert isinstance(events[1], BookDelta)


def test_coinbase_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CoinbaseExchangeOrdersFeed, "settle_s", 0.0)
    first = [coinbase.opened(n, f"o{n}", "buy", "97", "1").payload for n in (10, 11)]
    venue = Venue(first, coinbase.BOOK.payload, [coinbase.opened(12, "z", "buy", "96", "1").payload])
    events, _ = run(CoinbaseExchangeOrdersFeed, "coinbaseexchange", "ETH-USD", venue, 2)
    assert venue.asked == ["/products/ETH-USD/book?level=3"]
    assert isinstance(events[0], BookSnapshot)
    assert isinstance(events[1], BookDelta)
    assert list(events[1].bids) in ([[97.0, 1.0]], [[96.0, 1.0]])  # as soon as the book came


def test_kraken_and_nobody_sees_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "a-secret")
    sides = kraken.Venue(larger_goes_back=False)
    first = kraken.snapshot(*sides.sides, kraken.EXAMPLE)
    venue = Venue([], b"", [first.payload, sides.step(0, "add", 1, "1.50000000").payload])
    events, frames = run(KrakenOrdersFeed, "kraken", "BTC-USD", venue, 2)
    assert [type(event) for event in events] == [BookSnapshot, BookDelta]
    assert b"a-secret" in venue.heard[0]
    sent = [frame.payload for frame in frames if frame.direction == "send"]
    assert any(b"level3" in payload for payload in sent)
    assert not any(b"a-secret" in frame.payload for frame in frames)


@pytest.mark.parametrize("which", ["", "/orders", "/best"])
def test_bitstamp_leaves_the_channels_that_it_subscribed_to(which: str) -> None:
    feed = feed_of(f"bitstamp{which}", ["BTC-USD"])
    left = [message.replace("bts:unsubscribe", "bts:subscribe") for message in feed.unsubscribe("BTC-USD")]
    assert left == feed.subscribe(["BTC-USD"])
