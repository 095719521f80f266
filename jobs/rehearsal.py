"""``quicksilver rehearse``: six simulated venues through faults, recorded as they are read; then the tape replayed.

What the live run made of its frames must be what anybody makes of the tape: every feature, to the byte.
"""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from api.hub import SourceInfo
from jobs.embedded import EmbeddedRunner
from jobs.live import FeedSource
from jobs.replay import Replay
from producers.exchanges.base import Reject
from producers.exchanges.venue import venues
from producers.simulator.faults import KINDS, Fault, parse_fault
from producers.simulator.orderflow import Market
from producers.simulator.serving import serve_venue
from producers.simulator.soak import SIX
from producers.simulator.venue_server import VenueServer
from producers.simulator.venues.registry import engine_of
from producers.tapes import read_frames
from producers.tapes.recorder import TapeRecorder
from producers.tapes.rotating import RotatingTape
from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent
from quicksilver.memory import MemoryBus
from quicksilver.pipeline import Pipeline
from quicksilver.records import Features, Published, Status
from setup.exits import failing

SYMBOLS = ("BTC/USD", "ETH/USD")
RATE = 0.3  # of the usual market: all venues share one event loop with their reader
FIRST_S = 5.0  # until then the books come
TAPE_BYTES = 8 << 20  # so that a recording has several files
TAPE_S = 20.0


class Digest:
    """How many features each instrument had, and the hash of them all; how often its book was lost."""

    def __init__(self) -> None:
        self.features: Counter[str] = Counter()
        self.gaps: Counter[str] = Counter()
        self._hashes: dict[str, Any] = {}

    def write(self, record: Published) -> None:
        """Take in a record."""
        if isinstance(record, Features):
            key = f"{record.venue}:{record.symbol}"
            self.features[key] += 1
            self._hashes.setdefault(key, hashlib.blake2b(digest_size=16)).update(codec.encode(record))
        elif isinstance(record, Status):
            self.gaps[f"{record.venue}:{record.symbol}"] += record.state == "GAP"

    def on_record(self, topic: str, key: str, record: Published) -> None:  # noqa: ARG002 (a bus listener)
        """Take in a record of a bus."""
        self.write(record)

    def of(self, key: str) -> str:
        """Return the hash of an instrument's features."""
        found = self._hashes.get(key)
        return found.hexdigest() if found is not None else ""


class BoundedSource(FeedSource):
    """Live feeds that end after a while, when each frame that was recorded has been worked on."""

    def __init__(self, *given: Any, seconds: float) -> None:
        super().__init__(*given)
        self._seconds = seconds

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Yield each frame's events, until the time is over."""
        end = time.monotonic() + self._seconds
        async for batch in super().batches(reject):
            yield batch
            if time.monotonic() > end:
                return


def faults_of(seconds: float, given: Iterable[str] = ()) -> list[Fault]:
    """Return the faults of a run, every kind in turn if none is given; the last leaves time to recover.

    Raises:
        InputError: one is no fault.
    """
    named = [parse_fault(text) for text in given]
    step_s = max(0.0, seconds - FIRST_S) / (len(KINDS) + 2)
    return named or [parse_fault(f"{kind}@{FIRST_S + i * step_s:.2f}s") for i, kind in enumerate(KINDS)]


async def live(
    names: Sequence[str], seconds: float, faults: Sequence[Fault], seed: int, tape: RotatingTape,
    say: Callable[[str], None],
) -> tuple[Digest, Counter[str]]:  # fmt: skip
    """Read simulated venues as a live run does, and record them; returns what was made, and faults by venue.

    Raises:
        InputError: a venue is not simulated.
    """
    found, bus = Digest(), MemoryBus()
    bus.subscribe(found.on_record)
    async with AsyncExitStack() as stack:
        servers = {}
        for number, name in enumerate(names):
            market = Market(seed + number, time.time_ns(), SYMBOLS, RATE)
            server = VenueServer(engine_of(name)(market), faults=faults, clock=time.time_ns)
            servers[name] = await stack.enter_async_context(serve_venue(server))
        feeds = [
            venues()[name].feed(name, list(one.engine.books), one.url, one.rest_url) for name, one in servers.items()
        ]
        for feed in feeds:
            feed.know(servers[feed.venue].engine.listings())
        source = BoundedSource(feeds, SourceInfo("SIMULATED", "a rehearsal"), seconds=seconds)
        recorder = TapeRecorder(tape, say)
        source.tap = recorder.put
        try:
            await EmbeddedRunner(source, bus).run()
        finally:
            recorder.close()
        recorder.require_sound()
        return found, Counter({name: len(one.injected) for name, one in servers.items()})


