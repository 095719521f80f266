"""A real Cassandra for tests: one node on free ports, its files in a temporary folder."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from setup.cassandra.client import CassandraSettings
from setup.cassandra.service import cassandra
from setup.jars import fetch
from setup.settings import ClusterSettings
from setup.stack import Stack

needs_cassandra = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        shutil.which("java") is None or shutil.which("mvn") is None,
        reason="Cassandra needs Java 17 and Maven: apt-get install openjdk-17-jre-headless maven",
    ),
]


@contextmanager
def running_node(folder: Path) -> Iterator[Stack]:
    """Run a node while the context lasts."""
    settings = ClusterSettings.on_free_ports(folder).model_copy(update={"cassandra_mb": 512})
    node = Stack(settings, [cassandra(settings, fetch("cassandra", settings.jars, print))])
    try:
        node.up(print)
        yield node
    finally:
        node.down(print)


def keyspace_on(node: Stack, name: str) -> CassandraSettings:
    """Return the settings of a keyspace on that node."""
    return CassandraSettings(hosts="127.0.0.1", port=node.settings.cassandra_port, keyspace=name)
