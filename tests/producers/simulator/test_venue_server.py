"""Simulated venues on real ports: TLS, REST, faults at their time, recordings, and the command."""

import asyncio
import json
import signal
import ssl
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from producers.exchanges.base import Parser
from producers.exchanges.venue import venues
from producers.simulator import soak
from producers.simulator.__main__ import main
from producers.simulator.faults import parse_fault
from producers.simulator.listings import listing_of
from producers.simulator.orderflow import Market, Step
from producers.simulator.serving import serve_venue, tls_of
from producers.simulator.soak import Totals, run_soak, shares_of
from producers.simulator.soak_reader import Report
from producers.simulator.soak_venue import Plan
from producers.simulator.tape_server import TapeServer
from producers.simulator.venue_server import VenueServer
from producers.simulator.venues.registry import engine_of
from producers.tapes.read import read_frames
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS, AnyEvent, BookDelta, BookSnapshot, Gap

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-u", "-m", "producers.simulator"]
SYMBOLS = ["BTC-USD", "ETH-USD"]


def server(venue: str, *faults: str, rate: float = 2.0, **options: Any) -> VenueServer:
    market = Market(5, time.time_ns(), [listing_of(one) for one in SYMBOLS], rate)
    return VenueServer(engine_of(venue)(market), 1.0, [parse_fault(one) for one in faults], time.time_ns, **options)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that nobody has signed but itself, and its key."""
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
               "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(paths[0]), "-keyout",
               str(paths[1])]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return paths


async def first_books(venue: str, served: VenueServer, trust: ssl.SSLContext | None) -> list[AnyEvent]:
    """What the live feed and parser make of a venue until each symbol has a book and a change of it."""
    feed = venues()[venue].feed(venue, SYMBOLS, served.url, served.rest_url, trust)
    parser: Parser = venues()[venue].parser(venue)
    events: list[AnyEvent] = []
    async with asyncio.timeout(60), aclosing(feed.frames()) as frames:
        async for frame in frames:
            events += parser.parse(frame)
            if {event.symbol for event in events if isinstance(event, BookDelta)} == set(SYMBOLS):
                break
    return events


@pytest.mark.parametrize("venue", ["kraken", "bitstamp", "binance"])
async def test_the_live_feed_reads_a_venue_over_tls(venue: str, certificate: tuple[Path, Path]) -> None:
    trust = ssl.create_default_context(cafile=str(certificate[0]))
    async with serve_venue(server(venue), tls=tls_of(*certificate)) as served:
        assert (served.url[:6], served.rest_url[:8]) == ("wss://", "https://")
        events = await first_books(venue, served, trust)
    assert {event.symbol for event in events if isinstance(event, BookSnapshot)} == set(SYMBOLS)
    assert not any(isinstance(event, Gap) for event in events)


async def test_a_certificate_that_nobody_trusts_is_refused(certificate: tuple[Path, Path]) -> None:
    async with serve_venue(server("kraken"), tls=tls_of(*certificate)) as served:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(served.url)


def test_tls_without_a_certificate_is_an_error_for_people(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no TLS with"):
        tls_of(tmp_path / "none.pem", tmp_path / "none.key")


async def test_rest_gives_books_and_refuses_for_a_while_when_told_to() -> None:
    async with serve_venue(server("bitstamp")) as served, httpx.AsyncClient(timeout=60.0) as client:
        url = f"{served.rest_url}/api/v2/order_book/btcusd/"
        found = await client.get(url)
        assert (found.status_code, list(found.json())) == (200, ["timestamp", "microtimestamp", "bids", "asks"])
        assert (await client.get(f"{served.rest_url}/api/v2/order_book/xxxusd/")).status_code == 404
        served.inject(parse_fault("429+1"))
        refused = await client.get(url)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        async with asyncio.timeout(60):
            while (await client.get(url)).status_code != 200:
                await asyncio.sleep(0.1)


async def test_a_scheduled_fault_happens_at_its_time_and_again() -> None:
    async with serve_venue(server("kraken", "disconnect@0.5s/1.5s")) as served:
        started = time.monotonic()
        for breaks in (1, 2):
            async with connect(served.url) as client:
                await client.wait_closed()
                assert client.close_code == 1006
            assert [fault.kind for fault in served.injected] == ["disconnect"] * breaks
        assert time.monotonic() - started >= 1.9


async def test_a_closed_connection_has_delivered_all_that_was_sent() -> None:
    subscription = {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}}
    async with serve_venue(server("kraken", rate=20.0)) as served, connect(served.url) as client:
        await client.send(json.dumps(subscription))
        heard = [await client.recv() for _ in range(50)]
        served.close_all()
        with pytest.raises(ConnectionClosed):
            while True:
                heard.append(await client.recv())
        assert client.close_code == 1012
        assert len(heard) == served.sent >= 50


async def test_a_client_that_does_not_read_is_given_up() -> None:
    async with serve_venue(server("coinbase", rate=20.0, max_backlog=64 << 10)) as served:
        async with connect(served.url, max_queue=1, ping_interval=None) as sleeper:
            await sleeper.send('{"type":"subscribe","channel":"level2","product_ids":["BTC-USD"]}')
            async with asyncio.timeout(60):
                while not served.dropped:
                    again = '"channel":"level2","product_ids":["BTC-USD"]}'
                    await sleeper.send('{"type":"unsubscribe",' + again)
                    await sleeper.send('{"type":"subscribe",' + again)
                    await asyncio.sleep(0)
        assert served.dropped == 1


async def test_time_that_was_slept_through_is_caught_up_with_and_not_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve_venue(server("kraken", rate=5.0)) as served:
        market, steps = served.engine.market, list[Step]()
        step = market.step

        def counted() -> Step:
            steps.append(step())
            return steps[-1]

        monkeypatch.setattr(market, "step", counted)
        while not steps:
            await asyncio.sleep(0.01)
        steps.clear()
        time.sleep(2.0)  # nothing runs, as while a laptop sleeps
        while not steps:
            await asyncio.sleep(0.01)
        assert abs(time.time_ns() - market.now_ns) < SECOND_NS
        assert len(steps) < 60  # of two seconds there would be 600


def test_a_speed_or_a_fault_that_cannot_be_is_refused() -> None:
    async def make(*faults: str, speed: float = 1.0) -> None:
        engine = engine_of("kraken")(Market(5, time.time_ns(), [listing_of("BTC-USD")]))
        VenueServer(engine, speed, [parse_fault(one) for one in faults])

    with pytest.raises(InputError, match="must be above 0"):
        asyncio.run(make(speed=0.0))
    with pytest.raises(InputError, match="ETH-USD, which is not simulated"):
        asyncio.run(make("drop:ETH-USD"))
    with pytest.raises(InputError, match="no simulator of venue 'mtgox'; there are binance,"):
        engine_of("mtgox")


async def test_a_recording_is_played_to_the_live_feed_as_it_was(tapes: Path) -> None:
    """The same events as from the file, receive times aside; the REST book comes over HTTP, at the feed's own time."""
    tape = tapes / "market-aggregator" / "2026-08-09-btc-usd.jsonl.gz"
    for venue in ("kraken", "coinbase"):
        recorded = [frame for frame in read_frames(tape) if frame.venue == venue and frame.direction == "recv"]
        async with serve_venue(TapeServer(tape, venue, speed=float("inf"))) as served:
            feed = venues()[venue].feed(venue, ["BTC-USD"], served.url, served.rest_url)
            heard: list[bytes] = []
            async with asyncio.timeout(60), aclosing(feed.frames()) as frames:
                while len(heard) < len(recorded):
                    frame = await anext(frames)
                    heard += [frame.payload] if frame.direction == "recv" else []
            assert served.requests == feed.subscribe(["BTC-USD"])
        assert heard == [frame.payload for frame in recorded]


