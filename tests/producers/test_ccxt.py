"""Other exchanges through ccxt: its own classes against a server on this machine that speaks OKX's protocol."""

import asyncio
import ipaddress
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner
from websockets.asyncio.server import ServerConnection

from jobs import symbols_command
from jobs.cli import app
from producers.exchanges import ccxt_book, ccxt_session, ccxt_sessions, retrying
from producers.exchanges.ccxt_exchange import new_exchange
from producers.exchanges.ccxt_feed import CcxtFeed
from producers.exchanges.ccxt_parser import CcxtParser
from producers.exchanges.listings import Listing
from producers.frames import Frame
from producers.tapes import read_frames
from producers.tapes.own import TapeWriter
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Levels, Trade
from tests.producers.faults import assert_sound, play
from tests.producers.okx_site import Okx, okx

BTC, ETH = "BTC-USDT", "ETH-USDT"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for milliseconds where the feed waits for seconds."""
    import ccxt.pro

    monkeypatch.setattr(ccxt.pro.Exchange, "timeout_on_exit", 20)
    monkeypatch.setattr(ccxt.pro.Exchange, "enableRateLimit", False)
    for module, name in (
        (ccxt_sessions, "RETRY_S"), (ccxt_sessions, "DIALS_APART_S"), (ccxt_session, "AGAIN_S")
    ):  # fmt: skip
        monkeypatch.setattr(module, name, 0.02)


class Reader:
    """Reads a feed, and keeps its frames and events."""

    def __init__(self, frames: AsyncGenerator[Frame, None]) -> None:
        self.frames: list[Frame] = []
        self.events: list[AnyEvent] = []
        self.parser = CcxtParser("okx")
        self._source = frames

    async def step(self) -> list[AnyEvent]:
        """Read one frame."""
        async with asyncio.timeout(60):
            frame = await anext(self._source)
        self.frames.append(frame)
        found = self.parser.parse(frame)
        self.events += found
        return found

    async def until(self, kind: type[AnyEvent], symbol: str = BTC, n: int = 1) -> None:
        """Read until ``n`` more such events have come."""
        while n:
            n -= sum(isinstance(event, kind) and event.symbol == symbol for event in await self.step())

    def of(self, symbol: str) -> list[AnyEvent]:
        return [event for event in self.events if event.symbol == symbol]

    def kinds(self, symbol: str) -> list[type[AnyEvent]]:
        """Of the book's events."""
        return [type(event) for event in self.of(symbol) if not isinstance(event, Trade)]


@asynccontextmanager
async def reading(site: Okx, *symbols: str) -> AsyncIterator[tuple[CcxtFeed, Reader]]:
    """Read a feed of this site; no task and no socket is left behind."""
    before = asyncio.all_tasks()
    feed = CcxtFeed("okx", symbols, site.url, site.rest_url)
    async with aclosing(feed.frames()) as frames:
        reader = Reader(frames)
        yield feed, reader
    assert_sound(reader.events)
    ours = {task for task in asyncio.all_tasks() - before if "ccxt" in repr(task)}
    if ours:
        await asyncio.wait(ours, timeout=60)  # ccxt's throttle empties its queue, though what it sends is closed
    assert all(task.done() for task in ours)


