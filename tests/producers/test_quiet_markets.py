"""Markets in which nothing happens: the connection is sound, and must not be taken for dead."""

import asyncio
import time
from collections import Counter
from contextlib import aclosing, suppress

import pytest

from producers.exchanges import feed as feed_module
from producers.exchanges.base import ignore
from producers.exchanges.venue import venues
from producers.simulator.orderflow import Market
from producers.simulator.serving import serve_venue
from producers.simulator.venue_server import VenueServer
from producers.simulator.venues.registry import engine_of
from quicksilver.events import Gap


@pytest.mark.parametrize("name", ["bitstamp", "bitfinex", "binance", "binanceusdm", "poloniex"])
async def test_a_market_in_which_nothing_happens_is_not_left(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """These venues send no heartbeats, or rare ones: what they answer to pings is a sign of life."""
    monkeypatch.setattr(feed_module, "PING_S", 0.3)
    monkeypatch.setattr(feed_module, "QUIET_S", 3.0)  # as in truth, many pings: some are late on a busy machine
    market = Market(7, time.time_ns(), ["BTC/USD"])
    async with serve_venue(VenueServer(engine_of(name)(market))) as server:
        server.pause()
        feed = venues()[name].feed(name, ["BTC-USD"], server.url, server.rest_url)
        parser = venues()[name].parser(name, ignore)
        directions: Counter[str] = Counter()
        with suppress(TimeoutError):
            async with asyncio.timeout(5.0), aclosing(feed.frames()) as frames:
                async for frame in frames:
                    directions[frame.direction] += 1
                    assert not [event for event in parser.parse(frame) if isinstance(event, Gap)]
    assert directions["connect"] == 1
    assert directions["disconnect"] == 0
    assert not parser.refusals
