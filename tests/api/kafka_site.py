"""A real Kafka for tests, who publishes to it, and the API that reads it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from websockets.asyncio.client import ClientConnection, connect

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.kafka_bus import KafkaBus
from api.kafka_rows import Row
from api.server import serving
from api.store_sqlite import SqliteStore
from quicksilver.records import Published, Status
from quicksilver.streaming.message import Headers, Outgoing, outgoing
from setup.jars import fetch
from setup.kafka.service import kafka
from setup.kafka.topics import apply_topics
from setup.stack import Stack
from tests.ports import cluster_settings
from tests.tools import needs_tools

PATIENCE_S = 60.0

needs_kafka = [
    pytest.mark.timeout(400),
    needs_tools("java", "mvn"),
]


def quiet(_: str) -> None:
    """Say nothing."""


@contextmanager
def running_kafka(folder: Path) -> Iterator[Stack]:
    """Run a broker with our topics while the context lasts."""
    settings = cluster_settings(folder).model_copy(update={"kafka_mb": 256})
    node = Stack(settings, [kafka(settings, fetch("kafka", settings.jars, print))])
    try:
        node.up(print)
        apply_topics(node.settings.kafka_servers, quiet)
        yield node
    finally:
        node.down(print)


class Publisher:
    """Publishes as the jobs do; every message is acknowledged by ``flush``."""

    def __init__(self, servers: str) -> None:
        self._producer = Producer(
            {"bootstrap.servers": servers, "acks": "all", "enable.idempotence": True, "linger.ms": 0, "log_level": 0}
        )
        self.failures: list[str] = []

    def record(self, record: Published, session: str, number: int, ts_ms: int = 1) -> None:
        self.send(outgoing(record, ts_ms, Headers(s=session, n=str(number))))

    def send(self, message: Outgoing) -> None:
        self.raw(message.topic, message.key.encode(), message.value, message.headers.items(), message.ts_ms)

    def raw(
        self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]], ts_ms: int = 1
    ) -> None:
        named: list[tuple[str, str | bytes | None]] = [*headers]
        self._producer.produce(topic, value, key, headers=named, timestamp=ts_ms, on_delivery=self._noted)
        self._producer.poll(0)

    def _noted(self, error: Any, _: Any) -> None:
        if error is not None:
            self.failures.append(str(error))

    def flush(self) -> None:
        assert self._producer.flush(PATIENCE_S) == 0
        assert self.failures == []


def status(symbol: str, seq: int, state: Any = "LIVE") -> Status:
    return Status("kraken", symbol, seq, seq, seq, state, "")


class Api:
    """The API over a bus."""

    def __init__(self, bus: KafkaBus, hub: Hub, port: int) -> None:
        self.bus, self.hub, self.port = bus, hub, port

    def client(self) -> connect:
        return connect(f"ws://127.0.0.1:{self.port}/ws", max_size=None)

    async def until(self, reached: Callable[[], Any]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not reached():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running_api(
    servers: str, folder: Path, port: int = 0, keep: Callable[[list[Row]], None] | None = None
) -> AsyncIterator[Api]:
    """Serve what Kafka has while the context lasts."""
    hub = Hub(SourceInfo("CLUSTER", "a test"))
    store = SqliteStore(folder / "x.sqlite")

    def take(rows: list[Row]) -> None:
        for row in rows:
            hub.on_row(row.topic, row.key, row.record, row.value)

    bus = KafkaBus(servers, take, keep)
    try:
        async with serving(create_app(hub, store, None, parts=bus.health), "127.0.0.1", port) as bound:
            failed = bus.start()
            try:
                yield Api(bus, hub, bound)
            finally:
                await bus.close()
                assert not failed.done()
    finally:
        store.close()


async def subscribe(client: ClientConnection, channel: str, key: str, history: int = 1) -> None:
    assert json.loads(await client.recv())["type"] == "welcome"
    await client.send(
        json.dumps({"op": "subscribe", "channels": [channel], "keys": [key], "history": history}),
    )


async def rows_until(client: ClientConnection, last: int) -> list[dict[str, Any]]:
    """Return all rows that come, up to the one of that ``seq``."""
    rows: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        while not rows or rows[-1]["seq"] != last:
            rows += json.loads(await client.recv())["rows"]
    return rows
