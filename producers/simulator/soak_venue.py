"""One simulated venue in a process of its own, for the soak: as many messages a second as are wanted."""

import asyncio
import time
from multiprocessing.connection import Connection

import msgspec

from producers.exchanges.venue import venues
from producers.simulator.listings import Listing, listing_of
from producers.simulator.orderflow import Market
from producers.simulator.serving import serve_venue
from producers.simulator.venue_server import VenueServer
from producers.simulator.venues.base import VenueEngine
from producers.simulator.venues.registry import engine_of
from quicksilver.events import SECOND_NS

TRIAL_NS = 5 * SECOND_NS  # of a market at the usual rate, from which the rate wanted is told
MOST_RATE = 20.0  # venues that collect changes say no more, however many there are
DRAIN_S = 1.0  # for the reader to have all that was sent


class Plan(msgspec.Struct, frozen=True):
    """What a venue of the soak does: messages a second, and when it breaks its connections, seconds from its start."""

    venue: str
    symbols: int
    messages_s: float
    reconnect_s: float
    first_s: float
    last_s: float
    seed: int


def listings_of(n: int) -> list[Listing]:
    """Return ``n`` listings: the real ones that there are, then made-up ones."""
    real = ["BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD", "DOGE-USD"]
    return [listing_of(name) for name in [*real, *(f"S{i:02d}-USD" for i in range(n))][:n]]


def rate_for(plan: Plan) -> float:
    """Return the market's rate at which the venue says so many messages a second to one reader of everything."""
    engine = engine_of(plan.venue)(Market(plan.seed, time.time_ns(), listings_of(plan.symbols)))
    _subscribe(engine, plan.venue)
    until_ns, said = engine.now_ns + TRIAL_NS, 0
    while engine.next_ns < until_ns:
        said += len(engine.step())
    return min(MOST_RATE, max(0.01, plan.messages_s * TRIAL_NS / SECOND_NS / max(said, 1)))


def _subscribe(engine: VenueEngine, venue: str) -> None:
    session = engine.connect()
    feed = venues()[venue].feed(venue, list(engine.books))
    for request in feed.subscribe(feed.symbols):
        engine.request(session, request)


def serve_in_process(plan: Plan, pipe: "Connection[object, object]") -> None:
    """Serve until the other end of the pipe says something, then halt the market and answer with what was sent.

    That is the numbers of messages, of connections, and of those that were given up because nobody read them.
    """
    asyncio.run(_serve(plan, pipe))


async def _serve(plan: Plan, pipe: "Connection[object, object]") -> None:
    market = Market(plan.seed, time.time_ns(), listings_of(plan.symbols), rate_for(plan))
    server = VenueServer(engine_of(plan.venue)(market), clock=time.time_ns)
    async with serve_venue(server):
        pipe.send((server.url, server.rest_url))
        due_s = server.now_s() + plan.first_s
        while not pipe.poll():
            await asyncio.sleep(0.1)
            if plan.reconnect_s and due_s <= min(server.now_s(), plan.last_s):
                due_s += plan.reconnect_s
                server.close_all()
        pipe.recv()
        server.pause()
        await asyncio.sleep(DRAIN_S)
        server.mute()  # an answer to a ping would be one that nobody counted
        pipe.send((server.sent, server.connections, server.dropped))
        while not pipe.poll():  # a connection that broke now would cost readers their books
            await asyncio.sleep(0.1)
