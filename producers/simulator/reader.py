"""A live feed on a simulated venue as a runner has it, its books compared with the venue's own at every message."""

import time
from collections import Counter
from collections.abc import Iterable
from contextlib import aclosing
from typing import NamedTuple

from producers.exchanges.venue import venues
from producers.frames import Frame
from producers.simulator.venue_server import VenueServer
from producers.simulator.venues.base import TRUTH_LEVELS, Answer, Message, Truth
from quicksilver.book import Book
from quicksilver.config import PipelineConfig
from quicksilver.events import SECOND_NS, AnyEvent, Gap
from quicksilver.pipeline import Pipeline
from quicksilver.records import DeadLetter, Features, Status

CONFIG = PipelineConfig(portfolios=(), decide_every_ns=5 * SECOND_NS)  # books and features are what is looked at


class Seen(NamedTuple):
    """A gap, and when the reader learned of it (``time.monotonic``)."""

    symbol: str
    at_s: float
    reason: str


class Truths:
    """What a simulated venue's books were after each message that it meant to send."""

    def __init__(self, server: VenueServer) -> None:
        self._known: dict[bytes, tuple[str, Truth]] = {}
        server.engine.watched.update(server.engine.books)
        server.watch = self._note

    def _note(self, said: Message | Answer) -> None:
        if said.truth is not None:
            payload = said.body if isinstance(said, Answer) else said.text.encode()
            self._known[payload] = (said.symbol, said.truth)

    def of(self, frame: Frame) -> tuple[str, Truth] | None:
        """Return the symbol of a frame and its book after it, None if the venue never said this of a book."""
        return self._known.get(frame.payload)


class Reader:
    """One venue's feed, parser and pipeline; asks for a book anew when a gap or a crossed book wants it."""

    def __init__(self, venue: str, server: VenueServer, symbols: Iterable[str] | None = None) -> None:
        found = venues()[venue]
        self.symbols = list(symbols or server.engine.books)
        self.feed = found.feed(venue, self.symbols, server.url, server.rest_url)
        self.feed.know(server.engine.listings())
        self.letters: list[DeadLetter] = []
        self.parser = found.parser(venue, self.letters.append)
        self.pipeline = Pipeline(CONFIG)
        self.gaps: list[Seen] = []
        self.states: dict[str, str] = dict.fromkeys(self.symbols, "SYNCING")
        self.features: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()  # features of a book that was not the venue's
        self._truths = Truths(server)
        self._last: dict[str, Truth] = {}

    async def run(self) -> None:
        """Read for ever."""
        async with aclosing(self.feed.frames()) as frames:
            async for frame in frames:
                await self._take(frame)

    async def _take(self, frame: Frame) -> None:
        known = self._truths.of(frame)
        if known is not None and frame.direction == "recv":
            self._last[known[0]] = known[1]
        made: set[str] = set()
        for event in self.parser.parse(frame):
            records = self.pipeline.step(event)
            lost = isinstance(event, Gap)
            for record in records:
                if isinstance(record, Features):
                    made.add(event.symbol)
                    self.features[event.symbol] += 1
                elif isinstance(record, Status):
                    self.states[event.symbol] = record.state
                    lost = lost or record.state == "GAP"
            if lost:
                await self._lost(event)
        while self.parser.unusable:
            symbol = self.parser.unusable.pop()
            self.gaps.append(Seen(symbol, time.monotonic(), "a book was refused"))
            await self.feed.resync(symbol)
        for symbol in made:
            if self.states[symbol] == "LIVE":
                self.wrong[symbol] += self.best(symbol) not in self._true(symbol, frame, known)

    async def _lost(self, event: AnyEvent) -> None:
        reason = event.reason if isinstance(event, Gap) else "the book is crossed"
        self.gaps.append(Seen(event.symbol, time.monotonic(), reason))
        self.states[event.symbol] = "GAP"
        if not isinstance(event, Gap):
            self.parser.doubt(event.symbol)
        await self.feed.resync(event.symbol)

    def _true(self, symbol: str, frame: Frame, known: tuple[str, Truth] | None) -> list[Truth]:
        """What the book may be after a frame: as the frame says; a fetched one has newer changes applied to it."""
        true = [known[1]] if known is not None and known[0] == symbol else []
        return [*true, *([self._last[symbol]] if frame.direction == "rest" and symbol in self._last else [])]

    def book(self, symbol: str) -> Book:
        """Return the book of a symbol."""
        return self.pipeline.instruments[self.feed.venue, symbol].instrument.engine.book

    def best(self, symbol: str, n: int = TRUTH_LEVELS) -> Truth:
        """Return the best levels of a symbol's book."""
        sides = (tuple((price, size) for price, size, _ in side.tolist()) for side in self.book(symbol).top(n))
        return Truth(*sides)
