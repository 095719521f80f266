"""What all recovery tests share: the API and the persist job as programs, and the table of recovery times."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from api.store_cassandra import CassandraStore
from setup.cassandra.client import CassandraSettings
from setup.settings import ClusterSettings
from setup.stack import Stack
from tests.recovery.parts import Program
from tests.recovery.tables import read_tables
from tests.recovery.tape import differences, truth_of, write_tape

STARTED_S = 120.0
REPORT = pytest.StashKey[list[str]]()


@dataclass
class Site:
    """The whole cluster, with our own programs in it."""

    stack: Stack
    servers: str
    cassandra: CassandraSettings
    folder: Path
    environment: dict[str, str]
    url: str
    serve: Program
    persist: Program

    @contextmanager
    def publishing(self, folder: Path, venue: str, seed: int, speed: float | str) -> Iterator[Program]:
        """Publish a tape of that venue's own."""
        tape = folder / f"{venue}.tape"
        write_tape(tape, venue, seed)
        command = ["-m", "tests.recovery.producer", str(tape), str(speed), venue]
        made = Program(venue, self.folder, command, self.environment)
        try:
            made.start()
            yield made
        finally:
            made.process.stop()

    def warm_up(self) -> None:
        """Let one tape go through everything: what the first rows wait for is no part of a recovery."""
        store, truth = CassandraStore(self.cassandra, print), truth_of("warm-up", 1)
        try:
            assert store.wait(STARTED_S)
            with self.publishing(self.folder, "warm-up", 1, "max"):
                assert differences(read_tables(store, truth.rows, 2 * STARTED_S), truth.rows) == []
        finally:
            store.close()


@pytest.fixture(scope="session")
def site(
    stack: Stack, servers: str, jobs: object, tables: CassandraSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("recovery")
    port = ClusterSettings.on_free_ports(folder).spark_page_port  # any free one, the same after each start
    environment = {
        "KAFKA_SERVERS": servers, "CASSANDRA_HOSTS": tables.hosts, "CASSANDRA_PORT": str(tables.port),
        "BUS": "kafka", "STORE": "cassandra", "PORT": str(port), "PERSIST_CHECKPOINT": str(folder / "persist"),
        "PERSIST_DRIVER_MB": "768",
    }  # fmt: skip
    serve = Program("serve", folder, ["-m", "jobs.cli", "serve"], environment)
    persist = Program("persist", folder, ["-m", "jobs.cli", "persist"], environment)
    try:
        serve.start()
        persist.start()
        serve.wait_for(f":{port}", STARTED_S)
        persist.wait_for("persist: runs", STARTED_S)
        made = Site(stack, servers, tables, folder, environment, f"http://127.0.0.1:{port}/", serve, persist)
        made.warm_up()
        yield made
    finally:
        serve.process.stop()
        persist.process.stop()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> list[str]:
    """Lines that are printed at the end of the session."""
    return request.config.stash.setdefault(REPORT, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(REPORT, [])
    if lines:
        terminalreporter.section("recovery after kill -9")
        for line in lines:
            terminalreporter.write_line(line)
