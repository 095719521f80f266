"""From a price handed to the embedded run to the new picks at a bot's websocket, on loopback."""

import asyncio
import re
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from api.hub import SourceInfo
from jobs.benches.measure import Row, time_row
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


class _Row(msgspec.Struct):
    ts_event_ns: int = 0


class _Message(msgspec.Struct):
    type: str
    rows: list[_Row] = []


async def _follow(url: str, ends: dict[int, int], pings: list[int], subscribed: asyncio.Event) -> None:
    """Note when the picks of each period's end are there, and how long a ping takes after it."""
    decoder, asked = msgspec.json.Decoder(_Message), 0
    async with _subscribed(url, "picks") as socket:
        async for text in socket:
            now_ns = time.perf_counter_ns()
            message = decoder.decode(text)
            subscribed.set()
            if message.type == "pong":
                pings.append(now_ns - asked)
            elif message.type == "delta":
                for row in message.rows:
                    ends[row.ts_event_ns] = now_ns
                asked = time.perf_counter_ns()
                await socket.send('{"op":"ping","id":1}')


async def _look(url: str) -> None:
    """Take what the page takes: frontiers and clouds."""
    async with _subscribed(url, "frontiers", "clouds") as socket:
        async for _ in socket:
            pass


@asynccontextmanager
async def _subscribed(url: str, *channels: str) -> AsyncIterator[ClientConnection]:
    async with connect(url, max_size=None, compression=None) as socket:
        request = {"op": "subscribe", "channels": channels, "history": 0, "threshold": 0.0}
        await socket.send(msgspec.json.encode(request).decode())
        yield socket


async def measured(config: PortfolioConfig) -> tuple[list[float], list[float]]:
    """Return the milliseconds from price to picks of each update, and of a ping after each."""
    source, ends, pings = PriceSource(config), dict[int, int](), list[int]()
    said = list[str]()
    with tempfile.TemporaryDirectory() as folder:
        given: dict[str, Any] = {"source": "csv", "port": 0, "data": Path(folder)}
        stop = asyncio.Event()
        running = asyncio.create_task(run_embedded(source, RunSettings(**given), said.append, stop))
        while not running.done() and not ADDRESS.search(" ".join(said)):
            await asyncio.sleep(0.01)
        found = ADDRESS.search(" ".join(said))
        if found is None:
            raise InputError(f"the benchmark's run has ended before it was served: {running.exception()}")
        url = f"ws://{found[1]}/ws"
        clients = [asyncio.create_task(one) for one in (_follow(url, ends, pings, source.watched), _look(url))]
        last_ns = START_NS + (config.window + SETTLE + UPDATES - 1) * PERIOD_NS
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while last_ns not in ends:
                    if running.done() or any(one.done() for one in clients):
                        raise InputError("the benchmark's run, or a client of it, has ended before its time")
                    await asyncio.sleep(0.1)
        finally:
            stop.set()
            for client in clients:
                client.cancel()
            await asyncio.gather(running, *clients, return_exceptions=True)
    kept = [ns for ns in sorted(ends) if ns > last_ns - UPDATES * PERIOD_NS]
    return [(ends[ns] - source.handed[ns]) / 1e6 for ns in kept], [ns / 1e6 for ns in pings[-UPDATES:]]


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
