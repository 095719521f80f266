"""A process of the soak that reads venues with their live feeds, and keeps all their books."""

import asyncio
import os
from collections import Counter
from contextlib import aclosing
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from producers.exchanges.feed import Feed
from producers.exchanges.venue import venues
from quicksilver.book import Book
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap

TICK_S = 0.2
WAIT_S = 5.0  # for what was sent; as long again if something came
PAGE = os.sysconf("SC_PAGE_SIZE")


class Where(msgspec.Struct, frozen=True):
    """A venue to read: its addresses and symbols."""

    venue: str
    url: str
    rest_url: str
    symbols: list[str]


class Report(msgspec.Struct):
    """What a process has read so far; resident memory in MB."""

    received: int = 0
    rejected: int = 0
    gaps: int = 0
    snapshots: int = 0
    crossed: int = 0
    live: int = 0
    instruments: int = 0
    memory_mb: float = 0.0

    def add(self, other: "Report") -> None:
        """Add ``other``'s numbers to these."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class SoakReader:
    """One venue's feed and parser, and the books of all its symbols."""

    def __init__(self, where: Where) -> None:
        found = venues()[where.venue]
        self.feed: Feed = found.feed(where.venue, where.symbols, where.url, where.rest_url)
        self.rejected = self.received = self.crossed = 0
        self.seen: Counter[type[AnyEvent]] = Counter()
        self.books: dict[str, Book] = {symbol: Book() for symbol in where.symbols}
        self._parser = found.parser(where.venue, self._reject)

    def _reject(self, letter: object) -> None:  # noqa: ARG002
        self.rejected += 1

    async def run(self) -> None:
        """Read for ever."""
        async with aclosing(self.feed.frames()) as frames:
            async for frame in frames:
                self.received += frame.direction == "recv"
                for event in self._parser.parse(frame):
                    self.seen[type(event)] += 1
                    if self._lost(event):
                        await self.feed.resync(event.symbol)
                while self._parser.unusable:
                    await self.feed.resync(self._parser.unusable.pop())

    def _lost(self, event: AnyEvent) -> bool:
        """Take an event into its book; returns whether the book has to be asked for anew."""
        book = self.books[event.symbol]
        if isinstance(event, BookDelta):
            if not book.apply(event.bids, event.asks):
                return False
            self.crossed += 1
            self._parser.doubt(event.symbol)
            return True
        if isinstance(event, BookSnapshot):
            book.snapshot(event.bids, event.asks, event.depth)
        elif isinstance(event, Gap):
            book.gap()
            return True
        return False

    def report(self) -> Report:
        """Return the counts until now, without the process's memory."""
        live = sum(book.ready for book in self.books.values())
        gaps, snapshots = self.seen[Gap], self.seen[BookSnapshot]
        return Report(self.received, self.rejected, gaps, snapshots, self.crossed, live, len(self.books))


def memory_mb() -> float:
    """Return the resident memory of this process (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


def read_in_process(given: tuple[float, list[Where]], pipe: "Connection[object, object]") -> None:
    """Read until the other end of the pipe says something, with a report now and then and one at the end.

    ``given`` are the seconds between two reports, and what to read.

    What it says is the number of messages that were sent: they are waited for. A report comes with whether it is the
    last one.
    """
    asyncio.run(_read(*given, pipe))


async def _read(report_s: float, wheres: list[Where], pipe: "Connection[object, object]") -> None:
    readers = [SoakReader(where) for where in wheres]
    reading = [asyncio.create_task(reader.run()) for reader in readers]
    try:
        ticks = 0
        while not pipe.poll():
            await asyncio.sleep(TICK_S)
            ticks += 1
            for task in reading:
                if task.done():
                    task.result()
            if not ticks % int(report_s / TICK_S):
                pipe.send((False, _whole(readers)))
        sent = pipe.recv()
        assert isinstance(sent, int)
        before = -1
        while before < sum(reader.received for reader in readers) < sent:
            before = sum(reader.received for reader in readers)
            await asyncio.sleep(WAIT_S)
        pipe.send((True, _whole(readers)))
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


def _whole(readers: list[SoakReader]) -> Report:
    whole = Report(memory_mb=memory_mb())
    for reader in readers:
        whole.add(reader.report())
    return whole
