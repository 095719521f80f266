"""Several connections of one feed: shards, symbols that come and go, waits that the venue asks for, TLS."""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from producers.exchanges import feed as feed_module
from producers.exchanges.bitfinex_feed import BitfinexFeed
from producers.exchanges.bitstamp import BitstampFeed
from producers.exchanges.feed import Feed
from producers.exchanges.kraken_feed import KrakenFeed
from producers.exchanges.limits import Limits, Rate
from producers.exchanges.probe import trouble_of
from producers.exchanges.venue import venues
from producers.frames import Frame


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for milliseconds where the feed waits for seconds."""
    monkeypatch.setattr(feed_module, "CONNECT_RETRY_S", 0.02)
    monkeypatch.setattr(feed_module, "APART_S", 0.01)


class Server:
    """A websocket server that notes, for each connection, what it is told; and beats, so that it is never silent."""

    def __init__(self) -> None:
        self.url = ""
        self.heard: list[list[str]] = []
        self.clients: list[ServerConnection] = []
        self.asked: list[float] = []
        self.refusals: Iterator[Response] = iter(())

    def greet(self, client: ServerConnection, request: Request) -> Response | None:
        self.asked.append(time.monotonic())
        status = next(self.refusals, None)
        if status is None:
            return None
        response = client.respond(HTTPStatus(status.status_code), "no\n")
        response.headers.update(status.headers)
        return response

    async def handle(self, client: ServerConnection) -> None:
        heard: list[str] = []
        self.heard.append(heard)
        self.clients.append(client)
        with suppress(ConnectionClosed):
            while True:
                heard.append(str(await client.recv()))

    def symbols(self) -> list[set[str]]:
        """The symbols (Kraken's way) that each connection has subscribed to the books of, less those it has left."""
        found = []
        for heard in self.heard:
            held: set[str] = set()
            for message in map(msgspec.json.decode, heard):
                if message["params"]["channel"] == "book":
                    names = set(message["params"]["symbol"])
                    held = held | names if message["method"] == "subscribe" else held - names
            found.append(held)
        return found


@asynccontextmanager
async def server(tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    made = Server()
    async with listen(made.handle, "127.0.0.1", 0, process_request=made.greet, close_timeout=1, ssl=tls) as there:
        port = next(iter(there.sockets)).getsockname()[1]
        made.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}"
        yield made


class Small(KrakenFeed):
    """Kraken, with two symbols a connection."""

    limits = Limits(channels=4)


class Reading:
    """Reads a feed's frames in the background."""

    def __init__(self, frames: AsyncGenerator[Frame, None]) -> None:
        self.frames: list[Frame] = []
        self.task = asyncio.create_task(self._read(frames))

    async def _read(self, frames: AsyncGenerator[Frame, None]) -> None:
        async for frame in frames:
            self.frames.append(frame)

    def conns(self, direction: str) -> list[str]:
        return [frame.conn for frame in self.frames if frame.direction == direction]


@asynccontextmanager
async def reading(feed: Feed) -> AsyncIterator[Reading]:
    async with aclosing(feed.frames()) as frames:
        found = Reading(frames)
        try:
            yield found
        finally:
            found.task.cancel()
            await asyncio.gather(found.task, return_exceptions=True)


async def until(found: Callable[[], object], what: object = None) -> None:
    """Wait until a callable gives ``what`` (default: something true)."""
    async with asyncio.timeout(60):
        while not found() if what is None else found() != what:
            await asyncio.sleep(0.01)


SYMBOLS = [f"A{i}-USD" for i in range(5)]


async def test_symbols_are_spread_over_as_many_connections_as_the_limit_asks() -> None:
    async with server() as there:
        async with reading(Small("kraken", SYMBOLS, there.url)) as found:
            await until(lambda: sorted(map(len, there.symbols())), [1, 2, 2])
            assert {name for held in there.symbols() for name in held} == {one.replace("-", "/") for one in SYMBOLS}
            assert sorted(found.conns("connect")) == ["kraken.1", "kraken.2", "kraken.3"]
            sent = {frame.conn for frame in found.frames if frame.direction == "send"}
            assert sent == {"kraken.1", "kraken.2", "kraken.3"}


async def test_one_connection_that_breaks_leaves_the_others_alone() -> None:
    async with server() as there:
        async with reading(Small("kraken", SYMBOLS, there.url)) as found:
            await until(lambda: sorted(map(len, there.symbols())), [1, 2, 2])
            broken = there.symbols()[0]
            there.clients[0].transport.abort()
            await until(lambda: len(there.symbols()) == 4 and there.symbols()[3] == broken)
            assert len(found.conns("disconnect")) == 1
            assert len(found.conns("connect")) == 4
            assert [client.state.name for client in there.clients[1:]] == ["OPEN"] * 3


async def test_a_symbol_that_is_added_takes_free_room_and_else_a_new_connection() -> None:
    async with server() as there:
        feed = Small("kraken", SYMBOLS, there.url)
        async with reading(feed) as found:
            await until(lambda: sorted(map(len, there.symbols())), [1, 2, 2])
            await feed.add("B1-USD")
            await feed.add("B1-USD")
            await until(lambda: sorted(map(len, there.symbols())), [2, 2, 2])
            assert len(there.heard) == 3
            await feed.add("B2-USD")
            await until(lambda: sorted(map(len, there.symbols())), [1, 2, 2, 2])
            assert found.conns("disconnect") == []
            assert feed.symbols == [*SYMBOLS, "B1-USD", "B2-USD"]
            there.clients[3].transport.abort()
            await until(lambda: [sorted(held) for held in there.symbols()[4:]], [["B2/USD"]])


async def test_a_symbol_that_is_removed_is_left_and_an_empty_connection_is_closed() -> None:
    async with server() as there:
        feed = Small("kraken", SYMBOLS, there.url)
        async with reading(feed) as found:
            await until(lambda: sorted(map(len, there.symbols())), [1, 2, 2])
            alone = next(i for i, held in enumerate(there.symbols()) if len(held) == 1)
            (lonely,) = there.symbols()[alone]
            await feed.remove(lonely.replace("/", "-"))
            await until(lambda: len(found.conns("disconnect")), 1)
            await until(lambda: there.clients[alone].state.name, "CLOSED")
            await feed.remove("A0-USD")
            await feed.remove("A0-USD")
            await until(lambda: "A0/USD" not in {name for held in there.symbols() for name in held})
            left = [heard for heard in there.heard if any("unsubscribe" in one for one in heard)]
            methods = [msgspec.json.decode(one) for one in left[0]]
            assert [one["params"]["channel"] for one in methods if one["method"] == "unsubscribe"] == ["book", "trade"]
            assert len(found.conns("connect")) == 3
            assert "A0-USD" not in feed.symbols


async def test_adding_and_removing_before_anybody_reads_changes_what_is_subscribed_to() -> None:
    async with server() as there:
        feed = Small("kraken", ["A-USD", "B-USD"], there.url)
        await feed.add("C-USD")
        await feed.remove("A-USD")
        async with reading(feed):
            await until(there.symbols, [{"B/USD", "C/USD"}])


@pytest.mark.parametrize("name", sorted(venues()))
async def test_every_venue_adds_and_removes_a_symbol_in_its_own_words(name: str) -> None:
    async with server() as there:
        feed = venues()[name].feed(name, ["BTC-USD"], there.url, "http://127.0.0.1:1")
        async with reading(feed):
            first = [*feed.greeting(), *feed.subscribe(["BTC-USD"])]
            await until(lambda: there.heard, [first])
            added = feed.subscribe(["ETH-USD"])
            await feed.add("ETH-USD")
            await until(lambda: there.heard, [[*first, *added]])
            for number, channel in enumerate(("book", "trades")):  # Bitfinex has to be told the channels' numbers
                event = {"event": "subscribed", "channel": channel, "chanId": number, "symbol": "tETHUSD"}
                await there.clients[0].send(msgspec.json.encode(event).decode())
            if name == "bitfinex":
                await until(lambda: len(feed._channels), 2)  # type: ignore[attr-defined]
            await feed.remove("ETH-USD")
            await until(lambda: len(there.heard[0]) > len(first) + len(added))
            await asyncio.sleep(0.05)
            left = there.heard[0][len(first) + len(added) :]
            assert left
            assert all("unsub" in one.lower() for one in left)
            if name != "bitfinex":
                assert all(feed.native("ETH-USD").lower() in one.lower() for one in left)
            else:
                assert [msgspec.json.decode(one)["chanId"] for one in left] == [0, 1]


async def test_bitfinex_forgets_the_numbers_of_a_connection_that_has_ended() -> None:
    feed = BitfinexFeed("bitfinex", ["BTC-USD"])
    feed.heed(b'{"event":"subscribed","channel":"book","chanId":7,"symbol":"tBTCUSD"}')
    feed.forget(["ETH-USD"])
    assert len(feed.unsubscribe_book("BTC-USD")) == 1
    feed.heed(b'{"event":"subscribed","channel":"book","chanId":7,"symbol":"tBTCUSD"}')
    feed.forget(["BTC-USD"])
    assert feed.unsubscribe("BTC-USD") == []


async def test_a_refused_handshake_that_says_when_to_come_back_is_heeded() -> None:
    async with server() as there:
        there.refusals = iter([Response(503, "later", Headers({"Retry-After": "1"}))])
        async with reading(KrakenFeed("kraken", ["BTC-USD"], there.url)) as found:
            await until(lambda: found.conns("connect"))
        assert len(there.asked) == 2
        assert there.asked[1] - there.asked[0] >= 0.95


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, [("Retry-After", "0"), ("Retry-After", "1")]),
        (302, [("Location", "ws://127.0.0.1:99999999/")]),
        (302, []),
        (302, [("Location", "ws://127.0.0.1:1/"), ("Location", "ws://127.0.0.1:2/")]),
    ],
)
async def test_a_handshake_that_leads_nowhere_is_tried_again(status: int, headers: list[tuple[str, str]]) -> None:
    refusal = Response(status, "no", Headers(headers))
    async with server() as there:
        there.refusals = iter([refusal, refusal])
        feed = KrakenFeed("kraken", ["BTC-USD"], there.url)
        assert (await trouble_of(feed, 3.0)).startswith(f"kraken: {there.url.removeprefix('ws://')} ")
        async with reading(feed) as found:
            await until(lambda: found.conns("connect"))
        assert len(there.asked) == 3
        assert status != 429 or there.asked[2] - there.asked[1] >= 0.95  # the longer wait of the two


