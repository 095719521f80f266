"""Symbols added while a run goes on, where a venue does not give its list of them."""

import asyncio
import time

import pytest

from api.hub import SourceInfo
from jobs import starting_feeds
from jobs.live import FeedSource
from producers.exchanges.feed import Feed
from producers.exchanges.venue import feed_of
from tests.producers.test_fetching import trickle


async def subscribed(feed: Feed, symbol: str) -> None:
    feed.symbols.append(symbol)


async def test_a_list_that_drips_holds_up_no_other_venue_and_its_own_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starting_feeds, "LIST_S", 2.0)
    monkeypatch.setattr(Feed, "add", subscribed)
    async with trickle(b" ", 0.02) as slow, asyncio.timeout(60):
        bitstamp, kraken = feed_of("bitstamp", [], rest_url=slow), feed_of("kraken", [], rest_url="http://127.0.0.1:1")
        source = FeedSource([bitstamp, kraken], SourceInfo("LIVE", "a test"))
        started = time.monotonic()
        adding = asyncio.create_task(source.add("bitstamp", "BTC-USD"))
        await asyncio.sleep(0.1)
        assert await source.add("kraken", "BTC-USD") == "kraken"
        assert not adding.done()
        assert await adding == "bitstamp"  # taken as it is
        assert time.monotonic() - started >= 2.0
    assert source.instruments == [("kraken", "BTC-USD"), ("bitstamp", "BTC-USD")]
