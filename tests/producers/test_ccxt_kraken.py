"""A venue that we have a file for, through ccxt at the same time: both see the same books and trades."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.hub import SourceInfo
from jobs.live import FeedSource
from producers.exchanges import ccxt_session
from producers.exchanges.base import ignore
from producers.exchanges.ccxt_exchange import new_exchange
from producers.exchanges.ccxt_parser import CcxtParser
from producers.exchanges.ccxt_session import Session
from producers.exchanges.feed import Feed
from producers.exchanges.kraken import KrakenParser
from producers.exchanges.kraken_feed import KrakenFeed
from producers.exchanges.venue import venue_named
from producers.frames import Frame
from producers.simulator.orderflow import Market
from producers.tapes import read_frames
from quicksilver.book import Book
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Trade
from tests.producers.faults import play
from tests.simulated import exchange

NATIVE, THROUGH = "kraken", "ccxt-kraken"
COMMON = 150  # books of one millisecond to compare
CURRENCIES = {
    "XXBT": {"altname": "XBT", "decimals": 10, "display_decimals": 5},
    "ZUSD": {"altname": "USD", "decimals": 4, "display_decimals": 2},
}
PAIRS = {
    "XXBTZUSD": {
        "altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD", "lot": "unit", "pair_decimals": 1,
        "lot_decimals": 8, "lot_multiplier": 1, "leverage_buy": [], "leverage_sell": [], "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]], "ordermin": "0.00005", "costmin": "0.5", "tick_size": "0.1", "status": "online",
    }
}  # fmt: skip


@asynccontextmanager
async def rest() -> AsyncIterator[str]:
    """Kraken's REST interface, as far as ccxt asks for markets (https://docs.kraken.com/api/docs/rest-api)."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        body = msgspec.json.encode({"error": [], "result": PAIRS if b"AssetPairs" in path else CURRENCIES})
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        writer.write(head % len(body) + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Seen:
    """What one venue's events say: the ten best levels at the end of each millisecond, and trades by their number."""

    def __init__(self) -> None:
        self.book = Book()
        self.tops: dict[int, Any] = {}
        self.trades: dict[str | None, tuple[Any, ...]] = {}

    def take(self, event: AnyEvent) -> None:
        if isinstance(event, Trade):
            self.trades[event.trade_id] = event.price, event.size, event.side, event.ts_event_ns // 1_000_000
        apply(self.book, [event])
        if isinstance(event, BookDelta):
            self.tops[event.ts_event_ns // 1_000_000] = [side[:, :2].tolist() for side in self.book.top(10)]


@pytest.mark.parametrize("tape", ["crossbook/kraken_btcusd_sample.cbcap", "crossbook/kraken_btcusd_l2.cbcap"])
async def test_a_real_recording_gives_the_same_books_message_by_message(
    tapes: Path, tape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rest() as rest_url:
        exchange = new_exchange(NATIVE, None, rest_url, None)
        await exchange.load_markets()
    said: list[Frame] = []
    session = Session(exchange, THROUGH, "ccxt-kraken.1", {"BTC-USD": "BTC/USD"}, said.append, pytest.fail)
    session.listen()
    client = exchange.client("wss://ws.kraken.com/v2")
    ours, theirs, parsers = Book(), Book(), (KrakenParser(), CcxtParser(THROUGH))
    compared = 0
    for frame in read_frames(tapes / tape):
        monkeypatch.setattr(ccxt_session, "time", Clock(frame.ts_recv_ns))
        exchange.handle_message(client, msgspec.json.decode(frame.payload))
        events = [parsers[0].parse(frame), play(parsers[1], said)]
        said.clear()
        for book, found in zip((ours, theirs), events, strict=True):
            apply(book, found)
        compared += bool(events[1])
        depth = max(*ours.levels, 1)
        assert [side.tolist() for side in theirs.top(depth)] == [side.tolist() for side in ours.top(depth)]
    assert compared == parsers[0].instruments["BTC-USD"].counts.checksums_passed > 300
    await exchange.close()


class Clock:
    """Time as it was when a frame was received."""

    def __init__(self, now_ns: int) -> None:
        self.time_ns = lambda: now_ns
        self.monotonic = lambda: now_ns / 1e9


def apply(book: Book, events: list[AnyEvent]) -> None:
    for event in events:
        assert not isinstance(event, Gap)
        if isinstance(event, BookSnapshot):
            book.snapshot(event.bids, event.asks, event.depth)
        elif isinstance(event, BookDelta):
            assert not book.apply(event.bids, event.asks)


async def test_ccxts_kraken_gives_the_same_books_and_trades_as_ours() -> None:
    seen = {NATIVE: Seen(), THROUGH: Seen()}
    new_exchange("kraken", None, None, None)  # to import it takes seconds, in which the market would hurry ahead
    market = Market(1, time.time_ns(), ["BTC/USD"])
    async with exchange(market, speed=5.0) as server, rest() as rest_url:
        feeds: list[Feed] = [
            KrakenFeed(NATIVE, ["BTC-USD"], server.url),
            venue_named("ccxt:kraken").feed(THROUGH, ["BTC-USD"], server.url, rest_url),
        ]
        async with aclosing(FeedSource(feeds, SourceInfo("LIVE", "a test")).batches(ignore)) as batches:  # type: ignore[type-var]
            async with asyncio.timeout(60):
                async for _, events in batches:
                    for event in events:
                        seen[event.venue].take(event)
                    if len(seen[THROUGH].tops) > COMMON and seen[THROUGH].trades:
                        break
    ours, theirs = seen[NATIVE], seen[THROUGH]
    last = min(max(ours.tops), max(theirs.tops))  # the other feed may not have read all of that millisecond
    common = [ms for ms in theirs.tops if ms in ours.tops and ms < last]
    assert len(common) > COMMON // 2
    assert [theirs.tops[ms] for ms in common] == [ours.tops[ms] for ms in common]
    numbers = theirs.trades.keys() & ours.trades.keys()
    assert numbers
    assert {number: theirs.trades[number] for number in numbers} == {number: ours.trades[number] for number in numbers}
