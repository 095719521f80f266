"""``quicksilver publish``: any source to Kafka, where the cluster takes over."""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Protocol

from jobs.books import BookWatch
from jobs.lives import STALE_S, Lives
from jobs.publish_command import PublishSettings
from jobs.publish_metrics import PublisherCollector, exposing
from jobs.sources import Source, choose
from jobs.taking import take_and_watch
from producers.csv_prices import CsvFile
from producers.kafka import KafkaPublisher
from producers.publishing import publish_all, summary
from producers.sessions import checked, csv_session, live_session, tape_session
from quicksilver.events import AnyEvent, Gap
from quicksilver.records import Audit, DeadLetter, FeedStats
from quicksilver.topics import AUDITS, DEAD_LETTERS, EVENT_TOPIC_OF, FEEDS, key_of

WATCH_S = 1.0
NEEDED = sorted({topic.name for topic in (*EVENT_TOPIC_OF.values(), AUDITS, FEEDS, DEAD_LETTERS)})


class EventSink(Protocol):
    """Where events and dead letters go."""

    async def event(self, event: AnyEvent) -> AnyEvent:
        """Take an event when there is room; returns what was taken in its place."""

    def letter(self, letter: DeadLetter) -> None:
        """Take a dead letter."""

    def audit(self, audit: Audit) -> None:
        """Take an audit."""

    def report(self, stats: FeedStats) -> None:
        """Take a feed's counts."""


class PublishRun:
    """Moves one source's events to Kafka, and asks venues again for the books that were lost or found crossed."""

    def __init__(self, source: Source, publisher: EventSink) -> None:
        self._source = source
        self._publisher = publisher
        self._books = BookWatch()
        self._lives = Lives(source.instruments)
        # What is stale the API says; here nobody notes when an instrument speaks, but the meter.
        source.meter.watch(source.instruments, self._lives.state, STALE_S if source.realtime else math.inf)

    async def run(self) -> None:
        """Take in the source's events until it ends.

        Raises:
            InputError: nothing of the source could be read, or a message could not be delivered.
        """
        await take_and_watch(self._take_all(), self._report, self._watch())

    async def _take_all(self) -> None:
        async with aclosing(self._source.batches(self._publisher.letter)) as batches:  # type: ignore[type-var]
            async for _, events in batches:
                for event in events:
                    await self._take(event)
                self._publish_audits()
        self._publish_audits()

    def _publish_audits(self) -> None:
        for audit in self._source.audits():
            self._publisher.audit(audit)

    async def _take(self, event: AnyEvent) -> None:
        published = await self._publisher.event(event)
        statuses = self._books.step(published)
        if self._lives.after(key_of(event), event, statuses):
            if not isinstance(event, Gap):
                self._source.doubt(event.venue, event.symbol)
                self._source.meter.crossed(event.venue, event.symbol)
            await self._source.resync(event.venue, event.symbol)

    async def _watch(self) -> None:
        """Each second: report feeds, ask again for books that did not come."""
        while True:
            await asyncio.sleep(WATCH_S)
            self._report()
            for status in self._lives.unanswered() if self._source.realtime else []:
                await self._source.resync(status.venue, status.symbol)

    def _report(self) -> None:
        for stats in self._source.meter.report(time.time_ns()):
            self._publisher.report(stats)


def prepare(settings: PublishSettings, say: Callable[[str], None]) -> tuple[Source, str]:
    """Return the source and its session: what takes seconds and cannot be interrupted.

    Raises:
        InputError: the source or the session cannot be used.
    """
    source = choose(settings, say)
    if settings.session:
        return source, checked(settings.session)
    if source.realtime or settings.tape is None:
        return source, live_session()
    return source, csv_session(CsvFile(settings.tape)) if settings.source == "csv" else tape_session(settings.tape)


async def publish_source(
    source: Source, session: str, servers: str, say: Callable[[str], None], stop: asyncio.Event, universe: str = "",
    metrics_at: tuple[str, int] | None = None,
) -> int:  # fmt: skip
    """Publish a source until it ends or ``stop``, and say the counts; returns how many messages were not delivered.

    Without a ``universe`` its instruments belong to that of its configuration. ``metrics_at`` is where, if anywhere,
    Prometheus may ask how it goes: host and port.

    Raises:
        InputError: the source or Kafka cannot be used, or a message could not be delivered.
    """
    publisher = KafkaPublisher(
        servers, session, say, universe=universe or source.config.universe,
        interval_ns=source.config.candle_intervals_ns[0],
    )  # fmt: skip
    say(f"publishing [{source.info.kind}] {source.info.detail} to Kafka at {servers}, session {session}")
    started = time.monotonic()

    async def work() -> None:
        """Connect and publish until the source ends."""
        await publisher.connect(NEEDED)
        await PublishRun(source, publisher).run()

    async with exposing(source.meter, metrics_at, say, PublisherCollector(publisher)):
        left = await publish_all(publisher, work(), stop, say)
    say(summary(publisher, left, seconds=round(time.monotonic() - started, 3)))
    return left
