"""``make bench-cluster``: a cluster of its own on free ports, measured part by part and as a whole."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from jobs.benches import flink_rate, hops, kafka_producer, persist, spark
from jobs.benches.measure import Row, quiet
from quicksilver.errors import InputError
from setup.cassandra.client import CassandraSettings
from setup.cassandra.schema import apply_schema
from setup.cluster import the_stack
from setup.flink.jobs import Jobs
from setup.kafka.topics import apply_topics
from setup.settings import ClusterSettings

ADDRESS = re.compile(r"http://(\S+?)/")
SLOTS = 2


@contextmanager
def cluster() -> Iterator[ClusterSettings]:
    """Run all servers, with topics and tables, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ClusterSettings.on_free_ports(Path(folder))
        settings = settings.model_copy(update={"flink_taskmanagers": SLOTS})
        stack = the_stack(settings, quiet)
        try:
            stack.up(quiet)
            apply_topics(settings.kafka_servers, quiet)
            apply_schema(CassandraSettings(hosts=settings.host, port=settings.cassandra_port), quiet)
            yield settings
        finally:
            stack.down(quiet)


@contextmanager
def command(settings: ClusterSettings, *arguments: str) -> Iterator[str]:
    """Run a ``quicksilver`` command of the cluster's; gives its first line, of ``serve`` the one with the address."""
    environment = {
        "KAFKA_SERVERS": settings.kafka_servers, "CASSANDRA_HOSTS": settings.host,
        "CASSANDRA_PORT": str(settings.cassandra_port), "BUS": "kafka", "STORE": "cassandra",
        "PERSIST_CHECKPOINT": str(settings.folder / "persist"),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", *arguments], env={**os.environ, **environment}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if arguments[0] != "serve" or ADDRESS.search(line):
                yield line
                break
        else:
            raise InputError(f"quicksilver {' '.join(arguments)} ended with {process.wait()}")
    finally:
        process.terminate()
        process.communicate()


def rows() -> Iterator[Row]:
    """Measure everything.

    Raises:
        InputError: something that the cluster needs is not installed, or does not start.
    """
    with cluster() as settings, closing(Jobs(settings)) as flink:
        servers = settings.kafka_servers
        flink.submit("features", quiet)
        flink.wait("features")
        with command(settings, "persist"), command(settings, "serve", "--port", "0") as said:
            found = ADDRESS.search(said)
            yield from hops.rows(servers, f"ws://{found.group(1) if found else ''}/ws")
        flink.stop("features")
        yield from flink_rate.rows(servers, flink)
    yield from kafka_producer.rows()
    yield from persist.rows()
    yield from spark.rows()
