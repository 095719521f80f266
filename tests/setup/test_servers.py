"""The real servers: up, killed, up again, seen by the commands; and Kafka's topics by the contract."""

import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from jobs.cli import app
from quicksilver.errors import InputError
from quicksilver.topics import CONTRACT, TOPICS, Topic
from setup.cluster import known_stack, the_stack
from setup.flink.service import home as flink_home
from setup.flink.service import rest
from setup.kafka.topics import apply_topics
from setup.settings import ClusterSettings
from setup.spark.service import home, page
from setup.stack import Stack
from setup.tools import GET_PACKAGES, missing_packages
from tests.kafka_broker import Broker
from tests.killing import kill
from tests.ports import cluster_settings
from tests.tools import needs_tools

NAMES = [
    "kafka", "cassandra", "zookeeper", "flink-jobmanager", "flink-taskmanager-0", "flink-taskmanager-1", "spark-master",
    "spark-worker",
]  # fmt: skip

pytestmark = [
    pytest.mark.timeout(600),
    needs_tools("javac", "mvn"),
    pytest.mark.skipif(bool(missing_packages()), reason=f"the servers need their Python packages: {GET_PACKAGES}"),
]


def quiet(_: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = cluster_settings(tmp_path_factory.mktemp("cluster")).model_copy(
        update={"flink_taskmanagers": 2, "flink_taskmanager_mb": 1024, "cassandra_mb": 768, "kafka_mb": 512}
    )
    made = the_stack(settings, print)
    try:
        made.up(print)
        yield made
    finally:
        made.down(print)


@pytest.fixture
def command(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The ``quicksilver`` command in a shell whose settings are those of the stack."""
    for name, value in stack.settings.model_dump().items():
        monkeypatch.setenv(f"CLUSTER_{name.upper()}", str(value))
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *arguments: CliRunner().invoke(app, arguments)


@pytest.fixture
def servers(stack: Stack) -> str:
    return stack.settings.kafka_servers


def changed(**settings: object) -> dict[str, Topic]:
    return TOPICS | {"tops": msgspec.structs.replace(TOPICS["tops"], **settings)}


def test_topics_are_made_once_and_changed_only_where_nothing_is_lost(servers: str) -> None:
    said: list[str] = []
    assert apply_topics(servers, said.append) == len(TOPICS) + 1
    assert said == [f"topic {name}: created" for name in [*TOPICS, CONTRACT.name]]
    assert apply_topics(servers, said.append) == 0
    assert apply_topics(servers, said.append, changed(retention_s=TOPICS["tops"].retention_s * 2)) == 1
    assert said[-1] == "topic tops: changed"
    shorter = TOPICS["tops"].retention_s
    assert apply_topics(servers, quiet, changed(retention_s=shorter, retention_mb=64)) == 1  # for it holds nothing
    assert apply_topics(servers, quiet, changed(retention_s=shorter * 2, retention_mb=64)) == 1
    writer = Producer({"bootstrap.servers": servers, "acks": "all"})
    writer.produce("tops", key=b"none", value=b"no top")
    assert writer.flush(30) == 0
    for settings, why in (
        ({"retention_s": 60}, "topic tops: retention would fall from 1209600000 to 60000 ms"),
        (
            {"retention_s": shorter * 2, "retention_mb": 32},
            "topic tops: retention would fall from 67108864 to 33554432 bytes",
        ),
        ({"compacted": True}, "topic tops: its cleanup policy would change from delete to compact"),
        ({"partitions": 3}, "topic tops has 4 partitions, not 3"),
        ({"partitions": 24}, "topic tops has 4 partitions, not 24"),
    ):
        with pytest.raises(InputError, match=why):
            apply_topics(servers, quiet, changed(**settings))


def test_topics_of_a_newer_version_are_refused(servers: str) -> None:
    apply_topics(servers, quiet, changed(retention_s=TOPICS["tops"].retention_s * 2))
    writer = Producer({"bootstrap.servers": servers, "acks": "all"})
    for version in (b"99", b"1"):
        writer.produce(CONTRACT.name, key=b"version", value=version)
        writer.flush(30)
        if version == b"99":
            with pytest.raises(InputError, match="are of version 99, this is 1: update Quicksilver"):
                apply_topics(servers, quiet)


def test_a_clusters_identity_may_begin_with_a_dash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(bytes=b"\xfb" + bytes(range(1, 16))))
    node = Broker(tmp_path)
    try:
        node.up()
        assert "cluster.id=-" in (tmp_path / "kafka" / "data" / "meta.properties").read_text()
    finally:
        node.stack.down(quiet)


def test_the_commands_see_what_runs(stack: Stack, command: Callable[..., Result]) -> None:
    status = command("cluster", "status")
    assert status.exit_code == 0
    rows = {line.split()[0]: line.split()[1:] for line in status.stdout.splitlines()[1:9]}
    assert list(rows) == NAMES
    assert {row[0] for row in rows.values()} == {"up"}
    assert rows["kafka"][1] == str(stack.process("kafka").pid)
    assert "512 + 6144 MB" in status.stdout
    assert f"Flink      http://127.0.0.1:{stack.settings.flink_port}" in status.stdout
    assert command("cluster", "up").stdout.splitlines()[:8] == [f"{name}: runs already" for name in NAMES]
    assert "Kafka Server started" in command("cluster", "logs", "kafka", "--lines", "2000").stdout
    wrong = command("cluster", "logs", "kafak")
    assert (wrong.exit_code, wrong.stderr) == (2, f"error: no server 'kafak'; there are {', '.join(NAMES)}\n")
    refused = command("cluster", "clean")
    assert (refused.exit_code, "still run" in refused.stderr) == (2, True)


def test_killed_servers_come_back_with_what_they_had(
    stack: Stack, servers: str, command: Callable[..., Result]
) -> None:
    apply_topics(servers, quiet, changed(retention_s=TOPICS["tops"].retention_s * 2))
    killed = {name: stack.process(name).pid for name in NAMES}
    for pid in killed.values():
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    while any(one.state != "down" for one in stack.status()):
        time.sleep(0.05)
    assert command("cluster", "status").exit_code == 1
    stack.up(quiet)
    assert {one.state for one in stack.status()} == {"up"}
    assert not {stack.process(name).pid for name in NAMES} & set(killed.values())
    assert set(AdminClient({"bootstrap.servers": servers}).list_topics(timeout=30).topics) >= {*TOPICS, CONTRACT.name}


def test_a_new_taskmanager_and_worker_take_the_place_of_the_killed_ones(stack: Stack) -> None:
    before = {one["id"]: one["path"] for one in taskmanagers(stack)}
    assert set(before) == {"flink-taskmanager-0", "flink-taskmanager-1"}
    for name in ("flink-taskmanager-0", "spark-worker"):
        kill(stack.process(name))
    stack.up(quiet)
    after = {one["id"]: one["path"] for one in taskmanagers(stack)}
    assert set(after) == set(before)  # the dead one is not counted beside the new one
    assert after["flink-taskmanager-0"] != before["flink-taskmanager-0"]
    assert after["flink-taskmanager-1"] == before["flink-taskmanager-1"]
    worker = page(stack.settings, stack.settings.spark_worker_page_port)
    master = page(stack.settings, stack.settings.spark_page_port)
    assert worker is not None
    assert master is not None
    assert worker["memory"] == stack.settings.spark_worker_mb
    assert worker["id"] in {one["id"] for one in master["workers"]}


def test_the_spark_worker_starts_executors(stack: Stack, tmp_path: Path) -> None:
    job = tmp_path / "count.py"
    job.write_text(
        "from pyspark.sql import SparkSession; print(SparkSession.builder.getOrCreate().range(10**6).count())"
    )
    master = f"spark://127.0.0.1:{stack.settings.spark_port}"
    done = subprocess.run(
        [home() / "bin/spark-submit", "--master", master, "--executor-memory", "512m", job],
        env={**os.environ, "SPARK_HOME": str(home()), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout == "1000000\n", done.stderr[-2000:]


FLINK_JOB = """
from pyflink.common import Types, WatermarkStrategy
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.number_seq import NumberSequenceSource

env = StreamExecutionEnvironment.get_execution_environment()
numbers = env.from_source(NumberSequenceSource(1, 1000), WatermarkStrategy.no_watermarks(), "numbers", Types.LONG())
numbers.map(lambda n: n + 1, Types.LONG()).print()
env.execute("numbers")
"""


def test_python_functions_run_inside_the_taskmanagers(stack: Stack, tmp_path: Path) -> None:
    job, flink = tmp_path / "job.py", stack.folder.resolve() / "flink"
    job.write_text(FLINK_JOB)
    done = subprocess.run(
        [flink_home() / "bin/flink", "run", "-pyexec", sys.executable, "-pyclientexec", sys.executable, "-py", job],
        env={
            **os.environ, "FLINK_HOME": str(flink_home()), "FLINK_CONF_DIR": str(flink / "conf"),
            "FLINK_LIB_DIR": str(flink / "lib"), "FLINK_LOG_DIR": str(tmp_path),
        },
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert "has finished" in done.stdout, (done.stdout + done.stderr)[-2000:]


def taskmanagers(stack: Stack) -> list[dict[str, Any]]:
    found = rest(stack.settings, "/taskmanagers")
    assert found is not None
    return list(found["taskmanagers"])


def test_something_else_that_listens_is_not_taken_for_a_server(tmp_path: Path) -> None:
    class Rude(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(64)
            self.request.sendall(b"what?")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Rude) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ports = {name: server.server_address[1] for name in ClusterSettings.model_fields if name.endswith("_port")}
        found = known_stack(ClusterSettings(folder=tmp_path).model_copy(update=ports))
        assert [one.name for one in found.services if one.ready(0.0)] == []
        server.shutdown()


def test_without_a_broker_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("setup.kafka.topics.TIMEOUT_S", 2.0)
    settings = cluster_settings(tmp_path)
    with pytest.raises(InputError, match="`quicksilver cluster up` starts one"):
        apply_topics(settings.kafka_servers, quiet)
