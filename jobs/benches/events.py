"""Simulated events for benchmarks: instruments whose books change a thousand times a second each."""

from itertools import islice

from msgspec.structs import replace

from producers.exchanges.kraken import KrakenParser
from producers.frames import Frame
from producers.simulator.frames import frames
from producers.simulator.listings import LISTINGS
from producers.simulator.orderflow import Market
from quicksilver.events import AnyEvent

START_NS = 1_700_000_000_000_000_000
FASTER = 20  # the simulator's pace is a quiet market's: what a slot is measured on is a busy one


def busy_market(venue: str, n: int, seed: int = 3) -> list[AnyEvent]:
    """Return ``n`` events of eight instruments, trades among them, in the order of one producer."""
    symbols = [name.replace("-", "/") for name in islice(LISTINGS, 8)]
    parser, found, steps = KrakenParser(venue), list[AnyEvent](), n
    for ts_ns, payload in frames(Market(seed, START_NS, symbols), symbols, 10, steps):
        found += parser.parse(Frame(venue, "s", "recv", ts_ns, payload))
        if len(found) >= n:
            break
    return [
        replace(
            one,
            ts_event_ns=START_NS + (one.ts_event_ns - START_NS) // FASTER,
            ts_recv_ns=START_NS + (one.ts_recv_ns - START_NS) // FASTER,
        )
        for one in found[:n]
    ]
