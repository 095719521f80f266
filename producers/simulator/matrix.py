"""The fault matrix, every simulated venue with every fault: ``quicksilver faults``.

Each case is a venue of its own with two symbols. When both are live, the fault happens to the first. Then it is
compared: was it seen; is the book live again and the venue's own, level by level; was any feature computed from a book
that was not the venue's; and had the other symbol a gap.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from producers.simulator.faults import DEFAULT_FOR_S, KINDS, Fault
from producers.simulator.orderflow import Market
from producers.simulator.reader import Reader
from producers.simulator.serving import serve_venue
from producers.simulator.venue_server import VenueServer
from producers.simulator.venues.registry import engine_of
from producers.simulator.verdicts import Verdict, verdict

SYMBOLS = ("BTC/USD", "ETH/USD")
RATE = 0.3  # of the usual market: many venues share one event loop
PATIENCE_S = 45.0  # for one case: feeds wait 10 s before they leave a silent connection, and 5 s between two
UNSEEN_S = 3.0  # for a gap that is not expected
STILL_S = 5.0  # for what was sent before the market was halted to arrive
DEEP = 250  # levels a side that are compared at the end, or as many as the venue gives
DEPTHS = {"kraken": 100, "poloniex": 20}


class Outcome(msgspec.Struct):
    """What came of one fault; ``wrong`` are features of a book that was not the venue's."""

    venue: str
    kind: str
    gaps: list[str]
    others: list[str]
    wrong: int = 0
    features: int = 0
    live: bool = False
    equal: bool = False
    resynced_s: float = 0.0
    failed: str = ""

    @property
    def expected(self) -> Verdict:
        """What the protocol lets one expect."""
        return verdict(self.venue, self.kind)

    def complaints(self) -> list[str]:
        """Return what is not as it should be."""
        mark = self.expected.mark
        seen = len(self.gaps) > (self.kind == "old-snapshot")  # the first of two is that of the broken connection
        found = [self.failed] if self.failed else []
        if mark in {"symbol", "all", "late"} and not seen:
            found.append("not seen")
        if mark == "fine" and self.gaps:
            found.append(f"a gap where nothing was lost: {self.gaps[0]}")
        if mark in {"symbol", "all", "fine"} and self.wrong:
            found.append(f"{self.wrong} features of a broken book")
        if not self.live:
            found.append("not live again")
        elif mark != "-" and not self.equal:
            found.append("the book is not the venue's")
        if mark != "all" and self.kind != "old-snapshot" and self.others:
            found.append(f"another symbol was disturbed: {self.others[0]}")
        return found

    def cell(self) -> str:
        """Return what the table says."""
        if self.complaints():
            return "FAILED"
        mark = self.expected.mark
        return mark if mark in {"-", "fine"} else f"{mark} {self.resynced_s:.1f}"


