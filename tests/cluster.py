"""One real cluster for all tests that want one: every server, topics and tables, and Flink's jobs; a pytest plugin."""

import os
from collections.abc import Iterator

import pytest

import setup.stack
from setup.stack import Stack
from tests.ports import cluster_settings
from tests.tools import needs_tools

FOLDERS = ("tests/stack", "tests/recovery")  # whose tests are skipped, with the reason, where a tool is missing
LONG = ("tests/web/test_page", "tests/jobs/test_spark_", "tests/jobs/test_search")  # files of some minutes each
READY_S = 300.0
NEEDS = needs_tools("java", "javac", "mvn")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let long files be first, what needs the cluster last, and what kills its servers the very last.

    A long file that began last would leave the other worker idle; and others start servers too.
    """
    for item in items:
        if any(folder in item.path.as_posix() for folder in FOLDERS):
            item.add_marker(NEEDS)
            item.add_marker(pytest.mark.timeout(600))
    items.sort(key=lambda item: _turn(item.path.as_posix()))


def _turn(path: str) -> int:
    cluster = next((i for i, folder in enumerate(FOLDERS, 1) if folder in path), 0)
    return -1 if any(one in path for one in LONG) else cluster


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """Let servers take long to start: they step behind whatever else the machine does, Cassandra for minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup.stack, "READY_S", READY_S)
        yield


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # Here, not above: this file is read before any test, and what it brings along takes seconds.
    from setup.cluster import the_stack
    from setup.flink.jobs import JOBS
    from setup.kafka.topics import apply_topics

    settings = cluster_settings(tmp_path_factory.mktemp("cluster"))
    settings = settings.model_copy(
        update={"flink_taskmanagers": len(JOBS), "kafka_mb": 512, "cassandra_mb": 768, "flink_taskmanager_mb": 1500}
    )
    made = the_stack(settings, print)
    try:
        made.up(print)
        apply_topics(made.settings.kafka_servers, print)
        yield made
    finally:
        made.down(print)


@pytest.fixture(scope="session")
def servers(stack: Stack) -> str:
    return stack.settings.kafka_servers


@pytest.fixture(scope="session")
def jobs(stack: Stack, servers: str) -> Iterator[object]:
    """All of Flink's jobs, running: ``setup.flink.jobs.Jobs``."""
    from setup.flink.jobs import JOBS, Jobs
    from tests.stack.kafka import FULL_BOOKS

    os.environ["KAFKA_SERVERS"] = servers
    flink = Jobs(stack.settings)
    try:
        for name in JOBS:
            flink.submit(name, print, options=FULL_BOOKS.environment())
        for name in JOBS:
            flink.wait(name)
        yield flink
    finally:
        flink.close()


@pytest.fixture(scope="session")
def tables(stack: Stack) -> object:
    """Cassandra with its tables: ``setup.cassandra.client.CassandraSettings``."""
    from setup.cassandra.client import CassandraSettings
    from setup.cassandra.schema import apply_schema

    settings = CassandraSettings(hosts=stack.settings.host, port=stack.settings.cassandra_port)
    apply_schema(settings, print)
    return settings
