"""The simulated Kraken on a local port, for tests of what reads it."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from producers.simulator.faults import parse_fault
from producers.simulator.orderflow import Market
from producers.simulator.serving import serve_venue
from producers.simulator.venue_server import VenueServer
from producers.simulator.venues.kraken import KrakenEngine


def exchange(market: Market, **options: Any) -> AbstractAsyncContextManager[VenueServer]:
    """Serve the market while the context lasts, with the options of ``VenueServer``."""
    return serve_venue(VenueServer(KrakenEngine(market), **options))


def corrupt(server: VenueServer, symbol: str) -> None:
    """Change one digit of the symbol's next book update within the ten best levels, and not its checksum."""
    server.inject(parse_fault(f"corrupt:{symbol}"))


def drop(server: VenueServer, symbol: str) -> None:
    """Do not send the symbol's next book update within the ten best levels."""
    server.inject(parse_fault(f"drop:{symbol}"))
