"""Messages to Kafka, beside Kafka's own ``ProducerPerformance``: one broker, one topic, the same number and size.

Ours carries a key and headers, as all that we publish does; its peer's messages are bare values.
"""

import asyncio
import re
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from jobs.benches.measure import Row, quiet, rate_row
from producers.exchanges.kraken import KrakenParser
from producers.frames import Frame
from producers.kafka import KafkaPublisher
from producers.simulator.frames import frames
from producers.simulator.orderflow import Market
from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, BookDelta
from setup.jars import fetch
from setup.kafka.service import kafka
from setup.kafka.topics import apply_topics
from setup.services import classpath
from setup.settings import ClusterSettings
from setup.stack import Stack
from setup.tools import java

N = 200_000
ROUNDS = 3
_RATE = re.compile(r"^\d+ records sent, ([\d.]+) records/sec", re.MULTILINE)


def events(n: int) -> list[AnyEvent]:
    """Return changes of simulated books, numbered through as one session's are."""
    market, parser, found = Market(1, 1_700_000_000_000_000_000), KrakenParser("sim"), list[AnyEvent]()
    numbers: dict[str, int] = {}
    for ts_ns, payload in frames(market, ["BTC/USD", "ETH/USD", "SOL/USD"], 10, 20_000):
        found += [one for one in parser.parse(Frame("sim", "s", "recv", ts_ns, payload)) if isinstance(one, BookDelta)]
    out: list[AnyEvent] = []
    for i in range(n):
        one = found[i % len(found)]
        numbers[one.symbol] = numbers.get(one.symbol, 0) + 1
        out.append(replace(one, seq=numbers[one.symbol]))
    return out


def ours(servers: str, sent: list[AnyEvent], session: str) -> float:
    """Return how many events a second are encoded, published and confirmed."""

    async def publish() -> float:
        """Publish all events and wait until Kafka has them; returns events a second."""
        publisher = KafkaPublisher(servers, session, print)
        await publisher.connect(["books"])
        started = time.perf_counter()
        for event in sent:
            await publisher.event(event)
        await publisher.flush()
        return len(sent) / (time.perf_counter() - started)

    return asyncio.run(publish())


def theirs(servers: str, jars: Path, n: int, size: int) -> float:
    """Return the messages a second of Kafka's own measurement.

    Raises:
        InputError: it fails.
    """
    command = [
        java(), "-Xmx256m", "-cp", classpath(jars), "org.apache.kafka.tools.ProducerPerformance", "--topic", "books",
        "--num-records", str(n), "--record-size", str(size), "--throughput", "-1", "--producer-props",
        f"bootstrap.servers={servers}", "acks=all", "compression.type=lz4",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = _RATE.findall(done.stdout)
    if done.returncode or not found:
        raise InputError(f"ProducerPerformance failed: {(done.stdout + done.stderr).strip()[-300:]}")
    return float(found[-1])  # the last line is the whole run's


def rows(rounds: int = ROUNDS, n: int = N) -> list[Row]:
    """Return the row; the two take turns on a broker of their own.

    Raises:
        InputError: Java or Maven is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = ClusterSettings.on_free_ports(Path(folder))
        jars = fetch("kafka", settings.jars, print)
        stack = Stack(settings, [kafka(settings, jars)])
        try:
            stack.up(quiet)
            servers = settings.kafka_servers
            apply_topics(servers, quiet)
            return [_measure(servers, jars, rounds, n)]
        finally:
            stack.down(quiet)


def _measure(servers: str, jars: Path, rounds: int, n: int) -> Row:
    sent = events(n)
    size = round(sum(len(codec.encode(one)) for one in sent[:10_000]) / len(sent[:10_000]))
    both = [(ours(servers, sent, f"bench-{i}"), theirs(servers, jars, n, size)) for i in range(rounds + 1)][1:]
    mine, peer = (median(one) / 1e3 for one in zip(*both, strict=True))
    return rate_row(f"events -> Kafka, {size} bytes", "k/s", mine, "Kafka's ProducerPerformance", peer)