async def test_attempts_to_connect_come_ever_later_and_are_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "CONNECT_RETRY_S", 0.05)
    async with server() as there:
        there.refusals = iter([Response(502, "bad", Headers())] * 4)
        with caplog.at_level(logging.WARNING, logger="producers.exchanges"):
            async with reading(KrakenFeed("kraken", ["BTC-USD"], there.url)) as found:
                await until(lambda: found.conns("connect"))
    waits = [later - earlier for earlier, later in zip(there.asked, there.asked[1:], strict=False)]
    assert all(wait >= 0.025 * 2**i for i, wait in enumerate(waits))
    host = there.url.removeprefix("ws://")
    assert [record.getMessage() for record in caplog.records] == [
        f"kraken: {host} does not accept a connection now (HTTP 502); trying again", "kraken: connected again",
    ]  # fmt: skip


async def test_connections_that_do_not_last_come_ever_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "APART_S", 0.1)
    async with server() as there:

        async def throw_out() -> None:
            while True:
                for client in there.clients:
                    client.transport.abort()
                await asyncio.sleep(0.005)

        throwing = asyncio.create_task(throw_out())
        async with reading(KrakenFeed("kraken", ["BTC-USD"], there.url)):
            await until(lambda: len(there.asked) >= 4)
        throwing.cancel()
    waits = [later - earlier for earlier, later in zip(there.asked, there.asked[1:], strict=False)]
    assert all(wait >= least for wait, least in zip(waits, (0.09, 0.14, 0.29), strict=False))


