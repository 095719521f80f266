"""Every record's topic into its table by the real Spark, Kafka and Cassandra: to the bit, through kills and poison."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.store_cassandra import CassandraStore
from jobs.counts import counts
from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.events import Trade
from quicksilver.pipeline import Pipeline
from quicksilver.records import Audit, DeadLetter, FeedStats, Latency, Published
from quicksilver.streaming.message import PAYLOAD_BYTES, Headers, Outgoing, outgoing
from quicksilver.tables import TABLES
from quicksilver.topics import TOPIC_OF, key_of
from setup.cassandra.client import CassandraSettings
from setup.cassandra.schema import apply_schema
from setup.cassandra.service import cassandra
from setup.jars import fetch
from setup.kafka.service import kafka
from setup.kafka.topics import apply_topics
from setup.stack import Stack
from tests.ports import cluster_settings
from tests.stack.kafka import publish, read_until
from tests.stack.test_parity import market

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 240.0
KILLS = 2  # of the job alone, in the midst of its work; each costs a start of Spark
MS = int(time.time() * 1000)  # Kafka deletes what is older than a topic's retention


class Servers:
    """Kafka and Cassandra alone, with topics and tables, and the job as a process of its own."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.kafka = stack.settings.kafka_servers
        self.cassandra = CassandraSettings(port=stack.settings.cassandra_port)
        self.log = folder / "persist.log"

    def start(self) -> "subprocess.Popen[bytes]":
        environment = {
            **os.environ, "KAFKA_SERVERS": self.kafka, "CASSANDRA_PORT": str(self.cassandra.port),
            "PERSIST_CHECKPOINT": str(self.folder / "checkpoint"), "PERSIST_DRIVER_MB": "768",
            "PERSIST_MOST_MESSAGES": "3000", "SPARK_MASTER": "local[1]", "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "jobs.cli", "persist"], cwd=ROOT, env=environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    @contextmanager
    def job(self) -> Iterator["subprocess.Popen[bytes]"]:
        process = self.start()
        try:
            yield process
        finally:
            kill(process)

    @contextmanager
    def store(self) -> Iterator[CassandraStore]:
        made = CassandraStore(self.cassandra, print)
        try:
            assert made.wait(60)
            yield made
        finally:
            made.close()

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.is_file() else ""

    def wait(self, enough: Callable[[], bool]) -> None:
        until = time.monotonic() + WAIT_S
        while not enough():
            assert time.monotonic() < until, self.said()[-3000:]
            time.sleep(0.5)

    def wait_until_said(self, text: str, times: int = 1) -> None:
        self.wait(lambda: self.said().count(text) >= times)

    def wait_for_rows(self) -> None:
        """Wait until every table has the rows of its topic."""
        with self.store() as store:
            self.wait(lambda: all(one.agrees for one in counts(self.kafka, store)))


def kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("persist")
    settings = cluster_settings(folder).model_copy(update={"kafka_mb": 512, "cassandra_mb": 768})
    jars = settings.jars
    services = [
        kafka(settings, fetch("kafka", jars, print)),
        cassandra(settings, fetch("cassandra", jars, print)),
    ]
    made = Servers(Stack(settings, services), folder)
    try:
        made.stack.up(print)
        apply_topics(made.kafka, print)
        apply_schema(made.cassandra, print)
        yield made
    finally:
        made.stack.down(print)


def records(venue: str, seed: int, seconds: int) -> list[Published]:
    """Records of every type, in the order in which they are published."""
    pipeline, found = Pipeline(PipelineConfig(full_books_per_s=1.0)), list[Published]()
    for event in market(venue, seed, seconds):
        found += [event] if isinstance(event, Trade) else []
        found += pipeline.step(event)
    found.append(Latency(f"{venue} hop", MS * 1_000_000, 3, 1.5, -0.0, 5e-324))
    found.append(Audit(venue, "A-B", 7, MS * 1_000_000, MS * 1_000_000, 20, 1, 0.5, True, False, "best ask 2, not 3"))
    feed = FeedStats(venue, "", MS * 1_000_000, "LIVE", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0.5, 2.5)
    found += [feed, msgspec.structs.replace(feed, symbol="BTC-USD", latency_p50_us=-0.5, latency_p99_us=2.0)]
    found.append(DeadLetter(MS * 1_000_000, "file:1", venue, None, "no", bytes(range(256))))
    return found


def sent(given: Sequence[Published]) -> list[Outgoing]:
    return [outgoing(record, MS + i, Headers(s="s")) for i, record in enumerate(given)]


def tables_of(given: Sequence[Published]) -> dict[tuple[str, str], list[bytes]]:
    """What the tables must hold of records: the last of each row key, in the order of time."""
    kept: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for record in given:
        table = TABLES[TOPIC_OF[type(record)].name]
        kept[table.topic.name, key_of(record)][table.row_key(record)] = record
    return {
        (topic, key): sorted(codec.encode(record) for record in rows.values()) for (topic, key), rows in kept.items()
    }


def stored(store: CassandraStore, venue: str) -> dict[tuple[str, str], list[bytes]]:
    found = {}
    for topic in TABLES:
        for key in store.keys(topic):
            if key.startswith(venue) or topic == "frontiers":
                found[topic, key] = sorted(store.read_json(topic, key, limit=10**9))
    return found


def differences(found: dict[Any, list[bytes]], truth: dict[Any, list[bytes]]) -> list[str]:
    """The tables that differ: the rows are far too many to print."""
    keys = sorted(found.keys() | truth.keys())
    return [
        f"{key}: {len(found.get(key, []))} rows, {len(truth.get(key, []))} expected"
        for key in keys if found.get(key) != truth.get(key)
    ]  # fmt: skip


def test_tables_hold_the_records_to_the_bit_through_kills(servers: Servers) -> None:
    """Killed at random, with Cassandra killed and Kafka killed in between: nothing lost, nothing doubled."""
    given = records("kills", 11, 60)
    truth = tables_of(given)
    assert {topic for topic, _ in truth} == set(TABLES)
    messages, chance = sent(given), random.Random(7)
    part = len(messages) // (KILLS + 2)
    for i in range(KILLS):
        with servers.job():
            servers.wait_until_said("persist: runs", i + 1)
            publish(servers.kafka, messages[i * part : (i + 1) * part])
            time.sleep(chance.uniform(0.5, 8))
    with servers.job() as process:
        servers.wait_until_said("persist: runs", KILLS + 1)
        for name, line in (("cassandra", "does not work"), ("kafka", "the stream has ended")):
            server = servers.stack.process(name)
            if name == "cassandra":
                os.kill(server.pid or 0, signal.SIGKILL)
                publish(servers.kafka, messages[KILLS * part : (KILLS + 1) * part])
            else:
                servers.wait_for_rows()
                os.kill(server.pid or 0, signal.SIGKILL)
            servers.wait_until_said(line)
            servers.stack.up(print)
        publish(servers.kafka, messages[(KILLS + 1) * part :])
        servers.wait_for_rows()
        with servers.store() as store:
            assert differences(stored(store, "kills"), truth) == []
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert servers.said().rstrip().endswith("persist: stopped")
    assert "works again" in servers.said()


def test_poison_becomes_dead_letters_and_stops_nothing(servers: Servers) -> None:
    good = Latency("after poison", MS * 1_000_000, 1, 1.0, 1.0, 1.0)
    status = b'{"venue":"p","symbol":"A","seq":%d,"ts_event_ns":1,"ts_recv_ns":1,"state":"LIVE","reason":"%s"}'
    long = b'"%s"' % (b"A" * 70_000)
    poison = [
        *(Outgoing(topic, "p:A", MS, Headers(), b"\xff{") for topic in TABLES),
        Outgoing("status", "p:A", MS + 1, Headers(), b""),
        Outgoing("status", "p:A", MS + 2, Headers(v="2"), status % (1, b"newer")),
        Outgoing("status", "p:A", MS + 3, Headers(), status % (2**63, b"large")),
        Outgoing("status", "p:" + "A" * 70_000, MS + 4, Headers(), status.replace(b'"A"', long) % (1, b"")),
        Outgoing("status", "p:A", MS + 5, Headers(), status % (3, b"x" * (15 << 20) + b"y" * 500_000)),
        outgoing(good, MS, Headers()),
    ]  # fmt: skip
    publish(servers.kafka, poison)
    with servers.job():
        servers.wait_until_said("a dead letter cannot be read: dead-letters[0]@")
        servers.wait_for_rows()
        with servers.store() as store:
            assert store.read("latency", "after poison") == [good]
            found = [one for one in store.read("dead-letters", "p:A", limit=99) if isinstance(one, DeadLetter)]
    reasons = {one.source.partition("@")[0].partition("[")[0]: one for one in found if one.payload == b"\xff{"}
    assert set(reasons) == set(TABLES) - {"dead-letters"}
    others = [one for one in found if one.payload != b"\xff{"]
    assert [len(one.payload) for one in others][-1] == PAYLOAD_BYTES
    texts = [one.reason for one in others]
    assert "contract version 2" in texts[1]
    assert "cannot be stored" in texts[2]
    assert "too large" in texts[3]
    letters = read_until(
        servers.kafka, ["dead-letters"], lambda all_: sum(b"too long" in one.value for one in all_) >= 1
    )
    assert len({one.value for one in letters if one.key == "p:A"}) == len([one for one in letters if one.key == "p:A"])
    assert msgspec.json.decode(letters[-1].value)["source"]
