"""Where the embedded runner's events come from: live feeds, the simulator, a tape or a CSV file."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from api.hub import SourceInfo
from jobs.replay import Parsers
from jobs.settings import RunSettings
from producers.csv_prices import CsvFile
from producers.exchanges.base import Reject
from producers.exchanges.feed import Feed
from producers.exchanges.kraken import KrakenFeed, KrakenParser
from producers.exchanges.venue import venues
from producers.frames import Frame
from producers.pacing import Pacer, parse_speed
from producers.simulator.orderflow import Market
from producers.simulator.server import serve
from producers.tapes import layout_of, read_frames
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent

SIMULATED = "sim"  # the venue's name of simulated data: it must never be taken for a real exchange's
PROBE_S = 3.0
BREATHE_S = 0.01  # how long a tape at full speed may keep the event loop
CSV_ROWS_PER_S = 20.0


class Source(Protocol):
    """Batches of events, and a way to ask for a book anew."""

    info: SourceInfo
    config: PipelineConfig
    realtime: bool

    def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Yield ``(ts_recv_ns of the live clock or None, events of one frame)``."""

    async def resync(self, venue: str, symbol: str) -> None:
        """Ask the venue for the symbol's book again."""


class FeedSource:
    """One or more live feeds, merged as they come."""

    realtime = True
    config = PipelineConfig()

    def __init__(self, feeds: list[Feed], info: SourceInfo) -> None:
        self.info = info
        self.feeds = {feed.venue: feed for feed in feeds}

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Yield each frame's events, with the time it was received."""
        parsers = Parsers(reject)
        queue: asyncio.Queue[Frame] = asyncio.Queue(1)
        tasks = [asyncio.create_task(_pump(feed, queue)) for feed in self.feeds.values()]
        try:
            while True:
                frame = await queue.get()
                yield frame.ts_recv_ns, parsers.parse(frame)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def resync(self, venue: str, symbol: str) -> None:
        """Ask the venue for the symbol's book again."""
        await self.feeds[venue].resync(symbol)


async def _pump(feed: Feed, queue: "asyncio.Queue[Frame]") -> None:
    async for frame in feed.frames():
        await queue.put(frame)


class SimulatorSource:
    """The built-in exchange, through the same feed and parser as the live Kraken."""

    realtime = True
    config = PipelineConfig()

    def __init__(self, seed: int, symbols: list[str] | None = None) -> None:
        self.info = SourceInfo("SIMULATED", f"built-in exchange simulator, seed {seed}: no real prices")
        self._seed = seed
        self._symbols = symbols
        self._feed: KrakenFeed | None = None

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Start the exchange and yield each frame's events."""
        market = Market(self._seed, time.time_ns(), self._symbols)
        parser = KrakenParser(SIMULATED, reject)
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(serve(market))
            self._feed = KrakenFeed(SIMULATED, [name.replace("/", "-") for name in market.books], server.url)
            async for frame in self._feed.frames():
                yield frame.ts_recv_ns, parser.parse(frame)

    async def resync(self, venue: str, symbol: str) -> None:  # noqa: ARG002 (there is one venue)
        """Ask the simulator for the symbol's book again."""
        if self._feed is not None:
            await self._feed.resync(symbol)


class _Recorded:
    """What tapes and CSV files share: their own pace, and nobody to ask again."""

    realtime = False
    info: SourceInfo
    _pacer: Pacer

    async def _paced(self, batches: Iterator[tuple[int, list[AnyEvent]]]) -> AsyncIterator[list[AnyEvent]]:
        breathed = time.monotonic()
        for ts_ns, events in batches:
            await self._pacer.wait(ts_ns)
            if time.monotonic() - breathed > BREATHE_S:
                await asyncio.sleep(0)
                breathed = time.monotonic()
            yield events

    async def resync(self, venue: str, symbol: str) -> None:
        """Do nothing: a recording says no more than it says."""


class TapeSource(_Recorded):
    """A recording of raw frames, at its own pace or another.

    Raises:
        InputError: the tape cannot be read, or the speed is none.
    """

    config = PipelineConfig()

    def __init__(self, path: Path, speed: str) -> None:
        self._path = path
        self._pacer = Pacer(parse_speed(speed or "1"))
        layout = "folder" if path.is_dir() else layout_of(path)
        self.info = SourceInfo("TAPE", f"{path.name} ({layout}), speed {speed or '1'}")

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Yield each frame's events."""
        parsers = Parsers(reject)
        frames = read_frames(self._path, reject=reject)
        async for events in self._paced((frame.ts_recv_ns, parsers.parse(frame)) for frame in frames):
            yield None, events
        if not sum(parsers.frames.values()):
            raise InputError(f"{self._path}: no frame could be read")


class CsvSource(_Recorded):
    """A CSV file of prices.

    Raises:
        InputError: the file cannot be read, or the speed is none.
    """

    def __init__(self, path: Path, speed: str) -> None:
        self._file = CsvFile(path)
        interval_ns = self._file.interval_ns
        self.config = PipelineConfig.for_rows(interval_ns)
        self._pacer = Pacer(parse_speed(speed) if speed else CSV_ROWS_PER_S * interval_ns / 1e9)
        self.info = SourceInfo("CSV", f"{path.name}, a row each {interval_ns / 1e9:g} s")

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Yield each row's events."""
        rows = self._file.prices(reject)
        async for events in self._paced((price.ts_event_ns, [price]) for price in rows):
            yield None, events


def _reachable(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 443), timeout=PROBE_S):
            return True
    except OSError:
        return False


def live_source(names: list[str], symbols: list[str]) -> FeedSource | None:
    """Return the live feeds of the venues that can be reached, or None.

    Raises:
        InputError: an unknown venue.
    """
    unknown = [name for name in names if name not in venues()]
    if unknown:
        raise InputError(f"unknown venue {unknown[0]!r}; there are {', '.join(sorted(venues()))}")
    there = [name for name in names if _reachable(venues()[name].feed.url)]
    if not there:
        return None
    feeds = [venues()[name].feed(name, symbols) for name in there]
    return FeedSource(feeds, SourceInfo("LIVE", f"public feeds of {', '.join(there)}"))


def choose(settings: RunSettings, say: Callable[[str], None]) -> Source:
    """Return the source that the settings name; ``auto`` takes live feeds, and the simulator where none is reached.

    Raises:
        InputError: the source cannot be used.
    """
    if settings.source in {"tape", "csv"}:
        if settings.tape is None:
            raise InputError(f"SOURCE={settings.source} needs TAPE=path, the file to play")
        return (TapeSource if settings.source == "tape" else CsvSource)(settings.tape, settings.speed)
    names, symbols = settings.venues.split(","), settings.symbols.upper().split(",")
    if settings.source in {"auto", "live"}:
        source = live_source(names, symbols)
        if source is not None:
            return source
        if settings.source == "live":
            raise InputError(f"none of {settings.venues} can be reached; check the network, or run with SOURCE=sim")
        say(f"none of {settings.venues} can be reached from here: playing the built-in exchange simulator instead")
    return SimulatorSource(settings.seed)
