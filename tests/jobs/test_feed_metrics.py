"""What runners tell of their feeds: to Prometheus, in records, and as ``quicksilver replay`` counts it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from api.metrics import MeterCollector
from jobs import embedded, lives
from jobs.embedded import run_embedded
from jobs.parsers import SUMMARY, Parsers
from jobs.publish_metrics import PublisherCollector, exposing
from jobs.recorded import TapeSource
from jobs.replay import replay_tape
from jobs.settings import RunSettings
from producers.exchanges import feed as feed_module
from producers.exchanges.base import ignore
from producers.frames import Frame
from producers.kafka import KafkaPublisher
from producers.metrics import Meter
from producers.simulator.frames import frames as simulated
from producers.simulator.orderflow import Market
from producers.tapes import TapeWriter, read_frames
from quicksilver.events import BookDelta, BookSnapshot, Gap, Trade
from quicksilver.records import FeedStats
from tests.exposition import Samples, samples
from tests.jobs.test_embedded import NAMES, SYMBOLS, Run, running
from tests.jobs.test_publish import crossed_tape
from tests.simulated import corrupt

START_NS = 1_790_000_000_000_000_000
NAME_OF = {"frames": "messages"}  # where the summary's is another than ours
COUNTED = [name for name in SUMMARY if name not in {"features", "renumbered"}]  # the latter is in no ``FeedStats``


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the shell that runs the tests has set, these tests set for themselves."""
    for name in RunSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def settled(**given: Any) -> RunSettings:
    return RunSettings(**given)


def scraped(meter: Meter) -> Samples:
    registry = CollectorRegistry()
    registry.register(MeterCollector(meter))
    return samples(generate_latest(registry).decode())


