"""What is watched of live feeds: refusals, silent symbols, symbols added and removed; by hand and on real sockets."""

import asyncio
import logging
import time
import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen

from api.hub import SourceInfo
from jobs import feed_watch
from jobs.embedded import EmbeddedRunner
from jobs.feed_watch import REMOVED, FeedWatch
from jobs.live import FeedSource
from jobs.parsers import Parsers
from jobs.recorded import CsvSource
from producers.exchanges.base import ignore
from producers.exchanges.feed import Feed
from producers.exchanges.kraken_feed import KrakenFeed
from producers.exchanges.limits import Limits
from producers.exchanges.venue import venues
from producers.frames import Frame
from producers.simulator.orderflow import Market
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap
from quicksilver.memory import MemoryBus
from quicksilver.records import Status
from tests.simulated import exchange


class Watched:
    """A watch, and the parsers that it watches; frames are given by hand, and time too."""

    def __init__(self, *feeds: Feed) -> None:
        self.feeds = {feed.venue: feed for feed in feeds}
        self.parsers = Parsers(ignore)
        self.watch = FeedWatch(self.feeds, self.parsers)

    async def take(self, venue: str, payload: bytes, url: str | None = None) -> list[AnyEvent]:
        frame = Frame(venue, f"{venue}.1", "rest" if url else "recv", time.time_ns(), payload, url)
        events = self.parsers.parse(frame)
        return events + [event for drop in await self.watch.after(frame) for event in self.parsers.parse(drop)]


def kraken(*symbols: str) -> KrakenFeed:
    return KrakenFeed("kraken", symbols, "ws://127.0.0.1:1")


def kraken_refusal(native: str) -> bytes:
    text = {"error": f"Currency pair not supported {native}", "method": "subscribe", "success": False, "symbol": native}
    return msgspec.json.encode(text)


def kraken_book(native: str) -> bytes:
    head = b'{"channel":"book","type":"snapshot","data":[{"symbol":"%s",' % native.encode()
    return head + b'"bids":[{"price":1.0,"qty":2.0}],"asks":[],"checksum":%d}]}' % CRC


CRC = zlib.crc32(b"1020")  # the only level: its price and its size, less their points


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_watch, "LOOK_S", 0.0)
    monkeypatch.setattr(feed_watch, "REFUSED_S", 0.0)


