"""Whether a venue can be reached, and what it lists: asked before anything is started, so that users are told."""

import asyncio
from concurrent.futures import Future
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import connect

from producers.exchanges.feed import Feed
from producers.exchanges.fetching import fetched
from producers.exchanges.limits import pace_of
from producers.exchanges.refused import UNREACHED, sentence

CLOSE_S = 0.2
SIMULATOR = "quicksilver-simulator"  # how our simulated venues call themselves, in the header Server


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
        """Find out whether the venue can be connected to."""
        found.trouble.set_result(await trouble_of(feed, open_s))

    async def list_() -> None:
        """Fetch the venue's list of symbols; a failure is its answer too."""
        try:
            found.listing.set_result(await listing_of(feed, list_s))
        except httpx.HTTPError as error:
            found.listing.set_exception(error)

    await asyncio.gather(reach(), list_())


async def trouble_of(feed: Feed, open_s: float) -> str:
    """Return why the venue cannot be connected to, in a sentence, or "" if it can; the feed learns what is there."""
    await pace_of("connect", feed.url, feed.limits.connections).turn()
    try:
        async with asyncio.timeout(open_s):
            await (_websocket(feed, open_s) if feed.url.startswith("ws") else _socket(feed))
    except UNREACHED as error:
        why = TimeoutError(f"no answer in {open_s:g} s") if isinstance(error, TimeoutError) else error
        return sentence(feed.venue, feed.url, why)
    return ""


async def _websocket(feed: Feed, open_s: float) -> None:
    tls: dict[str, Any] = {"ssl": feed.ssl} if feed.ssl else {}
    async with connect(feed.url, compression=None, open_timeout=open_s, close_timeout=CLOSE_S, **tls) as socket:
        feed.simulated = socket.response is not None and socket.response.headers.get("Server") == SIMULATOR


async def _socket(feed: Feed) -> None:
    """Connect, with TLS where the address says so: another library knows where the websocket is."""
    parts = urlsplit(feed.url)
    tls = (feed.ssl or True) if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    _, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
    writer.close()


async def listing_of(feed: Feed, timeout_s: float) -> bytes | None:
    """Return the body of the venue's list of symbols, None if it has no such list.

    Raises:
        httpx.HTTPError: it cannot be had.
    """
    url = feed.listings_url
    return None if url is None else await fetched(feed.venue, url, feed.limits, timeout_s, feed.ssl)
