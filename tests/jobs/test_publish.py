"""Sources to a real Kafka: the events of the embedded runner, byte for byte, whoever is killed or told to stop."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from api.hub import SourceInfo
from jobs.books import BookWatch
from jobs.embedded import EmbeddedRunner
from jobs.publish import NEEDED, publish_source
from jobs.publish_command import PublishSettings
from jobs.recorded import CsvSource, TapeSource
from jobs.replay import replay_tape
from jobs.sources import Source
from producers.csv_prices import CsvFile
from producers.exchanges.base import Reject
from producers.frames import Frame
from producers.metrics import Meter
from producers.sessions import checked, csv_session, tape_session
from producers.simulator.frames import frames as simulated
from producers.simulator.orderflow import Market
from producers.tapes import TapeWriter
from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Levels, Price
from quicksilver.memory import MemoryBus
from quicksilver.pipeline import Pipeline
from quicksilver.records import AnyRecord, Audit, FeedStats, Status
from quicksilver.streaming.message import Headers, Message, event_message
from tests.exposition import samples
from tests.kafka_broker import Broker, broker, needs_java

pytestmark = needs_java
NOON = 1_600_000_000
START_NS = 1_790_000_000_000_000_000
EVENTS = [name for name in NEEDED if name not in {"audits", "dead-letters", "feeds"}]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with broker(tmp_path_factory.mktemp("kafka")) as made:
        yield made


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PublishSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


class Noted:
    """A source that notes its events and which books it was asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.info, self.config, self.realtime = source.info, source.config, source.realtime
        self.instruments, self.database, self.lasting = source.instruments, source.database, source.lasting
        self.meter = source.meter
        self.events: list[AnyEvent] = []
        self.asked: list[tuple[int, str, str]] = []  # after how many events, what, of which symbol

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        async for received_ns, events in self._source.batches(reject):
            self.events += events
            yield received_ns, events

    async def resync(self, venue: str, symbol: str) -> None:
        self.asked.append((len(self.events), "resync", symbol))
        await self._source.resync(venue, symbol)

    def doubt(self, venue: str, symbol: str) -> None:
        self.asked.append((len(self.events), "doubt", symbol))
        self._source.doubt(venue, symbol)

    def audits(self) -> Sequence[Audit]:
        return self._source.audits()


def stepped(source: Source) -> tuple[list[AnyEvent], list[tuple[int, str, str]]]:
    """Return the events that the embedded runner steps, and what it asks for."""
    noted = Noted(source)
    asyncio.run(EmbeddedRunner(noted, MemoryBus()).run())
    return noted.events, noted.asked


def published(node: Broker, source: Source, session: str) -> tuple[list[Message], list[tuple[int, str, str]]]:
    """Publish a source; returns its messages in the order of its events, and what was asked for."""
    noted = Noted(source)

    async def publish() -> int:
        return await publish_source(noted, session, node.servers, print, asyncio.Event())

    assert asyncio.run(publish()) == 0
    return in_order(node, session), noted.asked


def in_order(node: Broker, session: str) -> list[Message]:
    return sorted(node.read(*EVENTS, session=session), key=lambda one: int(one.headers.g))


def wanted(events: list[AnyEvent], config: PipelineConfig, session: str) -> list[tuple[str, str, Headers, bytes]]:
    """Return what the messages of a run's events have to be."""
    universe = config.universe
    interval = str(config.candle_intervals_ns[0])
    made = [
        event_message(event, 0, Headers(s=session, g=str(g), i=interval * isinstance(event, Price), u=universe))
        for g, event in enumerate(events, 1)
    ]
    return [(one.topic, one.key, one.headers, one.value) for one in made]


def said(messages: list[Message]) -> list[tuple[str, str, Headers, bytes]]:
    return [(one.topic, one.key, one.headers, one.value) for one in messages]


def long_tape(path: Path, n: int = 3_000) -> Path:
    """A tape of three instruments of the built-in exchange."""
    names = ["BTC/USD", "ETH/USD", "SOL/USD"]
    with TapeWriter(path) as tape:
        for ts_ns, payload in simulated(Market(1, START_NS, names), names, 10, n):
            tape.write(Frame("kraken", "k", "recv", ts_ns, payload))
    return path