async def test_a_recordings_books_are_at_their_addresses(tapes: Path) -> None:
    folder = tapes / "cryptofeed" / "legacy"
    tape = folder / "2021-04-05.1312c062.BINANCE-b38f7c.0.zst"
    with pytest.raises(InputError, match="holds no message of binance"):
        TapeServer(folder / "2021-10-11.b90fa9b8.BINANCE.http.0.0.zst", "binance")
    recorded = [frame for frame in read_frames(tape) if frame.direction == "rest" and "/depth" in (frame.url or "")]
    async with serve_venue(TapeServer(tape, "binance")) as served, httpx.AsyncClient(timeout=60.0) as client:
        for frame in recorded:
            symbol = str(frame.url).partition("symbol=")[2].partition("&")[0]
            found = await client.get(f"{served.rest_url}/api/v3/depth?limit=5000&symbol={symbol}")
            assert (found.status_code, found.content) == (200, frame.payload)
        assert (await client.get(f"{served.rest_url}/api/v3/depth?symbol=NOPE")).status_code == 404
    assert len(recorded) == 10


def test_the_command_serves_a_venue_with_faults_and_stops_on_ctrl_c() -> None:
    command = [*COMMAND, "--venue", "poloniex", "--symbols", "BTC-USDT", "--fault", "drop:BTC-USDT@5s"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert line.startswith("simulated poloniex, symbols: BTC-USDT: ws://127.0.0.1:")
    assert (process.returncode, out, errors) == (0, "stopped\n", "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--venue", "mtgox"], "no simulator of venue 'mtgox'"),
        (["--venue", "kraken", "--fault", "flood"], "not a fault: 'flood'"),
        (["--fault", "drop:XXX-USD"], "a fault of XXX-USD, which is not simulated"),
        (["--symbols", "BTC-USD,BTC/USD"], "one or more symbols, each once"),
        (["--tape", "/nowhere"], "/nowhere: no such file"),
    ],
)
def test_what_cannot_be_served_is_an_error_for_people(options: list[str], said: str) -> None:
    app = typer.Typer()
    app.command()(main)
    done = CliRunner().invoke(app, options)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr


