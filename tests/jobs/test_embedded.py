"""The embedded runner: a simulated exchange or a tape through the pipeline to the bus, the store and the API."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from api.hub import SourceInfo
from api.store_sqlite import SqliteStore
from jobs import embedded, lives
from jobs.databases import open_store
from jobs.embedded import EmbeddedRunner, run_embedded
from jobs.live import FeedSource, SimulatorSource
from jobs.outputs import Latencies
from jobs.parsers import Parsers
from jobs.recorded import TapeSource
from jobs.settings import RunSettings
from producers.exchanges import feed as feed_module
from producers.exchanges.base import Reject, ignore
from producers.exchanges.kraken_feed import KrakenFeed
from producers.frames import Frame
from producers.simulator.frames import frames as simulated
from producers.simulator.orderflow import Market
from producers.simulator.venue_server import VenueServer
from producers.tapes import TapeWriter, read_frames
from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Trade
from quicksilver.memory import MemoryBus
from quicksilver.pipeline import Pipeline
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.records import DeadLetter, Features, FeedStats, Frontier, Latency, Published, Status
from quicksilver.tables import TABLES
from quicksilver.topics import TOPIC_OF, key_of
from tests.simulated import corrupt, exchange

NAMES = ["BTC/USD", "ETH/USD", "SOL/USD"]
SYMBOLS = [name.replace("/", "-") for name in NAMES]
START_NS = 1_790_000_000_000_000_000


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the shell that runs the tests has set, these tests set for themselves."""
    for name in RunSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def settled(**given: Any) -> RunSettings:
    return RunSettings(**given)


class Noted(FeedSource):
    """A live source that notes its events and which books it was asked for."""

    def __init__(self, url: str, feed: type[KrakenFeed] = KrakenFeed) -> None:
        super().__init__([feed("kraken", SYMBOLS, url)], SourceInfo("LIVE", "a test"))
        self.events: dict[str, list[AnyEvent]] = {symbol: [] for symbol in SYMBOLS}
        self.asked: list[str] = []

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        async for received_ns, events in super().batches(reject):
            for event in events:
                self.events[event.symbol].append(event)
            yield received_ns, events

    async def resync(self, venue: str, symbol: str) -> None:
        self.asked.append(f"{venue}:{symbol}")
        await super().resync(venue, symbol)


class Run:
    """A runner at work on a simulated exchange, and all that it has published."""

    def __init__(self, server: VenueServer, feed: type[KrakenFeed]) -> None:
        self.server = server
        self.source = Noted(server.url, feed)
        self.records: list[Published] = []
        bus = MemoryBus()
        bus.subscribe(lambda topic, key, record: self.records.append(record))
        self.task = asyncio.create_task(EmbeddedRunner(self.source, bus).run())

    def of(self, symbol: str) -> list[Published]:
        """All that was published of a symbol, in order, but for reports on its feed."""
        return [
            one for one in self.records if getattr(one, "symbol", None) == symbol and not isinstance(one, FeedStats)
        ]

    def states(self, symbol: str) -> list[str]:
        return [record.state for record in self.of(symbol) if isinstance(record, Status)]

    def books(self, symbol: str) -> list[type[AnyEvent]]:
        """Snapshots and gaps among a symbol's events."""
        return [type(event) for event in self.source.events[symbol] if isinstance(event, BookSnapshot | Gap)]

    async def until(self, reached: Callable[[], Any]) -> None:
        """Let the runner go on until something is so."""
        async with asyncio.timeout(60):
            while not reached():
                assert not self.task.done()
                await asyncio.sleep(0.01)

    async def until_all(self, *states: str) -> None:
        """Let each symbol wait for its first book and then come to these states."""
        await self.until(lambda: all(self.states(symbol) == ["SYNCING", *states] for symbol in SYMBOLS))

    async def more(self, n: int = 20) -> None:
        """Let each symbol have ``n`` more book changes."""
        before = {symbol: self.deltas(symbol) for symbol in SYMBOLS}
        await self.until(lambda: all(self.deltas(symbol) >= before[symbol] + n for symbol in SYMBOLS))

    def deltas(self, symbol: str) -> int:
        return sum(isinstance(event, BookDelta) for event in self.source.events[symbol])