async def run_case(venue: str, kind: str, seed: int = 7) -> Outcome:
    """Let one fault happen at one venue and return what came of it."""
    market = Market(seed, time.time_ns(), SYMBOLS, RATE)
    server = VenueServer(engine_of(venue)(market), clock=time.time_ns)
    outcome = Outcome(venue, kind, [], [])
    async with serve_venue(server):
        reader = Reader(venue, server)
        reading = asyncio.create_task(reader.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await _Case(server, reader, reading, outcome).run()
        except TimeoutError:
            outcome.failed = f"not over after {PATIENCE_S:g} s"
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
    return outcome


class _Case:
    """One fault at one venue: waits for what is to come of it, and notes what came."""

    def __init__(self, server: VenueServer, reader: Reader, reading: "asyncio.Task[None]", outcome: Outcome) -> None:
        self._server = server
        self._reader = reader
        self._reading = reading
        self._outcome = outcome
        self._symbol, self._other = reader.symbols
        self._before = 0  # gaps, of the start

    async def run(self) -> None:
        """Let the fault happen once all is live, and see what it does and how it ends."""
        reader, features = self._reader, self._reader.features
        await self._until(lambda: self._live() and min(features[one] for one in reader.symbols) > 3)
        self._before, started_s = len(reader.gaps), time.monotonic()
        reader.wrong.clear()
        await self._inject_until_seen()
        await self._until(self._live)
        self._outcome.resynced_s = time.monotonic() - started_s
        counted = features[self._symbol]
        await self._until(lambda: self._live() and features[self._symbol] > counted + 2)
        await self._halt()
        self._note()

    async def _until(self, true: Callable[[], bool]) -> None:
        """Wait until it is true; a reader that fails meanwhile ends the case."""
        while not true():
            if self._reading.done():
                self._reading.result()
            await asyncio.sleep(0.02)

    def _live(self) -> bool:
        return all(state == "LIVE" for state in self._reader.states.values())

    def _gaps(self, symbol: str) -> list[str]:
        """The reasons of a symbol's gaps since the start."""
        return [gap.reason for gap in self._reader.gaps[self._before :] if gap.symbol == symbol]

    async def _inject_until_seen(self) -> None:
        """Inject the fault, again while it was not seen: once only where the protocol shows nothing.

        A damaged level that changed again before the checksum came did no harm, and was not seen.
        """
        kind, unseen = self._outcome.kind, self._outcome.expected.mark in {"-", "fine"}
        fault = Fault(kind, self._symbol, 0.0, 1.0 if kind == "delay" else DEFAULT_FOR_S.get(kind, 0.0))
        enough = 1 + (kind == "old-snapshot")
        while True:
            self._server.inject(fault)
            with suppress(TimeoutError):
                async with asyncio.timeout(UNSEEN_S if unseen or kind == "corrupt" else PATIENCE_S):
                    await self._until(lambda: len(self._gaps(self._symbol)) >= enough)
                return
            if unseen:
                return

    async def _halt(self) -> None:
        """Stop the market, and wait for what it has sent to arrive."""
        self._server.pause()
        with suppress(TimeoutError):
            async with asyncio.timeout(STILL_S):
                await self._until(self._equal)

    def _equal(self) -> bool:
        return all(_is_the_venues(self._server, self._reader, one) for one in self._reader.symbols)

    def _note(self) -> None:
        """Write down what came of it."""
        outcome, reader = self._outcome, self._reader
        outcome.gaps, outcome.others = self._gaps(self._symbol), self._gaps(self._other)
        outcome.wrong = reader.wrong[self._symbol] + reader.wrong[self._other]
        outcome.features = reader.features[self._symbol]
        outcome.live, outcome.equal = self._live(), self._equal()


def _is_the_venues(server: VenueServer, reader: Reader, symbol: str) -> bool:
    """Whether a book is the venue's, level by level."""
    depth = DEPTHS.get(reader.feed.venue, DEEP)
    book = server.engine.books[symbol]
    ticks, lots = 10**book.listing.price_decimals, 10**book.listing.qty_decimals
    true = [
        tuple((abs(key) / ticks, side.lots[key] / lots) for key in side.keys[:depth]) for side in (book.bids, book.asks)
    ]
    return list(reader.best(symbol, depth)) == true


async def run_matrix(chosen: Sequence[tuple[str, str]]) -> list[Outcome]:
    """Let all these cases happen, side by side in this event loop.

    On a busy machine so many starve each other, and a feed leaves a connection that is silent for ten seconds: a case
    that is not as expected is tried once more alone, and what comes of it then counts.
    """
    first = await asyncio.gather(*(run_case(venue, kind, seed) for seed, (venue, kind) in enumerate(chosen)))
    return [await run_case(one.venue, one.kind, seed) if one.complaints() else one for seed, one in enumerate(first)]


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as a table, a line for each venue, and the reasons of what is not plain."""
    cells = {(one.venue, one.kind): one.cell() for one in outcomes}
    venues, kinds = list(dict.fromkeys(one.venue for one in outcomes)), list(KINDS)
    rows = [["venue", *kinds], *([venue, *(cells.get((venue, kind), "") for kind in kinds)] for venue in venues)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    reasons: dict[str, list[str]] = {}
    for one in outcomes:
        if one.expected.why:
            reasons.setdefault(f"{one.expected.mark}: {one.expected.why}", []).append(f"{one.venue} {one.kind}")
    lines += [
        "",
        "symbol: a gap of that symbol; all: of all symbols of the connection; late: a gap, but after more came;",
    ]
    lines += ["fine: nothing was lost; -: the protocol shows nothing. Numbers: seconds until all was live again.", ""]
    lines += [f"{reason} ({', '.join(of)})" for reason, of in reasons.items()]
    lines += [f"FAILED {one.venue} {one.kind}: {'; '.join(one.complaints())}" for one in outcomes if one.complaints()]
    return "\n".join(lines)