class Slow(BitstampFeed):
    """Bitstamp, with two messages in half a second and one connection in as long."""

    limits = Limits(messages=Rate(2, 0.5), connections=Rate(1, 0.5), channels=4)


async def test_messages_and_connections_keep_the_venues_rate_and_what_comes_is_read_meanwhile() -> None:
    async with server() as there:
        feed = Slow("bitstamp", SYMBOLS[:3], there.url, "http://127.0.0.1:1")
        started = time.monotonic()
        async with reading(feed) as found:
            await until(lambda: len(there.clients), 2)
            assert there.asked[1] - there.asked[0] >= 0.49
            await there.clients[0].send("hello")
            await until(lambda: b"hello" in [frame.payload for frame in found.frames])
            await until(lambda: sum(map(len, there.heard)), 6)
    assert time.monotonic() - started >= 0.99


class Mortal(KrakenFeed):
    """Kraken, whose connections live for a fifth of a second."""

    limits = Limits(lifetime_s=0.2)


async def test_a_connection_is_renewed_before_the_venue_ends_it() -> None:
    async with server() as there:
        async with reading(Mortal("kraken", ["BTC-USD"], there.url)) as found:
            async with asyncio.timeout(60):
                while not found.conns("disconnect"):
                    for client in list(there.clients):
                        with suppress(ConnectionClosed):
                            await client.send("beat")
                    await asyncio.sleep(0.02)
            await until(lambda: len(found.conns("connect")), 2)
    (ended,) = [frame for frame in found.frames if frame.direction == "disconnect"]
    assert ended.payload == b"renewed before the venue ends it"