@asynccontextmanager
async def running(rate: float = 1.0, feed: type[KrakenFeed] = KrakenFeed) -> AsyncIterator[Run]:
    async with exchange(Market(1, time.time_ns(), NAMES, rate), speed=2.0) as server:
        run = Run(server, feed)
        try:
            yield run
        finally:
            run.task.cancel()
            with suppress(asyncio.CancelledError):
                await run.task


def heads(records: Sequence[Published], *kinds: type) -> list[tuple[str, int]]:
    """The numbers and types (a status: its state) of the records of these kinds."""
    return [
        (one.state if isinstance(one, Status) else type(one).__name__, one.seq)
        for one in records
        if isinstance(one, kinds) and isinstance(one, Status | Features | Trade)
    ]


def expected(events: Sequence[AnyEvent]) -> list[tuple[str, int]]:
    """What must have been published of a symbol's events: its life, its features and its trades."""
    found: list[tuple[str, int]] = [("SYNCING", 0)]
    state = ""
    for event in events:
        become = {BookSnapshot: "LIVE", Gap: "GAP"}.get(type(event), state)
        if become != state:
            found.append((become, event.seq))
            state = become
        if isinstance(event, BookSnapshot | BookDelta):
            found.append(("Features", event.seq))
        elif isinstance(event, Trade):
            found.append(("Trade", event.seq))
    return found


async def test_a_corrupt_frame_costs_one_symbol_its_book_until_it_is_asked_for_anew() -> None:
    async with running() as run:
        await run.until_all("LIVE")
        await run.more()
        corrupt(run.server, "ETH-USD")
        await run.until(lambda: run.states("ETH-USD") == ["SYNCING", "LIVE", "GAP", "LIVE"])
        await run.more()
    assert {symbol: run.books(symbol) for symbol in SYMBOLS} == {
        "BTC-USD": [BookSnapshot],
        "ETH-USD": [BookSnapshot, Gap, BookSnapshot],
        "SOL-USD": [BookSnapshot],
    }
    assert {symbol: run.states(symbol) for symbol in SYMBOLS} == {
        "BTC-USD": ["SYNCING", "LIVE"],
        "ETH-USD": ["SYNCING", "LIVE", "GAP", "LIVE"],
        "SOL-USD": ["SYNCING", "LIVE"],
    }
    assert run.source.asked == ["kraken:ETH-USD"]
    for symbol in SYMBOLS:
        events = run.source.events[symbol]
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert heads(run.of(symbol), Status, Features, Trade) == expected(events)
    hurt = run.of("ETH-USD")
    gap = next(i for i, one in enumerate(hurt) if isinstance(one, Status) and one.state == "GAP")
    live = next(i for i, one in enumerate(hurt) if i > gap and isinstance(one, Status))
    reason = hurt[gap].reason  # type: ignore[union-attr]
    assert reason.startswith("checksum ")
    assert {type(one).__name__ for one in hurt[gap + 1 : live]} <= {"Trade", "Candle"}


async def test_a_dropped_connection_costs_every_symbol_its_book_until_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_module, "APART_S", 0.0)
    async with running() as run:
        await run.until_all("LIVE")
        await run.more()
        run.server.disconnect_all()
        await run.until_all("LIVE", "GAP", "LIVE")
        await run.more()
    for symbol in SYMBOLS:
        assert run.books(symbol) == [BookSnapshot, Gap, BookSnapshot]
        assert heads(run.of(symbol), Status, Features, Trade) == expected(run.source.events[symbol])
        (gap,) = (one for one in run.of(symbol) if isinstance(one, Status) and one.state == "GAP")
        assert gap.reason == "connection lost"


class Forgetful(KrakenFeed):
    """Kraken, which does nothing about the first request for a book."""

    forgotten = False

    def subscribe_book(self, symbol: str) -> list[str]:
        if self.forgotten:
            return super().subscribe_book(symbol)
        self.forgotten = True
        return []


