"""The soak: simulated venues, and readers with the live feeds, all in processes of their own, for as long as wanted.

Each venue closes its connections each minute, in order, so that all that it has sent arrives: what it counts as sent
must be what was received. Memory is that of the readers.
"""

import asyncio
import math
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import msgspec

from producers.simulator.soak_reader import Report, Where, read_in_process
from producers.simulator.soak_venue import Plan, listings_of, serve_in_process
from producers.simulator.venues.registry import engine_of
from quicksilver.events import SECOND_NS

SIX = "kraken,coinbase,bitstamp,bitfinex,poloniex,binance"
START_S = 120.0  # for a venue to warm its market up
END_S = 60.0  # for a reader to have read what was sent
CALM_S = 15.0  # without a break before the end, so that all books can be live then
FLAT = 1.1  # times the memory after a quarter of the time: what a soak may end with
Say = Callable[[str], object]


class Totals(msgspec.Struct):
    """What came of a soak; ``too_slow`` are connections that a venue gave up, for nobody read what it sent."""

    seconds: float
    sent: int = 0
    lost: int = 0
    connections: int = 0
    too_slow: int = 0
    messages_s: float = 0.0
    memory_quarter_mb: float = 0.0
    read: Report = msgspec.field(default_factory=Report)

    def complaints(self) -> list[str]:
        """Return what is not as it should be."""
        read = self.read
        found = {
            f"{self.too_slow} connections were given up: this machine cannot read so much": self.too_slow > 0,
            f"{self.lost} messages were lost": self.lost != 0,
            f"{read.rejected} messages could not be read": read.rejected != 0,
            f"{read.crossed} books were crossed": read.crossed != 0,
            f"{read.instruments - read.live} of {read.instruments} books are not live": read.live < read.instruments,
            "memory grew": read.memory_mb > FLAT * self.memory_quarter_mb,
        }
        return [text for text, true in found.items() if true]


class Worker:
    """A process with which one can speak."""

    def __init__(self, name: str, work: Any, given: Any) -> None:
        context = get_context("spawn")
        self.name = name
        self._pipe: Connection[object, Any]
        self._pipe, far = context.Pipe()
        self._process: BaseProcess = context.Process(target=work, args=(given, far), daemon=True)
        self._process.start()

    async def hear(self, wait_s: float) -> Any:
        """Return what it says next.

        Raises:
            TimeoutError: it says nothing for so long.
            EOFError: it has ended.
        """
        if not await asyncio.to_thread(self._pipe.poll, wait_s):
            raise TimeoutError(f"{self.name} says nothing for {wait_s:g} s")
        return self._pipe.recv()

    def say(self, what: object) -> None:
        """Send it an object."""
        self._pipe.send(what)

    def end(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


def shares_of(names: list[str], symbols: int, messages_s: float) -> dict[str, float]:
    """Spread so many messages a second over venues, evenly but for those that cannot say so many.

    One that collects changes says at most one message of a symbol each time.
    """
    each_ns = {name: engine_of(name).batch_ns for name in names}
    most = {name: symbols * SECOND_NS / ns if ns else math.inf for name, ns in each_ns.items()}
    shares: dict[str, float] = {}
    for place, name in enumerate(sorted(names, key=most.__getitem__)):
        shares[name] = min(most[name], (messages_s - sum(shares.values())) / (len(names) - place))
    return shares


async def run_soak(plans: list[Plan], n_readers: int, seconds: float, say: Say, report_s: float = 10.0) -> Totals:
    """Run the venues and read them for so long, and ``say`` how it goes now and then.

    Raises:
        TimeoutError: a venue does not start, or a reader does not end.
        EOFError: a process has ended before its time.
    """
    workers: list[Worker] = []
    try:
        simulated = [Worker(f"the simulated {plan.venue}", serve_in_process, plan) for plan in plans]
        workers += simulated
        wheres = []
        for plan, worker in zip(plans, simulated, strict=True):
            names = [one.symbol.replace("/", "-") for one in listings_of(plan.symbols)]
            url, rest_url = await worker.hear(START_S)
            wheres.append(Where(plan.venue, url, rest_url, names))
        shares = [list(range(first, len(plans), n_readers)) for first in range(min(n_readers, len(plans)))]
        readers = [Worker("a reader", read_in_process, (report_s, [wheres[one] for one in share])) for share in shares]
        workers += readers
        totals = await _report(readers, seconds, say)
        for worker in simulated:
            worker.say(None)
        counts = [await worker.hear(END_S) for worker in simulated]
        totals.sent, totals.connections, totals.too_slow = (sum(one) for one in zip(*counts, strict=True))
        await _end(readers, [sum(counts[one][0] for one in share) for share in shares], totals)
        return totals
    finally:
        for worker in workers:
            worker.end()


async def _end(readers: list[Worker], sent: list[int], totals: Totals) -> None:
    """Tell the readers how much was sent, and take their last reports."""
    totals.read = Report()
    for worker, messages in zip(readers, sent, strict=True):
        worker.say(messages)
    for worker in readers:
        over = False
        while not over:  # a report that was due may come before the last one
            over, found = await worker.hear(END_S)
        totals.read.add(found)
    totals.lost = totals.sent - totals.read.received


async def _report(readers: list[Worker], seconds: float, say: Say) -> Totals:
    """Say how it goes at each report, until the end."""
    totals, started_s, before = Totals(seconds), time.monotonic(), Report()
    last_s = started_s
    while time.monotonic() < started_s + seconds:
        whole = Report()
        for worker in readers:
            whole.add((await worker.hear(END_S))[1])
        now_s = time.monotonic()
        if not totals.memory_quarter_mb and now_s - started_s >= seconds / 4:
            totals.memory_quarter_mb = whole.memory_mb
        say(
            f"{now_s - started_s:6.0f} s  {(whole.received - before.received) / (now_s - last_s):7,.0f} messages/s"
            f"  {whole.received:11,} received  {whole.gaps:6,} gaps  {whole.live:4}/{whole.instruments} live"
            f"  {whole.memory_mb:7.1f} MB"
        )
        last_s, before = now_s, whole
    totals.messages_s = before.received / (last_s - started_s)
    return totals