async def test_books_and_trades_come_as_events() -> None:
    async with okx(BTC, "DOGE-USDT") as site:

        async def then(client: ServerConnection, channel: str, name: str) -> None:
            if channel == "trades":
                await site.trade(client, name, 6, site.now_ms - 60_000)  # history
                await site.trade(client, name, 7, site.now_ms + 5_000)
                await site.trade(client, name, 7, site.now_ms + 5_000)
                await site.trade(client, name, 8, site.now_ms + 5_000)
                gone, better = [["101.5", "0", "0", "0"]], [["100.5", "1.25", "0", "2"]]
                await site.book(name, "update", better, gone, 12, 10)

        site.then = then
        async with reading(site, "BTC/USDT") as (feed, reader):
            assert (feed.symbols, feed.url) == ([BTC], f"http{site.url.removeprefix('ws')}/ws/v5")
            await reader.until(BookDelta)
    connect, *recv = reader.frames
    assert (connect.conn, connect.direction, connect.url) == ("okx.1", "connect", f"{site.url}/ws/v5/public")
    assert msgspec.json.decode(recv[0].payload) == {
        "kind": "book", "symbol": BTC, "n": 1, "ts": site.now_ms, "nonce": 10, "depth": 400,
        "bids": [[100.0, 1.5]], "asks": [[101.5, 1.0], [102.0, 2.0]],
    }  # fmt: skip
    at = {type(event): event.ts_recv_ns for event in reader.events}
    ns = site.now_ms * 1_000_000
    trades = [event for event in reader.events if isinstance(event, Trade)]
    assert reader.events == [
        BookSnapshot(
            "okx", BTC, 1, ns, at[BookSnapshot], Levels.of([(100.0, 1.5)]), Levels.of([(101.5, 1.0), (102.0, 2.0)]), 400
        ),
        *(
            Trade("okx", BTC, i - 5, ns + 5_000_000_000, trades[i - 7].ts_recv_ns, 101.5, 0.25, "buy", f"{i}")
            for i in (7, 8)
        ),
        BookDelta("okx", BTC, 4, ns, at[BookDelta], Levels.of([(100.5, 1.25)]), Levels.of([(101.5, 0.0)])),
    ]
    counts = reader.parser.instruments[BTC].counts
    assert (counts.skipped, counts.duplicates, counts.gaps, reader.parser.counts.rejected) == (1, 1, 0, 0)


async def test_a_connection_that_breaks_is_a_gap_and_comes_back() -> None:
    async with okx(BTC, ETH) as site, reading(site, BTC, ETH) as (_, reader):
        await reader.until(BookSnapshot, ETH)
        site.clients[0].transport.abort()
        await reader.until(BookSnapshot, ETH)
        if reader.kinds(BTC)[-1] is not BookSnapshot:
            await reader.until(BookSnapshot)
    for symbol in (BTC, ETH):
        assert reader.kinds(symbol) == [BookSnapshot, Gap, BookSnapshot]
        assert next(event.reason for event in reader.of(symbol) if isinstance(event, Gap)) == "connection lost"
    said = [(frame.conn, frame.direction) for frame in reader.frames if frame.direction != "recv"]
    assert said == [("okx.1", "connect"), ("okx.1", "disconnect"), ("okx.2", "connect")]


async def test_a_number_left_out_is_a_gap_of_that_symbol_alone_and_ccxt_asks_again() -> None:
    async with okx(BTC, ETH) as site, reading(site, BTC, ETH) as (feed, reader):
        await reader.until(BookSnapshot, ETH)
        await site.book(BTC, "update", [["100.5", "1", "0", "1"]], [], 13, 12)  # 11 and 12 are missing
        await reader.until(Gap)
        await feed.resync(BTC)  # as the runner does: ccxt is at it
        await reader.until(BookSnapshot)
        await site.book(ETH, "update", [["100.5", "1", "0", "1"]], [], 11, 10)
        await reader.until(BookDelta, ETH)
    assert reader.kinds(BTC) == [BookSnapshot, Gap, BookSnapshot]
    assert reader.kinds(ETH) == [BookSnapshot, BookDelta]
    (gap,) = (event for event in reader.events if isinstance(event, Gap))
    assert gap.reason == "okx: InvalidNonce: okx watchOrderBook received invalid nonce"
    assert {one for one, *_ in site.requests} == {0}  # all on the first connection


async def test_changes_that_ccxt_rejects_are_never_told_even_if_they_come_together() -> None:
    """Who awaits ``watch_order_book`` sees the book only after the message that spoilt it."""
    async with okx(BTC) as site, reading(site, BTC) as (_, reader):
        await reader.until(BookSnapshot)
        for i in range(20):
            await site.book(BTC, "update", [["100.5", f"{i + 1}", "0", "1"]], [], 11 + i, 10 + i)
        await site.book(BTC, "update", [["666", "1", "0", "1"]], [], 99, 98)
        await reader.until(Gap)
    deltas = [event for event in reader.events if isinstance(event, BookDelta)]
    assert [delta.bids.tolist() for delta in deltas] == [[[100.5, i + 1.0]] for i in range(20)]


