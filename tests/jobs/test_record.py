"""Recording live: what the tape gives when it is replayed is what was seen, through faults; the command and RECORD=."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from typer.testing import CliRunner

from api.hub import SourceInfo
from jobs.cli import app
from jobs.embedded import EmbeddedRunner
from jobs.live import FeedSource, SimulatorSource
from jobs.parsers import Parsers
from jobs.record import RecordRun, record_source
from jobs.record_command import RecordSettings
from jobs.recorded import TapeSource
from jobs.recording import recording
from jobs.replay import Replay
from jobs.settings import RunSettings
from producers.exchanges import feed as feed_module
from producers.exchanges.base import Reject, ignore
from producers.exchanges.kraken_feed import KrakenFeed
from producers.exchanges.venue import venues
from producers.frames import Frame
from producers.raw_queue import RawQueue
from producers.simulator.orderflow import Market
from producers.simulator.serving import serve_venue
from producers.simulator.soak import SIX
from producers.simulator.venue_server import VenueServer
from producers.simulator.venues.registry import engine_of
from producers.tapes import TapeWriter, read_frames
from producers.tapes.recorder import TapeRecorder
from producers.tapes.rotating import RotatingTape
from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Trade
from quicksilver.memory import MemoryBus
from quicksilver.pipeline import Pipeline
from quicksilver.records import AnyRecord, Features, Published
from tests.conftest import ROOT
from tests.exposition import samples
from tests.simulated import corrupt, drop, exchange

NAMES = ["BTC/USD", "ETH/USD"]
PATIENCE_S = 60.0
T = TypeVar("T", bound=RunSettings)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RecordSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(feed_module, "APART_S", 0.05)


def settled(kind: type[T], **given: Any) -> T:
    return kind(**given)


class Noted(FeedSource):
    """Two feeds of a simulated exchange, as of two venues, whose frames and events are noted."""

    def __init__(self, url: str) -> None:
        symbols = [name.replace("/", "-") for name in NAMES]
        feeds = [KrakenFeed("kraken", symbols, url), KrakenFeed("sim", symbols, url)]
        super().__init__([*feeds], SourceInfo("LIVE", "a test"))
        self.events: list[AnyEvent] = []

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        async for received_ns, events in super().batches(reject):
            self.events += events
            yield received_ns, events

    @property
    def gaps(self) -> int:
        return sum(isinstance(event, Gap) for event in self.events)

    @property
    def live(self) -> int:
        """How many books can be trusted: one that cannot be has no further gap."""
        turns = [event for event in self.events if isinstance(event, (BookSnapshot, Gap))]
        return sum(isinstance(last, BookSnapshot) for last in {(one.venue, one.symbol): one for one in turns}.values())


async def until(reached: Callable[[], Any], running: "asyncio.Task[Any]", every_s: float = 0.01) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not reached():
            assert not running.done(), running.exception()
            await asyncio.sleep(every_s)


async def through_faults(server: VenueServer, source: Noted, running: "asyncio.Task[Any]") -> None:
    await until(lambda: len(source.events) > 200, running)
    corrupt(server, "BTC-USD")
    drop(server, "ETH-USD")
    await until(lambda: source.gaps >= 4 and source.live == 4, running)
    server.disconnect_all()
    await until(lambda: source.gaps >= 8, running)
    n = len(source.events)
    await until(lambda: len(source.events) > n + 200, running)


class Kept:
    """Keeps a replay's records."""

    def __init__(self) -> None:
        self.records: list[AnyRecord] = []

    def write(self, record: AnyRecord) -> None:
        self.records.append(record)


def replayed(folder: Path) -> tuple[list[AnyRecord], dict[str, Any]]:
    kept = Kept()
    run = Replay(Pipeline(), kept)
    return kept.records, run.run(read_frames(folder, reject=run.reject_line))


async def test_a_tape_of_a_run_through_faults_gives_the_same_features(tmp_path: Path) -> None:
    """RECORD= beside the runner that computes."""
    published: list[Published] = []
    bus, said = MemoryBus(), list[str]()
    bus.subscribe(lambda topic, key, record: published.append(record))
    async with exchange(Market(3, time.time_ns(), NAMES, 3.0)) as server:
        source = Noted(server.url)
        settings = settled(RunSettings, record=tmp_path / "tapes", record_minutes=0.01)
        with recording(source, settings, said.append):
            running = asyncio.create_task(EmbeddedRunner(source, bus).run())
            try:
                await through_faults(server, source, running)
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
    records, summary = replayed(tmp_path / "tapes")
    live = [codec.encode(one) for one in published if isinstance(one, Features)]
    again = [codec.encode(one) for one in records if isinstance(one, Features)]
    assert len(live) > 200
    assert again[: len(live)] == live  # of the last frame the run that was ended may not have published all
    assert len(again) <= len(live) + 1
    assert (summary["gaps"], summary["rejected"]) == (source.gaps, 0)
    assert len(list((tmp_path / "tapes").iterdir())) > 1
    assert said[0] == f"recording to {tmp_path / 'tapes'}"
    found = json.loads(said[1].removeprefix("recorded "))
    assert (found["lost"], found["files"]) == (0, sorted(map(str, (tmp_path / "tapes").iterdir())))


