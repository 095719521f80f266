"""The live feed against small local servers: what it sends, what it survives, and that it ends when told to."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from email.utils import formatdate
from http import HTTPStatus
from itertools import islice

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from producers.exchanges import feed as feed_module
from producers.exchanges.bitfinex_feed import BitfinexFeed
from producers.exchanges.bitstamp import BitstampFeed
from producers.exchanges.coinbase import CoinbaseFeed
from producers.exchanges.coinbaseexchange import CoinbaseExchangeFeed
from producers.exchanges.feed import Feed
from producers.exchanges.kraken_feed import KrakenFeed
from producers.exchanges.limits import Limits
from producers.exchanges.poloniex import PoloniexFeed
from producers.exchanges.retrying import backoff, retry_after_s
from producers.frames import Frame

SYMBOLS = ["BTC-USD", "ETH-USD"]
BOOK = b'{"microtimestamp":"1700000000000000","bids":[["1","2"]],"asks":[["3","4"]]}'
Said = tuple[str, bytes]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for milliseconds where the feed waits for seconds."""
    monkeypatch.setattr(feed_module, "CONNECT_RETRY_S", 0.02)
    monkeypatch.setattr(feed_module, "APART_S", 0.0)
    monkeypatch.setattr(feed_module, "SNAPSHOT_RETRY_S", 0.02)


class Venue:
    """A websocket server that notes what it is sent, and does with each connection what the test says."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[list[str]] = []
        self.closed = 0
        self.refusals: Iterator[HTTPStatus | None] = iter(())
        self.then: Callable[[ServerConnection], Awaitable[None]] = ServerConnection.wait_closed

    def greet(self, client: ServerConnection, request: Request) -> Response | None:
        status = next(self.refusals, None)
        return client.respond(status, "not now\n") if status else None

    async def handle(self, client: ServerConnection) -> None:
        heard: list[str] = []
        self.received.append(heard)
        reading = asyncio.create_task(self._hear(client, heard))
        try:
            await self.then(client)
        finally:
            reading.cancel()
            await client.close()
            self.closed += 1

    async def _hear(self, client: ServerConnection, heard: list[str]) -> None:
        with suppress(ConnectionClosed):
            while True:
                heard.append(str(await client.recv()))


@asynccontextmanager
async def venue() -> AsyncIterator[Venue]:
    made = Venue()
    async with listen(made.handle, "127.0.0.1", 0, process_request=made.greet, close_timeout=1) as server:
        made.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield made


@asynccontextmanager
async def rest(*answers: tuple[int, bytes] | tuple[int, bytes, bytes]) -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP server that gives these answers (status, body, headers) in turn, the last one for ever.

    Gives its address and what was asked.
    """
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        status, body, *more = answers[min(len(asked), len(answers) - 1)]
        asked.append(head.split()[1].decode())
        head = b"HTTP/1.1 %d x\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n"
        writer.write(head % (status, b"".join(more), len(body)) + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def take(frames: AsyncGenerator[Frame, None], n: int) -> list[Frame]:
    async with asyncio.timeout(60):
        return [await anext(frames) for _ in range(n)]


async def until(frames: AsyncGenerator[Frame, None], *directions: str) -> list[Frame]:
    """Read until each of these directions has come, in this order."""
    taken: list[Frame] = []
    async with asyncio.timeout(60):
        for direction in directions:
            taken.append(await anext(frames))
            while taken[-1].direction != direction:
                taken.append(await anext(frames))
    return taken


def said(frames: Sequence[Frame]) -> list[tuple[str, str, bytes, str | None]]:
    return [(frame.conn, frame.direction, frame.payload, frame.url) for frame in frames]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("producers.exchanges.")]


