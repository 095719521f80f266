"""Which feeds can start: venues that are reached, symbols that they list; what cannot is said in a sentence each."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait

import httpx

from producers.exchanges.feed import Feed
from producers.exchanges.listings import unlisted
from producers.exchanges.probe import Probe, listing_of, probe
from producers.exchanges.refused import sentence
from quicksilver.errors import FrameError, InputError

PROBE_S = 3.0  # for all venues together: a simulator that starts later than this seems to hang
LIST_S = 10.0  # for the lists of those that are reached; Binance's is of several megabytes
Say = Callable[[str], None]
log = logging.getLogger(__name__)


def started(feeds: Sequence[Feed], say: Say) -> tuple[list[Feed], list[str]]:
    """Return the feeds that have symbols, or none and why if not one venue can be reached.

    A venue that is not reached now is taken all the same where another is: its feed tries for ever, as after any lost
    connection.

    Raises:
        InputError: no venue lists any of the symbols.
    """
    probes = [probe(feed, PROBE_S, LIST_S) for feed in feeds]
    wait([one.trouble for one in probes], PROBE_S)
    troubles = [_trouble(feed, one) for feed, one in zip(feeds, probes, strict=True)]
    if all(troubles):
        return [], troubles
    wait([one.listing for one, trouble in zip(probes, troubles, strict=True) if not trouble], LIST_S)
    unlisted = [why for feed, one in zip(feeds, probes, strict=True) for why in _listed(feed, one.listing, say)]
    left = [feed for feed in feeds if feed.symbols]
    if not left:
        raise InputError("; ".join(unlisted) or "there is no symbol to subscribe to: SYMBOLS= names them")
    for why in unlisted:
        say(why)
    return left, []


def _trouble(feed: Feed, found: Probe) -> str:
    if found.trouble.done():
        return found.trouble.result()
    return sentence(feed.venue, feed.url, TimeoutError(f"no answer in {PROBE_S:g} s"))  # not even the name's address


def _listed(feed: Feed, listing: "Future[bytes | None]", say: Say) -> list[str]:
    """Tell the feed what its venue lists; returns a sentence for each symbol that it does not."""
    try:
        body = listing.result(0)
        return [] if body is None else feed.know(body)
    except (TimeoutError, httpx.HTTPError, FrameError) as error:
        why = str(error) or f"no answer in {LIST_S:g} s"
        say(f"{feed.venue}: its list of symbols cannot be had ({why}): their names are guessed")
        return []


async def ensure_listed(feed: Feed, symbol: str) -> None:
    """Make sure, as far as it can be known, that the venue lists a symbol; its list is fetched anew where it does not.

    Raises:
        InputError: it does not.
    """
    if symbol in feed.listed or feed.listings is None:
        return
    try:
        await feed.learn(await listing_of(feed, LIST_S) or b"")
    except (httpx.HTTPError, FrameError) as error:
        log.warning("%s: its list of symbols cannot be had (%s): %s is taken as it is", feed.venue, error, symbol)
        return
    if symbol not in feed.listed:
        raise InputError(unlisted(feed.venue, symbol, feed.listed))