def crossed_tape(path: Path) -> Path:
    """A tape of Coinbase, whose rules tell nothing of a book that crosses: it does so twice, and is mended."""

    def updates(*levels: tuple[str, int, int]) -> str:
        each = (f'{{"side":"{side}","price_level":"{price}","new_quantity":"{size}"}}' for side, price, size in levels)
        return ",".join(each)

    both = updates(("bid", 99, 1), ("offer", 101, 1))
    said = [
        ("snapshot", both), ("update", updates(("bid", 100, 2))), ("update", updates(("bid", 102, 2))),
        ("update", updates(("bid", 98, 2))), ("snapshot", both), ("update", updates(("offer", 100, 3))),
        ("snapshot", updates(("bid", 103, 1), ("offer", 101, 1))), ("update", updates(("bid", 97, 1))),
        ("snapshot", both), ("update", updates(("bid", 100, 1))),
    ]  # fmt: skip
    with TapeWriter(path) as tape:
        for i, (kind, text) in enumerate(said):
            payload = (
                f'{{"channel":"l2_data","timestamp":"2026-01-01T00:00:{i:02}Z","sequence_num":{i},"events":'
                f'[{{"type":"{kind}","product_id":"BTC-USD","updates":[{text}]}}]}}'
            )
            tape.write(Frame("coinbase", "c", "recv", (1_767_225_600 + i) * 10**9, payload.encode()))
    return path


def rows(path: Path, n: int = 200) -> Path:
    path.write_text("time,price\n" + "".join(f"{NOON + 60 * i},{5 + i % 7}\n" for i in range(n)) + "x,y\n")
    return path


# The same events as in one process


def test_a_simulated_tape_is_published_as_the_embedded_runner_steps_it(node: Broker, tmp_path: Path) -> None:
    tape = long_tape(tmp_path / "kraken.tape")
    events, asked = stepped(TapeSource(tape, "max"))
    messages, also = published(node, TapeSource(tape, "max"), "simulated")
    assert len(events) > 3_000
    assert said(messages) == wanted(events, PipelineConfig(), "simulated")
    assert also == asked


def test_a_crossed_book_is_doubted_and_asked_for_as_the_embedded_runner_does(node: Broker, tmp_path: Path) -> None:
    tape = crossed_tape(tmp_path / "coinbase.tape")
    events, asked = stepped(TapeSource(tape, "max"))
    messages, also = published(node, TapeSource(tape, "max"), "crossed")
    assert said(messages) == wanted(events, PipelineConfig(), "crossed")
    assert also == asked
    assert [one for _, one, _ in asked] == ["doubt", "resync"] * 2


@pytest.mark.parametrize(
    "name",
    [
        "crossbook/kraken_btcusd_sample.cbcap",
        "crossbook/kraken_btcusd_l2.cbcap",
        "market-aggregator/2026-08-09-btc-usd-live.jsonl.gz",
    ],
)
def test_recordings_are_published_as_the_embedded_runner_steps_them(node: Broker, tapes: Path, name: str) -> None:
    session = tape_session(tapes / name)
    events, asked = stepped(TapeSource(tapes / name, "max"))
    messages, also = published(node, TapeSource(tapes / name, "max"), session)
    assert said(messages) == wanted(events, PipelineConfig(), session)
    assert also == asked


def test_a_csv_file_is_published_with_its_interval_and_universe(node: Broker, tmp_path: Path) -> None:
    path = rows(tmp_path / "btcusd.csv")
    events, _ = stepped(CsvSource(path, "max"))
    messages, _ = published(node, CsvSource(path, "max"), "rows")
    assert said(messages) == wanted(events, CsvSource(path, "max").config, "rows")
    assert messages[0].headers == Headers(s="rows", n="1", g="1", i=str(60 * 10**9), u="every-60s")
    assert len(node.read("dead-letters", session="rows")) == 1