@asynccontextmanager
async def served(tape: Path, data: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The embedded job on a tape, when it has come to its end."""
    said: list[str] = []
    stop = asyncio.Event()
    task = asyncio.create_task(
        run_embedded(TapeSource(tape, "max"), settled(port=0, data=data), said.append, stop)
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            while len(said) < 3:
                assert not task.done(), task.result()
                await asyncio.sleep(0.02)
        async with httpx.AsyncClient(base_url=said[1].split()[1], timeout=60.0) as http:
            yield http
    finally:
        stop.set()
        await task


def faulty_tape(path: Path) -> Path:
    """Two connections to a simulated Kraken: a wrong checksum, a frame that is none, trades twice, and the line cut."""
    with TapeWriter(path) as tape:
        for session in range(2):
            conn, start_ns = f"kraken.{session}", START_NS + session * 60 * 10**9
            tape.write(Frame("kraken", conn, "connect", start_ns, b""))
            for number, (ts_ns, payload) in enumerate(simulated(Market(3, start_ns, NAMES), NAMES, 10, 600)):
                said = payload.replace(b'"checksum":', b'"checksum":1') if 300 <= number < 320 else payload
                tape.write(Frame("kraken", conn, "recv", ts_ns + 3_000_000, said))
                if number == 400:
                    tape.write(Frame("kraken", conn, "recv", ts_ns, b'{"channel": "bo'))
                if b'"trade"' in payload:
                    tape.write(Frame("kraken", conn, "recv", ts_ns + 4_000_000, payload))
            tape.write(Frame("kraken", conn, "disconnect", ts_ns, b"cut"))
    return path


async def counts_are_those_of_the_summary(tape: Path, data: Path) -> dict[str, Any]:
    """Compare every count of every venue and symbol, as scraped and as stored; returns the summary."""
    summary = replay_tape(tape)
    async with served(tape, data) as http:
        found = samples((await http.get("/metrics")).text)
        rows = {key: await last_row(http, key) for key in (await http.get("/api/feeds")).json()["keys"]}
    for venue, counts in summary["venues"].items():
        assert found("quicksilver_frames_total", venue=venue) == counts["frames"] == rows[f"{venue}:"].messages
        for symbol, ours in counts["symbols"].items():
            row = rows.pop(f"{venue}:{symbol}")
            for name in COUNTED:
                field = NAME_OF.get(name, name)
                assert found(f"quicksilver_{field}_total", venue=venue, symbol=symbol) == ours[name]
                assert getattr(row, field) == ours[name]
        whole = rows.pop(f"{venue}:")
        for name in ("rejected", "duplicates", "skipped"):
            of_none = counts[name] - sum(ours[name] for ours in counts["symbols"].values())
            assert found(f"quicksilver_{name}_total", venue=venue, symbol="") == of_none == getattr(whole, name)
    assert rows == {}
    return summary


async def last_row(http: httpx.AsyncClient, key: str) -> FeedStats:
    rows = (await http.get(f"/api/feeds/{key}?limit=1")).json()["rows"]
    return FeedStats(**rows[-1])


async def test_a_tape_full_of_faults_is_counted_as_replay_counts_it(tmp_path: Path) -> None:
    summary = await counts_are_those_of_the_summary(faulty_tape(tmp_path / "faulty.tape"), tmp_path / "data")
    for name in (*COUNTED, "features"):
        assert summary[name] > 0 or name in {"crossed", "skipped"}, name


async def test_crossed_books_are_counted_as_replay_counts_them(tmp_path: Path) -> None:
    summary = await counts_are_those_of_the_summary(crossed_tape(tmp_path / "coinbase.tape"), tmp_path / "data")
    assert summary["crossed"] == 2


@pytest.mark.parametrize(
    "name",
    [
        "market-aggregator/2026-08-09-btc-usd.jsonl.gz",
        "crossbook/kraken_btcusd_l2.cbcap",
        "bitfinex-api-go/book_checksum_vector.jsonl",
    ],
)
async def test_recordings_are_counted_as_replay_counts_them(tapes: Path, tmp_path: Path, name: str) -> None:
    summary = await counts_are_those_of_the_summary(tapes / name, tmp_path)
    assert summary["events"] > 0


async def test_bytes_and_latencies_are_those_of_the_frames_and_events(tmp_path: Path) -> None:
    tape = faulty_tape(tmp_path / "faulty.tape")
    frames = [one for one in read_frames(tape, reject=ignore) if one.direction == "recv"]
    parsers, late_s = Parsers(ignore), dict.fromkeys(SYMBOLS, (0, 0.0))
    for frame in read_frames(tape, reject=ignore):
        for event in parsers.parse(frame):
            if isinstance(event, BookDelta | Trade) and event.ts_recv_ns != event.ts_event_ns:
                n, total = late_s[event.symbol]
                late_s[event.symbol] = (n + 1, total + (event.ts_recv_ns - event.ts_event_ns) / 1e9)
    async with served(tape, tmp_path / "data") as http:
        found = samples((await http.get("/metrics")).text)
    received = [found("quicksilver_received_bytes_total", venue="kraken", symbol=one) for one in ("", *SYMBOLS)]
    assert sum(received) == sum(len(one.payload) for one in frames)
    assert min(received[1:]) > 10_000
    for symbol, (n, total) in late_s.items():
        labels = {"venue": "kraken", "symbol": symbol}
        name = "quicksilver_exchange_to_receive_seconds"
        assert found(f"{name}_count", **labels) == found(f"{name}_bucket", le="+Inf", **labels) == n > 100
        assert found(f"{name}_sum", **labels) == pytest.approx(total)
        assert found(f"{name}_bucket", le="0.0025", **labels) == 0
        assert found(f"{name}_bucket", le="0.005", **labels) == n  # recorded 3 or 4 ms after it was said
    assert found("quicksilver_reconnects_total", venue="kraken") == 1


async def until(run: Run, **wanted: float) -> Samples:
    """Let the runner go on until the venue's metrics of these names are so."""
    async with asyncio.timeout(60):
        while True:
            found = scraped(run.source.meter)
            if all(found(f"quicksilver_{name}", venue="kraken") == value for name, value in wanted.items()):
                return found
            assert not run.task.done()
            await asyncio.sleep(0.02)


async def test_a_live_feed_that_is_cut_is_counted_with_what_that_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "APART_S", 0.0, raising=False)
    async with running() as run:
        found = scraped(run.source.meter)  # before anything has come
        assert [found("quicksilver_messages_total", venue="kraken", symbol=symbol) for symbol in SYMBOLS] == [0, 0, 0]
        await run.until_all("LIVE")
        await until(run, reconnects_total=0)
        run.server.disconnect_all()
        await run.until_all("LIVE", "GAP", "LIVE")
        corrupt(run.server, "ETH-USD")
        await run.until(lambda: run.states("ETH-USD")[-2:] == ["GAP", "LIVE"] and len(run.states("ETH-USD")) == 6)
        found = await until(run, reconnects_total=1)
    for symbol, gaps in zip(SYMBOLS, (1, 2, 1), strict=True):
        labels = {"venue": "kraken", "symbol": symbol}
        assert found("quicksilver_gaps_total", **labels) == found("quicksilver_resyncs_total", **labels) == gaps
        assert found("quicksilver_checksums_failed_total", **labels) == gaps - 1
        assert found("quicksilver_book_state", **labels, state="LIVE") == 1
        kinds = [type(one) for one in run.source.events[symbol]]
        assert kinds.count(Gap) == gaps
        assert kinds.count(BookSnapshot) > gaps
    reports = [one for one in run.records if isinstance(one, FeedStats)]
    assert {(one.venue, one.symbol) for one in reports} == {("kraken", symbol) for symbol in ("", *SYMBOLS)}
    assert reports[-1].reconnects == 1


