"""A run of a producer: it ends when its source does or when it is told to, and not before all is delivered."""

import asyncio
import signal
import sys
import time
from collections.abc import Coroutine
from typing import Any

import msgspec

from producers.kafka import KafkaPublisher, Say

LOOK_S = 0.1
PROGRESS_S = 10.0
STOP_S = 10.0  # how long one who was told to stop goes on delivering


def stop_on_signals() -> asyncio.Event:
    """Return an event that is set by Ctrl-C or SIGTERM; a second one ends the program at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def told(*_: object) -> None:
        """Ask for the end; a second signal ends the process at once."""
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.default_int_handler)
        if loop.is_closed():
            raise KeyboardInterrupt  # what it was to stop has ended: a program that goes on is stopped as any other
        loop.call_soon_threadsafe(stop.set)

    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, told)
    return stop


async def publish_all(publisher: KafkaPublisher, work: Coroutine[Any, Any, None], stop: asyncio.Event, say: Say) -> int:
    """Run ``work``, which publishes, to its end or until ``stop``; returns how many messages were not delivered.

    Without ``stop`` that is none: it waits.

    Raises:
        InputError: a message could not be delivered, or what ``work`` raises.
    """
    tasks = [asyncio.create_task(one) for one in (work, _watch(publisher, say), stop.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for one in tasks:
            if one.done():
                one.result()  # raises what went wrong
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        return await _deliver(publisher, stop, tasks[2], say)
    finally:
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        publisher.discard()


async def _deliver(publisher: KafkaPublisher, stop: asyncio.Event, stopping: "asyncio.Task[Any]", say: Say) -> int:
    if stop.is_set() and publisher.waiting:
        say(f"stopping: {publisher.waiting:,} messages are to be delivered yet")
    flushing = asyncio.create_task(publisher.flush())
    try:
        await asyncio.wait({flushing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({flushing}, timeout=STOP_S)
        if flushing.done():
            flushing.result()
    finally:
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)
    left = publisher.waiting
    if left:
        say(f"{left:,} messages were not delivered: Kafka at {publisher.servers} has not confirmed them")
    return left


async def _watch(publisher: KafkaPublisher, say: Say) -> None:
    """Look after the deliveries, and say on a terminal how it goes."""
    told, events = time.monotonic(), 0
    while True:
        await asyncio.sleep(LOOK_S)
        publisher.look()
        took_s = time.monotonic() - told
        if took_s >= PROGRESS_S and sys.stderr.isatty():
            rate, letters = (publisher.events - events) / took_s, publisher.counts["dead-letters"]
            waits = f"{publisher.waiting:,} messages wait, {letters:,} dead letters"
            say(f"{publisher.events:,} events, {rate:,.0f}/s, {waits}")
            told, events = time.monotonic(), publisher.events


def summary(publisher: KafkaPublisher, undelivered: int, **more: object) -> str:
    """Return the counts of a run, as JSON: what was taken by topic, and what was not delivered."""
    counts: dict[str, object] = {"session": publisher.session, "published": publisher.events}
    topics = dict(sorted(publisher.counts.items()))
    return msgspec.json.encode({**counts, **more, "topics": topics, "undelivered": undelivered}).decode()
