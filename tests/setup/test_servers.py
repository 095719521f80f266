"""The real Kafka and Cassandra: up, killed, up again, and Kafka's topics by the contract."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from quicksilver.errors import InputError
from quicksilver.topics import CONTRACT, TOPICS, Topic
from setup.cassandra.service import cassandra
from setup.jars import fetch
from setup.kafka.service import kafka
from setup.kafka.topics import apply_topics
from setup.settings import ClusterSettings
from setup.stack import Stack

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        shutil.which("java") is None or shutil.which("mvn") is None,
        reason="the servers need Java 17 and Maven: apt-get install openjdk-17-jre-headless maven",
    ),
]


def quiet(_: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = ClusterSettings.on_free_ports(tmp_path_factory.mktemp("cluster"))
    parts = [
        kafka(settings, fetch("kafka", settings.jars, print)),
        cassandra(settings, fetch("cassandra", settings.jars, print)),
    ]
    made = Stack(settings, parts)
    try:
        made.up(print)
        yield made
    finally:
        made.down(print)


@pytest.fixture
def servers(stack: Stack) -> str:
    return f"127.0.0.1:{stack.settings.kafka_port}"


def changed(**settings: object) -> dict[str, Topic]:
    return TOPICS | {"tops": msgspec.structs.replace(TOPICS["tops"], **settings)}


def test_topics_are_made_once_and_changed_only_where_nothing_is_lost(servers: str) -> None:
    said: list[str] = []
    assert apply_topics(servers, said.append) == len(TOPICS) + 1
    assert said == [f"topic {name}: created" for name in [*TOPICS, CONTRACT.name]]
    assert apply_topics(servers, said.append) == 0
    assert apply_topics(servers, said.append, changed(retention_s=TOPICS["tops"].retention_s * 2)) == 1
    assert said[-1] == "topic tops: changed"
    for settings, why in (
        ({"retention_s": 60}, "topic tops: retention would fall from 1209600000 to 60000 ms"),
        ({"compacted": True}, "topic tops: its cleanup policy would change from delete to compact"),
        ({"partitions": 3}, "topic tops has 12 partitions, not 3"),
        ({"partitions": 24}, "topic tops has 12 partitions, not 24"),
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


def test_killed_servers_come_back_with_what_they_had(stack: Stack, servers: str) -> None:
    apply_topics(servers, quiet, changed(retention_s=TOPICS["tops"].retention_s * 2))
    for name in ("kafka", "cassandra"):
        pid = stack.process(name).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    while any(one.state != "down" for one in stack.status()):
        time.sleep(0.05)
    stack.up(quiet)
    assert [one.state for one in stack.status()] == ["up", "up"]
    assert set(AdminClient({"bootstrap.servers": servers}).list_topics(timeout=30).topics) >= {*TOPICS, CONTRACT.name}


def test_without_a_broker_the_remedy_is_said(tmp_path: Path) -> None:
    settings = ClusterSettings.on_free_ports(tmp_path)
    with pytest.raises(InputError, match="`quicksilver cluster up` starts one"):
        apply_topics(f"127.0.0.1:{settings.kafka_port}", quiet)