def replayed(folder: Path) -> tuple[Digest, dict[str, Any]]:
    """Replay a recording; returns what was made of it, and the counts.

    Raises:
        InputError: nothing can be read.
    """
    found = Digest()
    run = Replay(Pipeline(), found)
    return found, run.run(read_frames(folder, reject=run.reject_line))


def compared(one: Digest, other: Digest, counts: dict[str, Any], faults: Counter[str]) -> list[dict[str, Any]]:
    """Return for each instrument what came of it, live and replayed."""
    rows = []
    for key in sorted({*one.features, *other.features}):
        venue, _, symbol = key.partition(":")
        told = counts["venues"].get(venue, {}).get("symbols", {}).get(symbol, {})
        rows.append(
            {
                "instrument": key, "faults": faults[venue], "frames": told.get("frames", 0), "gaps": one.gaps[key],
                "resyncs": told.get("resyncs", 0), "checksums_passed": told.get("checksums_passed", 0),
                "features": one.features[key], "replayed": other.features[key], "equal": one.of(key) == other.of(key),
            }
        )  # fmt: skip
    return rows


def rehearse(
    out: Annotated[Path, typer.Option(help="Folder for the tapes; it must not hold any yet.")],
    seconds: Annotated[float, typer.Option(min=10, max=3600, help="of the live part")] = 60.0,
    seed: Annotated[int, typer.Option(help="of the markets and of the faults")] = 7,
    venue: Annotated[str, typer.Option(help="simulated venues, with commas")] = SIX,
    fault: Annotated[
        list[str] | None, typer.Option(help="KIND, and if wanted :SYMBOL @START +FOR /EVERY; else each kind")
    ] = None,
) -> None:
    """Read simulated venues through faults, record them, replay the tape; exit code 1 if features differ."""
    with failing():
        names = [one.strip() for one in venue.split(",") if one.strip()]
        if out.exists() and any(out.iterdir()):
            raise InputError(f"{out}: the folder is not empty; name another with --out")
        faults = faults_of(seconds, fault or ())
        typer.echo(f"reading {len(names)} simulated venues for {seconds:g} s, {len(faults)} faults at each ...")
        rows, counts = rehearsal(names, seconds, faults, seed, out)
    Console(width=120).print(table(rows))
    total = {name: counts[name] for name in ("frames", "gaps", "resyncs", "checksums_passed", "checksums_failed")}
    equal = bool(rows) and all(row["equal"] for row in rows)
    typer.echo(msgspec.json.encode({**total, "equal": equal, "instruments": rows}).decode())
    raise typer.Exit(0 if equal else 1)


def rehearsal(
    names: Sequence[str], seconds: float, faults: Sequence[Fault], seed: int, out: Path
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run it all; returns a row for each instrument, and the replay's counts.

    Raises:
        InputError: a venue is not simulated, the folder cannot be written, or nothing was recorded.
    """
    told = {"source": "SIMULATED", "detail": "a rehearsal", "seed": seed}
    tape = RotatingTape(out, told, max_bytes=TAPE_BYTES, max_s=TAPE_S)
    first, injected = asyncio.run(live(names, seconds, faults, seed, tape, typer.echo))
    second, counts = replayed(out)
    return compared(first, second, counts, injected), counts


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return the rows for people."""
    shown = Table(title="A rehearsal: live through faults, and replayed from the tape")
    for name in rows[0] if rows else ():
        shown.add_column(name.replace("_", " "), justify="left" if name == "instrument" else "right")
    for row in rows:
        shown.add_row(*("yes" if one is True else "NO" if one is False else str(one) for one in row.values()))
    return shown
