"""The embedded runner: source -> pipeline -> bus -> store and API, in one process without a JVM."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

from threadpoolctl import threadpool_limits

from api.app import create_app
from api.hub import Hub
from api.metrics import MeterCollector
from api.server import bound, greet, serving_on
from api.symbols import Subscribed
from jobs.collecting import seldom_collected
from jobs.databases import open_store
from jobs.deploying import Deployer
from jobs.feed_watch import REMOVED
from jobs.lives import Lives
from jobs.outputs import Latencies, StoreWriter
from jobs.recorded import Recorded
from jobs.retraining_beside import retraining_beside
from jobs.search_shelf import SearchShelf
from jobs.settings import PAGE, PICTURES, RunSettings
from jobs.sources import Adjustable, Source
from jobs.taking import take_and_watch
from jobs.universe_watch import UniverseWatch
from producers.clocks import Clocks
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, Gap, Trade
from quicksilver.memory import MemoryBus
from quicksilver.pipeline import Pipeline
from quicksilver.ports import Store
from quicksilver.records import DeadLetter
from quicksilver.topics import key_of

FLUSH_S = 0.25
WATCH_S = 1.0
TURN_NS = 1_000_000  # of a long batch; then clients get what there is of it
log = logging.getLogger(__name__)


class EmbeddedRunner:
    """Runs one source through one pipeline to one bus.

    Predictors are those in the folder ``models``, if given; universes those of the source's configuration, and when
    the file ``universes`` changes, if given, those that it says then.
    """

    def __init__(
        self, source: Source, bus: MemoryBus, models: Path | None = None, say: Callable[[str], None] = log.info,
        universes: Path | None = None,
    ) -> None:  # fmt: skip
        self._source = source
        self._bus = bus
        self._say = say
        self._pipeline = Pipeline(source.config)
        self._models = models
        self._deployer = Deployer(models, self._pipeline, self._refuse, say) if models is not None else None
        self._universes = universes
        self._latencies = Latencies()
        self._lives = Lives(source.instruments)
        self._clocks = Clocks()
        source.meter.watch(source.instruments, self._lives.state)
        self.events = 0

    async def run(self) -> None:
        """Take in the source's events until it ends.

        A watch that fails ends the run too: without it nobody would be told what is stale.

        Raises:
            InputError: nothing of the source could be read.
        """
        for status in self._lives.waiting():
            self._bus.publish(status)
        watches = [self._watch()] + ([self._deployer.watch()] if self._deployer is not None else [])
        if self._universes is not None:
            publish, refuse = self._bus.publish, self._refuse_universes
            watches.append(UniverseWatch(self._universes, self._pipeline, publish, refuse, self._say).watch())
        await take_and_watch(self._take_all(), self._report, *watches)
        self._report()  # nothing more comes, at no rate: the last rates would stay on view

    def subscribed(self) -> list[Subscribed]:
        """Return what is subscribed to, with what its venue lists of it, where that is known."""
        found = []
        for venue, symbol in self._source.instruments:
            feed = self._source.feeds.get(venue) if isinstance(self._source, Adjustable) else None
            listing = feed.listed.get(symbol) if feed else None
            found.append(Subscribed(venue, symbol, listing) if listing else Subscribed(venue, symbol))
        return found

    async def add(self, venue: str, symbol: str) -> None:
        """Subscribe to one more symbol of a live source, and say that its book is waited for.

        Raises:
            InputError: that cannot be.
        """
        source = self._adjustable()
        if self._deployer is not None:  # before its first event comes, for which all others would wait
            await self._deployer.deploy_all([(venue.partition("/")[0], symbol)])
        venue = await source.add(venue, symbol)
        self._source.meter.expect(venue, symbol)
        self._bus.publish(self._lives.expect(venue, symbol))

    async def remove(self, venue: str, symbol: str) -> None:
        """Subscribe to a symbol of a live source no longer, and say so.

        Raises:
            InputError: that cannot be.
        """
        await self._adjustable().remove(venue, symbol)
        self._source.meter.dismiss(venue, symbol)
        self._bus.publish(self._lives.dismiss(venue, symbol, REMOVED))

    def _adjustable(self) -> Adjustable:
        if not isinstance(self._source, Adjustable):
            kind = self._source.info.kind
            raise InputError(
                f"this run plays {kind} data, whose symbols are given: only those of live feeds can change"
            )
        return self._source

    async def _take_all(self) -> None:
        if self._deployer is not None:
            await self._deployer.deploy_all(self._source.instruments)
        async with aclosing(self._source.batches(self._reject)) as batches:  # type: ignore[type-var]
            async for received_ns, events in batches:
                if self._deployer is not None:  # of a recording instruments are known when they come
                    await self._deployer.deploy_all((event.venue, event.symbol) for event in events)
                await self._take(received_ns, events)
                self._publish_audits()
        self._publish_audits()

    def _publish_audits(self) -> None:
        for audit in self._source.audits():
            self._bus.publish(audit)

    def _reject(self, letter: DeadLetter) -> None:
        self._bus.publish(letter)

    def _refuse(self, name: str, reason: str) -> None:
        """Say that a predictor's new versions cannot be used, where people look."""
        self._say(f"predictor {name}: {reason}; what was at work goes on")
        self._bus.publish(DeadLetter(time.time_ns(), f"{self._models}/{name}", "models", None, reason, b""))

    def _refuse_universes(self, reason: str) -> None:
        """Say that a file of universes cannot be used, where people look."""
        self._say(f"{reason}; the universes at work go on")
        self._bus.publish(DeadLetter(time.time_ns(), str(self._universes), "universes", None, reason, b""))

    async def _take(self, received_ns: int | None, events: list[AnyEvent]) -> None:
        started = time.perf_counter_ns()
        turn_ns = started + TURN_NS
        for event in events:
            self.events += 1
            key = key_of(event)
            again = self._lives.before(key)
            if again is not None:
                self._bus.publish(again)
            way_ns = self._clocks.latency_ns(event)
            if received_ns is not None and way_ns is not None:
                self._latencies.add("1 exchange to receive", way_ns / 1e3)
            records = self._pipeline.step(event)
            computed = time.perf_counter_ns()
            self._latencies.add("2 event to records", (computed - started) / 1e3)
            if isinstance(event, Trade):
                self._bus.publish(event)
            for record in records:
                self._bus.publish(record)
            started = time.perf_counter_ns()
            self._latencies.add("3 records to bus", (started - computed) / 1e3)
            if started >= turn_ns:
                await asyncio.sleep(0)
                started = time.perf_counter_ns()
                turn_ns = started + TURN_NS
            if received_ns is not None:
                self._latencies.add("receive to bus, total", (time.time_ns() - received_ns) / 1e3)
            if self._lives.after(key, event, records):
                if not isinstance(event, Gap):
                    self._source.doubt(event.venue, event.symbol)
                    self._source.meter.crossed(event.venue, event.symbol)
                await self._source.resync(event.venue, event.symbol)

    async def _watch(self) -> None:
        """Each second: report latencies and feeds, say who has fallen silent, ask again for books that did not come."""
        while True:
            await asyncio.sleep(WATCH_S)
            self._report()
            if self._source.realtime:
                for status in self._lives.silent():
                    self._bus.publish(status)
                for frontier in self._pipeline.on_silence(time.time_ns()):
                    self._bus.publish(frontier)
                for status in self._lives.unanswered():
                    await self._source.resync(status.venue, status.symbol)

    def _report(self) -> None:
        for venue, behind_ns in self._clocks.behind().items():
            self._latencies.add(f"0 clock behind venue: {venue}", behind_ns / 1e3)
        now_ns = time.time_ns()
        for latency in self._latencies.report(now_ns):
            self._bus.publish(latency)
        for stats in self._source.meter.report(now_ns):
            self._bus.publish(stats)