def test_the_publisher_tells_the_statuses_of_the_pipeline(tmp_path: Path) -> None:
    for tape in (long_tape(tmp_path / "kraken.tape", 500), crossed_tape(tmp_path / "coinbase.tape")):
        events, _ = stepped(TapeSource(tape, "max"))
        events += [Gap(events[0].venue, events[0].symbol, 10**6, 1, 1, "lost"), Price("csv", "A-B", 1, 1, 1, 2.0)]
        pipeline, watch = Pipeline(), BookWatch()
        expected: list[AnyRecord] = [
            record for event in events for record in pipeline.step(event) if isinstance(record, Status)
        ]
        assert [record for event in events for record in watch.step(event)] == expected
        assert expected


class Scripted:
    """A live source that says what a test wants it to, then waits to be ended."""

    info = SourceInfo("LIVE", "a script")
    config = PipelineConfig()
    realtime = True
    instruments: Sequence[tuple[str, str]] = (("x", "A-B"), ("x", "C-D"))
    database, lasting = "x.sqlite", True

    def __init__(self, events: list[AnyEvent]) -> None:
        self._events = events
        self.meter = Meter()
        self.books: list[str] = []

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        for event in self._events:
            yield event.ts_recv_ns, [event]
        while self._events and "C-D" not in self.books:
            await asyncio.sleep(0.01)

    async def resync(self, venue: str, symbol: str) -> None:
        self.books.append(symbol)

    def doubt(self, venue: str, symbol: str) -> None:
        self.books.append(f"doubt {symbol}")

    def audits(self) -> Sequence[Audit]:
        return ()


