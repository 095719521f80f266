"""The fault matrix, every simulated venue with every fault: ``quicksilver faults``.

Each case is a venue of its own with two symbols. When both are live, the fault happens to the first. Then it is
compared: was it seen; is the book live again and the venue's own, level by level; was any feature computed from a book
that was not the venue's; and had the other symbol a gap.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated

import msgspec
import typer

from producers.simulator.faults import DEFAULT_FOR_S, KINDS, Fault
from producers.simulator.orderflow import Market
from producers.simulator.reader import Reader
from producers.simulator.serving import serve_venue
from producers.simulator.venue_server import VenueServer
from producers.simulator.venues.registry import engine_of
from producers.simulator.verdicts import VERDICTS, Verdict, cases, verdict

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
                await _watch_fault(server, reader, reading, outcome)
        except TimeoutError:
            outcome.failed = f"not over after {PATIENCE_S:g} s"
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
    return outcome


async def _watch_fault(server: VenueServer, reader: Reader, reading: "asyncio.Task[None]", outcome: Outcome) -> None:
    symbol, other = reader.symbols

    async def until(true: Callable[[], bool]) -> None:
        while not true():
            if reading.done():
                reading.result()
            await asyncio.sleep(0.02)

    def live() -> bool:
        return all(state == "LIVE" for state in reader.states.values())

    await until(lambda: live() and min(reader.features[one] for one in reader.symbols) > 3)
    kind, before, started_s = outcome.kind, len(reader.gaps), time.monotonic()
    reader.wrong.clear()
    fault = Fault(kind, symbol, 0.0, 1.0 if kind == "delay" else DEFAULT_FOR_S.get(kind, 0.0))
    server.inject(fault)
    enough, waited = 1 + (kind == "old-snapshot"), False
    while not waited:
        waited = outcome.expected.mark in {"-", "fine"}
        with suppress(TimeoutError):
            async with asyncio.timeout(UNSEEN_S if waited or kind == "corrupt" else PATIENCE_S):
                await until(lambda: sum(gap.symbol == symbol for gap in reader.gaps[before:]) >= enough)
                break
        # A damaged level that changed again before the checksum came did no harm, and was not seen.
        server.inject(fault) if not waited else None
    await until(live)
    outcome.resynced_s = time.monotonic() - started_s
    counted = reader.features[symbol]
    await until(lambda: live() and reader.features[symbol] > counted + 2)
    server.pause()
    with suppress(TimeoutError):
        async with asyncio.timeout(STILL_S):
            await until(lambda: all(_is_the_venues(server, reader, one) for one in reader.symbols))
    gaps = reader.gaps[before:]
    outcome.gaps = [gap.reason for gap in gaps if gap.symbol == symbol]
    outcome.others = [gap.reason for gap in gaps if gap.symbol == other]
    outcome.wrong, outcome.features = reader.wrong[symbol] + reader.wrong[other], reader.features[symbol]
    outcome.live = live()
    outcome.equal = all(_is_the_venues(server, reader, one) for one in reader.symbols)


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


def faults(
    venue: Annotated[str, typer.Option(help="of this venue alone")] = "",
    fault: Annotated[str, typer.Option(help="of this kind alone")] = "",
) -> None:
    """Let every fault happen at every simulated venue, print what came of it; exit code 1 if not all is as expected."""
    chosen = [one for one in cases() if venue in {"", one[0]} and fault in {"", one[1]}]
    if not chosen:
        typer.echo(f"error: no such case; venues are {', '.join(VERDICTS)}, faults {', '.join(KINDS)}", err=True)
        raise typer.Exit(2)
    outcomes = asyncio.run(run_matrix(chosen))
    typer.echo(table(outcomes))
    raise typer.Exit(1 if any(one.complaints() for one in outcomes) else 0)


if __name__ == "__main__":
    typer.run(faults)
