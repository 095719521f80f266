"""``quicksilver serve``: Kafka and a store to the page, whatever of them is away."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from typer.testing import CliRunner
from websockets.asyncio.client import connect

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.kafka_rows import Row
from api.server import serving
from api.store_sqlite import SqliteStore
from jobs import lives, serve
from jobs.cli import app
from jobs.serve import Desk, StoreWatch
from jobs.settings import RunSettings, ServeSettings
from quicksilver import codec
from quicksilver.errors import StoreError
from quicksilver.events import Trade
from quicksilver.records import FeedStats, Published, Status
from quicksilver.streaming.message import Headers, event_message
from quicksilver.topics import TOPIC_OF, key_of
from setup.stack import Stack
from tests.api.kafka_site import Publisher, needs_kafka, rows_until, running_kafka, status, subscribe
from tests.conftest import ROOT
from tests.exposition import samples
from tests.ports import cluster_settings

PATIENCE_S = 60.0
NS = 1_000_000_000


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the shell that runs the tests has set, these tests set for themselves."""
    for name in {*RunSettings.model_fields, *ServeSettings.model_fields}:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["serve", "--bus", "memory"], "BUS=memory: `quicksilver serve` shows what others publish, and reads it from"),
        (["serve", "--port", "0", "--store", "sqlite", "--kafka-servers", "a:1,b"], "KAFKA_SERVERS=a:1,b: "),
        (["serve", "--store", "paper"], "STORE=paper: Input should be 'sqlite' or 'cassandra'"),
        (["run", "--bus", "kafka"], "BUS=kafka: `quicksilver run` is one process with BUS=memory; `quicksilver serve`"),
        (["run", "--store", "cassandra"], "STORE=cassandra: `quicksilver run` is one process with STORE=sqlite;"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_in_a_sentence(arguments: list[str], why: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {why}")


class Serving:
    """A ``quicksilver serve`` in a process of its own."""

    def __init__(self, folder: Path, servers: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jobs.cli", "serve", "--port", "0", "--kafka-servers", servers],
            cwd=ROOT, env={**os.environ, "STORE": "sqlite", "DATA": str(folder)}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.said = [self._line(), self._line()]
        self.url = self.said[1].split()[1]

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def health(self) -> dict[str, Any]:
        health: dict[str, Any] = httpx.get(f"{self.url}api/health", timeout=PATIENCE_S).json()
        return health

    def wait(self, **wanted: object) -> None:
        """Wait until health says so."""
        until = time.monotonic() + PATIENCE_S
        while not wanted.items() <= (health := self.health()).items():
            assert time.monotonic() < until, health
            time.sleep(0.05)

    def websocket(self) -> connect:
        return connect(self.url.replace("http", "ws") + "ws", max_size=None)

    def end(self, number: signal.Signals) -> list[str]:
        """Send a signal; returns all that was printed."""
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0
        return self.said + out.splitlines()


@contextmanager
def serving_process(folder: Path, servers: str) -> Iterator[Serving]:
    made = Serving(folder, servers)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
        made.process.communicate()


def test_without_a_broker_it_serves_says_so_and_ends_when_told_to(tmp_path: Path) -> None:
    servers = cluster_settings(tmp_path).kafka_servers
    with serving_process(tmp_path, servers) as one:
        one.wait(status="degraded", bus=f"waiting for Kafka at {servers}", store="sqlite", source="CLUSTER")
        assert httpx.get(f"{one.url}api/status", timeout=60.0).json() == {"topic": "status", "keys": []}
        assert httpx.get(one.url, timeout=60.0).status_code == 200
        said = one.end(signal.SIGINT)
    assert said == [
        f"Quicksilver [CLUSTER] Kafka at {servers}",
        f"page  {one.url}    API  {one.url}api/docs    Ctrl-C stops",
        "stopped",
    ]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_kafka(tmp_path_factory.mktemp("kafka")) as made:
        yield made


class TestOnKafka:
    pytestmark = needs_kafka

    async def test_rows_reach_a_reader_and_a_file_and_another_start_goes_on(self, node: Stack, tmp_path: Path) -> None:
        publisher = Publisher(node.settings.kafka_servers)
        trade = Trade("kraken", "SRV-USD", 1, 1, 1, 10.0, 1.0, "buy", "1")
        publisher.send(event_message(trade, 1, Headers()))
        for first in (1, 101):
            with serving_process(tmp_path, node.settings.kafka_servers) as one:
                one.wait(status="ok", bus=f"Kafka at {node.settings.kafka_servers}")
                async with one.websocket() as client:
                    await subscribe(client, "status", "kraken:SRV-USD", history=1000)
                    for seq in range(first, first + 100):
                        for _ in range(2):
                            publisher.record(status("SRV-USD", seq), "run", seq, time.time_ns() // 1_000_000)
                    publisher.flush()
                    rows = await rows_until(client, first + 99)
                assert [row["seq"] for row in rows] == list(range(1, first + 100))
                one.wait(duplicates=first + 99)
                found = samples(httpx.get(f"{one.url}metrics", timeout=60.0).text)
                assert found("quicksilver_bus_connected") == 1
                assert found("quicksilver_bus_duplicates_total") == first + 99
                assert found("quicksilver_rows_total", topic="status") == first + 99
                assert one.end(signal.SIGTERM)[-1] == "stopped"
        with serving_process(tmp_path, "127.0.0.1:1") as one:  # what is stored is served without a broker
            found = httpx.get(f"{one.url}api/status/kraken:SRV-USD?limit=1000", timeout=60.0).json()["rows"]
            assert [row["seq"] for row in found] == list(range(1, 201))
            assert httpx.get(f"{one.url}api/trades/kraken:SRV-USD", timeout=60.0).json()["rows"] == [
                msgspec.to_builtins(trade)
            ]


class Desked:
    """A desk, its hub, and rows as the bus hands them over."""

    def __init__(self) -> None:
        self.hub = Hub(SourceInfo("CLUSTER", "a test"))
        self.desk = Desk(self.hub)

    def take(self, record: Published, ts_ms: int, fresh: bool = True) -> None:
        row = Row(TOPIC_OF[type(record)].name, key_of(record), record, codec.encode(record), ts_ms, fresh)
        self.desk.take([row])

    def state(self, key: str) -> str:
        return self.hub.instruments[key]["state"]


async def test_what_is_live_falls_stale_and_a_recording_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lives, "STALE_S", 0.3)
    monkeypatch.setattr(serve, "WATCH_S", 0.05)
    one, now_ns = Desked(), time.time_ns()
    one.take(Status("kraken", "LIV-USD", 1, now_ns, now_ns, "LIVE", ""), now_ns // 1_000_000)
    one.take(Status("kraken", "REC-USD", 1, NS, NS, "LIVE", ""), now_ns // 1_000_000)
    watching = asyncio.create_task(one.desk.watch())
    try:
        async with asyncio.timeout(60):
            while one.state("kraken:LIV-USD") != "STALE":
                await asyncio.sleep(0.02)
        assert one.hub.counts["latency"] >= 1
        assert one.state("kraken:REC-USD") == "LIVE"
        told = FeedStats("kraken", "LIV-USD", now_ns, "STALE", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9.0, 0.0)
        one.take(told, now_ns // 1_000_000)  # a report on it is no word of its own
        assert one.state("kraken:LIV-USD") == "STALE"
        one.take(Trade("kraken", "LIV-USD", 2, now_ns, now_ns, 10.0, 1.0, "buy", "1"), now_ns // 1_000_000)
        assert one.state("kraken:LIV-USD") == "LIVE"
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


class AwayStore(SqliteStore):
    """A store whose database is away while ``away`` says why."""

    away = ""

    def read_json(self, *where: Any, **span: Any) -> list[bytes]:
        self._require()
        return super().read_json(*where, **span)

    def keys(self, topic: str) -> list[str]:
        self._require()
        return super().keys(topic)

    def _require(self) -> None:
        if self.away:
            raise StoreError(self.away)


async def test_history_is_503_while_the_store_is_away_and_live_rows_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "STORE_WATCH_S", 0.02)
    store, hub = AwayStore(tmp_path / "x.sqlite"), Hub(SourceInfo("CLUSTER", "a test"))
    watch = StoreWatch(store, "cassandra")
    watching = asyncio.create_task(watch.watch())
    paths: Sequence[str] = ("/api/status", "/api/status/kraken:BTC-USD")
    async with serving(create_app(hub, store, None), "127.0.0.1", 0) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as http:
            for away in ("Cassandra at nowhere does not answer", ""):
                store.away = away
                async with asyncio.timeout(60):
                    while watch.state != (away or "cassandra") or watch.connected is bool(away):
                        await asyncio.sleep(0.01)
                for path in paths:
                    answer = await http.get(path)
                    assert answer.status_code == (503 if away else 200)
                    assert not away or answer.json() == {"detail": away}
                async with connect(f"ws://127.0.0.1:{port}/ws") as client:
                    await subscribe(client, "status", "kraken:BTC-USD")
                    hub.on_record("status", "kraken:BTC-USD", status("BTC-USD", 1))
                    assert json.loads(await client.recv())["rows"][0]["seq"] == 1
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    store.close()
