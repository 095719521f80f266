"""VENUE_URLS: venues that lie elsewhere, here simulated ones, read by the commands as the real ones are."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.addresses import Address, addresses
from jobs.cli import app
from jobs.live import ElsewhereSource, FeedSource
from jobs.record_command import RecordSettings
from jobs.settings import RunSettings
from jobs.sources import choose
from producers.exchanges.venue import venues
from producers.simulator.listings import listing_of
from producers.simulator.orderflow import Market
from producers.simulator.serving import serve_venue
from producers.simulator.venue_server import VenueServer
from producers.simulator.venues.registry import engine_of, engines
from producers.tapes import read_frames
from quicksilver.errors import InputError

NAMES = ["kraken", "bitstamp/orders", "ccxt:okx"]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the shell that runs the tests has set, these tests set for themselves."""
    for name in RecordSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@contextmanager
def simulated(venue: str, *symbols: str) -> Iterator[VenueServer]:
    """A simulated venue, in an event loop of its own: the commands have one."""
    served, stop, ready = list[VenueServer](), asyncio.Event(), threading.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        engine = engine_of(venue)(Market(5, time.time_ns(), [listing_of(symbol) for symbol in symbols]))
        async with serve_venue(VenueServer(engine, clock=time.time_ns)) as server:
            served.append(server)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(20)
    try:
        yield served[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("kraken=ws://127.0.0.1:9001/v2", {"kraken": Address("ws://127.0.0.1:9001/v2", "http://127.0.0.1:9001")}),
        ("kraken=wss://[::1]:9001,", {"kraken": Address("wss://[::1]:9001", "https://[::1]:9001")}),
        (
            "ccxt:okx=http://proxy:80/okx/, bitstamp/orders=wss://other.example , bitstamp/orders=https://rest.example",
            {
                "ccxt:okx": Address("", "http://proxy:80/okx"),
                "bitstamp/orders": Address("wss://other.example", "https://rest.example"),
            },
        ),
    ],
)
def test_addresses_are_read_and_rest_is_on_the_websockets_host(text: str, found: dict[str, Address]) -> None:
    assert addresses(text, NAMES) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kraken", "VENUE_URLS=kraken: write NAME=ws://HOST:PORT/PATH or NAME=http://HOST:PORT, with commas"),
        ("kraken=ftp://h", "VENUE_URLS=kraken=ftp://h: write NAME="),
        ("kraken=ws://:80", "VENUE_URLS=kraken=ws://:80: write NAME="),
        ("kraken=ws://h:99999", "VENUE_URLS=kraken=ws://h:99999: write NAME="),
        ("kraken=ws://h:port/v2", "VENUE_URLS=kraken=ws://h:port/v2: write NAME="),
        (
            "kraken=ws://h,bitstamp=ws://h",
            "VENUE_URLS=bitstamp=ws://h: VENUES=kraken,bitstamp/orders,ccxt:okx ",
        ),
        ("kraken=ws://h,kraken=ws://g", "VENUE_URLS=kraken=ws://g: there is an address of kraken already, ws://h"),
    ],
)
@pytest.mark.parametrize("command", ["run", "record", "publish"])
def test_a_wrong_address_is_one_sentence(command: str, text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        addresses(text, NAMES)
    assert str(caught.value).startswith(why)
    environment = {"VENUE_URLS": text, "VENUES": ",".join(NAMES), "SOURCE": "live", "RECORD": str(tmp_path)}
    result = CliRunner().invoke(app, [command], env=environment)
    assert (result.exit_code, result.stderr) == (2, f"error: {caught.value}\n")


def test_simulated_venues_are_read_where_the_setting_says() -> None:
    """What lies there says that it is a simulator, and so does the page; its rows come among nobody else's."""
    with simulated("kraken", "BTC-USD", "DOGE-USD") as kraken, simulated("bitfinex", "ALGO-USD") as bitfinex:
        said: list[str] = []
        urls = f"kraken={kraken.url},bitfinex={bitfinex.url},bitfinex={bitfinex.rest_url}"
        given = {"source": "live", "venues": "kraken,bitfinex", "symbols": "DOGE-USD,ALGO-USD", "venue_urls": urls}
        source = choose(RunSettings.model_validate(given), said.append)
        assert isinstance(source, ElsewhereSource)
        assert (source.info.kind, source.database, source.lasting) == ("SIMULATED", "elsewhere.sqlite", False)
        assert source.info.detail == f"public feeds of kraken at {kraken.url}, bitfinex at {bitfinex.url}"
        assert {name: feed.listed[feed.symbols[0]].native for name, feed in source.feeds.items()} == {
            "kraken": "DOGE/USD", "bitfinex": "tALGUSD",
        }  # fmt: skip
        assert source.instruments == [("kraken", "DOGE-USD"), ("bitfinex", "ALGO-USD")]
        assert [text.partition(";")[0] for text in said] == ["kraken lists no ALGO-USD", "bitfinex lists no DOGE-USD"]
        assert FeedSource.database != source.database


def test_record_writes_the_frames_of_an_address(tmp_path: Path) -> None:
    with simulated("bitstamp", "BTC-USD") as bitstamp:
        options = ["--source", "live", "--venues", "bitstamp", "--symbols", "BTC-USD", "--venue-urls"]
        options += [f"bitstamp={bitstamp.url}", "--out", str(tmp_path), "--seconds", "3"]
        result = CliRunner().invoke(app, ["record", *options])
    assert result.exit_code == 0, result.output
    frames = list(read_frames(tmp_path))
    assert {frame.venue for frame in frames} == {"bitstamp"}
    assert {(frame.url or "").removeprefix(bitstamp.rest_url) for frame in frames if frame.direction == "rest"} == {
        "/api/v2/markets/", "/api/v2/order_book/btcusd/",
    }  # fmt: skip
    assert json.loads(result.stderr.splitlines()[-1])["frames"] == len(frames) > 10


def test_symbols_prints_what_each_simulated_venue_lists() -> None:
    assert set(engines()) == set(venues())
    with ExitStack() as running:
        for venue in engines():
            server = running.enter_context(simulated(venue, "BTC-USD", "ALGO-USD"))
            result = CliRunner().invoke(app, ["symbols", venue, "--rest-url", server.rest_url])
            assert result.exit_code == 0, result.output
            rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines()]
            listed = {row[0]: row[2:4] for row in rows if len(row) > 3}
            tick = "" if venue == "bitfinex" else "0.1"
            assert listed["BTC-USD"] == [tick, "0.00000001"]
            assert len(listed) == 2