async def test_a_book_that_does_not_come_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "WATCH_S", 0.05)
    monkeypatch.setattr(lives, "UNANSWERED_S", 2.0)  # of the others the first books come sooner
    async with running(feed=Forgetful) as run:
        await run.until_all("LIVE")
        corrupt(run.server, "SOL-USD")
        await run.until(lambda: run.states("SOL-USD") == ["SYNCING", "LIVE", "GAP", "LIVE"])
    assert run.source.asked[:2] == ["kraken:SOL-USD"] * 2
    assert run.states("BTC-USD") == run.states("ETH-USD") == ["SYNCING", "LIVE"]


class Deaf(KrakenFeed):
    """Kraken, which does nothing about the first request for anything: a first book that is lost."""

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        return super().subscribe(["BTC-USD", "ETH-USD"])


async def test_a_first_book_that_does_not_come_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "WATCH_S", 0.05)
    monkeypatch.setattr(lives, "UNANSWERED_S", 2.0)
    async with running(feed=Deaf) as run:
        await run.until_all("LIVE")
        (waiting, _) = (one for one in run.of("SOL-USD") if isinstance(one, Status))
        assert (waiting.venue, waiting.seq, waiting.reason) == ("kraken", 0, "waiting for its first book")
    assert set(run.source.asked) == {"kraken:SOL-USD"}


async def test_a_venue_that_is_not_there_shows_what_it_owes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "WATCH_S", 0.02)
    monkeypatch.setattr(lives, "UNANSWERED_S", 0.1)
    async with running() as run:
        run.source.feeds["kraken"].url = "ws://127.0.0.1:1"  # before the feed has begun to connect
        await run.until(lambda: len(run.source.asked) >= 6)
    assert {symbol: run.states(symbol) for symbol in SYMBOLS} == {symbol: ["SYNCING"] for symbol in SYMBOLS}
    assert run.source.asked[:3] == [f"kraken:{symbol}" for symbol in SYMBOLS]


class FailedError(Exception):
    """What a test lets go wrong."""


async def test_a_watch_that_fails_ends_the_run_with_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: lives.Lives) -> list[Status]:
        raise FailedError("the watch")

    monkeypatch.setattr(embedded, "WATCH_S", 0.02)
    monkeypatch.setattr(lives.Lives, "silent", fail)
    before = asyncio.all_tasks()
    async with exchange(Market(1, time.time_ns(), NAMES)) as server:
        with pytest.raises(FailedError, match="the watch"):
            async with asyncio.timeout(60):
                await EmbeddedRunner(Noted(server.url), MemoryBus()).run()
    assert asyncio.all_tasks() == before


async def test_an_error_of_the_source_is_not_hidden_by_the_last_report(
    tape: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Pipeline, event: AnyEvent) -> list[Any]:
        raise FailedError("the pipeline")

    def report(self: Latencies, now_ns: int) -> list[Latency]:
        raise FailedError("the report")

    monkeypatch.setattr(Pipeline, "step", fail)
    monkeypatch.setattr(Latencies, "report", report)
    with pytest.raises(FailedError, match="the pipeline"):
        await EmbeddedRunner(TapeSource(tape, "max"), MemoryBus()).run()


async def test_a_silent_instrument_is_stale_until_it_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "WATCH_S", 0.02)
    monkeypatch.setattr(lives, "STALE_S", 0.1)
    async with running(rate=0.1) as run:
        await run.until(lambda: run.states("SOL-USD")[:4] == ["SYNCING", "LIVE", "STALE", "LIVE"])
    records = run.of("SOL-USD")[1:]
    said = [one for one in records if isinstance(one, Status)]
    states = [one.state for one in said]
    assert states == [("LIVE", "STALE")[i % 2] for i in range(len(said))]
    assert {(one.seq, one.venue, one.state, one.reason) for one in said} == {
        (said[0].seq, "kraken", "LIVE", ""), (said[0].seq, "kraken", "STALE", "nothing for 0.1 s"),
    }  # fmt: skip
    assert [one.ts_event_ns for one in said[1:]] == sorted(one.ts_event_ns for one in said[1:])  # the newest is last
    stale, live = (records.index(one) for one in said[1:3])
    assert records[stale + 1 : live] == []  # nothing comes of a stale instrument before it is live again
    assert run.source.asked == []