async def test_the_recorder_asks_for_books_anew_and_its_tape_has_every_frame(tmp_path: Path) -> None:
    async with exchange(Market(4, time.time_ns(), NAMES, 3.0)) as server:
        source, tape = Noted(server.url), RotatingTape(tmp_path)
        recorder = TapeRecorder(tape, print)
        running = asyncio.create_task(RecordRun(source, recorder, None).run())
        try:
            await through_faults(server, source, running)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            recorder.close()
    frames = list(read_frames(tmp_path))
    assert {"connect", "disconnect", "send", "recv"} == {frame.direction for frame in frames}
    assert {frame.conn for frame in frames} == {f"{venue}.{n}" for venue in ("kraken", "sim") for n in (1, 2)}
    asked = [json.loads(frame.payload) for frame in frames if frame.direction == "send"]
    again = [one for one in asked if one["method"] == "unsubscribe"]
    assert {one["params"]["symbol"][0] for one in again} >= set(NAMES)
    _, summary = replayed(tmp_path)
    assert summary["gaps"] == source.gaps
    assert summary["events"] in {len(source.events), len(source.events) + 1}


def given_anew(folder: Path) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Whose books, and whose trades, a tape gives after the last loss that is marked on it; nobody's if none is."""
    parsers, marked = Parsers(ignore), False
    books, trades = set[tuple[str, str]](), set[tuple[str, str]]()
    for one in read_frames(folder, reject=ignore):
        if one.payload.endswith(b"the disk did not keep up"):
            books, trades, marked = set(), set(), True
        events = parsers.parse(one)
        for event in events if marked else ():
            if isinstance(event, BookDelta):
                books.add((event.venue, event.symbol))
            elif isinstance(event, Trade):
                trades.add((event.venue, event.symbol))
    return books, trades


async def test_after_a_hiccup_of_the_disk_the_tape_has_every_book_again_and_who_runs_sees_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes, write, events, said = threading.Event(), RotatingTape.write, list[AnyEvent](), list[str]()
    writes.set()
    monkeypatch.setattr(RotatingTape, "write", lambda self, frame: writes.wait() and write(self, frame))
    monkeypatch.setattr("jobs.recording.TapeRecorder", partial(TapeRecorder, queue_frames=2_000))

    async def read(source: FeedSource) -> None:
        async for _, found in source.batches(ignore):
            events.extend(found)

    async with AsyncExitStack() as stack:
        feeds = []
        for name in SIX.split(","):
            market = Market(6, time.time_ns(), ["BTC/USD"], 1.0)
            server = await stack.enter_async_context(
                serve_venue(VenueServer(engine_of(name)(market), clock=time.time_ns))
            )
            feeds.append(venues()[name].feed(name, list(server.engine.books), server.url, server.rest_url))
        source = FeedSource(feeds, SourceInfo("LIVE", "a test"))
        every = set(source.instruments)
        with recording(source, settled(RunSettings, record=tmp_path), said.append):
            reading = asyncio.create_task(read(source))
            try:
                await until(lambda: {(e.venue, e.symbol) for e in events if isinstance(e, BookDelta)} == every, reading)
                writes.clear()
                await until(lambda: "the disk does not keep up" in said[-1], reading)
                n = len(events)
                await until(lambda: len(events) > n + 400, reading)
                writes.set()
                await until(lambda: given_anew(tmp_path) == (every, every), reading, 0.5)
            finally:
                writes.set()
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading
    assert not any(isinstance(event, Gap) for event in events)
    assert json.loads(said[-1].removeprefix("recorded "))["lost"] > 0


async def test_what_is_recorded_already_is_not_recorded_again(tmp_path: Path) -> None:
    with TapeWriter(tmp_path / "x.zst") as writer:
        writer.write(Frame("kraken", "k", "recv", 1, b"{}"))
    source = TapeSource(tmp_path / "x.zst", "max")
    why = "RECORD= is for live feeds and the simulator, and this is a tape file"
    with pytest.raises(InputError, match=why), recording(source, settled(RunSettings, record=tmp_path / "t"), print):
        pass
    with pytest.raises(InputError, match=why):
        await record_source(source, settled(RecordSettings, record=tmp_path / "t"), print, asyncio.Event())
    assert not (tmp_path / "t").exists()


def command(*arguments: str, limit: int | None = None) -> "subprocess.Popen[str]":
    def bounded() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, preexec_fn=bounded,  # noqa: PLW1509
    )  # fmt: skip