async def test_a_silent_symbol_grows_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "WATCH_S", 0.02)
    monkeypatch.setattr(lives, "STALE_S", 0.1)
    async with running(rate=0.01) as run:
        await run.until(lambda: run.states("SOL-USD")[-1:] == ["STALE"])
        labels = {"venue": "kraken", "symbol": "SOL-USD"}
        found, name = scraped(run.source.meter), "quicksilver_last_message_age_seconds"
        assert found("quicksilver_book_state", **labels, state="STALE") == 1
        assert found(name, **labels) >= 0.1
        await run.until(lambda: scraped(run.source.meter)(name, **labels) > 2 * found(name, **labels))


async def test_a_publisher_can_be_scraped_while_it_runs_and_no_longer() -> None:
    said: list[str] = []
    meter, publisher = Meter(), KafkaPublisher("127.0.0.1:1", "a", said.append)
    meter.take(Frame("kraken", "c", "recv", time.time_ns(), b"{}"), [])
    publisher.report(meter.read(1)[0])
    try:
        async with (
            exposing(meter, ("127.0.0.1", 0), said.append, PublisherCollector(publisher)),
            httpx.AsyncClient(timeout=60.0) as http,
        ):
            (line,) = said
            url = line.removeprefix("metrics  ")
            found = samples((await http.get(url)).text)
        assert found("quicksilver_frames_total", venue="kraken") == 1
        assert found("quicksilver_published_total", topic="feeds") == 1
        assert found("quicksilver_unconfirmed_messages") >= 1
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
        async with exposing(meter, None, said.append):
            assert len(said) == 1
    finally:
        publisher.discard()


async def test_a_recording_that_has_ended_has_no_rate_any_more(tmp_path: Path) -> None:
    async with served(faulty_tape(tmp_path / "tape.zst"), tmp_path / "data") as http:
        keys = (await http.get("/api/feeds")).json()["keys"]
        rows = [await last_row(http, key) for key in keys]
    assert len(rows) == len(NAMES) + 1
    assert [(row.messages_per_s, row.latency_p50_us) for row in rows] == [(0.0, None)] * len(rows)
    assert all(row.messages > 0 for row in rows)
