"""The simulated Kraken on a real local websocket, read by the project's own live Kraken feed."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from producers.exchanges.kraken import KrakenParser
from producers.exchanges.kraken_feed import KrakenFeed
from producers.simulator.orderflow import Market
from producers.simulator.serving import serve_venue
from producers.simulator.venue_server import VenueServer
from producers.simulator.venues.kraken import KrakenEngine
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS, AnyEvent, BookDelta, BookSnapshot, Gap, Trade
from tests.simulated import corrupt, drop, exchange

START_NS = 1_790_000_000 * SECOND_NS


def market(*symbols: str, rate: float = 1.0) -> Market:
    return Market(1, START_NS, list(symbols) or ["BTC/USD"], rate)


class Reader:
    """The live feed and parser, as the runner has them."""

    def __init__(self, url: str, *symbols: str) -> None:
        self.feed = KrakenFeed("kraken", symbols, url)
        self.parser = KrakenParser("kraken")
        self.frames = self.feed.frames()
        self.events: list[AnyEvent] = []

    async def until(self, kind: type[AnyEvent], symbol: str) -> AnyEvent:
        """Read on to the next event of that kind."""
        async for frame in self.frames:
            # An ordinal, for simulated time is not ours, and the parser refuses events that come before they happen.
            found = self.parser.parse(type(frame)("kraken", frame.conn, frame.direction, 1, frame.payload))
            self.events += found
            for event in found:
                if isinstance(event, kind) and event.symbol == symbol:
                    return event
        raise AssertionError("the feed ended")

    async def close(self) -> None:
        """Read what is left of a connection that the exchange has closed, then end the feed."""
        async for frame in self.frames:
            if frame.direction == "disconnect":
                break
        await self.frames.aclose()


@asynccontextmanager
async def reading(*names: str, **options: Any) -> AsyncIterator[tuple[VenueServer, Reader]]:
    """A busy exchange and the live feed on it; the exchange goes first."""
    async with AsyncExitStack() as stack:
        async with exchange(market(*names), speed=20.0, **options) as server:
            reader = Reader(server.url, *(name.replace("/", "-") for name in names))
            stack.push_async_callback(reader.close)
            yield server, reader


async def drain(client: ClientConnection) -> None:
    """Read to the end of the connection."""
    while True:
        await client.recv()


async def test_the_live_feed_reads_books_and_trades() -> None:
    async with reading("BTC/USD", "ETH/USD") as (server, reader):
        assert server.url.startswith("ws://127.0.0.1:")
        for symbol in ("BTC-USD", "ETH-USD"):
            await reader.until(Trade, symbol)
            await reader.until(BookDelta, symbol)
    assert [type(event) for event in reader.events[:2]] == [BookSnapshot, BookSnapshot]
    for one in reader.parser.instruments.values():
        assert one.counts.checksums_passed > 1
        assert one.counts.checksums_failed == one.counts.gaps == 0


@pytest.mark.parametrize("fault", [corrupt, drop])
async def test_a_fault_opens_a_gap_in_one_symbol_and_a_resync_ends_it(
    fault: Callable[[VenueServer, str], None],
) -> None:
    async with reading("BTC/USD", "ETH/USD") as (server, reader):
        await reader.until(BookDelta, "ETH-USD")
        fault(server, "ETH-USD")
        await reader.until(Gap, "ETH-USD")
        await reader.feed.resync("ETH-USD")
        await reader.until(BookSnapshot, "ETH-USD")
        await reader.until(BookDelta, "ETH-USD")
    assert reader.parser.instruments["ETH-USD"].counts.gaps == 1
    assert reader.parser.instruments["BTC-USD"].counts.gaps == 0


async def test_the_feed_comes_back_after_a_disconnect() -> None:
    async with reading("BTC/USD") as (server, reader):
        await reader.until(BookDelta, "BTC-USD")
        server.disconnect_all()
        await reader.until(Gap, "BTC-USD")
        await reader.until(BookSnapshot, "BTC-USD")
        await reader.until(BookDelta, "BTC-USD")
    assert reader.parser.instruments["BTC-USD"].counts.checksums_failed == 0


async def test_clients_subscribe_for_themselves_and_all_get_the_same_bytes() -> None:
    request = {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}}
    async with (
        exchange(market(), speed=20.0) as server,
        connect(server.url) as first,
        connect(server.url) as second,
        connect(server.url) as idle,
    ):
        for client in (first, second):
            await client.send(json.dumps(request))
        seen = [await _updates(client, 30) for client in (first, second)]
        common = [text for text in seen[0] if text in set(seen[1])]
        assert common
        assert common == [text for text in seen[1] if text in set(seen[0])]
        assert '"channel":"status"' in str(await idle.recv())
        await idle.send('{"method":"ping","req_id":7}')
        assert json.loads(await idle.recv())["req_id"] == 7


async def _updates(client: ClientConnection, n: int) -> list[str]:
    texts: list[str] = []
    while len(texts) < n:
        text = str(await client.recv())
        if '"channel":"book","type":"update"' in text:
            texts.append(text)
    return texts


async def test_a_subscriber_hears_heartbeats() -> None:
    async with exchange(market(rate=0.01)) as server, connect(server.url) as client:
        await client.send('{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"]}}')
        while str(await client.recv()) != '{"channel":"heartbeat"}':
            pass


async def test_a_client_that_does_not_read_is_dropped_and_the_others_go_on() -> None:
    async with reading("BTC/USD", max_backlog=64 << 10) as (server, reader):
        await reader.until(BookSnapshot, "BTC-USD")
        async with connect(server.url, max_queue=1, ping_interval=None) as sleeper:
            book = '"params":{"channel":"book","symbol":["BTC/USD"],"depth":1000}'
            while not server.dropped:  # each round is 80 kB that nobody takes
                for method in ("subscribe", "unsubscribe"):
                    await sleeper.send(f'{{"method":"{method}",{book}}}')
                await asyncio.sleep(0)
            with pytest.raises(ConnectionClosed):
                await drain(sleeper)
        await reader.until(BookDelta, "BTC-USD")
    assert server.dropped == 1
    assert reader.parser.instruments["BTC-USD"].counts.checksums_failed == 0


async def test_leaving_closes_every_connection_and_frees_the_port() -> None:
    async with exchange(market()) as server:
        client = await connect(server.url)
        await client.recv()
    with pytest.raises(ConnectionClosed) as closed:
        await drain(client)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    port = int(server.rest_url.rsplit(":", 1)[1])
    async with serve_venue(VenueServer(KrakenEngine(market())), port=port) as again:
        assert again.url == server.url


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
async def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(InputError, match="speed"):
        async with exchange(market(), speed=speed):
            pass
