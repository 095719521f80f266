"""Where events come from, as the settings say; live feeds that fail; recordings that cannot be read."""

import asyncio
import logging
import random
import re
import shutil
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import serve as sync_listen

from api.hub import SourceInfo
from jobs import live, starting_feeds
from jobs.live import FeedSource, SimulatorSource
from jobs.recorded import CsvSource, TapeSource
from jobs.settings import RunSettings
from jobs.sources import choose, live_source
from producers.exchanges.base import ignore
from producers.exchanges.bitstamp import BitstampFeed
from producers.exchanges.coinbase import CoinbaseFeed
from producers.exchanges.feed import Feed
from producers.exchanges.kraken_feed import KrakenFeed
from producers.exchanges.venue import venues
from producers.frames import Frame
from producers.simulator.orderflow import Market
from producers.tapes import TapeWriter
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, BookSnapshot, Gap, Price
from quicksilver.records import Audit, DeadLetter
from tests.simulated import exchange

FEEDS: tuple[type[Feed], ...] = (KrakenFeed, CoinbaseFeed, BitstampFeed)
MINUTE_NS = 60_000_000_000


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the shell that runs the tests has set, these tests set for themselves."""
    for name in RunSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every venue lies at a port of this machine where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    for feed in FEEDS:
        monkeypatch.setattr(feed, "url", f"ws://127.0.0.1:{port}")
        monkeypatch.setattr(feed, "rest_url", f"http://127.0.0.1:{port}")


@pytest.fixture
def only_kraken(monkeypatch: pytest.MonkeyPatch, offline: None) -> Iterator[None]:
    """Somebody answers where Kraken lies, and nowhere else."""
    with sync_listen(lambda client: None, "127.0.0.1", 0) as there:
        threading.Thread(target=there.serve_forever).start()
        monkeypatch.setattr(KrakenFeed, "url", f"ws://127.0.0.1:{there.socket.getsockname()[1]}")
        yield


def chosen(**settings: Any) -> tuple[Any, list[str]]:
    said: list[str] = []
    return choose(RunSettings(**settings), said.append), said


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    path = tmp_path / "own.zst"
    with TapeWriter(path) as writer:
        writer.write(Frame("kraken", "k", "recv", 1_700_000_000_000_000_000, b'{"channel":"heartbeat"}'))
    return path


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "BTC-USD.csv"
    rows = "\n".join(f"{1_700_000_000 + 60 * i},{100 + i}" for i in range(5))
    path.write_text(f"timestamp,price\n{rows}\n")
    return path


@pytest.mark.parametrize("source", ["tape", "csv"])
def test_a_recording_without_a_file_says_which_setting_is_missing(source: str) -> None:
    with pytest.raises(InputError, match=f"^SOURCE={source} needs TAPE=path, the file to play$"):
        chosen(source=source)


@pytest.mark.parametrize("source", ["auto", "live"])
@pytest.mark.parametrize(("setting", "example"), [("venues", "kraken,bitstamp"), ("symbols", "BTC-USD,ETH-USD")])
def test_no_venue_and_no_symbol_are_one_sentence_each(source: str, setting: str, example: str) -> None:
    name = setting.upper()
    why = f"^{name}= names none: say which, as in {name}={example}, or run with SOURCE=sim$"
    for empty in ("", " , "):
        with pytest.raises(InputError, match=why):
            chosen(source=source, **{setting: empty})


@pytest.mark.parametrize("source", ["tape", "csv"])
def test_a_missing_file_is_named(source: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path}/none: .*[Nn]o such file"):
        chosen(source=source, tape=tmp_path / "none")


@pytest.mark.parametrize("speed", ["fast", "0", "-1", "inf", "nan"])
@pytest.mark.parametrize("source", ["tape", "csv"])
def test_a_speed_that_is_none_is_refused(source: str, speed: str, tape: Path, csv: Path) -> None:
    with pytest.raises(InputError, match=f"^speed '{speed}': give a positive number such as 0.5, 1 or 50, or max$"):
        chosen(source=source, tape=tape if source == "tape" else csv, speed=speed)


def test_a_tape_is_played_at_the_speed_given(tape: Path) -> None:
    source, said = chosen(source="tape", tape=tape, speed="50")
    assert isinstance(source, TapeSource)
    assert source.info == SourceInfo("TAPE", "own.zst (quicksilver)")
    assert (source.config, source.realtime, said) == (PipelineConfig(), False, [])


def test_a_folder_of_tapes_is_a_tape(tape: Path) -> None:
    source, _ = chosen(source="tape", tape=tape.parent)
    assert source.info == SourceInfo("TAPE", f"{tape.parent.name} (folder)")


async def test_a_csv_file_sets_the_clocks_to_its_rows(csv: Path) -> None:
    source, said = chosen(source="csv", tape=csv, speed="max")
    assert isinstance(source, CsvSource)
    assert source.info == SourceInfo("CSV", "BTC-USD.csv, a row each 60 s")
    assert (source.config, source.realtime, said) == (PipelineConfig.for_rows(MINUTE_NS), False, [])
    start_ns = 1_700_000_000_000_000_000
    times = [start_ns + MINUTE_NS * i for i in range(5)]
    assert [batch async for batch in source.batches(ignore)] == [
        (None, [Price("csv", "BTC-USD", i + 1, times[i], times[i], 100.0 + i)]) for i in range(5)
    ]


@pytest.mark.parametrize("content", [b"hello\n", b"\x00\xff\x00\xff", random.Random(1).randbytes(5000), b""])
@pytest.mark.parametrize("source", ["tape", "csv"])
def test_junk_is_refused_by_its_name(tmp_path: Path, source: str, content: bytes) -> None:
    path = tmp_path / "junk"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^{path}: "):
        chosen(source=source, tape=path)


async def test_a_tape_without_one_readable_frame_is_refused_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "kraken.jsonl"
    path.write_bytes(b'{"quicksilver_tape":1}\n{"foo":1}\nbar\n')
    letters: list[DeadLetter] = []
    with pytest.raises(InputError, match=f"^{path}: nothing could be read: not a line of this tape: "):
        assert [batch async for batch in TapeSource(path, "max").batches(letters.append)] == []
    assert [letter.source for letter in letters] == [f"{path}:2", f"{path}:3"]


def test_the_simulator_is_taken_when_it_is_asked_for() -> None:
    source, said = chosen(source="sim", seed=3)
    assert isinstance(source, SimulatorSource)
    assert source.info == SourceInfo("SIMULATED", "built-in exchange simulator, seed 3: no real prices")
    assert (source.config, source.realtime, said) == (PipelineConfig(), True, [])
    assert source.instruments[:2] == [("sim", "BTC-USD"), ("sim", "ETH-USD")]


def unreachable(*venues_: str) -> str:
    """What is said of venues at whose address nobody listens."""
    return "".join(rf"\n  {name}: 127\.0\.0\.1:\d+ cannot be reached \(.*Connect call failed.*\)" for name in venues_)


def test_without_a_network_the_simulator_plays_and_says_so(offline: None) -> None:
    source, said = chosen()
    assert isinstance(source, SimulatorSource)
    why = unreachable("kraken", "coinbase", "bitstamp")
    (text,) = said
    assert re.fullmatch(
        rf"none of kraken,coinbase,bitstamp can be reached:{why}\nplaying the built-in exchange simulator instead",
        text,
    )


def test_live_data_without_a_network_is_an_error(offline: None) -> None:
    why = rf"none of kraken,bitstamp can be reached:{unreachable('kraken', 'bitstamp')}"
    with pytest.raises(InputError, match=rf"^{why}\ncheck the network, or run with SOURCE=sim$"):
        chosen(source="live", venues="kraken,bitstamp")


@pytest.mark.parametrize("source", ["auto", "live"])
def test_all_venues_are_taken_where_one_can_be_reached(source: str, only_kraken: None) -> None:
    """One that misses the probe may be back in a moment; its feed tries for ever."""
    found, said = chosen(source=source, symbols="btc-usd, eth-usd, btc-usd", venues="bitstamp, kraken")
    assert isinstance(found, FeedSource)
    assert found.info == SourceInfo("LIVE", "public feeds of bitstamp, kraken")
    assert (found.config, found.realtime) == (PipelineConfig(), True)
    for name, text in zip(("bitstamp", "kraken"), said, strict=True):
        assert re.fullmatch(rf"{name}: its list of symbols cannot be had \(.+\): their names are guessed", text)
    assert {name: (type(feed), feed.symbols) for name, feed in found.feeds.items()} == {
        "bitstamp": (BitstampFeed, ["BTC-USD", "ETH-USD"]),
        "kraken": (KrakenFeed, ["BTC-USD", "ETH-USD"]),
    }
    assert found.instruments == [
        ("bitstamp", "BTC-USD"), ("bitstamp", "ETH-USD"), ("kraken", "BTC-USD"), ("kraken", "ETH-USD"),
    ]  # fmt: skip


def test_venues_are_probed_together_and_one_that_hangs_is_not_waited_for(
    only_kraken: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting_feeds, "PROBE_S", 5.0)
    names, symbols = ["bitstamp", "coinbase", "kraken"], ["BTC-USD"]
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never says a word
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        for feed in (BitstampFeed, CoinbaseFeed):
            monkeypatch.setattr(feed, "url", url)
        started = time.monotonic()
        source, troubles = live_source(names, symbols, lambda text: None)
        assert source is not None
        assert troubles == []
        assert time.monotonic() - started < 9.9  # one after the other they would take twice 5 s
        monkeypatch.setattr(KrakenFeed, "url", url)
        source, troubles = live_source(names, symbols, lambda text: None)
        assert source is None
        host = url.removeprefix("ws://")
        assert troubles == [f"{name}: {host} cannot be reached (no answer in 5 s)" for name in names]


def test_each_source_has_a_database_of_its_own(tape: Path, csv: Path, tmp_path: Path) -> None:
    """Two files of one symbol in one database would mix in its chart."""
    other = tmp_path / "other" / csv.name
    other.parent.mkdir()
    shutil.copy(csv, other)
    strange = tmp_path / f"day 1: {'x' * 100} ☺.csv"
    shutil.copy(csv, strange)
    files: list[Any] = [CsvSource(csv, ""), CsvSource(other, ""), CsvSource(strange, ""), TapeSource(tape, "")]
    names = [one.database for one in files]
    assert [re.sub(r"-[0-9a-f]{8}\.sqlite$", "", name) for name in names] == [
        "csv-BTC-USD", "csv-BTC-USD", f"csv-day-1-{'x' * 34}", "tape-own",
    ]  # fmt: skip
    assert len({*names, "live.sqlite", SimulatorSource(1).database}) == 6
    assert CsvSource(csv.parent / "other" / ".." / csv.name, "max").database == names[0]
    assert [one.lasting for one in (*files, SimulatorSource(1))] == [True] * 4 + [False]


@pytest.mark.parametrize("source", ["auto", "live"])
def test_an_unknown_venue_is_named_beside_those_there_are(source: str) -> None:
    ours = ", ".join(sorted(venues()))
    with pytest.raises(InputError, match=rf"^unknown venue 'mtgox'; there are {ours}, and all that ccxt\.pro has$"):
        chosen(source=source, venues="kraken,mtgox")
    with pytest.raises(InputError, match="unknown venue 'mtgox'"):
        live_source(["mtgox"], [], lambda text: None)


class Failing(KrakenFeed):
    """Kraken, with a mistake that shows when a book is asked for anew."""

    mistaken = False

    def subscribe_book(self, symbol: str) -> list[str]:
        if self.mistaken:
            self.mistaken = False
            raise KeyError("a mistake")
        return super().subscribe_book(symbol)


class Reader:
    """Reads a source to the event that is waited for, and keeps all events by venue."""

    def __init__(self, batches: AsyncIterator[tuple[int | None, list[AnyEvent]]]) -> None:
        self._batches = batches
        self.events: dict[str, list[AnyEvent]] = {"kraken": [], "sim": []}

    async def until(self, venue: str, kind: type[AnyEvent]) -> None:
        async with asyncio.timeout(60):
            async for _, events in self._batches:
                for event in events:
                    self.events[event.venue].append(event)
                if any(event.venue == venue and isinstance(event, kind) for event in events):
                    return

    def kinds(self, venue: str) -> list[type[AnyEvent]]:
        """Snapshots and gaps, in their order."""
        return [type(event) for event in self.events[venue] if isinstance(event, BookSnapshot | Gap)]


@asynccontextmanager
async def two_venues(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[FeedSource, Reader]]:
    """Two exchanges that speak Kraken's language, the second under a name of its own."""
    monkeypatch.setitem(venues(), "sim", venues()["kraken"])
    now_ns = time.time_ns()
    async with exchange(Market(1, now_ns, ["BTC/USD"])) as one, exchange(Market(2, now_ns, ["ETH/USD"])) as two:
        feeds: list[Feed] = [KrakenFeed("kraken", ["BTC-USD"], one.url), Failing("sim", ["ETH-USD"], two.url)]
        source = FeedSource(feeds, SourceInfo("LIVE", "a test"))
        async with aclosing(source.batches(ignore)) as batches:  # type: ignore[type-var]
            yield source, Reader(batches)


