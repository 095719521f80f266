"""Events as they happen: the exchanges' public feeds, or the built-in exchange through the same code."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing

from api.hub import SourceInfo
from jobs.feed_watch import FeedWatch
from jobs.parsers import Parsers
from jobs.starting_feeds import ensure_listed
from producers.exchanges.base import Reject, ignore
from producers.exchanges.feed import Feed
from producers.exchanges.kraken_feed import KrakenFeed
from producers.exchanges.venue import SIMULATED, feed_of
from producers.frames import Frame
from producers.metrics import Meter
from producers.simulator.listings import LISTINGS
from producers.simulator.orderflow import Market
from producers.simulator.serving import serve_venue
from producers.simulator.venue_server import VenueServer
from producers.simulator.venues.kraken import KrakenEngine
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent
from quicksilver.records import Audit

RESTART_S = 5.0
log = logging.getLogger(__name__)


def _untapped(_: Frame) -> None:
    """Take no note of a frame: nobody records it."""


class FeedSource:
    """One or more live feeds, merged as they come; symbols can be added and removed while they do."""

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
        self.meter = Meter()
        self._parsers = Parsers(ignore, wanted=self._wanted)
        self._watch = FeedWatch(self.feeds, self._parsers)
        self._queue: asyncio.Queue[Frame] = asyncio.Queue(1)
        self._tasks: list[asyncio.Task[None]] = []
        self.tap: Callable[[Frame], None] = _untapped
        self._adding: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # by venue

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Yield each frame's events, with the time it was received.

        Raises:
            InputError: every venue refuses all that it is asked for.
        """
        parsers = self._parsers = Parsers(reject, self.meter, self._wanted)
        watch = self._watch = FeedWatch(self.feeds, parsers)
        self._queue = asyncio.Queue(1)
        self._tasks = [asyncio.create_task(_pump(feed, self._queue)) for feed in self.feeds.values()]
        try:
            while True:
                frame = await self._queue.get()
                yield frame.ts_recv_ns, self._parse(frame)
                for drop in await watch.after(frame):
                    yield drop.ts_recv_ns, self._parse(drop)
                for symbol in parsers.take_unusable(frame.venue):
                    await self.resync(frame.venue, symbol)
        finally:
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _wanted(self, venue: str, native: str) -> bool:
        feed = self.feeds[venue]
        return any(feed.native(symbol) == native for symbol in feed.symbols)

    def _parse(self, frame: Frame) -> list[AnyEvent]:
        self.tap(frame)
        return self._parsers.parse(frame)

    async def resync(self, venue: str, symbol: str) -> None:
        """Ask the venue for the symbol's book again, unless it has refused that."""
        if not self._watch.in_vain(venue, symbol):
            await self.feeds[venue].resync(symbol)

    def restate(self, venue: str, conn: str) -> None:
        """Have the books of a connection given anew, to one who has lost some of its frames; it may have ended."""
        self.feeds[venue].restate(conn)

    def doubt(self, venue: str, symbol: str) -> None:
        """Tell the parser that the book it sees nothing wrong with is crossed."""
        self._parsers.doubt(venue, symbol)

    async def add(self, venue: str, symbol: str) -> str:
        """Subscribe to one more symbol, of a venue that is new if need be; all others go on undisturbed.

        Returns the venue's own name: ``bitstamp`` of ``bitstamp/orders``.

        Raises:
            InputError: there is no such venue, it does not list the symbol, or both are there already.
        """
        found = self.feeds.get(venue)
        if found is None:
            found = await asyncio.to_thread(feed_of, venue, [])  # ccxt's take seconds to make
        async with self._adding[found.venue]:  # one after another: each looks at what is there
            feed = self.feeds.get(found.venue, found)
            if (feed.venue, symbol) in self.instruments:
                raise InputError(f"{feed.venue}:{symbol} is subscribed to already")
            if feed.venue != venue and feed.venue in self.feeds:
                raise InputError(f"{venue}: there is {feed.venue} already, and a symbol has one book of a venue")
            await ensure_listed(feed, symbol)
            await feed.add(symbol)
            self._watch.wanted(feed.venue, symbol)
            self.instruments = [*self.instruments, (feed.venue, symbol)]
            if feed.venue not in self.feeds:
                feed.audit_every_s = max((one.audit_every_s for one in self.feeds.values()), default=0.0)
                self.feeds[feed.venue] = feed
                self._tasks.append(asyncio.create_task(_pump(feed, self._queue)))
            return feed.venue

    async def remove(self, venue: str, symbol: str) -> None:
        """Subscribe to a symbol no longer; its book, if it is live, ends in a gap. All others go on undisturbed.

        Raises:
            InputError: it is not there.
        """
        if (venue, symbol) not in self.instruments:
            raise InputError(f"{venue}:{symbol} is not subscribed to")
        self.instruments = [one for one in self.instruments if one != (venue, symbol)]
        self._watch.unwanted(venue, symbol)
        await self.feeds[venue].remove(symbol)

    def audits(self) -> Sequence[Audit]:
        """Return the audits made since this was last asked."""
        return self._parsers.audits()


class ElsewhereSource(FeedSource):
    """Live feeds of which one or more have other addresses than the venue's own; what lies there may be anything."""

    database = "elsewhere.sqlite"  # its prices must not come among real ones of the same name
    lasting = False


async def _pump(feed: Feed, queue: "asyncio.Queue[Frame]") -> None:
    """Move a feed's frames, for ever: what goes wrong with one venue must not end the others."""
    conns: list[str] = []  # that are open
    while True:
        try:
            async with aclosing(feed.frames()) as frames:
                async for frame in frames:
                    if frame.direction == "connect":
                        conns.append(frame.conn)
                    elif frame.direction == "disconnect" and frame.conn in conns:
                        conns.remove(frame.conn)
                    await queue.put(frame)
        except Exception as error:
            log.exception("%s: the feed failed; it starts again in %g s", feed.venue, RESTART_S)
            for conn in conns:
                await queue.put(Frame(feed.venue, conn, "disconnect", time.time_ns(), repr(error).encode()))
            conns.clear()
            await asyncio.sleep(RESTART_S)


class SimulatorSource(FeedSource):
    """The built-in exchange, through the same feed and parser as the live Kraken."""

    database = "simulated.sqlite"
    lasting = False  # each run is a new market, whose prices do not follow those of the last one

    def __init__(self, seed: int, names: Sequence[str] | None = None, audit_every_s: float = 0.0) -> None:
        self._seed = seed
        self._names = names or list(LISTINGS)
        feed = KrakenFeed(SIMULATED, [name.replace("/", "-") for name in self._names])
        feed.audit_every_s = audit_every_s
        super().__init__([feed], SourceInfo("SIMULATED", f"built-in exchange simulator, seed {seed}: no real prices"))

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Start the exchange and yield each frame's events."""
        engine, feed = KrakenEngine(Market(self._seed, time.time_ns(), self._names)), self.feeds[SIMULATED]
        async with serve_venue(VenueServer(engine, clock=time.time_ns)) as server:
            feed.url, feed.rest_url = server.url, server.rest_url
            feed.know(engine.listings())
            async with aclosing(super().batches(reject)) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    yield batch

    async def add(self, venue: str, symbol: str) -> str:
        """Subscribe again to a symbol that was removed.

        Raises:
            InputError: it is there, or not the simulator's: real prices must not be taken for simulated ones.
        """
        if venue != SIMULATED:
            raise InputError(f"this run plays {self.info.kind} data: no symbol of {venue} can be added to it")
        return await super().add(venue, symbol)
