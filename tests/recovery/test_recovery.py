"""Nothing lost, nothing doubled: each part is killed (-9) mid-stream, at moments drawn by a seed.

Once each in ``make test``, three times in ``make recovery`` (RECOVERY_RUNS).

The topics, the tables and what a websocket reader got are then those of an uninterrupted run, to the bit.
"""

import math
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from api.store_cassandra import CassandraStore
from tests.recovery.conftest import Site
from tests.recovery.parts import Program, Server
from tests.recovery.tables import Watch, read_tables
from tests.recovery.tape import SYMBOLS, Rows, Truth, differences, truth_of
from tests.recovery.topics import TopicReader
from tests.recovery.websocket import Reader

FAULTS = ("producer", "kafka", "taskmanager", "jobmanager", "persist", "cassandra", "serve")
STORED = {"persist", "cassandra"}  # whose recovery shows in the tables
RUNS = int(os.environ.get("RECOVERY_RUNS", "1"))
SEED = 20_260_401
SPEED = 4.0
LONG_S = 10.0  # how long a tape is published at that speed
WAIT_S = 150.0
FLOWING = ("features", "tops", "predictions")  # have rows all the time
KEYS = [symbol.replace("/", "-") for symbol in SYMBOLS]


def victim_of(site: Site, fault: str, run: int, producer: Program) -> Program | Server:
    servers = {
        "kafka": "kafka", "cassandra": "cassandra", "jobmanager": "flink-jobmanager",
        "taskmanager": f"flink-taskmanager-{run % site.stack.settings.flink_taskmanagers}",  # each runs one of the jobs
    }  # fmt: skip
    programs = {"producer": producer, "serve": site.serve, "persist": site.persist}
    return Server(site.stack, servers[fault]) if fault in servers else programs[fault]


def recovery_s(killed_s: float, came: Sequence[Sequence[float]]) -> float:
    """Return how long after the kill the longest silence ended, of the stream that had the longest."""
    found = 0.0
    for times in came:
        later = [killed_s, *(one for one in times if one > killed_s)]
        if len(later) == 1:
            return math.inf
        silences = [(after - before, after) for before, after in zip(later, later[1:], strict=False)]
        found = max(found, max(silences, default=(0.0, killed_s))[1] - killed_s)
    return found


def settle(enough: Callable[[], object], timeout_s: float) -> None:
    """Wait until it is enough, or for so long."""
    end = time.monotonic() + timeout_s
    while not enough() and time.monotonic() < end:
        time.sleep(0.05)


def strike(victim: Program | Server, producer: Program, moment_s: float) -> float:
    """Kill the victim in the midst of publishing and start it again; returns when it was killed."""
    producer.wait_for("publishing", WAIT_S)
    time.sleep(moment_s)
    assert producer.process.pid is not None, f"publishing is over already:\n{producer.process.tail()}"
    killed_s = time.monotonic()
    victim.kill()
    victim.start()
    return killed_s


def complete(rows: Rows, truth: Truth) -> bool:
    return all(len(rows.get(place, ())) >= len(known) for place, known in truth.rows.items())


@pytest.mark.parametrize("run", range(RUNS))
@pytest.mark.parametrize("fault", FAULTS)
def test_killed_and_started_again(site: Site, fault: str, run: int, tmp_path: Path, report: list[str]) -> None:
    seed = SEED + 10 * FAULTS.index(fault) + run
    venue, moment_s = f"{fault}-{run}", random.Random(seed).uniform(0.1, 0.8) * LONG_S
    truth, began_s = truth_of(venue, seed), time.monotonic()
    for one in (site.serve, site.persist):
        assert one.process.pid is not None, f"{one.process.name} has ended by itself:\n{one.process.tail()}"
    store = CassandraStore(site.cassandra, print)
    assert store.wait(WAIT_S)
    topics = TopicReader(site.servers, truth.messages)
    keys = [venue, *(f"{venue}:{key}" for key in KEYS)]
    channels = sorted({topic for topic, _ in truth.rows})
    try:
        with (
            Reader(site.url, channels, keys) as reader,
            Watch(store, ("features", keys[1])) as watch,
            site.publishing(tmp_path, venue, seed, SPEED) as producer,
        ):
            killed_s = strike(victim_of(site, fault, run, producer), producer, moment_s)
            tables = read_tables(store, truth.rows, WAIT_S)
            found = topics.read(sum(map(len, truth.messages.values())), WAIT_S)
            settle(lambda: reader.failure or complete(reader.rows, truth), 5.0)
    finally:
        store.close()
    assert reader.failure is None
    mended = reader.mend(site.url)
    assert differences(reader.rows, truth.rows) == []
    took_s = recovery_s(killed_s, [watch.came] if fault in STORED else [reader.came[name] for name in FLOWING])
    assert took_s < WAIT_S
    report.append(
        f"{fault:<12} run {run}  seed {seed}  after {moment_s:4.1f} s  recovered in {took_s:5.1f} s  repeats: "
        f"{topics.repeats:5} in topics, {reader.repeats:5} at the websocket ({mended} rows by REST);"
        f" {time.monotonic() - began_s:.0f} s"
    )
    sys.stdout.write(f"{report[-1]}\n")
    assert [place for place, data in truth.messages.items() if found.get(place) != data] == []
    assert differences(tables, truth.rows) == []
