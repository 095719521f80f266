"""``quicksilver counts``: the rows that each topic's messages make, beside the rows of its table."""

import hashlib
import time
from typing import Any, NamedTuple, Protocol

import typer
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from rich.console import Console
from rich.table import Table

from jobs.publishing import ANSWER_S, kafka_servers
from jobs.rows import Reading, message_of
from quicksilver.errors import InputError
from quicksilver.streaming.message import Message, Outgoing
from quicksilver.tables import TABLES
from setup.exits import failing

SILENCE_S = 30.0  # after which a broker is taken to be away
CONNECT_S = 15.0
READ, POLL_S = 100, 0.2  # messages at a time (a full book has half a megabyte), and how long so many are waited for


class Counting(Protocol):
    """A store that can count a table's rows."""

    def count(self, topic: str) -> int:
        """Return the number of rows."""


class Count(NamedTuple):
    """One topic: its messages, how many of them are refused, the distinct row keys of the others; its table's rows."""

    topic: str
    messages: int
    refused: int
    keys: int
    rows: int

    @property
    def agrees(self) -> bool:
        """Whether there are as many rows as keys."""
        return self.keys == self.rows


def counts(servers: str, store: Counting) -> list[Count]:
    """Read every topic to what is its end now, and count every table.

    What Kafka still has is compared with what the tables still have: they need not agree where a topic's messages live
    longer or shorter than its rows, or while messages come.

    Raises:
        InputError: Kafka does not answer.
        StoreError: Cassandra does not answer.
    """
    reader = Consumer(
        {
            "bootstrap.servers": servers, "group.id": "quicksilver-counts", "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "log_level": 0,
            "fetch.wait.max.ms": 20,  # a question waits until the read before it is answered
        }
    )  # fmt: skip
    try:
        known = reader.list_topics(timeout=ANSWER_S).topics
        return [
            Count(name, *_keys(reader, name, known[name].partitions if name in known else ()), store.count(name))
            for name in TABLES
        ]
    except KafkaException as error:
        raise InputError(f"Kafka at {servers} does not answer: {error.args[0].str()}") from error
    finally:
        reader.close()


def _keys(reader: Consumer, topic: str, partitions: Any) -> tuple[int, int, int]:
    """Return how many messages a topic has, how many are refused, and how many distinct row keys the others have."""
    ends = {one: reader.get_watermark_offsets(TopicPartition(topic, one), timeout=ANSWER_S) for one in partitions}
    left = {one: end for one, (first, end) in ends.items() if end > first}
    reader.assign([TopicPartition(topic, one, OFFSET_BEGINNING) for one in left])
    reading, keys, messages, heard = Reading(_ignore), set[bytes](), 0, time.monotonic()
    while left:
        some = reader.consume(READ, POLL_S)
        heard = time.monotonic() if some else heard
        if time.monotonic() - heard > SILENCE_S:
            raise InputError(f"topic {topic} cannot be read to its end: Kafka has become silent")
        for one in some:
            part, offset = one.partition() or 0, one.offset() or 0
            if one.error() is not None or part not in left:
                continue
            messages += 1
            reading.take(_message(one))
            if offset >= left[part] - 1:
                del left[part]
        keys.update(_digest(reading.key_of[topic](taken.row)) for taken in reading.drain(topic)[0])
    return messages, reading.refused + len(reading.unreadable), len(keys)


def _message(one: Any) -> Message:
    version = dict(one.headers() or []).get("v")
    return message_of(one.topic(), one.partition(), one.offset(), one.timestamp()[1], one.key(), one.value(), version)


def _digest(key: Any) -> bytes:
    """Sixteen bytes for a row key: millions of keys are to fit into memory."""
    return hashlib.blake2b(repr(key).encode(errors="replace"), digest_size=16).digest()


def _ignore(_: Outgoing) -> None:
    pass


def show() -> None:
    """Compare each topic's messages with the rows of its table; exit code 0 if they agree, else 1."""
    from api.store_cassandra import CassandraStore
    from setup.cassandra.client import CassandraSettings

    with failing():
        store = CassandraStore(CassandraSettings.from_environment(), lambda text: typer.echo(text, err=True))
        try:
            store.wait(CONNECT_S)
            found = counts(kafka_servers(), store)
        finally:
            store.close()
    table = Table("topic", "messages", "refused", "row keys", "rows", "", box=None, pad_edge=False)
    for one in found:
        table.add_row(*map(str, one[:-1]), str(one.rows), "agree" if one.agrees else "DIFFER")
    Console(soft_wrap=True).print(table)
    if not all(one.agrees for one in found):
        raise typer.Exit(1)