async def test_universes_say_that_their_one_venue_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """No price moves their clock any more: what they computed last must not look as if it were of now."""
    monkeypatch.setattr(embedded, "WATCH_S", 0.02)
    quick = PortfolioConfig("quick", period_ns=100_000_000, min_observations=3, n_portfolios=200, stale=5, resamples=0)
    slow = replace(quick, universe="slow", stale=100_000)
    monkeypatch.setattr(Noted, "config", PipelineConfig(portfolios=(quick, slow)))

    def said(run: Run, universe: str) -> list[Frontier]:
        return [one for one in run.records if isinstance(one, Frontier) and one.universe == universe]

    async with running() as run:
        await run.until(lambda: any(one.assets == SYMBOLS for one in said(run, "quick")))
        run.server.pause()
        await run.until(lambda: said(run, "quick")[-1].reason.startswith("no price of any instrument for"))
        await asyncio.sleep(0.2)
        last, before = said(run, "quick")[-1], said(run, "quick")[-2]
    assert (last.state, last.seq, last.picks) == ("WAITING", before.seq + 1, before.picks)  # once
    assert set(last.absent) == set(SYMBOLS)
    assert last.ts_event_ns - before.ts_event_ns > 5 * 100_000_000
    assert said(run, "slow")[-1].state == "LIVE"


async def test_a_loss_that_ends_a_silence_is_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "WATCH_S", 0.02)
    monkeypatch.setattr(lives, "STALE_S", 0.1)
    monkeypatch.setattr(feed_module, "APART_S", 60.0)
    async with running(rate=0.01) as run:
        await run.until(lambda: all(run.states(symbol)[-1:] == ["STALE"] for symbol in SYMBOLS))
        run.server.disconnect_all()
        await run.until(lambda: all(run.states(symbol)[-3:] == ["STALE", "LIVE", "GAP"] for symbol in SYMBOLS))
        await asyncio.sleep(0.3)
        assert all(run.states(symbol)[-3:] == ["STALE", "LIVE", "GAP"] for symbol in SYMBOLS)


async def test_latencies_of_each_hop_are_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "WATCH_S", 0.2)
    async with running() as run:
        await run.until(lambda: sum(isinstance(one, Latency) for one in run.records) >= 10)
    hops = ["1 exchange to receive", "2 event to records", "3 records to bus", "receive to bus, total"]
    found = [one for one in run.records if isinstance(one, Latency)]
    ahead = [one for one in found if one.hop == "0 clock behind venue: kraken"]
    assert ahead  # this exchange's time goes twice as fast as ours
    assert [one.p50_us for one in ahead] == sorted(one.p50_us for one in ahead)
    found = [one for one in found if one not in ahead]
    assert [one.hop for one in found[:8]] == hops * 2
    for one in found:
        assert one.n > 0
        assert one.p50_us <= one.p99_us <= one.max_us
        assert 0 <= one.p50_us < 10e6
    of_all = {hop: sum(one.n for one in found if one.hop == hop) for hop in hops}
    assert set(of_all.values()) == {sum(map(len, run.source.events.values()))}


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """A few seconds of two symbols, with a frame of no known venue and a line that cannot be read."""
    path = tmp_path / "session.zst"
    market = Market(3, START_NS, NAMES[:2])
    with TapeWriter(path) as writer:
        writer.write(Frame("nowhere", "n", "recv", START_NS, b"{}"))
        for ts_ns, payload in simulated(market, NAMES[:2], 10, 600):
            writer.write(Frame("kraken", "kraken.1", "recv", ts_ns, payload))
    return path


def computed(tape: Path) -> tuple[dict[str, dict[str, list[Published]]], int]:
    """What a tape comes to by the pipeline alone: records by topic and key, and the number of events."""
    letters: list[DeadLetter] = []
    parsers, pipeline, events = Parsers(letters.append), Pipeline(), 0
    found: dict[str, dict[str, list[Published]]] = {}
    records: list[Published] = []
    for frame in read_frames(tape, reject=ignore):
        for event in parsers.parse(frame):
            events += 1
            records += [event] if isinstance(event, Trade) else []
            records += pipeline.step(event)
    for record in [*records, *letters]:
        found.setdefault(TOPIC_OF[type(record)].name, {}).setdefault(key_of(record), []).append(record)
    return found, events


