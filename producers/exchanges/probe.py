"""Whether a venue can be reached, and what it lists: asked before anything is started, so that users are told."""

import asyncio
from concurrent.futures import Future
from threading import Thread
from typing import Any, NamedTuple

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from producers.exchanges.feed import Feed
from producers.exchanges.fetching import fetched
from producers.exchanges.limits import pace_of
from producers.exchanges.refused import sentence

CLOSE_S = 0.2


class Probe(NamedTuple):
    """Two answers to come: why the venue cannot be reached ("" if it can), and the body of its list of symbols.

    The second may fail, with ``httpx.HTTPError``; it is None for a venue that has no list.
    """

    trouble: "Future[str]"
    listing: "Future[bytes | None]"


def probe(feed: Feed, open_s: float, list_s: float) -> Probe:
    """Begin to ask, in a thread that nobody has to wait for: to look a name up may take minutes."""
    found = Probe(Future(), Future())
    Thread(target=lambda: asyncio.run(_answer(feed, found, open_s, list_s)), daemon=True).start()
    return found


async def _answer(feed: Feed, found: Probe, open_s: float, list_s: float) -> None:
    async def reach() -> None:
        found.trouble.set_result(await trouble_of(feed, open_s))

    async def list_() -> None:
        try:
            found.listing.set_result(await listing_of(feed, list_s))
        except httpx.HTTPError as error:
            found.listing.set_exception(error)

    await asyncio.gather(reach(), list_())


async def trouble_of(feed: Feed, open_s: float) -> str:
    """Return why no websocket can be opened at the venue, in a sentence, or "" if one can."""
    await pace_of("connect", feed.url, feed.limits.connections).turn()
    tls: dict[str, Any] = {"ssl": feed.ssl} if feed.ssl else {}
    try:
        async with connect(feed.url, compression=None, open_timeout=open_s, close_timeout=CLOSE_S, **tls):
            return ""
    except (OSError, EOFError, WebSocketException) as error:
        return sentence(feed.venue, feed.url, error)


async def listing_of(feed: Feed, timeout_s: float) -> bytes | None:
    """Return the body of the venue's list of symbols, None if it has no such list.

    Raises:
        httpx.HTTPError: it cannot be had.
    """
    url = feed.listings_url
    return None if url is None else await fetched(feed.venue, url, feed.limits, timeout_s, feed.ssl)
