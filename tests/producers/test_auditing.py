"""Whole books fetched now and then: from where, when, and how each venue's is read."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import zstandard
from websockets.asyncio.server import serve as listen

from api.hub import SourceInfo
from jobs.embedded import EmbeddedRunner
from jobs.live import FeedSource
from producers import audit_path, audits
from producers.exchanges import auditing
from producers.exchanges import feed as feed_module
from producers.exchanges.base import Observation, Parser
from producers.exchanges.bitstamp import BitstampFeed
from producers.exchanges.feed import Feed
from producers.exchanges.venue import venues
from producers.frames import Frame
from producers.tapes import read_frames
from quicksilver.events import Levels
from quicksilver.memory import MemoryBus
from quicksilver.records import Audit, DeadLetter, Published, Status

LIVE = "market-aggregator/2026-08-09-btc-usd-live.jsonl.gz"
NOW_NS = 1_790_000_000_000_000_000
Answer = Callable[[str], tuple[int, bytes, bytes]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "LEAST_S", 0.0)
    monkeypatch.setattr(feed_module, "APART_S", 0.0)
    monkeypatch.setattr(audits, "PATIENCE_NS", 200_000_000)
    monkeypatch.setattr(audit_path, "OWN_TIME_NS", 100_000_000)


@asynccontextmanager
async def rest(answer: Answer) -> AsyncIterator[str]:
    """An HTTP server whose status, body and headers for a path are ``answer``'s."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        status, body, headers = answer(head.split()[1].decode())
        text = b"HTTP/1.1 %d x\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n"
        writer.write(text % (status, headers, len(body)) + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def silent_venue() -> AsyncIterator[str]:
    async with listen(lambda client: client.wait_closed(), "127.0.0.1", 0, close_timeout=1) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def bitstamp_book(*bids: list[str]) -> bytes:
    now = str(time.time_ns() // 1000)
    return msgspec.json.encode(
        {"microtimestamp": now, "bids": [["99", "1"], *bids, ["95", "3"]], "asks": [["101", "1"]]}
    )


class Plain(Feed):
    """A venue that gives its books on the socket and, to compare with, by REST."""

    url = rest_url = ""

    def subscribe(self, symbols: object) -> list[str]:
        return []

    def unsubscribe_book(self, symbol: str) -> list[str]:
        return []

    def subscribe_book(self, symbol: str) -> list[str]:
        return []

    def audit_url(self, symbol: str) -> str | None:
        return None if symbol == "NO-NE" else f"{self.rest_url}/{symbol}"


# When


async def test_each_symbol_has_its_turn() -> None:
    async with silent_venue() as url, rest(lambda path: (200, path.encode(), b"")) as books:
        feed = Plain("v", ["A-B", "NO-NE", "C-D"], url, books)
        feed.audit_every_s = 0.06
        async with asyncio.timeout(60), aclosing(feed.frames()) as frames:
            taken = [frame async for frame, _ in zip_first(frames, 5)]
    assert [(one.direction, one.payload, one.url) for one in taken] == [
        ("connect", b"", url),
        *[("audit", f"/{name}".encode(), f"{books}/{name}") for name in ("A-B", "C-D", "A-B", "C-D")],
    ]
    assert {one.conn for one in taken} == {"v.1"}


async def zip_first(frames: AsyncIterator[Frame], n: int) -> AsyncIterator[tuple[Frame, int]]:
    for i in range(n):
        yield await anext(frames), i


async def test_no_audits_unless_they_are_wanted() -> None:
    asked: list[str] = []

    def answer(path: str) -> tuple[int, bytes, bytes]:
        asked.append(path)
        return 200, b"", b""

    async with silent_venue() as url, rest(answer) as books:
        async with aclosing(Plain("v", ["A-B"], url, books).frames()) as frames:
            await anext(frames)
            await asyncio.sleep(0.2)
    assert asked == []


async def test_a_book_that_does_not_come_is_said_and_a_venue_that_wants_rest_has_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked: list[float] = []

    def answer(path: str) -> tuple[int, bytes, bytes]:
        asked.append(time.monotonic())
        return (429, b"", b"Retry-After: 1\r\n") if len(asked) == 1 else (200, b"ok", b"")

    async with silent_venue() as url, rest(answer) as books:
        feed = Plain("v", ["A-B"], url, books)
        feed.audit_every_s = 0.02
        with caplog.at_level(logging.WARNING, logger=auditing.log.name):
            async with asyncio.timeout(60), aclosing(feed.frames()) as frames:
                while (await anext(frames)).direction != "audit":
                    pass
    assert asked[1] - asked[0] >= 0.9
    assert [one.getMessage() for one in caplog.records] == [
        f"no book of A-B to compare with from {books}/A-B (HTTP 429)"
    ]


async def test_a_live_book_is_compared_and_one_that_stays_different_is_asked_for_anew() -> None:
    """The venue's book gets a level that no message tells of: a loss that Bitstamp's protocol cannot show."""
    answers: list[bytes] = []

    def answer(path: str) -> tuple[int, bytes, bytes]:
        answers.append(bitstamp_book(*[["98", "2"]] * (len(answers) >= 5)))
        return 200, answers[-1], b""

    records: list[Published] = []
    bus = MemoryBus()
    bus.subscribe(lambda topic, key, record: records.append(record))
    async with silent_venue() as url, rest(answer) as books:
        feed = BitstampFeed("bitstamp", ["BTC-USD"], url, books)
        feed.settle_s, feed.audit_every_s = 0.0, 0.1
        runner = asyncio.create_task(EmbeddedRunner(FeedSource([feed], SourceInfo("LIVE", "a test")), bus).run())
        try:
            async with asyncio.timeout(60):
                while [one.state for one in records if isinstance(one, Status)] != ["SYNCING", "LIVE", "GAP", "LIVE"]:
                    assert not runner.done()
                    await asyncio.sleep(0.02)
        finally:
            runner.cancel()
            await asyncio.gather(runner, return_exceptions=True)
    found = [one for one in records if isinstance(one, Audit)]
    differ = [one for one in found if one.reason]
    gap = next(one for one in records if isinstance(one, Status) and one.state == "GAP")
    assert found[: -len(differ)]
    assert {one.reason for one in differ} == {"1 of 4 levels differ, most of all bid 98, 0 there and 2 at the venue"}
    assert gap.reason == f"3 audits in a row differ: {differ[0].reason}"
    first = found[0]
    assert (first.venue, first.symbol, first.levels, first.best_bid_equal) == ("bitstamp", "BTC-USD", 3, True)


# How


def first_rest(tapes: Path, name: str, venue: str) -> bytes:
    return next(one.payload for one in read_frames(tapes / name) if one.venue == venue and one.direction == "rest")


def poloniex_body(tapes: Path) -> bytes:
    packed = (tapes / "gocryptotrader/poloniex_http.json.zst").read_bytes()
    routes = msgspec.json.decode(zstandard.ZstdDecompressor().stream_reader(packed).read())["routes"]
    return msgspec.json.encode(routes["/markets/BTC_USDT/orderBook"]["GET"][0]["data"])


def body_of(venue: str, tapes: Path) -> bytes:
    """A recorded answer; of Bitfinex, of which there is none, its documentation's."""
    if venue == "kraken":
        return (tapes / "xchange/xchange-kraken/kraken/dto/marketdata/example-depth-data.json").read_bytes()
    if venue == "coinbaseexchange":
        return (tapes / "coinbase-pro-node/rest/products/BTC-USD/book/level-2.json").read_bytes()
    if venue == "poloniex":
        return poloniex_body(tapes)
    if venue == "bitfinex":
        return b"[[8744.9,2,0.45603413],[8744.8,3,1.25],[8745,1,-0.5],[8745.1,4,-8.09]]"
    name = "hftbacktest/spot/btcusdt_20240808.gz" if venue.startswith("binance") else LIVE
    return first_rest(tapes, name, venue.removesuffix("usdm"))


BESTS = {  # symbol, time of its own, number, best bid, best ask, levels a side
    "kraken": ("BTC-EUR", 0, None, [526.26, 0.5], [530.75513, 0.248]),
    "coinbase": ("BTC-USD", 1786253080770329000, None, [64735.24, 0.08], [64735.25, 0.0647934]),
    "coinbaseexchange": ("BTC-USD", 0, 115151757, [9739.0, 2767.455474], [9739.02, 0.0]),
    "bitstamp": ("BTC-USD", 1786253022027556000, None, [64739.06, 0.69480723], [64739.07, 0.0]),
    "bitfinex": ("BTC-USD", 0, None, [8744.9, 0.45603413], [8745.0, 0.5]),
    "poloniex": ("BTC-USDT", 1742832730542000000, None, [88350.21, 0.140201], [88350.22, 0.019937]),
    "binance": ("BTC-USDT", 0, 50093239218, [61837.63, 3.78826], [61837.64, 0.0]),
    "binanceusdm": ("BTC-USDT", 0, 50093239218, [61837.63, 3.78826], [61837.64, 0.0]),
}


def seen_by(parser: Parser, frame: Frame, symbol: str) -> list[Observation]:
    """What a parser whose book of that symbol is live shows of a frame."""
    seen: list[Observation] = []
    parser.observers.append(seen.append)
    one = parser.instrument(symbol)
    if hasattr(parser, "_pairs"):
        parser._pairs[parser.native(symbol)] = one
    one.snapshot(frame, frame.ts_recv_ns, Levels.of([]), Levels.of([]), None)
    assert parser.parse(frame) == []
    assert one.counts.skipped == 1
    return seen


@pytest.mark.parametrize("name", sorted(set(venues()) & set(BESTS)))
def test_what_is_fetched_is_read(name: str, tapes: Path) -> None:
    letters: list[DeadLetter] = []
    symbol, ts_ns, number, bid, ask = BESTS[name]
    url = venues()[name].feed(name, [symbol]).audit_url(symbol)
    assert url is not None
    now_ns = ts_ns + 1_000 if ts_ns else NOW_NS
    frame = Frame(name, "c", "rest", now_ns, body_of(name, tapes), url)
    parser = venues()[name].parser(name, letters.append)
    (seen,) = seen_by(parser, frame, symbol)
    assert (seen.one.symbol, seen.frame, seen.ts_event_ns, seen.number) == (symbol, frame, ts_ns or now_ns, number)
    assert max(seen.bids) == bid
    assert min(seen.asks)[0] == ask[0]
    assert ask[1] in {0.0, min(seen.asks)[1]}
    assert not letters
    torn = msgspec.structs.replace(frame, payload=frame.payload[:-9])
    assert parser.parse(torn) == []  # no gap: nothing of the book is lost
    assert [letter.payload for letter in letters] == [torn.payload]
    other = msgspec.structs.replace(frame, url="https://example.org/elsewhere")
    assert parser.parse(other) == []
    assert len(letters) == 1


def test_every_venue_that_has_a_rest_interface_is_audited() -> None:
    named = {name for name, venue in venues().items() if venue.feed(name, ["BTC-USD"]).audit_url("BTC-USD")}
    assert named >= set(BESTS)
