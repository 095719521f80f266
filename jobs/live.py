"""Events as they happen: the exchanges' public feeds, or the built-in exchange through the same code."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from api.hub import SourceInfo
from jobs.parsers import Parsers
from producers.exchanges.base import Reject, ignore
from producers.exchanges.feed import Feed
from producers.exchanges.kraken import KrakenFeed, KrakenParser
from producers.frames import Frame
from producers.simulator.listings import LISTINGS
from producers.simulator.orderflow import Market
from producers.simulator.server import serve
from quicksilver.config import PipelineConfig
from quicksilver.events import AnyEvent

SIMULATED = "sim"  # the venue's name of simulated data: it must never be taken for a real exchange's
RESTART_S = 5.0
log = logging.getLogger(__name__)


class FeedSource:
    """One or more live feeds, merged as they come."""

    realtime = True
    database = "live.sqlite"
    lasting = True
    config = PipelineConfig()

    def __init__(self, feeds: list[Feed], info: SourceInfo) -> None:
        self.info = info
        self.feeds = {feed.venue: feed for feed in feeds}
        self.instruments: Sequence[tuple[str, str]] = [
            (feed.venue, symbol) for feed in feeds for symbol in feed.symbols
        ]
        self._parsers = Parsers(ignore)

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Yield each frame's events, with the time it was received."""
        parsers = self._parsers = Parsers(reject)
        queue: asyncio.Queue[Frame] = asyncio.Queue(1)
        tasks = [asyncio.create_task(_pump(feed, queue)) for feed in self.feeds.values()]
        try:
            while True:
                frame = await queue.get()
                yield frame.ts_recv_ns, parsers.parse(frame)
                for symbol in parsers.refused(frame.venue):
                    await self.resync(frame.venue, symbol)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def resync(self, venue: str, symbol: str) -> None:
        """Ask the venue for the symbol's book again."""
        await self.feeds[venue].resync(symbol)

    def doubt(self, venue: str, symbol: str) -> None:
        """Tell the parser that the book it sees nothing wrong with is crossed."""
        self._parsers.doubt(venue, symbol)


async def _pump(feed: Feed, queue: "asyncio.Queue[Frame]") -> None:
    """Move a feed's frames, for ever: what goes wrong with one venue must not end the others."""
    conn = ""
    while True:
        try:
            async with aclosing(feed.frames()) as frames:
                async for frame in frames:
                    conn = frame.conn
                    await queue.put(frame)
        except Exception as error:
            log.exception("%s: the feed failed; it starts again in %g s", feed.venue, RESTART_S)
            await queue.put(Frame(feed.venue, conn, "disconnect", time.time_ns(), repr(error).encode()))
            await asyncio.sleep(RESTART_S)


class SimulatorSource:
    """The built-in exchange, through the same feed and parser as the live Kraken."""

    realtime = True
    database = "simulated.sqlite"
    lasting = False  # each run is a new market, whose prices do not follow those of the last one
    config = PipelineConfig()

    def __init__(self, seed: int, symbols: list[str] | None = None) -> None:
        self.info = SourceInfo("SIMULATED", f"built-in exchange simulator, seed {seed}: no real prices")
        names = symbols or LISTINGS
        self.instruments: Sequence[tuple[str, str]] = [(SIMULATED, name.replace("/", "-")) for name in names]
        self._seed = seed
        self._symbols = symbols
        self._feed: KrakenFeed | None = None
        self._parser = KrakenParser(SIMULATED)

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Start the exchange and yield each frame's events."""
        market = Market(self._seed, time.time_ns(), self._symbols)
        self._parser = parser = KrakenParser(SIMULATED, reject)
        async with serve(market, clock=time.time_ns) as server:
            self._feed = KrakenFeed(SIMULATED, [symbol for _, symbol in self.instruments], server.url)
            async with aclosing(self._feed.frames()) as frames:
                async for frame in frames:
                    yield frame.ts_recv_ns, parser.parse(frame)

    async def resync(self, venue: str, symbol: str) -> None:  # noqa: ARG002 (there is one venue)
        """Ask the simulator for the symbol's book again."""
        if self._feed is not None:
            await self._feed.resync(symbol)

    def doubt(self, venue: str, symbol: str) -> None:  # noqa: ARG002
        """Tell the parser that the book it sees nothing wrong with is crossed."""
        self._parser.doubt(symbol)