@pytest.mark.parametrize(
    "kind", [KrakenFeed, CoinbaseFeed, BitstampFeed, BitfinexFeed, PoloniexFeed, CoinbaseExchangeFeed]
)
async def test_a_feed_subscribes_and_its_frames_say_what_was_sent_and_received(kind: type[Feed]) -> None:
    async def greet(client: ServerConnection) -> None:
        await client.send("hello")
        await client.send(b"\xff\x00")
        await client.wait_closed()

    async with venue() as server, rest((200, BOOK)) as (books, _):
        server.then = greet
        feed = kind("v", SYMBOLS, server.url, books)
        started = time.time_ns()
        messages = [*feed.greeting(), *feed.subscribe(SYMBOLS)]
        async with aclosing(feed.frames()) as frames:
            taken = await until(frames, "connect", *["send"] * len(messages), "recv", "recv")
        assert server.received == [messages]
    no_rest = [frame for frame in taken if frame.direction != "rest"]
    assert said(no_rest) == [
        ("v.1", "connect", b"", server.url),
        *(("v.1", "send", message.encode(), None) for message in messages),
        ("v.1", "recv", b"hello", None),
        ("v.1", "recv", b"\xff\x00", None),
    ]
    times = [frame.ts_recv_ns for frame in taken]
    assert times == sorted(times)
    assert started <= times[0] <= times[-1] <= time.time_ns()


async def test_a_venue_that_wants_to_hear_something_is_pinged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PING_S", 0.01)

    async def answer(client: ServerConnection) -> None:
        async for message in client:
            await client.send(message)

    async with venue() as server:
        server.then = answer
        feed = PoloniexFeed("v", SYMBOLS, server.url)
        async with aclosing(feed.frames()) as frames:
            taken = await until(frames, "connect", "send", "send", "send", "recv", "send", "recv")
    pings = [frame.direction for frame in taken if frame.payload == feed.ping.encode()]
    assert {"send", "recv"} == set(pings)


async def test_a_feed_that_is_closed_by_the_server_says_so_and_connects_again() -> None:
    async def close_with_a_reason(client: ServerConnection) -> None:
        await client.close(1012, "restart")

    async with venue() as server:
        server.then = close_with_a_reason
        feed = KrakenFeed("kraken", SYMBOLS, server.url)
        messages = [("send", message.encode()) for message in feed.subscribe(SYMBOLS)]
        async with aclosing(feed.frames()) as frames:
            taken = await until(frames, "disconnect", "disconnect")
    for number in (1, 2):
        of_one = [frame for frame in taken if frame.conn == f"kraken.{number}"]
        assert of_one[0].direction == "connect"
        assert [(frame.direction, frame.payload) for frame in of_one[1:-1]] == messages[: len(of_one) - 2]
        assert of_one[-1].direction == "disconnect"
        assert b"1012 (service restart) restart" in of_one[-1].payload


async def test_a_venue_that_asks_for_it_is_connected_to_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bitstamp's is to be followed at once (https://www.bitstamp.net/websocket/v2/); it closes some seconds later."""

    async def ask(client: ServerConnection) -> None:
        await client.send('{"event":"bts:request_reconnect","channel":"","data":""}')
        await client.wait_closed()

    monkeypatch.setattr(feed_module, "APART_S", 0.05)
    async with venue() as server, rest((200, BOOK)) as (books, _):
        server.then = ask
        async with aclosing(BitstampFeed("bitstamp", SYMBOLS, server.url, books).frames()) as frames:
            taken = await until(frames, "disconnect", "connect")
    last = [frame for frame in taken if frame.conn == "bitstamp.1"][-1]
    assert (last.direction, last.payload) == ("disconnect", b"the venue asks to connect anew")


async def test_a_server_that_closes_at_once_is_not_stormed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def close(client: ServerConnection) -> None:
        await client.close()

    monkeypatch.setattr(feed_module, "APART_S", 0.2)
    async with venue() as server:
        server.then = close
        started = time.monotonic()
        async with aclosing(KrakenFeed("kraken", SYMBOLS, server.url).frames()) as frames:
            await until(frames, "connect", "connect", "connect", "connect")
        assert time.monotonic() - started >= 3 * 0.2
        assert len(server.received) == 4