async def test_two_venues_are_merged_and_one_that_fails_does_not_end_the_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "RESTART_S", 0.3)
    async with two_venues(monkeypatch) as (source, reader):
        for venue in ("kraken", "sim"):
            if BookSnapshot not in reader.kinds(venue):
                await reader.until(venue, BookSnapshot)
        failing = source.feeds["sim"]
        assert isinstance(failing, Failing)
        failing.mistaken = True
        with caplog.at_level(logging.ERROR, logger=live.log.name):
            await source.resync("sim", "ETH-USD")
            await reader.until("sim", Gap)
            before = len(reader.events["kraken"])
            await reader.until("sim", BookSnapshot)
        assert len(reader.events["kraken"]) > before  # it went on meanwhile
    assert reader.kinds("kraken") == [BookSnapshot]
    assert reader.kinds("sim") == [BookSnapshot, Gap, BookSnapshot]
    for events in reader.events.values():
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
    (record,) = caplog.records
    assert record.getMessage() == "sim: the feed failed; it starts again in 0.3 s"
    assert record.exc_info is not None
    assert repr(record.exc_info[1]) == "KeyError('a mistake')"


async def test_closing_a_source_leaves_no_task_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    before = asyncio.all_tasks()
    for _ in range(3):
        async with two_venues(monkeypatch) as (_, reader):
            await reader.until("kraken", BookSnapshot)
        assert asyncio.all_tasks() == before
        async with aclosing(SimulatorSource(1, ["BTC/USD"]).batches(ignore)) as batches:  # type: ignore[type-var]
            async with asyncio.timeout(60):
                assert isinstance(await anext(batches), tuple)
        assert asyncio.all_tasks() == before


