"""Spark's batch jobs on a real Cassandra and Kafka: a tape into the tables, models and a frontier out of them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer

from api.store_cassandra import CassandraStore
from jobs.replay import replay_tape
from quicksilver import codec
from quicksilver.models.trained import TrainedModel
from quicksilver.models.training import better_than_baseline
from quicksilver.records import Frontier, Model
from quicksilver.tables import TABLES
from quicksilver.topics import key_of
from setup.cassandra.client import CassandraSettings
from setup.cassandra.schema import apply_schema
from setup.cassandra.service import cassandra
from setup.jars import fetch
from setup.kafka.service import kafka
from setup.kafka.topics import apply_topics
from setup.settings import ClusterSettings
from setup.stack import Stack
from tests.jobs.market_tapes import files_of, tape
from tests.tools import needs_tools

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 200

pytestmark = [
    pytest.mark.timeout(600),
    needs_tools("java", "mvn"),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = ClusterSettings.on_free_ports(tmp_path_factory.mktemp("cluster"))
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


def job(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", f"jobs.{name}", *map(str, arguments), "--master", "local[2]"]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def summary_of(done: subprocess.CompletedProcess[str]) -> Any:
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
        summary_of(job("spark_backfill", folder / "tape.zst", "--to", "cassandra", "--partitions", 3))
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


def test_a_tapes_rows_are_in_the_tables_also_when_it_is_done_again(replayed: Path) -> None:
    truth = rows_of(replayed / "truth")
    store = CassandraStore(CassandraSettings.from_environment())
    assert store.wait(60)
    try:
        for _ in range(2):
            for (topic, key), rows in truth.items():
                assert stored(store, topic, key) == rows, (topic, key)
            for topic in {topic for topic, _ in truth}:
                assert store.keys(topic) == sorted({key for one, key in truth if one == topic})
            assert store.count("trades") > 0
            summary_of(job("spark_backfill", replayed / "tape.zst", "--to", "cassandra", "--partitions", 1))
    finally:
        store.close()


def messages(topic: str, n: int, servers: str) -> list[Any]:
    reader = Consumer({"bootstrap.servers": servers, "group.id": "test", "auto.offset.reset": "earliest"})
    reader.subscribe([topic])
    found = reader.consume(n, timeout=60)
    reader.close()
    return found


@pytest.mark.usefixtures("replayed")
def test_models_are_trained_published_and_the_same_when_trained_again(stack: Stack, tmp_path: Path) -> None:
    outs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    done = job("spark_train", "--publish", "--out", outs[0])
    summary = summary_of(done)
    assert [one["symbol"] for one in summary["models"]] == ["BTC-USD", "ETH-USD", "SOL-USD"]
    assert "not trained: bitstamp:BTC-USD: " in done.stderr
    lines = outs[0].read_bytes().splitlines()
    models = [codec.decode(Model, line) for line in lines]
    for model in models:
        TrainedModel(model)
        assert [head.horizon_ns // 10**9 for head in model.heads] == [1, 5, 30]
        assert all(head.n_scored > 400 and head.log_loss > 0 for head in model.heads)
    good = {key_of(model): codec.encode(best) for model in models if (best := better_than_baseline(model)) is not None}
    assert summary["published"] == len(good)
    sent = messages("models", len(good), stack.settings.kafka_servers) if good else []
    assert {one.key().decode(): one.value() for one in sent} == good
    assert all(dict(one.headers())["v"] == b"1" for one in sent)
    again = summary_of(
        job("spark_train", "--venue", "kraken", "--symbol", "ETH-USD", "--horizon", "5", "--out", outs[1])
    )
    (model,) = (codec.decode(Model, line) for line in outs[1].read_bytes().splitlines())
    assert model.heads == [models[1].heads[1]]
    assert model.version != models[1].version
    assert again["published"] == 0


@pytest.mark.usefixtures("replayed")
@pytest.mark.parametrize(("table", "period"), [("candles", 5), ("features", 2.5)])
def test_a_frontier_of_the_tables_prices(tmp_path: Path, table: str, period: float) -> None:
    out = tmp_path / "frontier.json"
    options = ["--from", "cassandra", "--table", table, "--period", period, "--universe", "coins"]
    done = job(
        "spark_frontier",
        *options,
        "--symbols",
        "kraken:BTC-USD,kraken:ETH-USD,SOL-USD",
        "--portfolios",
        "1e5",
        "--out",
        out,
    )
    summary = summary_of(done)
    record = codec.decode(Frontier, out.read_bytes())
    assert (record.universe, record.assets) == ("coins", ["BTC-USD", "ETH-USD", "SOL-USD"])
    assert record.period_ns == period * 10**9
    assert summary["observations"] > 0.8 * SECONDS / period


@pytest.mark.usefixtures("replayed")
def test_what_is_not_there_is_said_in_a_sentence() -> None:
    for name, options, why in [
        ("spark_train", ["--symbol", "XRP-USD"], "Cassandra has no labels of XRP-USD; it has bitstamp:BTC-USD, "),
        ("spark_train", ["--since", "tomorrow"], "--since tomorrow: not a time"),
        ("spark_train", ["--horizon", "0"], "--horizon 0 is no number of seconds"),
        ("spark_frontier", ["--from", "cassandra", "--symbols", "XRP-USD"], "Cassandra has no candles of XRP-USD"),
        ("spark_frontier", ["--from", "cassandra", "--period", "7"], "Cassandra has no candles every 7 s of "),
    ]:
        done = job(name, *options)
        assert done.returncode == 2
        assert f"error: {why}" in done.stderr
        assert "Traceback" not in done.stderr