async def test_a_silent_server_is_left_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "QUIET_S", 0.1)
    async with venue() as server:
        feed = KrakenFeed("kraken", SYMBOLS, server.url)
        async with aclosing(feed.frames()) as frames:
            taken = await until(frames, "disconnect", "connect", "send", "send")
        messages = feed.subscribe(SYMBOLS)
        once = [("connect", b""), *(("send", message.encode()) for message in messages)]
        assert [(frame.direction, frame.payload) for frame in taken] == [
            *once, ("disconnect", b"silent for 0.1 s"), *once,
        ]  # fmt: skip
        assert server.received == [messages, messages]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (HTTPStatus.SERVICE_UNAVAILABLE, "does not accept a connection now (HTTP 503)"),
        (
            HTTPStatus.FORBIDDEN,
            "refuses connections from here (HTTP 403): it may not serve this country or network;"
            " choose other venues with VENUES=",
        ),
        (
            HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS,
            "refuses connections from here (HTTP 451): it may not serve this country or network;"
            " choose other venues with VENUES=",
        ),
        (
            HTTPStatus.TOO_MANY_REQUESTS,
            "says that too many connections came from here (HTTP 429); waiting before the next",
        ),
    ],
)
async def test_a_refused_handshake_is_tried_again_and_said_once(
    status: HTTPStatus, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with venue() as server:
        server.refusals = iter([status, status])
        with caplog.at_level(logging.WARNING, logger="producers.exchanges"):
            async with aclosing(KrakenFeed("kraken", SYMBOLS, server.url).frames()) as frames:
                (first,) = await take(frames, 1)
    assert said([first]) == [("kraken.1", "connect", b"", server.url)]
    host = server.url.removeprefix("ws://")
    assert warnings(caplog) == [f"kraken: {host} {why}; trying again", "kraken: connected again"]


async def test_a_broken_connection_is_not_hidden_by_another_that_is_made(caplog: pytest.LogCaptureFixture) -> None:
    class Sharded(KrakenFeed):
        limits = Limits("a test", channels=1)

    async with venue() as server:
        no = HTTPStatus.SERVICE_UNAVAILABLE
        server.refusals = iter([no, None, no, no, None])
        feed = Sharded("kraken", SYMBOLS, server.url)
        async with aclosing(feed.frames()) as frames:
            await until(frames, "connect")
            (trouble,) = feed.troubles.values()
            await until(frames, "connect")
            assert feed.troubles == {}
    assert warnings(caplog) == [f"{trouble}; trying again", "kraken: connected again"]
    assert trouble.endswith("does not accept a connection now (HTTP 503)")


async def test_nobody_at_the_address_is_tried_until_somebody_is(caplog: pytest.LogCaptureFixture) -> None:
    async with venue() as server:
        url = server.url
    async with aclosing(KrakenFeed("kraken", SYMBOLS, url).frames()) as frames:
        first = asyncio.create_task(take(frames, 1))
        async with asyncio.timeout(60):
            while not caplog.records:
                await asyncio.sleep(0.01)
        async with listen(ServerConnection.wait_closed, "127.0.0.1", int(url.rpartition(":")[2])):
            assert said(await first) == [("kraken.1", "connect", b"", url)]
            await frames.aclose()
    assert "Connect call failed" in caplog.records[0].getMessage()


async def test_a_book_that_cannot_be_fetched_is_fetched_again(caplog: pytest.LogCaptureFixture) -> None:
    async with venue() as server, rest((500, b"later"), (503, b"later"), (200, BOOK)) as (books, asked):
        feed = BitstampFeed("bitstamp", ["BTC-USD"], server.url, books)
        async with aclosing(feed.frames()) as frames:
            taken = await until(frames, "rest")
            assert said(taken[-1:]) == [("bitstamp.1", "rest", BOOK, f"{books}/api/v2/order_book/btcusd/")]
            assert asked == ["/api/v2/order_book/btcusd/"] * 3
            await feed.resync("BTC-USD")
            assert said(await take(frames, 1)) == said(taken[-1:])
    url = f"{books}/api/v2/order_book/btcusd/"
    assert warnings(caplog) == [
        f"bitstamp: no book of BTC-USD from {url} (HTTP {status}); trying again" for status in (500, 503)
    ]


async def test_asking_ever_again_for_a_book_does_not_multiply_the_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "SNAPSHOT_RETRY_S", 0.2)
    async with venue() as server, rest((500, b"later")) as (books, asked):
        feed = BitstampFeed("bitstamp", SYMBOLS, server.url, books)
        feed.settle_s = 0.0
        async with aclosing(feed.frames()) as frames:
            await until(frames, "connect", *["send"] * 4)
            for _ in range(10):
                await feed.resync("BTC-USD")
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)
    # Attempts for one symbol come after 0, 0.1 to 0.2, then 0.3 to 0.6 s.
    assert all(1 <= asked.count(f"/api/v2/order_book/{pair}/") <= 3 for pair in ("btcusd", "ethusd"))