async def test_a_refused_symbol_is_said_once_and_not_asked_for_again(
    hurried: None, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(kraken("BTC-USD", "BTC-USDX"))
    with caplog.at_level(logging.WARNING, logger=feed_watch.log.name):
        for _ in range(3):
            assert await watched.take("kraken", kraken_refusal("BTC/USDX")) == []
    assert [record.getMessage() for record in caplog.records] == [
        "kraken: Kraken refuses: Currency pair not supported BTC/USDX; nothing comes of BTC-USDX,"
        " see `quicksilver symbols kraken`"
    ]
    assert watched.watch.in_vain("kraken", "BTC-USDX")
    assert not watched.watch.in_vain("kraken", "BTC-USD")


async def test_where_everything_is_refused_nothing_can_start(hurried: None) -> None:
    watched = Watched(kraken("AAA-USD", "BBB-USD"))
    await watched.take("kraken", kraken_refusal("AAA/USD"))
    why = (
        r"^nothing can start: Kraken refuses: Currency pair not supported AAA/USD;"
        r" Kraken refuses: Currency pair not supported BBB/USD; check SYMBOLS= and VENUES=$"
    )
    with pytest.raises(InputError, match=why):
        await watched.take("kraken", kraken_refusal("BBB/USD"))


async def test_what_was_live_once_is_asked_for_again_after_a_refusal_and_ends_no_run(hurried: None) -> None:
    """Venues refuse what they gave before when they are busy, or in maintenance."""
    watched = Watched(kraken("AAA-USD"))
    assert [type(one) for one in await watched.take("kraken", kraken_book("AAA/USD"))] == [BookSnapshot]
    watched.parsers.doubt("kraken", "AAA-USD")
    await watched.take("kraken", kraken_refusal("AAA/USD"))
    assert not watched.watch.in_vain("kraken", "AAA-USD")


async def test_a_refusal_of_something_else_is_forgotten_when_the_book_comes(hurried: None) -> None:
    watched = Watched(kraken("AAA-USD"), KrakenFeed("sim", ["BTC-USD"], "ws://127.0.0.1:1"))
    await watched.take("kraken", b'{"error":"Exceeded msg rate","method":"subscribe","success":false}')
    assert watched.watch.in_vain("kraken", "AAA-USD")
    (snapshot,) = await watched.take("kraken", kraken_book("AAA/USD"))
    assert isinstance(snapshot, BookSnapshot)
    assert not watched.watch.in_vain("kraken", "AAA-USD")
    await watched.take("kraken", kraken_refusal("AAA/USD"))  # such as: subscribed already
    assert not watched.watch.in_vain("kraken", "AAA-USD")


@pytest.mark.parametrize(
    ("venue", "payload", "refused"),
    [
        (
            "bitfinex",
            b'{"channel":"book","symbol":"tETHUSD","event":"error","msg":"symbol: invalid","code":10300}',
            {1},
        ),
        ("bitstamp", b'{"event":"bts:error","channel":"live_trades_ethusd","data":{"code":null,"message":"Bad"}}', {1}),
        ("bitstamp", b'{"event":"bts:error","channel":"","data":{"code":4000,"message":"Bad"}}', {0, 1}),
        ("coinbase", b'{"type":"error","message":"ETH-USD is not a valid product"}', {1}),
        (
            "coinbaseexchange",
            b'{"type":"error","message":"Failed to subscribe","reason":"ETH-USD is not a valid product"}',
            {1},
        ),
        ("coinbaseexchange", b'{"type":"error","message":"ETH-USD-PERP is unknown"}', {0, 1}),
        ("poloniex", b'{"event":"error","message":"Subscription failed (symbol ETH_USD not found)"}', {1}),
        ("poloniex", b'{"event":"error","message":"Invalid channel value [\\"book_lv3\\"]"}', {0, 1}),
        ("binance", b'{"id":1,"error":{"code":2,"msg":"Invalid request: unknown stream ethusd@depth"}}', {1}),
    ],
)
async def test_every_venues_refusals_are_understood(venue: str, payload: bytes, refused: set[int]) -> None:
    symbols = ["BTC-USD", "ETH-USD"]
    watched = Watched(venues()[venue].feed(venue, symbols, "ws://127.0.0.1:1"))
    await watched.take(venue, payload)
    assert {i for i, symbol in enumerate(symbols) if watched.watch.in_vain(venue, symbol)} == refused


async def test_a_removed_symbols_book_ends_in_a_gap_even_if_it_comes_late() -> None:
    watched = Watched(kraken("AAA-USD", "BBB-USD"))
    for native in ("AAA/USD", "BBB/USD"):
        await watched.take("kraken", kraken_book(native))
    watched.watch.unwanted("kraken", "AAA-USD")
    (gap,) = await watched.take("kraken", b'{"channel":"heartbeat"}')
    assert isinstance(gap, Gap)
    assert (gap.symbol, gap.seq, gap.reason) == ("AAA-USD", 2, REMOVED)
    assert await watched.take("kraken", b'{"channel":"heartbeat"}') == []
    kinds = [type(event) for event in await watched.take("kraken", kraken_book("AAA/USD"))]
    assert kinds == [BookSnapshot, Gap]
    watched.watch.wanted("kraken", "AAA-USD")
    assert [type(event) for event in await watched.take("kraken", kraken_book("AAA/USD"))] == [BookSnapshot]


def with_names(sent: Iterable[str], name: str) -> list[str]:
    return [one for one in sent if name in one]


@pytest.mark.parametrize(("venue", "gaps"), [("kraken", 0), ("bitstamp", 1)])
async def test_a_symbol_that_falls_silent_is_subscribed_to_anew_and_no_other(
    venue: str, gaps: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    feed = venues()[venue].feed(venue, ["AAA-USD", "BBB-USD"], "ws://127.0.0.1:1", "http://127.0.0.1:1")
    renewed: list[str] = []

    async def renew(symbol: str) -> None:
        renewed.append(symbol)

    monkeypatch.setattr(feed, "renew", renew)
    watched = Watched(feed)
    events = await books(watched, venue, feed)
    with caplog.at_level(logging.WARNING, logger=feed_watch.log.name):
        for second in range(120):
            now_s += 1.0
            for symbol in ["AAA-USD", "BBB-USD"][second >= 40 :]:
                for _ in range(2):
                    events += await watched.take(venue, message(venue, feed.native(symbol)))
    assert renewed == ["AAA-USD"]
    assert [event.symbol for event in events if isinstance(event, Gap)] == ["AAA-USD"] * gaps
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{venue}: AAA-USD: nothing for 3")
    assert record.getMessage().endswith(" s before: subscribed to anew")


async def books(watched: Watched, venue: str, feed: Feed) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    for symbol in feed.symbols:
        if venue == "kraken":
            events += await watched.take(venue, kraken_book(feed.native(symbol)))
        else:
            await watched.take(venue, message(venue, feed.native(symbol)))
            body = b'{"microtimestamp":"%d","bids":[["1","2"]],"asks":[]}' % (time.time_ns() // 1000)
            events += await watched.take(venue, body, feed.snapshot_url(symbol))
    assert [type(event) for event in events] == [BookSnapshot] * 2
    return events


def message(venue: str, native: str) -> bytes:
    if venue == "bitstamp":
        data = b'{"bids":[["1","3"]],"asks":[],"microtimestamp":"%d"}' % (time.time_ns() // 1000)
        return b'{"data":%s,"channel":"diff_order_book_%s","event":"data"}' % (data, native.encode())
    entry = b'{"symbol":"%s","side":"buy","price":1.5,"qty":1,"trade_id":1,' % native.encode()  # history, seen before
    return b'{"channel":"trade","type":"snapshot","data":[%s"timestamp":"2026-01-01T00:00:00Z"}]}' % entry


# On real sockets.


async def refuse_all(client: ServerConnection) -> None:
    """Kraken, which lists nothing that it is asked for."""
    async for message in client:
        for symbol in msgspec.json.decode(message)["params"]["symbol"]:
            await client.send(kraken_refusal(symbol))
    await client.wait_closed()


async def test_a_run_whose_symbols_are_all_refused_ends_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_watch, "LOOK_S", 0.0)
    monkeypatch.setattr(feed_watch, "REFUSED_S", 0.0)
    before = asyncio.all_tasks()
    async with listen(refuse_all, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        source = FeedSource([KrakenFeed("kraken", ["BTC-USDX"], url)], SourceInfo("LIVE", "a test"))
        with pytest.raises(
            InputError, match=r"^nothing can start: Kraken refuses: Currency pair not supported BTC/USDX"
        ):
            async with asyncio.timeout(60):
                await EmbeddedRunner(source, MemoryBus()).run()
    assert {task for task in asyncio.all_tasks() if "server" not in repr(task)} <= before


class Run:
    """A runner at work on the built-in exchange, and what it has published."""

    def __init__(self, source: FeedSource) -> None:
        self.source = source
        self.events: dict[str, list[AnyEvent]] = {}
        self.states: dict[str, list[tuple[str, str]]] = {}
        bus = MemoryBus()
        bus.subscribe(lambda topic, key, record: self._note(record))
        self.runner = EmbeddedRunner(source, bus)
        taken = source.batches

        async def batches(reject: object) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
            async for received_ns, events in taken(reject):  # type: ignore[arg-type]
                for event in events:
                    self.events.setdefault(event.symbol, []).append(event)
                yield received_ns, events

        source.batches = batches  # type: ignore[method-assign]
        self.task = asyncio.create_task(self.runner.run())

    def _note(self, record: object) -> None:
        if isinstance(record, Status):
            self.states.setdefault(record.symbol, []).append((record.state, record.reason))

    async def until(self, symbol: str, state: str) -> None:
        async with asyncio.timeout(60):
            while not self.task.done() and (self.states.get(symbol) or [("", "")])[-1][0] != state:
                await asyncio.sleep(0.01)
        if self.task.done():
            self.task.result()


class Small(KrakenFeed):
    """Kraken, with two symbols a connection."""

    limits = Limits(channels=4)


@asynccontextmanager
async def running(symbols: list[str]) -> AsyncIterator[Run]:
    market = Market(1, time.time_ns(), ["BTC/USD", "ETH/USD", "SOL/USD", "XRP/USD"])
    async with exchange(market) as server:
        run = Run(FeedSource([Small("kraken", symbols, server.url)], SourceInfo("LIVE", "a test")))
        try:
            yield run
        finally:
            run.task.cancel()
            await asyncio.gather(run.task, return_exceptions=True)


async def test_symbols_come_and_go_while_the_others_go_on_without_a_gap() -> None:
    async with running(["BTC-USD", "ETH-USD", "SOL-USD"]) as run:
        for symbol in ("BTC-USD", "ETH-USD", "SOL-USD"):
            await run.until(symbol, "LIVE")
        await run.runner.add("kraken", "XRP-USD")
        await run.until("XRP-USD", "LIVE")
        assert run.states["XRP-USD"] == [("SYNCING", "waiting for its first book"), ("LIVE", "")]
        await run.runner.remove("kraken", "SOL-USD")
        await run.until("SOL-USD", "GAP")
        async with asyncio.timeout(60):
            while not isinstance(run.events["SOL-USD"][-1], Gap):
                await asyncio.sleep(0.01)
            n = {symbol: len(events) for symbol, events in run.events.items()}
            while len(run.events["BTC-USD"]) < n["BTC-USD"] + 20 or len(run.events["XRP-USD"]) < n["XRP-USD"] + 20:
                await asyncio.sleep(0.01)
        assert len(run.events["SOL-USD"]) == n["SOL-USD"]  # not one more
        assert run.source.instruments == [("kraken", "BTC-USD"), ("kraken", "ETH-USD"), ("kraken", "XRP-USD")]
        assert run.states["SOL-USD"][-1] == ("GAP", REMOVED)
        for symbol in ("BTC-USD", "ETH-USD", "XRP-USD"):
            events = run.events[symbol]
            assert [type(event) for event in events if isinstance(event, BookSnapshot | Gap)] == [BookSnapshot]
            assert sum(isinstance(event, BookDelta) for event in events) > 0
        await run.runner.add("kraken", "SOL-USD")
        await run.until("SOL-USD", "LIVE")
        events = run.events["SOL-USD"]
        assert [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_a_new_venue_is_begun_for_a_symbol_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(["BTC-USD"]) as run, exchange(Market(2, time.time_ns(), ["ADA/USD"])) as other:
        monkeypatch.setitem(venues(), "sim", venues()["kraken"]._replace(name="sim"))
        monkeypatch.setattr(KrakenFeed, "url", other.url)
        monkeypatch.setattr(KrakenFeed, "rest_url", "http://127.0.0.1:1")
        await run.until("BTC-USD", "LIVE")
        await run.runner.add("sim", "ADA-USD")
        await run.until("ADA-USD", "LIVE")
        assert set(run.source.feeds) == {"kraken", "sim"}


async def test_a_venue_has_one_feed_by_whatever_name_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRAKEN_TOKEN", "a token")
    async with running(["BTC-USD"]) as run:
        await run.until("BTC-USD", "LIVE")
        with pytest.raises(InputError, match=r"^kraken/orders: there is kraken already, and a symbol has one book"):
            await run.runner.add("kraken/orders", "ETH-USD")
        await asyncio.gather(*(run.runner.add("kraken", symbol) for symbol in ("ETH-USD", "SOL-USD")))
        assert len(set(run.source.instruments)) == len(run.source.instruments) == 3


async def test_what_cannot_be_added_or_removed_is_said() -> None:
    async with running(["BTC-USD"]) as run:
        with pytest.raises(InputError, match=r"^kraken:BTC-USD is subscribed to already$"):
            await run.runner.add("kraken", "BTC-USD")
        with pytest.raises(InputError, match=r"^kraken:ETH-USD is not subscribed to$"):
            await run.runner.remove("kraken", "ETH-USD")
        with pytest.raises(InputError, match=r"^unknown venue 'mtgox'; there are "):
            await run.runner.add("mtgox", "BTC-USD")


async def test_a_recordings_symbols_are_given(tmp_path: object) -> None:
    path = tmp_path / "BTC-USD.csv"  # type: ignore[operator]
    path.write_text("timestamp,price\n1700000000,1\n1700000060,2\n")
    runner = EmbeddedRunner(CsvSource(path, "max"), MemoryBus())
    with pytest.raises(
        InputError, match=r"^this run plays CSV data, whose symbols are given: only those of live feeds"
    ):
        await runner.add("kraken", "BTC-USD")


async def test_all_open_connections_of_a_feed_that_fails_are_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(["BTC-USD", "ETH-USD", "SOL-USD"]) as run:
        for symbol in ("BTC-USD", "ETH-USD", "SOL-USD"):
            await run.until(symbol, "LIVE")
        feed = run.source.feeds["kraken"]

        async def fail() -> None:
            raise KeyError("a mistake")

        with caplog.at_level(logging.ERROR, logger="jobs.live"):
            feed.spawn(fail)
            for symbol in ("BTC-USD", "ETH-USD", "SOL-USD"):
                await run.until(symbol, "GAP")
        for symbol in ("BTC-USD", "ETH-USD", "SOL-USD"):
            assert isinstance(run.events[symbol][-1], Gap)


async def test_closing_a_source_that_has_grown_leaves_no_task_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    before = asyncio.all_tasks()
    async with exchange(Market(1, time.time_ns(), ["BTC/USD", "ETH/USD"])) as server:
        source = FeedSource([Small("kraken", ["BTC-USD"], server.url)], SourceInfo("LIVE", "a test"))
        async with aclosing(source.batches(ignore)) as batches:  # type: ignore[type-var]
            async with asyncio.timeout(60):
                await anext(batches)
                await source.add("kraken", "ETH-USD")
                await source.remove("kraken", "BTC-USD")
                await anext(batches)
        assert source._tasks == []
    assert asyncio.all_tasks() == before
