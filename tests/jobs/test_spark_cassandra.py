"""Spark's batch jobs on a real Cassandra and Kafka: a tape into the tables, predictors and a frontier out of them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer

from api.store_cassandra import CassandraStore
from jobs.deployments import instruments_of
from jobs.registry import Registry
from jobs.replay import replay_tape
from quicksilver import codec
from quicksilver.models.card import Deployment
from quicksilver.records import Frontier
from quicksilver.tables import TABLES
from quicksilver.topics import key_of
from setup.cassandra.client import CassandraSettings
from setup.cassandra.schema import apply_schema
from setup.cassandra.service import cassandra
from setup.jars import fetch
from setup.kafka.service import kafka
from setup.kafka.topics import apply_topics
from setup.stack import Stack
from tests.jobs.market_tapes import files_of, tape
from tests.jobs.one_java import Done, OneJava
from tests.ports import cluster_settings
from tests.tools import needs_tools

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 200

pytestmark = [
    pytest.mark.timeout(600),
    needs_tools("java", "mvn"),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = cluster_settings(tmp_path_factory.mktemp("cluster"))
    settings = settings.model_copy(update={"cassandra_mb": 512, "kafka_mb": 256})
    jars = {part: fetch(part, settings.jars, print) for part in ("kafka", "cassandra")}
    made = Stack(settings, [kafka(settings, jars["kafka"]), cassandra(settings, jars["cassandra"])])
    try:
        made.up(print)
        apply_topics(settings.kafka_servers, print)
        apply_schema(CassandraSettings(port=settings.cassandra_port), print)
        yield made
    finally:
        made.down(print)


@pytest.fixture(autouse=True)
def there(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASSANDRA_PORT", str(stack.settings.cassandra_port))
    monkeypatch.setenv("KAFKA_SERVERS", stack.settings.kafka_servers)


class Jobs:
    """Commands with the servers' addresses; their sessions share a Java, which has got the connectors' jars."""

    def __init__(self, stack: Stack) -> None:
        self.java = OneJava()
        self._environment = {
            "CASSANDRA_PORT": str(stack.settings.cassandra_port), "KAFKA_SERVERS": stack.settings.kafka_servers,
        }  # fmt: skip

    def run(self, *arguments: object) -> Done:
        return self.java.run(*arguments, environment=self._environment)

    def on_spark(self, *arguments: object) -> Done:
        return self.run(*arguments, "--master", "local[2]")


@pytest.fixture(scope="module")
def jobs(stack: Stack) -> Iterator[Jobs]:
    made = Jobs(stack)
    yield made
    made.java.close()


def in_a_process(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a job in a process of its own, whose Java ends with it."""
    line = [sys.executable, "-m", f"jobs.{name}", *map(str, arguments), "--master", "local[2]"]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def summary_of(done: Done | subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def replayed(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tape in the tables, and beside it its replay."""
    folder = tmp_path_factory.mktemp("tape")
    tape(folder / "tape.zst", 4, SECONDS)
    replay_tape(folder / "tape.zst", out=folder / "truth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CASSANDRA_PORT", str(stack.settings.cassandra_port))
        summary_of(in_a_process("spark_backfill", folder / "tape.zst", "--to", "cassandra", "--partitions", 3))
    return folder


def rows_of(folder: Path) -> dict[tuple[str, str], list[bytes]]:
    """What tables hold after a replay: of rows written several times the last, by time."""
    found: dict[tuple[str, str], dict[str, tuple[tuple[int, int], bytes]]] = {}
    for name, data in files_of(folder).items():
        table = TABLES[name.removesuffix(".jsonl")]
        for line in data.splitlines():
            record: Any = codec.decode(table.topic.type, line)
            rows = found.setdefault((table.topic.name, key_of(record)), {})
            rows[table.row_key(record)] = (table.order_of(record), line)
    return {key: [line for _, line in sorted(rows.values())] for key, rows in found.items()}


def stored(store: CassandraStore, topic: str, key: str) -> list[bytes]:
    table, rows = TABLES[topic], store.read_json(topic, key, limit=1_000_000)
    order = [(table.order_of(codec.decode(table.topic.type, row)), row) for row in rows]  # type: ignore[arg-type]
    return [row for _, row in sorted(order)]


def test_a_tapes_rows_are_in_the_tables_also_when_it_is_done_again(replayed: Path, jobs: Jobs) -> None:
    truth = rows_of(replayed / "truth")
    store = CassandraStore(CassandraSettings.from_environment())
    assert store.wait(60)
    try:
        for again in (False, True):
            if again:
                command = ("backfill", replayed / "tape.zst", "--to", "cassandra", "--partitions", 1)
                summary_of(jobs.on_spark(*command))
            for (topic, key), rows in truth.items():
                assert stored(store, topic, key) == rows, (topic, key)
            for topic in {topic for topic, _ in truth}:
                assert store.keys(topic) == sorted({key for one, key in truth if one == topic})
            assert store.count("trades") > 0
    finally:
        store.close()


def messages(topic: str, n: int, servers: str) -> list[Any]:
    reader = Consumer({"bootstrap.servers": servers, "group.id": "test", "auto.offset.reset": "earliest"})
    reader.subscribe([topic])
    found = reader.consume(n, timeout=60)
    reader.close()
    return found


PREDICTORS = """
[predictors.book]
type = "logistic"
granularity = "250ms"
horizon = "1s"
features = ["imbalance_5"]
venues = ["kraken"]
"""


def test_predictors_of_the_tables_are_those_of_the_tape_and_are_deployed(
    replayed: Path, stack: Stack, jobs: Jobs, tmp_path: Path
) -> None:
    (tmp_path / "book.toml").write_text(PREDICTORS)
    models = tmp_path / "models"
    stored = summary_of(jobs.run("train", tmp_path / "book.toml", "cassandra", "--models", models))
    taped = summary_of(jobs.run("train", tmp_path / "book.toml", replayed / "tape.zst", "--models", models))
    ((one,), (other,)) = (summary["trained"] for summary in (stored, taped))
    assert one["instruments"] == ["kraken:BTC-USD", "kraken:ETH-USD", "kraken:SOL-USD"]
    assert (one["new"], other["new"], one["version"]) == (True, False, other["version"])
    published = summary_of(jobs.run("models", "publish", "--models", models))
    assert published == {"published": {"book": one["instruments"]}}
    everywhere = instruments_of([])
    sent = messages("deployments", len(everywhere), stack.settings.kafka_servers)
    card = Registry(models).entry("book", one["version"]).card
    told = {message.key().decode(): codec.decode(Deployment, message.value()) for message in sent}
    assert told == {
        f"{venue}:{symbol}/book": Deployment(venue, symbol, "book", card if venue == "kraken" else None)
        for venue, symbol in everywhere
    }
    assert all(dict(message.headers())["v"] == b"1" for message in sent)


@pytest.mark.usefixtures("replayed")
@pytest.mark.parametrize(("table", "period"), [("candles", 5), ("features", 2.5)])
def test_a_frontier_of_the_tables_prices(jobs: Jobs, tmp_path: Path, table: str, period: float) -> None:
    out = tmp_path / "frontier.json"
    options = ["--from", "cassandra", "--table", table, "--period", period, "--universe", "coins"]
    options += ["--symbols", "kraken:BTC-USD,kraken:ETH-USD,SOL-USD", "--portfolios", "1e5", "--out", out]
    summary = summary_of(jobs.on_spark("frontier", *options))
    record = codec.decode(Frontier, out.read_bytes())
    assert (record.universe, record.assets) == ("coins", ["BTC-USD", "ETH-USD", "SOL-USD"])
    assert record.period_ns == period * 10**9
    assert summary["observations"] > 0.8 * SECONDS / period


@pytest.mark.usefixtures("replayed")
def test_what_is_not_there_is_said_in_a_sentence(jobs: Jobs) -> None:
    for options, why in [
        (["--symbols", "XRP-USD"], "Cassandra has no candles of XRP-USD"),
        (["--period", "7"], "Cassandra has no candles every 7 s of "),
    ]:
        done = jobs.on_spark("frontier", "--from", "cassandra", *options)
        assert done.returncode == 2
        assert f"error: {why}" in done.stderr
        assert "Traceback" not in done.stderr
