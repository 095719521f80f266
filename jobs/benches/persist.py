"""Rows from Kafka into Cassandra by Spark, on one core, beside the driver's own writes from one Python process."""

import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from api.store_cassandra import CassandraStore
from jobs.benches.measure import Row, quiet, rate_row
from jobs.publishing import producer_settings
from jobs.spark import session
from jobs.spark_persist import PersistSettings, start
from jobs.table_writer import TableWriter, cassandra_conf
from quicksilver.errors import InputError
from quicksilver.records import Published, Status
from quicksilver.streaming.message import Headers, outgoing
from setup.cassandra.client import CassandraSettings
from setup.cassandra.schema import apply_schema
from setup.cassandra.service import cassandra
from setup.jars import fetch
from setup.kafka.service import kafka
from setup.kafka.topics import apply_topics
from setup.settings import ClusterSettings
from setup.stack import Stack

WARM, N = 40_000, 200_000  # rows of the first batches, in which Java compiles itself; and those that are measured
SYMBOLS = 12
DEADLINE_S = 300.0
START_NS = 1_700_000_000_000_000_000


def rows() -> list[Row]:
    """Return the rows a second that go from Kafka into the tables.

    Raises:
        InputError: a server cannot be started, or it takes longer than five minutes.
    """
    with TemporaryDirectory() as folder:
        settings = ClusterSettings.on_free_ports(Path(folder))
        jars = settings.jars
        services = [
            kafka(settings, fetch("kafka", jars, quiet)),
            cassandra(settings, fetch("cassandra", jars, quiet)),
        ]
        stack = Stack(settings, services)
        try:
            stack.up(quiet)
            servers, store = settings.kafka_servers, CassandraSettings(port=settings.cassandra_port)
            apply_topics(servers, quiet)
            apply_schema(store, quiet)
            theirs = _driver(store)
            ours = _spark(servers, store, Path(folder))
        finally:
            stack.down(quiet)
    return [rate_row(f"Kafka to Cassandra, {N:,} rows, Spark, 1 core", "rows/s", ours, "Python driver", theirs)]


def _records(first: int, n: int) -> list[Published]:
    return [
        Status("bench", f"S{i % SYMBOLS}-USD", i, START_NS + i * 1_000_000, START_NS + i * 1_000_000, "LIVE", "bench")
        for i in range(first, first + n)
    ]


def _driver(settings: CassandraSettings) -> float:
    store = CassandraStore(settings, quiet)
    try:
        if not store.wait(60):
            raise InputError("Cassandra cannot be reached")
        given = _records(0, WARM)
        store.write(given[: WARM // 2])
        began = time.perf_counter()
        store.write(given[WARM // 2 :])
        return len(given) / 2 / (time.perf_counter() - began)
    finally:
        store.close()


def _publish(servers: str, given: list[Published]) -> None:
    from confluent_kafka import Producer

    producer = Producer(producer_settings(servers))
    for record in given:
        one = outgoing(record, START_NS // 1_000_000, Headers(s="bench"))
        while True:
            try:
                producer.produce(one.topic, one.value, one.key, headers=[*one.headers.items()])
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush(60)


def _spark(servers: str, store: CassandraSettings, folder: Path) -> float:
    settings = PersistSettings(checkpoint=folder / "checkpoint", trigger_s=0.0)
    conf = {**settings.conf(), **cassandra_conf(store)}
    with session("quicksilver bench", "local[1]", connectors=True, conf=conf) as spark:
        spark.sparkContext.setLogLevel("OFF")
        writer = TableWriter(spark, store.keyspace, producer_settings(servers), quiet, threading.Event())
        _publish(servers, _records(0, WARM))
        query = start(spark, servers, writer, settings)
        try:
            _wait(writer, WARM)
            _publish(servers, _records(WARM, N))
            began, had = time.perf_counter(), writer.rows.total()
            _wait(writer, WARM + N)
            return (writer.rows.total() - had) / (time.perf_counter() - began)
        finally:
            query.stop()


def _wait(writer: TableWriter, rows_: int) -> None:
    until = time.monotonic() + DEADLINE_S
    while writer.rows.total() < rows_:
        if time.monotonic() > until:
            raise InputError(f"only {writer.rows.total()} of {rows_} rows are stored after {DEADLINE_S:.0f} s")
        time.sleep(0.02)