def certificate(folder: Path, names: Sequence[str], days: int = 1) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS with a certificate that it has signed itself, valid for so many days from yesterday on."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    start = datetime.now(UTC) - timedelta(days=2)
    addresses = [x509.IPAddress(ip_address(one)) for one in names]
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(start)
        .not_valid_after(start + timedelta(days=2 + days)).add_extension(x509.SubjectAlternativeName(addresses), False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, path


@pytest.mark.parametrize(
    ("names", "days", "trusted", "why"),
    [
        (["127.0.0.1"], 1, False, "self-signed certificate"),
        (["127.0.0.1"], -1, True, "certificate has expired"),
        (["127.0.0.2"], 1, True, "IP address mismatch, certificate is not valid for '127.0.0.1'."),
    ],
)
async def test_a_certificate_that_is_not_valid_is_said_in_a_sentence_once(
    tmp_path: Path, names: list[str], days: int, trusted: bool, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    tls, path = certificate(tmp_path, names, days)
    trust = ssl.create_default_context(cafile=path) if trusted else ssl.create_default_context()
    async with server(tls) as there:
        said = (
            f"kraken: the TLS certificate of {there.url.removeprefix('wss://')} is not valid ({why}): somebody may"
            " stand between, or this machine's clock or certificates are wrong; nothing was sent"
        )
        feed = KrakenFeed("kraken", ["BTC-USD"], there.url, ssl=trust)
        assert await trouble_of(feed, 20.0) == said
        with caplog.at_level(logging.WARNING, logger="producers.exchanges"):
            async with reading(feed) as found:
                await until(lambda: caplog.records)
                await asyncio.sleep(0.3)  # several attempts
        assert found.frames == []
        assert there.heard == []
    assert [record.getMessage() for record in caplog.records] == [f"{said}; trying again"]


async def test_a_certificate_that_is_trusted_is_used(tmp_path: Path) -> None:
    tls, path = certificate(tmp_path, ["127.0.0.1"])
    async with server(tls) as there:
        feed = KrakenFeed("kraken", ["BTC-USD"], there.url, ssl=ssl.create_default_context(cafile=path))
        assert await trouble_of(feed, 20.0) == ""
        async with reading(feed):
            await until(lambda: there.symbols()[-1:], [{"BTC/USD"}])


async def test_a_server_without_tls_and_a_name_without_an_address_are_said() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as plain:
        host = f"127.0.0.1:{plain.sockets[0].getsockname()[1]}"
        said = await trouble_of(KrakenFeed("kraken", [], f"wss://{host}"), 20.0)
        assert said.startswith(f"kraken: {host} speaks no TLS that this machine accepts (")
    said = await trouble_of(KrakenFeed("kraken", [], "wss://no-such-venue.invalid/ws"), 5.0)
    assert said.startswith("kraken: there is no address for no-such-venue.invalid (")