async def test_levels_that_the_venue_keeps_up_no_more_are_gone_at_each_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """OKX keeps 400 levels; ccxt drops those beyond only when who waits for the book is awake."""
    monkeypatch.setattr(ccxt_book, "DEPTH", 1_000)
    async with okx(BTC) as site:
        site.snapshot = [[f"{price}", "1", "0", "1"] for price in range(400, 0, -1)], []
        async with reading(site, BTC) as (_, reader):
            await reader.until(BookSnapshot)
            for i in range(5):
                await site.book(BTC, "update", [[f"{401 + i}", "2", "0", "1"]], [], 11 + i, 10 + i)
            await reader.until(BookDelta, n=5)
    changes = [event.bids.tolist() for event in reader.events if isinstance(event, BookDelta)]
    assert changes == [[[i + 1.0, 0.0], [401.0 + i, 2.0]] for i in range(5)]


async def test_a_book_asked_for_anew_gets_its_own_connection_and_the_others_go_on() -> None:
    async with okx(BTC, ETH) as site, reading(site, BTC, ETH) as (feed, reader):
        await reader.until(BookSnapshot, ETH)
        for at in (1, 2):
            reader.parser.doubt(BTC)  # the pipeline found it crossed
            await feed.resync(BTC)
            await reader.until(BookSnapshot)
            assert (at, "subscribe", "books", BTC) in site.requests
        site.subscribed[BTC] = site.clients[0]  # few venues can be told through ccxt to stop
        await site.book(BTC, "update", [["666", "1", "0", "1"]], [], 11, 10)
        await site.book(ETH, "update", [["100.5", "1", "0", "1"]], [], 11, 10)
        await reader.until(BookDelta, ETH)
    books = [frame for frame in reader.frames if b'"book","symbol":"BTC' in frame.payload]
    assert [frame.conn for frame in books] == ["okx.1", "okx.2", "okx.3"]
    assert not any(b"666" in frame.payload for frame in reader.frames)
    assert reader.kinds(BTC) == [BookSnapshot] * 3
    assert reader.kinds(ETH) == [BookSnapshot, BookDelta]


async def test_symbols_come_and_go_and_the_others_go_on() -> None:
    async with okx(BTC, ETH, "LTC-USDT") as site, reading(site, BTC, ETH) as (feed, reader):
        await reader.until(BookSnapshot, ETH)
        await feed.add("LTC-USDT")
        await feed.add("LTC-USDT")
        await reader.until(BookSnapshot, "LTC-USDT")
        await feed.remove(BTC)
        await site.book(BTC, "update", [["100.5", "1", "0", "1"]], [], 11, 10)
        await feed.remove("LTC-USDT")
        await reader.until(Gap, "LTC-USDT")
        await site.book(ETH, "update", [["100.5", "1", "0", "1"]], [], 11, 10)
        await reader.until(BookDelta, ETH)
        assert feed.symbols == [ETH]
        await feed.add(BTC)
        await reader.until(BookSnapshot)
        await feed.add("LTC-UDST")
        await feed.resync("LTC-UDST")
    assert reader.kinds(BTC) == [BookSnapshot] * 2
    assert reader.kinds(ETH) == [BookSnapshot, BookDelta]
    assert reader.kinds("LTC-USDT") == [BookSnapshot, Gap]
    assert len(site.clients) == 3


@pytest.mark.parametrize("asked_anew", [False, True])
async def test_a_symbol_that_is_removed_and_added_at_once_has_one_session(asked_anew: bool) -> None:
    async with okx(BTC, ETH, "LTC-USDT") as site, reading(site, BTC, ETH) as (feed, reader):
        await feed.add("LTC-USDT")
        await reader.until(BookSnapshot, "LTC-USDT")
        symbol = BTC if asked_anew else "LTC-USDT"
        if asked_anew:
            await feed.resync(symbol)  # a session of its own is on its way
        for _ in range(2):
            await feed.remove(symbol)
            await feed.add(symbol)
        await reader.until(BookSnapshot, symbol)
        await asyncio.sleep(0.5)  # ten times what any session waits for here
        asked = [one for one in site.requests if one[1:] == ("subscribe", "books", symbol)]
        assert len(asked) == 2
    assert reader.kinds(symbol)[-1] is BookSnapshot