def until_there(folder: Path, process: "subprocess.Popen[str]", frames: int) -> None:
    """Wait until a recording holds so many frames."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        assert process.poll() is None, process.communicate()
        if folder.is_dir() and list(folder.iterdir()) and sum(1 for _ in read_frames(folder)) >= frames:
            return
        time.sleep(0.2)
    raise AssertionError("nothing was recorded")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_command_records_until_it_is_told_to_end_or_killed(tmp_path: Path, number: signal.Signals) -> None:
    process = command("record", "--source", "sim", "--out", str(tmp_path), "--minutes", "0.02")
    try:
        until_there(tmp_path, process, 300)
        process.send_signal(number)
        out, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.communicate()
    letters: list[str] = []
    frames = list(read_frames(tmp_path, reject=lambda letter: letters.append(letter.reason)))
    _, summary = replayed(tmp_path)
    assert summary["checksums_failed"] == 0
    assert summary["checksums_passed"] > 100
    if number == signal.SIGKILL:
        assert [why.startswith("the tape is torn here") for why in letters] == [True]
        return
    assert (process.returncode, out, letters) == (0, "", [])
    said = errors.splitlines()
    assert said[0].startswith("recording [SIMULATED] built-in exchange simulator")
    found = json.loads(said[1])
    assert (found["frames"], found["lost"], found["files"]) == (len(frames), 0, sorted(map(str, tmp_path.iterdir())))
    assert said[2:] == []


def test_a_recorder_can_be_scraped_and_is_told_how_often_to_audit(tmp_path: Path) -> None:
    process = command(
        "record", "--source", "sim", "--out", str(tmp_path), "--metrics-port", "0", "--audit-every-s", "5"
    )
    try:
        until_there(tmp_path, process, 100)
        assert process.stderr is not None
        url = next(line for line in process.stderr if line.startswith("metrics")).split()[1]
        found = samples(httpx.get(url, timeout=60.0).text)
        assert found("quicksilver_recorded_frames_total") >= 100
        assert found("quicksilver_recorded_files_total") == 1
        assert found("quicksilver_unrecorded_frames_total") == 0
        assert found("quicksilver_frames_total", venue="sim") >= 100
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.communicate()


async def test_the_tape_goes_on_without_kafka_and_what_it_lacks_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the frames that wait for it only so many are kept."""
    monkeypatch.setattr("jobs.record.RawQueue", partial(RawQueue, queue_frames=100))
    settings = settled(RecordSettings, record=tmp_path, raw=True, kafka_servers="127.0.0.1:1", source="sim")
    stop, said = asyncio.Event(), list[str]()
    running = asyncio.create_task(record_source(SimulatorSource(7), settings, said.append, stop))
    await until(lambda: any("keep up" in line for line in said) and any("no Kafka" in line for line in said), running)
    stop.set()
    left = await running
    frames = sum(1 for _ in read_frames(tmp_path))
    counts = json.loads(said[-1])
    assert (counts["frames"], counts["undelivered"], counts["lost"]) == (frames, left, 0)
    assert left == frames > 100
    assert sorted(line.partition(" (")[0] for line in said[1:-1]) == [
        "Kafka at 127.0.0.1:1 does not keep up: frames from here are on the tape alone",
        "no Kafka at 127.0.0.1:1",
    ]


def test_a_disk_that_is_full_is_one_sentence(tmp_path: Path) -> None:
    """A limit on the size of files fails a write as a full disk does."""
    process = command("record", "--source", "sim", "--out", str(tmp_path), limit=20_000)
    try:
        _, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.communicate()
    said = errors.splitlines()
    why = f"{tmp_path}: the recording has ended, the disk does not take it: File too large"
    assert (process.returncode, said[1], said[-1]) == (2, why, f"error: {why}")
    assert json.loads(said[-2])["frames"] > 0
    assert sum(1 for _ in read_frames(tmp_path)) > 0


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    done = CliRunner().invoke(app, ["record", "--source", "sim", "--out", str(tmp_path / "file")])
    where = tmp_path / "file"
    assert (done.exit_code, done.stderr) == (
        2, f"error: {where}: tapes cannot be written there: {where} is no folder\n"
    )  # fmt: skip


def test_a_record_that_cannot_start_leaves_no_folder_and_names_what_it_can_take(tmp_path: Path) -> None:
    out = tmp_path / "tapes"
    for arguments, why in (
        (["--source", "tape"], "SOURCE=tape: Input should be 'auto', 'live' or 'sim'"),
        (["--source", "live", "--venues", "mtgox"], "unknown venue 'mtgox'"),
        (["--source", "sim", "--venues", "kraken"], "VENUES=kraken means nothing with SOURCE=sim: it is for "),
    ):
        done = CliRunner().invoke(app, ["record", "--out", str(out), *arguments])
        assert (done.exit_code, done.stderr.startswith(f"error: {why}")) == (2, True), done.stderr
    assert not out.exists()