async def run_embedded(source: Source, settings: RunSettings, say: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve the page and the API over a running source, until ``stop``; a recording that has ended stays on view.

    Matrix products take one thread: those of thirty assets are done before others have woken up, which then wait for
    the next ones at the cost of a core, and the last digits of a product depend on how many share it.

    Raises:
        InputError: the port is taken, the database cannot be used, or nothing of the source could be read.
    """
    with threadpool_limits(1):
        await _run_embedded(source, settings, say, stop)


async def _run_embedded(source: Source, settings: RunSettings, say: Callable[[str], None], stop: asyncio.Event) -> None:
    bus, hub, host = MemoryBus(), Hub(source.info), settings.quicksilver_host
    bus.subscribe(hub.on_record)
    path = settings.data / source.database
    async with bound(host, settings.port) as listeners:  # first: a run that cannot be served must remove no rows
        with open_store(path, source.lasting, settings.keep_hours) as store, _writing(bus, store) as writer:
            runner = EmbeddedRunner(source, bus, settings.registry, say, settings.universes)
            playback = source.playback if isinstance(source, Recorded) else None
            told = [MeterCollector(source.meter)]
            app = create_app(
                hub, store, PAGE, [host], symbols=runner, playback=playback, collectors=told,
                searches=SearchShelf(settings.searches_folder),
                pictures=settings.data / PICTURES,
            )  # fmt: skip
            async with serving_on(listeners, app) as port, retraining_beside(settings, bus, store, path, say):
                greet(hub.source, host, port, say)
                with seldom_collected():
                    await _until_stopped(runner, writer, say, stop)


@contextmanager
def _writing(bus: MemoryBus, store: Store) -> Iterator[StoreWriter]:
    """Have the bus's records stored, the last of them too."""
    writer = StoreWriter(store)
    bus.subscribe(writer.on_record)
    try:
        yield writer
    finally:
        writer.flush()


async def _until_stopped(
    runner: EmbeddedRunner, writer: StoreWriter, say: Callable[[str], None], stop: asyncio.Event
) -> None:
    running, stopping = asyncio.create_task(runner.run()), asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            await asyncio.wait({running, stopping}, timeout=FLUSH_S, return_when=asyncio.FIRST_COMPLETED)
            writer.flush()
            if running.done():
                running.result()  # raises what the runner raised
                say(f"the recording has ended after {runner.events:,} events; the page stays until Ctrl-C")
                await stopping
    finally:
        for task in (running, stopping):
            task.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)