def test_attempts_are_ever_further_apart() -> None:
    waits = list(islice(backoff(2.0, 60.0), 9))
    most = [2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert all(top / 2 <= wait <= top for wait, top in zip(waits, most, strict=True))
    assert len(set(waits)) == 9


async def test_a_venue_that_says_when_to_come_back_is_not_asked_before(caplog: pytest.LogCaptureFixture) -> None:
    async with venue() as server, rest((429, b"", b"Retry-After: 1\r\n"), (200, BOOK)) as (books, asked):
        feed = BitstampFeed("bitstamp", ["BTC-USD"], server.url, books)
        feed.settle_s = 0.0
        async with aclosing(feed.frames()) as frames:
            await until(frames, "connect")
            while not asked:
                await asyncio.sleep(0.01)
            first = time.monotonic()
            await feed.resync("BTC-USD")
            await until(frames, "rest")
            assert time.monotonic() - first >= 0.9
    assert len(asked) == 2
    url = f"{books}/api/v2/order_book/btcusd/"
    assert warnings(caplog) == [f"bitstamp: no book of BTC-USD from {url} (HTTP 429); trying again"]


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [("", 0.0), ("0", 0.0), ("120", 120.0), ("1.5", 1.5), ("9" * 12, 3600.0), ("9" * 400, 3600.0), ("-5", 0.0),
     ("soon", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("Wed, 21 Oct 2065 07:28:00 GMT", 3600.0)],
)  # fmt: skip
def test_when_to_come_back_is_a_number_or_a_date(header: str, wait_s: float) -> None:
    assert retry_after_s(header) == wait_s


def test_a_date_to_come_back_at_is_counted_from_now() -> None:
    assert 28.0 < retry_after_s(formatdate(time.time() + 30, usegmt=True)) <= 30.0


@pytest.mark.parametrize("status", [400, 404])
async def test_a_book_that_the_venue_does_not_have_is_left_until_it_is_asked_for(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with venue() as server, rest((status, b"no"), (200, BOOK)) as (books, asked):
        feed = BitstampFeed("bitstamp", ["AAA-USD"], server.url, books)
        feed.settle_s = 0.0
        async with aclosing(feed.frames()) as frames:
            await until(frames, "connect")
            while not caplog.records:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert len(asked) == 1
            await feed.resync("AAA-USD")
            await until(frames, "rest")
    assert warnings(caplog) == [f"bitstamp: no book of AAA-USD at {books}/api/v2/order_book/aaausd/ (HTTP {status})"]


async def test_no_book_is_fetched_for_a_connection_that_is_gone() -> None:
    """The changes that follow such a book went past while there was no connection."""
    over, gone = asyncio.Event(), asyncio.Event()

    async def one_connection(client: ServerConnection) -> None:
        if gone.is_set():
            await client.wait_closed()
        await over.wait()

    async with venue() as server, rest((200, BOOK)) as (books, asked):
        server.then = one_connection
        feed = BitstampFeed("bitstamp", ["BTC-USD"], server.url, books)
        async with aclosing(feed.frames()) as frames:
            await until(frames, "rest")
            server.refusals = iter([HTTPStatus.SERVICE_UNAVAILABLE] * 5)
            gone.set()
            over.set()
            await until(frames, "disconnect")
            await feed.resync("BTC-USD")
            taken = await until(frames, "rest")
    assert [frame.direction for frame in taken] == ["connect", "send", "send", "rest"]
    assert {frame.conn for frame in taken} == {"bitstamp.2"}
    assert len(asked) == 2


async def test_a_resync_asks_for_one_book_and_does_not_keep_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    async def flood(client: ServerConnection) -> None:
        for _ in range(50):
            await client.send("x")
        await client.wait_closed()

    monkeypatch.setattr(feed_module, "QUEUE_FRAMES", 4)
    async with venue() as server:
        server.then = flood
        feed = KrakenFeed("kraken", SYMBOLS, server.url)
        expected = [*feed.subscribe(SYMBOLS), *feed.unsubscribe_book("ETH-USD"), *feed.subscribe_book("ETH-USD")]
        async with aclosing(feed.frames()) as frames:
            taken = await until(frames, "recv")
            await asyncio.sleep(0.1)  # by now the queue is full, and only its reader can make room
            async with asyncio.timeout(60):
                await feed.resync("ETH-USD")
            taken += await until(frames, "send", "send")
            async with asyncio.timeout(60):
                while server.received != [expected]:
                    await asyncio.sleep(0.01)
    assert [frame.payload.decode() for frame in taken if frame.direction == "send"] == expected


class Broken(KrakenFeed):
    """A feed with a mistake in it."""

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        raise KeyError("a mistake")


async def test_an_unexpected_error_reaches_the_reader_and_leaves_nothing_behind() -> None:
    async with venue() as server:
        frames = Broken("kraken", SYMBOLS, server.url).frames()
        (first,) = await take(frames, 1)
        assert first.direction == "connect"
        with pytest.raises(KeyError, match="a mistake"):
            await take(frames, 1)
        await gone(server, 1)


async def test_a_feed_can_be_read_again_after_it_failed() -> None:
    async with venue() as server:
        feed = Broken("kraken", SYMBOLS, server.url)
        for number in (1, 2):
            frames = feed.frames()
            assert said(await take(frames, 1)) == [(f"kraken.{number}", "connect", b"", server.url)]
            with pytest.raises(KeyError):
                await take(frames, 1)


async def gone(server: Venue, n: int) -> None:
    """Wait until the server has seen ``n`` connections end, and see that the feed has left no task behind."""
    async with asyncio.timeout(60):
        while server.closed < n:
            await asyncio.sleep(0.01)
    names = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
    assert not [name for name in names if name.startswith(("Feed", "KrakenFeed", "connect"))]


async def test_closing_a_busy_feed_ends_it_promptly() -> None:
    """In Python 3.11 ``wait_for`` swallowed a cancellation that came together with a message."""

    async def flood(client: ServerConnection) -> None:
        while True:
            await client.send(b"x" * 200)

    async with venue() as server:
        server.then = flood
        for number in range(1, 26):
            async with aclosing(KrakenFeed("kraken", SYMBOLS, server.url).frames()) as frames:
                taken = await take(frames, 100 + number)
                assert taken[-1].direction == "recv"
                started = time.monotonic()
            assert time.monotonic() - started < 8.0  # a connection that waits for its server waits ten seconds
            await gone(server, number)


async def test_closing_a_feed_does_not_wait_for_a_server_that_no_longer_answers() -> None:
    over = asyncio.Event()

    async def go_deaf(client: ServerConnection) -> None:
        client.transport.pause_reading()
        await over.wait()
        client.transport.abort()

    async with venue() as server:
        server.then = go_deaf
        try:
            async with aclosing(KrakenFeed("kraken", SYMBOLS, server.url).frames()) as frames:
                await take(frames, 1)
                started = time.monotonic()
            assert time.monotonic() - started < 8.0  # a connection that waits for its server waits ten seconds
        finally:
            over.set()


async def test_the_local_server_hears_what_a_plain_client_says() -> None:
    """The server of these tests is honest."""
    async with venue() as server:
        client: ClientConnection = await connect(server.url)
        await client.send("one")
        await client.close()
        await gone(server, 1)
        assert server.received == [["one"]]
