"""``quicksilver record``: live feeds or the simulator to tapes, and to topic ``raw``, every frame as it came."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import msgspec

from jobs.publish import PublishRun
from jobs.publish_metrics import PublisherCollector, RecorderCollector, exposing
from jobs.record_command import RecordSettings
from jobs.recording import tape_of, tapped, written
from jobs.sources import Source
from producers.frames import Frame
from producers.raw import RawPublisher
from producers.raw_queue import RawQueue
from producers.sessions import live_session
from producers.tapes.recorder import TapeRecorder
from quicksilver.events import AnyEvent
from quicksilver.records import Audit, DeadLetter, FeedStats
from quicksilver.topics import RAW


class _Sink:
    """Takes events and dead letters and keeps the number of the latter: what they were made of is on the tape."""

    def __init__(self) -> None:
        self.letters = 0

    async def event(self, event: AnyEvent) -> AnyEvent:
        """Take an event."""
        return event

    def letter(self, letter: DeadLetter) -> None:  # noqa: ARG002
        """Count a dead letter."""
        self.letters += 1

    def audit(self, audit: Audit) -> None:
        """Take no note of an audit: the book that it is made with is on the tape."""

    def report(self, stats: FeedStats) -> None:
        """Take no note of counts: they can be made from the tape."""


class RecordRun(PublishRun):
    """Moves a source's frames to a tape, and asks venues again for books that were lost or found crossed.

    A tape of books that nobody asked for again would be of little use; so frames are parsed here too. Nothing is
    dropped: where the disk is slow, the feeds wait. They do not wait for Kafka.
    """

    def __init__(self, source: Source, recorder: TapeRecorder, raw: RawQueue | None) -> None:
        self._sink = _Sink()
        super().__init__(source, self._sink)
        self._recorder, self._raw = recorder, raw
        tapped(source).tap = self._tap

    @property
    def letters(self) -> int:
        """How many frames could not be read; they are recorded all the same."""
        return self._sink.letters

    def _tap(self, frame: Frame) -> None:
        self._recorder.put(frame)
        if self._raw is not None:
            self._raw.put(frame)

    async def _take_all(self) -> None:
        async with aclosing(self._source.batches(self._sink.letter)) as batches:  # type: ignore[type-var]
            async for _, events in batches:
                await self._recorder.room()
                for event in events:
                    await self._take(event)
                self._publish_audits()


async def record_source(
    source: Source, settings: RecordSettings, say: Callable[[str], None], stop: asyncio.Event
) -> int:
    """Record a source until ``stop``, and say what was written; returns how many frames did not come to topic raw.

    Raises:
        InputError: the source is none that can be recorded, or the folder or Kafka's addresses cannot be used.
    """
    tapped(source)
    tape = tape_of(source, settings.record, settings)
    publisher = RawPublisher(settings.kafka_servers, live_session(), say) if settings.raw else None
    raw = RawQueue(publisher, say) if publisher else None
    where = f" and topic {RAW.name} of Kafka at {settings.kafka_servers}" if raw else ""
    say(f"recording [{source.info.kind}] {source.info.detail} to {settings.record}{where}; Ctrl-C ends it")
    recorder = TapeRecorder(tape, say)
    run = RecordRun(source, recorder, raw)
    started, left = time.monotonic(), 0
    collectors = [RecorderCollector(tape, recorder), *([PublisherCollector(publisher)] if publisher else [])]
    try:
        async with exposing(source.meter, settings.metrics_at, say, *collectors):
            left = await (_published(run, raw, stop) if raw else _until(run, stop))
    finally:
        recorder.close()
        counts: dict[str, Any] = {**written(tape, recorder), "unreadable": run.letters, "undelivered": left}
        counts["seconds"] = round(time.monotonic() - started, 3)
        say(msgspec.json.encode(counts).decode())
    recorder.require_sound()
    return left


async def _published(run: RecordRun, raw: RawQueue, stop: asyncio.Event) -> int:
    publishing = asyncio.create_task(raw.run())
    try:
        await _until(run, stop)
    finally:
        raw.end()
        left = await publishing
    return left


async def _until(run: RecordRun, stop: asyncio.Event) -> int:
    running, stopping = asyncio.create_task(run.run()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()  # raises what went wrong
    finally:
        for task in (running, stopping):
            task.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)
    return 0
