"""A real Cassandra for tests: one node on free ports, its files in a temporary folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from setup.cassandra.client import CassandraSettings
from setup.cassandra.service import cassandra
from setup.jars import fetch
from setup.stack import Stack
from tests.ports import cluster_settings
from tests.tools import needs_tools

needs_cassandra = [
    pytest.mark.timeout(600),
    needs_tools("java", "mvn"),
]


@contextmanager
def running_node(folder: Path) -> Iterator[Stack]:
    """Run a node while the context lasts."""
    settings = cluster_settings(folder).model_copy(update={"cassandra_mb": 512})
    node = Stack(settings, [cassandra(settings, fetch("cassandra", settings.jars, print))])
    try:
        node.up(print)
        yield node
    finally:
        node.down(print)


def keyspace_on(node: Stack, name: str) -> CassandraSettings:
    """Return the settings of a keyspace on that node."""
    return CassandraSettings(hosts="127.0.0.1", port=node.settings.cassandra_port, keyspace=name)