async def test_the_simulator_is_read_as_a_venue_is() -> None:
    """Its list of symbols is the first frame, its books are audited, and a symbol may go and come back."""
    source = SimulatorSource(1, ["BTC/USD", "DOGE/USD"], audit_every_s=0.5)
    frames, events, audits = list[Frame](), list[AnyEvent](), list[Audit]()
    source.tap = frames.append
    async with aclosing(source.batches(ignore)) as batches:  # type: ignore[type-var]

        async def until(reached: Callable[[], Any]) -> None:
            async with asyncio.timeout(60):
                while not reached():
                    events.extend((await anext(batches))[1])

        def snapshots() -> list[str]:
            return [event.symbol for event in events if isinstance(event, BookSnapshot)]

        def audited() -> set[str]:
            audits.extend(source.audits())
            return {one.symbol for one in audits}

        await until(lambda: len(snapshots()) == 2)
        await until(lambda: audited() == {"BTC-USD", "DOGE-USD"})
        await source.remove("sim", "DOGE-USD")
        await until(lambda: any(isinstance(event, Gap) for event in events))
        with pytest.raises(InputError, match=r"^sim lists no ETH-USD; "):
            await source.add("sim", "ETH-USD")
        with pytest.raises(InputError, match=r"^this run plays SIMULATED data: no symbol of kraken can be added"):
            await source.add("kraken", "ETH-USD")
        assert await source.add("sim", "DOGE-USD") == "sim"
        await until(lambda: len(snapshots()) == 3)
    first = frames[0]
    assert (first.direction, first.url) == ("rest", source.feeds["sim"].listings_url)
    assert b'"wsname":"XDG/USD"' in first.payload
    assert {event.venue for event in events} == {"sim"}
    assert snapshots()[2:] == ["DOGE-USD"]
    assert {(one.reason, one.best_bid_equal, one.best_ask_equal) for one in audits} == {("", True, True)}