def stored(topic: str, records: Sequence[Published]) -> list[Any]:
    """A topic's rows as REST gives them: those of one key once, the last one, in the order of time."""
    table = TABLES[topic]
    last = {table.row_key(record): record for record in records}
    rows = sorted(last.values(), key=lambda record: (*table.order_of(record), table.row_key(record)))
    return [json.loads(codec.encode(row)) for row in rows]


@asynccontextmanager
async def serving_tape(tape: Path, data: Path) -> AsyncIterator[tuple[list[str], asyncio.Event, asyncio.Task[None]]]:
    """The whole embedded job on a tape; it is stopped at the end whatever happens."""
    said: list[str] = []
    stop = asyncio.Event()
    settings = settled(port=0, data=data)
    task = asyncio.create_task(run_embedded(TapeSource(tape, "max"), settings, said.append, stop))
    try:
        yield said, stop, task
    finally:
        stop.set()
        await task


async def test_a_tape_is_served_with_its_page_until_it_is_stopped(
    tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "PAGE", tmp_path)
    (tmp_path / "index.html").write_text("<title>the page</title>")
    truth, events = computed(tape)
    async with serving_tape(tape, tmp_path / "data") as (said, stop, task):
        async with asyncio.timeout(60):
            while len(said) < 3:
                await asyncio.sleep(0.01)
        url = said[1].split()[1]
        assert url.startswith("http://127.0.0.1:")
        assert said == [
            "Quicksilver [TAPE] session.zst (quicksilver)",
            f"page  {url}    API  {url}api/docs    Ctrl-C stops",
            f"the recording has ended after {events:,} events; the page stays until Ctrl-C",
        ]
        async with httpx.AsyncClient(base_url=url, timeout=60.0) as http:
            assert (await http.get("/")).text == "<title>the page</title>"
            await _rest_gives(http, truth)
        assert not task.done()
        stop.set()
        async with asyncio.timeout(60):
            await task
        assert len(said) == 3
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


async def _rest_gives(http: httpx.AsyncClient, truth: dict[str, dict[str, list[Published]]]) -> None:
    """Compare every row of every table, but for latencies and feeds, which are this run's."""
    health = (await http.get("/api/health")).json()
    assert (health["source"], health["detail"]) == ("TAPE", "session.zst (quicksilver)")
    counts = {topic: sum(map(len, keys.values())) for topic, keys in truth.items()}
    assert {name: n for name, n in health["counts"].items() if n and name not in {"latency", "feeds"}} == counts
    assert {"features", "trades", "tops", "candles", "labels", "status", "dead-letters"} <= counts.keys()
    for topic, keys in truth.items():
        assert (await http.get(f"/api/{topic}")).json() == {"topic": topic, "keys": sorted(keys)}
        for key, records in keys.items():
            rows = (await http.get(f"/api/{topic}/{key}?limit=10000")).json()
            assert rows == {"topic": topic, "key": key, "rows": stored(topic, records)}
    hops = (await http.get("/api/latency")).json()["keys"]
    assert hops == ["2 event to records", "3 records to bus"]


async def test_a_tape_that_holds_nothing_ends_the_run_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_bytes(b'{"quicksilver_tape":1}\nnothing\n')
    with pytest.raises(InputError, match=f"^{path}: nothing could be read: not a line of this tape: "):
        async with serving_tape(path, tmp_path) as (_, _, task):
            async with asyncio.timeout(60):
                await asyncio.wait([task])