async def test_what_ccxt_cannot_read_ends_the_connection_and_is_not_waited_out() -> None:
    async with okx(BTC) as site, reading(site, BTC) as (_, reader):
        await reader.until(BookSnapshot)
        await site.book(BTC, "update", [["x", "1", "0", "1"]], [], 11, 10)
        await reader.until(BookSnapshot)
    assert reader.kinds(BTC) == [BookSnapshot, Gap, BookSnapshot]
    (why,) = (frame.payload for frame in reader.frames if frame.direction == "disconnect")
    assert why.startswith(b"okx: ccxt cannot read a message: ")


async def test_a_silent_venue_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccxt_session, "QUIET_S", 2.5)
    async with okx(BTC) as site, reading(site, BTC) as (_, reader):
        await reader.until(BookSnapshot, n=2)
    (why,) = (frame.payload for frame in reader.frames if frame.direction == "disconnect")
    assert why == b"okx has been silent for 2.5 s"


async def test_a_reader_that_does_not_follow_loses_the_connection_and_nothing_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ccxt_sessions, "QUEUE_FRAMES", 50)
    async with okx(BTC) as site, reading(site, BTC) as (_, reader):
        await reader.until(BookSnapshot)
        for i in range(200):
            await site.book(BTC, "update", [["100.5", f"{i + 1}", "0", "1"]], [], 11 + i, 10 + i)
        await asyncio.sleep(0.3)
        await reader.until(BookSnapshot)
    assert [kind for kind in reader.kinds(BTC) if kind is not BookDelta] == [BookSnapshot, Gap, BookSnapshot]
    assert 0 < reader.kinds(BTC).count(BookDelta) < 200


async def test_a_session_that_closes_is_closed_though_it_is_cancelled_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with okx(BTC) as site:
        made = new_exchange("okx", site.url, site.rest_url, None)
        await made.load_markets()
        closing, closed, close = asyncio.Event(), asyncio.Event(), made.close

        async def slowly() -> None:
            """Close as ccxt does, a moment later."""
            closing.set()
            await asyncio.sleep(0.05)
            await close()
            closed.set()

        monkeypatch.setattr(made, "close", slowly)
        session = ccxt_session.Session(made, "okx", "okx.1", {BTC: "BTC/USDT"}, lambda _: None, pytest.fail)
        running = asyncio.create_task(session.run())
        await asyncio.sleep(0)
        session.end("enough")
        await closing.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert closed.is_set()


async def test_a_tape_of_the_frames_gives_the_same_events(tmp_path: Path) -> None:
    async with okx(BTC, ETH) as site, reading(site, BTC, ETH, "LTC-USDT") as (_, reader):
        await reader.until(BookSnapshot, ETH)
        await site.book(BTC, "update", [["100.5", "1", "0", "1"]], [], 13, 12)
        await reader.until(BookSnapshot)
        site.clients[0].transport.abort()
        await reader.until(BookSnapshot, ETH)
    with TapeWriter(tmp_path / "own.zst") as tape:
        for frame in reader.frames:
            tape.write(frame)
    parser = CcxtParser("okx")
    assert play(parser, list(read_frames(tmp_path / "own.zst"))) == reader.events
    assert parser.counts.rejected == reader.parser.counts.rejected == 1


# Refusals


async def fails_with(site: Okx, *symbols: str) -> str:
    with pytest.raises(InputError) as failure:
        async with reading(site, *symbols) as (_, reader):
            await reader.until(Trade)
    return str(failure.value)


async def test_a_symbol_that_is_not_listed_is_refused_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    why = "okx lists no BTC-UDST; did you mean BTC-USDT?"
    with caplog.at_level(logging.WARNING, logger=ccxt_sessions.log.name):
        async with okx(BTC, ETH) as site, reading(site, "BTC-UDST", ETH) as (_, reader):
            await reader.until(BookSnapshot, ETH)
    assert caplog.messages == [f"{why}; going on without it"]
    assert msgspec.json.decode(reader.frames[0].payload) == {"kind": "refused", "symbol": "BTC-UDST", "reason": why}
    async with okx(BTC, ETH) as site:
        assert await fails_with(site, "BTC-UDST") == why


async def test_a_symbol_that_the_venue_refuses_does_not_stop_the_others() -> None:
    """OKX answers with an error that ccxt gives to all who wait."""
    async with okx("DOGE-USDT", BTC, ETH) as site:
        site.delisted = {"DOGE-USDT"}
        async with reading(site, "DOGE-USDT", BTC, ETH) as (_, reader):
            for symbol in (BTC, ETH):
                if reader.kinds(symbol)[-1:] != [BookSnapshot] or len(reader.kinds(symbol)) < 3:
                    await reader.until(BookSnapshot, symbol)
        assert "doesn't exist" in await fails_with(site, "DOGE-USDT")


