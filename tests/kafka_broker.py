"""A real Kafka for tests: on free ports, killed, paused and read as a test wants."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from quicksilver.streaming.message import Headers, Message
from setup.jars import fetch
from setup.kafka.service import kafka
from setup.kafka.topics import apply_topics
from setup.stack import Stack
from tests.killing import kill
from tests.ports import cluster_settings
from tests.tools import needs_tools

needs_java = [
    pytest.mark.timeout(400),
    needs_tools("java", "mvn"),
]
WAIT_S = 60.0


class Broker:
    """One Kafka node."""

    def __init__(self, folder: Path) -> None:
        settings = cluster_settings(folder).model_copy(update={"kafka_mb": 256})
        self.stack = Stack(settings, [kafka(settings, fetch("kafka", settings.jars, print))])
        self.servers = settings.kafka_servers

    def up(self) -> None:
        self.stack.up(print)

    def apply_topics(self) -> None:
        apply_topics(self.servers, lambda _: None)

    def signal(self, number: signal.Signals) -> None:
        pid = self.stack.process("kafka").pid
        assert pid is not None
        os.kill(pid, number)

    def kill(self) -> None:
        """Kill it as a power cut would, and wait until it is gone."""
        kill(self.stack.process("kafka"))

    def read(self, *topics: str, session: str | None = None) -> list[Message]:
        """Return all messages of these topics, partition by partition, or those of one session."""
        return list(_read(self.servers, topics, session))

    def end(self, *topics: str) -> int:
        """Return how many messages these topics hold."""
        client = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        reader = _reader(self.servers)
        try:
            found = client.list_topics(timeout=WAIT_S).topics
            parts = [TopicPartition(name, one) for name in topics for one in found[name].partitions]
            return sum(_end_of(reader, one) for one in parts)
        finally:
            reader.close()


def _end_of(reader: Consumer, place: TopicPartition) -> int:
    """Ask again where a partition that was just made has no leader yet."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            end: int = reader.get_watermark_offsets(place, timeout=WAIT_S)[1]
            return end
        except KafkaException:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


@contextmanager
def broker(folder: Path, topics: bool = True) -> Iterator[Broker]:
    """A broker that runs, and is stopped afterwards, whatever state it is in."""
    made = Broker(folder)
    try:
        made.up()
        if topics:
            made.apply_topics()
        yield made
    finally:
        if made.stack.process("kafka").pid is not None:
            made.signal(signal.SIGCONT)
        made.stack.down(print)


def _reader(servers: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": servers, "group.id": "test", "enable.auto.commit": False, "log_level": 0,
            "fetch.wait.max.ms": 10,  # each partition is read to its end: there is nothing to wait for
        }
    )  # fmt: skip


def _read(servers: str, topics: tuple[str, ...], session: str | None) -> Iterator[Message]:
    reader = _reader(servers)
    try:
        found = reader.list_topics(timeout=WAIT_S).topics
        for name in topics:
            for one in sorted(found[name].partitions):
                _, end = reader.get_watermark_offsets(TopicPartition(name, one), timeout=WAIT_S)
                reader.assign([TopicPartition(name, one, 0)])
                while end and reader.position([TopicPartition(name, one)])[0].offset < end:
                    raw = reader.poll(WAIT_S)
                    assert raw is not None
                    assert raw.error() is None
                    message = _message(raw)
                    if session is None or message.headers.s == session:
                        yield message
    finally:
        reader.close()


def _message(raw: Any) -> Message:
    headers = Headers(**({"v": ""} | {name: value.decode() for name, value in raw.headers() or []}))
    return Message(
        raw.topic(), raw.partition(), raw.offset(), raw.timestamp()[1], raw.key().decode(), headers, raw.value()
    )