async def test_a_taken_port_ends_the_run_with_its_number(tape: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = settled(port=port, data=tmp_path)
        with pytest.raises(InputError, match=f"^cannot serve on 127.0.0.1 port {port}: .*; choose another with PORT="):
            await run_embedded(TapeSource(tape, "max"), settings, print, asyncio.Event())


async def test_a_database_that_is_none_ends_the_run_with_its_path(tape: Path, tmp_path: Path) -> None:
    source = TapeSource(tape, "max")
    (tmp_path / source.database).write_bytes(b"not a database, but long enough to be looked at\n" * 100)
    settings = settled(port=0, data=tmp_path)
    with pytest.raises(InputError, match=f"^{tmp_path}/{source.database}: cannot be used as a database: "):
        await run_embedded(source, settings, print, asyncio.Event())


async def test_a_simulated_market_starts_without_the_history_of_the_last_one(tmp_path: Path) -> None:
    """Its prices begin anew: two runs in one chart would be a jump that never was."""
    settings = settled(port=0, data=tmp_path)
    for _ in range(2):
        said: list[str] = []
        stop = asyncio.Event()
        started_ns = time.time_ns()
        run = asyncio.create_task(run_embedded(SimulatorSource(1, NAMES), settings, said.append, stop))
        while len(said) < 2:
            await asyncio.sleep(0.01)
        rows: list[Any] = []
        async with httpx.AsyncClient(base_url=said[1].split()[1], timeout=60.0) as http, asyncio.timeout(60):
            while not any(row["state"] == "LIVE" for row in rows):
                await asyncio.sleep(0.05)
                rows = (await http.get("/api/status/sim:BTC-USD")).json().get("rows", [])
        stop.set()
        await run
        assert [row["state"] for row in rows] == ["SYNCING", "LIVE"]
        assert rows[0]["ts_event_ns"] >= started_ns
    assert {path.name for path in tmp_path.iterdir()} == {"simulated.sqlite", "simulated.sqlite.lock"}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """The database of a simulated market, with a row of an earlier run."""
    path = tmp_path / "simulated.sqlite"
    with closing(SqliteStore(path)) as store:
        store.write([Status("sim", "BTC-USD", 1, 2, 3, "LIVE", "")])
    return path


async def test_a_run_whose_port_is_taken_removes_no_rows(rows: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = settled(port=taken.getsockname()[1], data=rows.parent)
        with pytest.raises(InputError, match=r"^cannot serve on 127"):
            await run_embedded(SimulatorSource(1, NAMES), settings, print, asyncio.Event())
    with closing(SqliteStore(rows)) as store:
        assert store.count("status") == 1


async def test_two_runs_never_have_the_same_database(rows: Path) -> None:
    with open_store(rows, lasting=True, keep_hours=1.0) as first:
        with pytest.raises(InputError) as refused:
            await run_embedded(SimulatorSource(1, NAMES), settled(port=0, data=rows.parent), print, asyncio.Event())
        assert first.count("status") == 1
    assert str(refused.value) == f"another run writes {rows}: stop that one, or choose another folder with DATA="


@pytest.mark.parametrize(("host", "hosts"), [("::1", ["[::1]"]), ("localhost", ["localhost", "127.0.0.1"])])
async def test_the_page_is_served_on_every_address_of_a_host(
    tape: Path, tmp_path: Path, host: str, hosts: list[str]
) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("no IPv6 on this machine")
    said: list[str] = []
    stop = asyncio.Event()
    settings = settled(port=0, data=tmp_path, quicksilver_host=host)
    task = asyncio.create_task(run_embedded(TapeSource(tape, "max"), settings, said.append, stop))
    while len(said) < 2 and not task.done():
        await asyncio.sleep(0.01)
    url = said[1].split()[1]
    assert url.startswith(f"http://{hosts[0]}:")
    port = url.rpartition(":")[2]
    for name in hosts:
        async with httpx.AsyncClient(timeout=60.0) as http:
            assert (await http.get(f"http://{name}:{port}api/health")).is_success
    stop.set()
    await task


@pytest.mark.parametrize("host", ["x86_64-conda-linux-gnu.invalid", "192.0.2.1", "a..b"])
async def test_an_address_of_no_machine_of_ours_is_named(tape: Path, tmp_path: Path, host: str) -> None:
    settings = settled(port=0, data=tmp_path, quicksilver_host=host)
    with pytest.raises(InputError, match=f"^cannot serve on {host} port 0: .* PORT= or QUICKSILVER_HOST=$"):
        await run_embedded(TapeSource(tape, "max"), settings, print, asyncio.Event())


def _has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False