async def test_a_symbol_that_has_been_served_is_asked_for_again_though_it_is_refused() -> None:
    async with okx(BTC) as site, reading(site, BTC) as (_, reader):
        await reader.until(BookSnapshot)
        site.delisted = {BTC}
        site.clients[0].transport.abort()
        while not any(b"refused" in frame.payload for frame in reader.frames):
            await reader.step()
        site.delisted = set()
        await reader.until(BookSnapshot)
    assert reader.kinds(BTC) == [BookSnapshot, Gap, BookSnapshot]


async def test_a_venue_that_bars_us_says_so_at_once_but_not_once_it_has_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with okx(BTC) as site:
        site.rest_refusals = iter([(451, "")] * 9)
        why = await fails_with(site, BTC)
        assert why.startswith("okx bars this machine, maybe for the country it is in: okx GET http://127.0.0.1:")
    async with okx(BTC) as site:
        site.refusals = iter([HTTPStatus.FORBIDDEN])
        why = await fails_with(site, BTC)
        assert why.startswith("okx bars this machine, maybe for the country it is in: 403, message=")
    async with okx(BTC) as site, reading(site, BTC) as (_, reader):
        await reader.until(BookSnapshot)
        site.refusals = iter([HTTPStatus.FORBIDDEN] * 3)
        site.clients[0].transport.abort()
        await reader.until(BookSnapshot)
    assert sum("bars this machine" in message for message in caplog.messages) == 1


async def test_a_venue_that_is_down_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    async with okx(BTC) as site:
        site.rest_refusals = iter([(503, ""), (429, "Retry-After: 0\r\n")])
        site.refusals = iter([HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.BAD_GATEWAY])
        async with reading(site, BTC) as (_, reader):
            await reader.until(BookSnapshot)
    assert any("ExchangeNotAvailable" in text and text.endswith("; trying again") for text in caplog.messages)


@pytest.mark.parametrize(("asked", "most_s", "waits_s"), [("1", 60.0, 1.0), ("9999999", 0.5, 0.5)])
async def test_retry_after_is_honoured(
    asked: str, most_s: float, waits_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "RETRY_AFTER_MOST_S", most_s)
    async with okx(BTC) as site:
        site.rest_refusals = iter([(429, f"Retry-After: {asked}\r\n")])
        async with reading(site, BTC) as (_, reader):
            await reader.until(BookSnapshot)
        assert site.asked_s[1] - site.asked_s[0] >= waits_s


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A certificate that nobody knows, as a server has it, and as a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "venue.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))


async def test_a_certificate_that_is_not_trusted_has_its_own_sentence(tmp_path: Path) -> None:
    server, client = certificate(tmp_path)
    async with okx(BTC, ssl=server) as site:
        why = await fails_with(site, BTC)
        assert why.startswith("okx: its TLS certificate is not trusted ([SSL: CERTIFICATE_VERIFY_FAILED]")
        async with aclosing(CcxtFeed("okx", [BTC], site.url, site.rest_url, client).frames()) as frames:
            reader = Reader(frames)
            await reader.until(BookSnapshot)


async def test_the_venues_markets_are_listed() -> None:
    async with okx(BTC, ETH) as site:
        steps = (Decimal("0.1"), Decimal("0.00001"), Decimal("0.0001"))
        markets = await CcxtFeed("ccxt-okx", [], site.url, site.rest_url).markets()
        listed = await asyncio.to_thread(CliRunner().invoke, app, ["symbols", "okx", "--rest-url", site.rest_url])
    assert markets == [Listing("ccxt-okx", name, name, *steps, True) for name in (BTC, ETH)]
    assert (listed.exit_code, "okx: 2 of 2 symbols" in listed.output) == (0, True), listed.output


def test_a_list_that_does_not_come_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbols_command, "ANSWER_S", 0.5)
    done = CliRunner().invoke(app, ["symbols", "okx", "--rest-url", "http://127.0.0.1:1"])
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (
        2, "error: okx: its list of symbols did not come through ccxt in 0.5 s"
    )  # fmt: skip