async def test_a_short_soak_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "END_S", 240.0)
    plans = [Plan(venue, 3, 60.0, 4.0, 4.0, 5.0, 1) for venue in ("kraken", "bitstamp")]
    totals = await run_soak(plans, 1, 15.0, print, report_s=2.0)
    assert (totals.lost, totals.read.rejected, totals.read.crossed, totals.too_slow) == (0, 0, 0, 0)
    assert totals.sent == totals.read.received > 100
    assert (totals.read.live, totals.read.instruments) == (6, 6)
    assert totals.connections in {4, 6}, "each was broken, once or twice: a busy machine's reader begins late"
    assert totals.read.snapshots == 6 + totals.read.gaps


def test_a_venue_that_collects_changes_says_no_more_than_it_can() -> None:
    shares = shares_of(["kraken", "binance", "bitstamp"], 50, 20_000.0)
    assert shares == {"kraken": 9_750.0, "binance": 500.0, "bitstamp": 9_750.0}
    assert shares_of(["kraken", "binance"], 50, 200.0) == {"kraken": 100.0, "binance": 100.0}


def test_a_soak_that_fails_says_why() -> None:
    good = Totals(60.0, 10, 0, 1, 0, 1.0, 100.0, Report(10, 0, 0, 2, 0, 2, 2, 109.0))
    assert good.complaints() == []
    bad = Totals(60.0, 10, 1, 1, 1, 1.0, 100.0, Report(9, 1, 0, 2, 1, 1, 2, 111.0))
    assert bad.complaints() == [
        "1 connections were given up: this machine cannot read so much", "1 messages were lost",
        "1 messages could not be read", "1 books were crossed", "1 of 2 books are not live", "memory grew",
    ]  # fmt: skip