def test_books_that_were_lost_crossed_or_never_came_are_asked_for(
    node: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.lives.UNANSWERED_S", 1.5)
    bid, ask, none = Levels.of([(99.0, 1.0)]), Levels.of([(100.0, 1.0)]), Levels.of([])
    source = Scripted(
        [
            BookSnapshot("x", "A-B", 1, 1, 1, bid, ask),
            BookDelta("x", "A-B", 2, 2, 2, Levels.of([(100.0, 1.0)]), none),
            BookDelta("x", "A-B", 3, 3, 3, none, none),
            BookSnapshot("x", "A-B", 4, 4, 4, bid, ask),
            Gap("x", "A-B", 5, 5, 5, "lost"),
            BookSnapshot("x", "A-B", 6, 6, 6, bid, ask),
        ]
    )
    messages, _ = published(node, source, "scripted")
    assert len(messages) == 6
    assert source.books == ["doubt A-B", "A-B", "A-B", "C-D"]


# Sessions


def test_a_session_is_told_from_the_content(tmp_path: Path) -> None:
    first, other = rows(tmp_path / "btcusd.csv"), tmp_path / "copy" / "btcusd.csv"
    other.parent.mkdir()
    other.write_bytes(first.read_bytes())
    session = csv_session(CsvFile(first))
    assert session == csv_session(CsvFile(other))
    read = [CsvFile(first, venue="v"), CsvFile(first, symbol="A-B")]
    others = {*map(csv_session, read), csv_session(CsvFile(first), 2)}
    other.write_bytes(first.read_bytes().replace(b",7\n", b",8\n", 1))  # as long as before
    assert len({session, *others, csv_session(CsvFile(other))}) == 5
    tape = long_tape(tmp_path / "kraken.tape", 20)
    (tmp_path / "coinbase.tape").write_bytes(tape.read_bytes())
    assert len({tape_session(tape), tape_session(tmp_path / "coinbase.tape"), tape_session(tmp_path)}) == 3
    with pytest.raises(InputError, match="give 1 to 64 letters"):
        checked("two words")


# The command


@contextmanager
def command(node: Broker, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """``quicksilver publish`` in a process of its own, which is not left behind."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", "publish", *map(str, arguments)],
        env=os.environ | {"KAFKA_SERVERS": node.servers}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: "subprocess.Popen[str]") -> tuple[int, list[str]]:
    out, err = process.communicate(timeout=100)
    assert out == ""
    return process.returncode, err.splitlines()


def until_more(node: Broker, process: "subprocess.Popen[str]", n: int) -> None:
    """Wait until the broker holds ``n`` messages more."""
    start = node.end(*EVENTS)
    while node.end(*EVENTS) < start + n:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def test_killed_and_started_again_it_publishes_what_an_uninterrupted_run_does(node: Broker, tmp_path: Path) -> None:
    tape = long_tape(tmp_path / "kraken.tape")
    arguments = ("--source", "tape", "--tape", tape, "--session", "killed")
    taken_s = [one.ts_recv_ns / 1e9 for one in stepped(TapeSource(tape, "max"))[0]]
    speed = max(0.01, (taken_s[-1] - taken_s[0]) / 6)  # six seconds long
    for n in (200, 900):
        with command(node, *arguments, "--speed", f"{speed}") as process:
            until_more(node, process, n)
            process.kill()
    with command(node, *arguments, "--speed", "max") as process:
        code, lines = ended(process)
    assert code == 0
    events, _ = stepped(TapeSource(tape, "max"))
    found = in_order(node, "killed")
    distinct = {(one.key, one.number): one for one in found}
    assert len(found) >= len(events) + 1_100
    assert said(list(distinct.values())) == wanted(events, PipelineConfig(), "killed")
    assert {(one.key, one.number, one.value, one.headers) for one in found} == {
        (one.key, one.number, one.value, one.headers) for one in distinct.values()
    }
    assert json.loads(lines[-1])["published"] == len(events)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_delivers_what_it_has_and_says_so(node: Broker, number: signal.Signals) -> None:
    with command(node, "--source", "sim", "--session", f"sim-{number}", "--universe", "mine") as process:
        until_more(node, process, 200)
        process.send_signal(number)
        code, lines = ended(process)
    assert (code, lines[-1]) == (0, "stopped")
    counts = json.loads(lines[-2])
    found = in_order(node, f"sim-{number}")
    assert [int(one.headers.g) for one in found] == list(range(1, len(found) + 1))
    assert (counts["published"], counts["undelivered"]) == (len(found), 0)
    assert {one.headers.u for one in found} == {"mine"}


def test_it_can_be_scraped_and_its_last_report_counts_the_whole_tape(node: Broker, tmp_path: Path) -> None:
    tape = long_tape(tmp_path / "kraken.tape")
    summary = replay_tape(tape)["venues"]["kraken"]
    arguments = ("--source", "tape", "--tape", tape, "--session", "scraped", "--metrics-port", 0)
    with command(node, *arguments, "--speed", "10") as process:
        assert process.stderr is not None
        url = next(line for line in process.stderr if line.startswith("metrics")).split()[1]
        until_more(node, process, 100)
        found = samples(httpx.get(url, timeout=60.0).text)
        code, lines = ended(process)
    assert (code, json.loads(lines[-1])["published"]) == (0, summary["events"])
    assert found("quicksilver_published_total", topic="books") >= 100 - found(
        "quicksilver_published_total", topic="trades"
    )
    assert found("quicksilver_messages_total", venue="kraken", symbol="BTC-USD") > 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    last = {one.key: codec.decode(FeedStats, one.value) for one in node.read("feeds", session="scraped")}
    whole = last.pop("kraken:")
    assert (whole.messages, whole.state) == (summary["frames"], "LIVE")
    assert {row.symbol: row.messages for row in last.values()} == {
        symbol: counts["frames"] for symbol, counts in summary["symbols"].items()
    }
    assert {(row.state, row.gaps, row.checksums_failed) for row in last.values()} == {("LIVE", 0, 0)}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--source", "csv"], "SOURCE=csv needs TAPE=path, the file to play"),
        (["--source", "x"], "SOURCE=x: Input should be 'auto', 'live', 'sim', 'tape' or 'csv'"),
        (["--source", "sim", "--session", "a b"], "session 'a b': give 1 to 64 letters, digits or .:+-_"),
        (["--source", "sim", "--universe", "a b"], "UNIVERSE=a b: String should match pattern"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_sentence(node: Broker, arguments: list[str], why: str) -> None:
    with command(node, *arguments) as process:
        code, lines = ended(process)
    assert code == 2
    assert lines[-1].startswith(f"error: {why}")
