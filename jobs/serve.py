"""The cluster's API: Kafka -> hub -> page and bots, beside a store that answers for history."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, closing
from typing import Any

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.kafka_bus import KafkaBus
from api.kafka_rows import Row
from api.metrics import BusCollector, FeedCollector
from api.ports import JsonStore
from api.server import greet, serving
from jobs.collecting import seldom_collected
from jobs.databases import open_store
from jobs.lives import Lives
from jobs.outputs import Latencies
from jobs.search_shelf import SearchShelf
from jobs.settings import PAGE, PICTURES, ServeSettings
from quicksilver.errors import StoreError
from quicksilver.records import Audit, DeadLetter, FeedStats, Published, Status
from quicksilver.topics import TOPIC_OF, key_of

HOP = "publish to API"
WATCH_S = 1.0
STORE_WATCH_S = 2.0
DATABASE = "cluster.sqlite"
REPORTS = {Audit, DeadLetter, FeedStats}  # they name an instrument, but are none of its messages
LIVE_WITHIN_NS = 60_000_000_000  # data published this soon after it was received is live; of a recording it is older


class Desk:
    """Hands rows to the hub, and says what the API alone can: what has fallen silent, and how late rows come."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lives = Lives()
        self._latencies = Latencies()

    def take(self, rows: list[Row]) -> None:
        """Take in a batch of rows, on the event loop."""
        now_ns = time.time_ns()
        for key in {row.key for row in rows if type(row.record) not in REPORTS}:
            again = self._lives.before(key)
            if again is not None:
                self.publish(again)
        for topic, key, record, value, ts_ms, fresh in rows:
            self._hub.on_row(topic, key, record, value)
            if fresh:
                self._latencies.add(HOP, now_ns / 1e3 - ts_ms * 1e3)
            if type(record) is Status:
                self._note(key, record, ts_ms)

    def _note(self, key: str, status: Status, ts_ms: int) -> None:
        """Watch over an instrument if its data is live: a recording may pause, and ends."""
        if abs(ts_ms * 1_000_000 - status.ts_recv_ns) < LIVE_WITHIN_NS:
            self._lives.note(key, status)
        else:
            self._lives.forget(key)

    def publish(self, record: Published) -> None:
        """Hand a record of our own to the hub; it is what this process saw, and is not stored."""
        self._hub.on_record(TOPIC_OF[type(record)].name, key_of(record), record)

    async def watch(self) -> None:
        """Each second: report latencies, and say who has fallen silent."""
        while True:
            await asyncio.sleep(WATCH_S)
            for latency in self._latencies.report(time.time_ns()):
                self.publish(latency)
            for status in self._lives.silent():
                self.publish(status)


class StoreWatch:
    """Asks the store now and then, so that its state is known before somebody needs it."""

    def __init__(self, store: JsonStore, name: str) -> None:
        self._store, self._name = store, name
        self.state = f"waiting for {name}"
        self.connected = False

    async def watch(self) -> None:
        """Ask for ever."""
        while True:
            try:
                await asyncio.to_thread(self._store.keys, "status")
                self.connected, self.state = True, self._name
            except StoreError as error:
                self.connected, self.state = False, str(error)
            await asyncio.sleep(STORE_WATCH_S)


def opened(settings: ServeSettings, say: Callable[[str], None]) -> AbstractContextManager[JsonStore]:
    """Return the store that the settings name, which is closed with its context.

    Raises:
        InputError: it cannot be used; a database that is away is no such case.
    """
    if settings.store == "sqlite":
        return open_store(settings.data / DATABASE, lasting=True, keep_hours=settings.keep_hours)
    # Here, not above: the driver is installed for the cluster only.
    from api.store_cassandra import CassandraStore
    from setup.cassandra.client import CassandraSettings

    return closing(CassandraStore(CassandraSettings.from_environment(), say))


@asynccontextmanager
async def _reading(bus: KafkaBus) -> AsyncIterator[asyncio.Future[None]]:
    try:
        yield bus.start()
    finally:
        await bus.close()


async def run_serve(settings: ServeSettings, say: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve the page and the API over Kafka and the store until ``stop``; either may be away.

    Raises:
        InputError: the port is taken, or the database cannot be used.
    """
    host, hub = settings.quicksilver_host, Hub(SourceInfo("CLUSTER", f"Kafka at {settings.kafka_servers}"))
    with await asyncio.to_thread(opened, settings, say) as store:
        desk, watch = Desk(hub), StoreWatch(store, settings.store)

        def keep(rows: list[Row]) -> None:
            """Write rows that came over Kafka into this process's own store."""
            store.write([row.record for row in rows])

        def parts() -> dict[str, object]:
            """Return how Kafka and the store are; ``degraded`` while the store is away, whatever Kafka's state."""
            health = bus.health()
            return {**health, "status": health["status"] if watch.connected else "degraded", "store": watch.state}

        bus = KafkaBus(settings.kafka_servers, desk.take, keep if settings.store == "sqlite" else None, say)
        app = create_app(
            hub, store, PAGE, [host], parts, collectors=[FeedCollector(hub), BusCollector(bus)],
            searches=SearchShelf(settings.searches_folder), pictures=settings.data / PICTURES,
        )  # fmt: skip
        async with serving(app, host, settings.port) as port:
            greet(hub.source, host, port, say)
            with seldom_collected():
                async with _reading(bus) as failed:
                    await _until_one_ends(stop, failed, desk, watch)


async def _until_one_ends(stop: asyncio.Event, failed: asyncio.Future[None], desk: Desk, watch: StoreWatch) -> None:
    """Wait for the end; what ends by itself has failed, and nobody would be told otherwise."""
    tasks: list[asyncio.Future[Any]] = [asyncio.create_task(one) for one in (stop.wait(), desk.watch(), watch.watch())]
    try:
        done, _ = await asyncio.wait({failed, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
