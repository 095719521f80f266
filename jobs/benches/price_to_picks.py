"""From a price handed to the embedded run to the new picks at a bot's websocket, on loopback."""

import asyncio
import re
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from api.hub import SourceInfo
from jobs.benches.measure import Row, time_row
from jobs.benches.picks_client import Noted
from jobs.embedded import run_embedded
from jobs.settings import RunSettings
from producers.exchanges.base import Reject
from producers.metrics import Meter
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, Price
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import Constraints
from quicksilver.records import Audit

ASSETS = 30
PERIOD_NS, PAUSE_S = 100_000_000, 0.06  # of event time, and between two ends of periods while they are measured
UPDATES, SETTLE = 300, 20  # measured, and before that: connections open, caches fill
START_NS = 1_700_000_000_000_000_000
TIMEOUT_S = 400.0
MOST_NOTED = 1 << 20  # bytes of a line: some twenty for each update
ADDRESS = re.compile(r"http://(\S+?)/")
SYMBOLS = [f"A{i:02d}-USD" for i in range(ASSETS)]
CONFIG = PortfolioConfig(period_ns=PERIOD_NS)


class PriceSource:
    """Thirty prices at each end of a period: a window of them at once, then one end after each pause.

    ``handed`` is when the price that ends each period was handed over, by its end.
    """

    database, lasting, realtime = "bench.sqlite", False, False
    instruments: Sequence[tuple[str, str]] = ()
    info = SourceInfo("CSV", "prices of the benchmark")

    def __init__(self, config: PortfolioConfig) -> None:
        self.config, self._window = PipelineConfig(portfolios=(config,)), config.window
        self.meter, self.handed, self.watched = Meter(), dict[int, int](), asyncio.Event()

    async def batches(self, _: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Yield the prices of each period."""
        rng = np.random.default_rng(1)
        levels = np.full(ASSETS, 100.0)
        for tick in range(self._window + SETTLE + UPDATES):
            levels *= np.exp(rng.normal(0.0, 1e-4, ASSETS) + rng.standard_t(5) * 1e-4)
            ts_ns = START_NS + tick * PERIOD_NS
            if tick >= self._window:
                await self.watched.wait()
                await asyncio.sleep(PAUSE_S)
            prices = list[AnyEvent]()
            for i, symbol in enumerate(SYMBOLS):
                prices.append(Price("bench", symbol, tick + 1, ts_ns + i, ts_ns + i, float(levels[i])))
            self.handed[ts_ns] = time.perf_counter_ns()
            yield None, prices
            await asyncio.sleep(0)

    async def resync(self, venue: str, symbol: str) -> None:
        """Do nothing: there is no book."""

    def doubt(self, venue: str, symbol: str) -> None:
        """Do nothing: there is no book."""

    def audits(self) -> Sequence[Audit]:
        """Return nothing: there is no book."""
        return ()


async def measured(config: PortfolioConfig) -> tuple[list[float], list[float]]:
    """Return the milliseconds from price to picks of each update, and of a ping after each."""
    source, said, stop = PriceSource(config), list[str](), asyncio.Event()
    last_ns = START_NS + (config.window + SETTLE + UPDATES - 1) * PERIOD_NS
    with tempfile.TemporaryDirectory() as folder:
        given: dict[str, Any] = {"source": "csv", "port": 0, "data": Path(folder)}
        running = asyncio.create_task(run_embedded(source, RunSettings(**given), said.append, stop))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                url = await _served(said, running)
                noted = await _noted(url, last_ns, source.watched)
        finally:
            stop.set()
            await asyncio.gather(running, return_exceptions=True)
    kept = [ns for ns in sorted(noted.ends) if ns > last_ns - UPDATES * PERIOD_NS]
    return [(noted.ends[ns] - source.handed[ns]) / 1e6 for ns in kept], [ns / 1e6 for ns in noted.pings[-UPDATES:]]


async def _served(said: list[str], running: asyncio.Task[None]) -> str:
    """Wait until the run is served, and return the address of its websocket."""
    while not (found := ADDRESS.search(" ".join(said))):
        if running.done():
            raise InputError(f"the benchmark's run has ended before it was served: {running.exception()}")
        await asyncio.sleep(0.01)
    return f"ws://{found[1]}/ws"


async def _noted(url: str, last_ns: int, watched: asyncio.Event) -> Noted:
    """Have a process of its own note what comes, as bots are other processes."""
    arguments = ("-m", "jobs.benches.picks_client", url, str(last_ns))
    client = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE, limit=MOST_NOTED)
    try:
        assert client.stdout is not None
        await client.stdout.readline()
        watched.set()
        noted = msgspec.json.decode(await client.stdout.readline() or b"{}", type=Noted)
    finally:
        if client.returncode is None:
            client.kill()
        await client.wait()
    if last_ns not in noted.ends:
        raise InputError("the benchmark's run, or the client of it, has ended before its time")
    return noted


def _rows(name: str, taken: Sequence[float], pings: Sequence[float]) -> list[Row]:
    out = []
    for label, share in (("p50", 50), ("p99", 99)):
        ours, peer = float(np.percentile(taken, share)), float(np.percentile(pings, share))
        out.append(time_row(f"{name}, {label}", "ms", ours, f"a ping on that websocket, {label}", peer))
    return out


def rows() -> list[Row]:
    """Return the rows."""
    held = Constraints(current=dict.fromkeys(SYMBOLS, 1.0 / ASSETS), turnover=0.5)
    out = list[Row]()
    for label, config in (
        ("", CONFIG),
        (", what is held, turnover", msgspec.structs.replace(CONFIG, constraints=held)),
    ):
        taken, pings = asyncio.run(measured(config))
        out += _rows(f"price -> picks at a websocket, {ASSETS} assets{label}", taken, pings)
    return out
