"""What one connection to the simulated Kraken hears, without a socket: for benches, tests and warming up."""

from collections.abc import Iterator, Sequence
from itertools import islice

from producers.simulator.orderflow import Market
from producers.simulator.venues.base import json
from producers.simulator.venues.kraken import KrakenEngine


def frames(market: Market, symbols: Sequence[str], depth: int, n: int) -> Iterator[tuple[int, bytes]]:
    """Yield the first ``n`` frames of a connection that subscribes to the symbols' (``BTC/USD``) books and trades.

    Each is ``(ts_ns, payload)`` in simulated time: the greeting, acknowledgements and snapshots, then updates, trades
    and a heartbeat each second. The same market gives the same bytes; it is advanced as frames are taken.
    """
    return islice(_frames(KrakenEngine(market), symbols, depth), n)


def _frames(engine: KrakenEngine, symbols: Sequence[str], depth: int) -> Iterator[tuple[int, bytes]]:
    session = engine.connect()
    said = list(session.greeting)
    for params in ({"channel": "book", "symbol": symbols, "depth": depth}, {"channel": "trade", "symbol": symbols}):
        said += engine.request(session, json({"method": "subscribe", "params": params}))
    while True:
        now_ns = engine.now_ns
        for message in said:
            yield now_ns, message.text.encode()
        said = [message for _, message in engine.step()]
