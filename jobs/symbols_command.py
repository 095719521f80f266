"""The command ``quicksilver symbols``: what a venue lists."""

import asyncio
from decimal import Decimal
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.table import Table

from producers.exchanges.ccxt_feed import CcxtFeed
from producers.exchanges.listings import Listing
from producers.exchanges.probe import listing_of
from producers.exchanges.refused import sentence
from producers.exchanges.venue import feed_of
from quicksilver.errors import FrameError, InputError
from setup.exits import failing

ANSWER_S = 30.0
COLUMNS = ("symbol", "at the venue", "tick size", "lot size", "least order", "state")


def symbols(
    venue: Annotated[str, typer.Argument(help="The venue, such as kraken.")],
    search: Annotated[str, typer.Option(help="Only symbols with this text, such as btc or -usd.")] = "",
    rest_url: Annotated[str, typer.Option(help="Scheme and host to ask in place of the venue's own.")] = "",
) -> None:
    """Print what a venue lists: each symbol, its name there, the steps of its prices and sizes."""
    with failing():
        listings = asyncio.run(_listings(venue, rest_url))
        found = [one for one in listings if search.upper() in one.symbol or search.upper() in one.native.upper()]
        if not found:
            raise InputError(f"{venue} lists {len(listings):,} symbols, none with {search!r}")
    table = Table(*COLUMNS, title=f"{venue}: {len(found):,} of {len(listings):,} symbols")
    for one in sorted(found, key=lambda one: one.symbol):
        steps = [_text(size) for size in (one.tick_size, one.lot_size, one.min_size)]
        table.add_row(one.symbol, one.native, *steps, "active" if one.active else "not traded now")
    Console().print(table)


async def _listings(venue: str, rest_url: str) -> list[Listing]:
    feed = feed_of(venue, [], rest_url=rest_url)
    if isinstance(feed, CcxtFeed):
        return await _through_ccxt(feed)
    url = feed.listings_url
    if url is None:
        raise InputError(f"{venue} has no list of its symbols")
    try:
        feed.know(await listing_of(feed, ANSWER_S) or b"")
    except httpx.HTTPError as error:
        raise InputError(sentence(venue, url, error)) from error
    except FrameError as error:
        raise InputError(f"{venue}: what {url} gives cannot be read: {error}") from error
    return list(feed.listed.values())


async def _through_ccxt(feed: CcxtFeed) -> list[Listing]:
    try:
        async with asyncio.timeout(ANSWER_S):
            return await feed.markets()
    except TimeoutError as error:
        raise InputError(f"{feed.venue}: its list of symbols did not come through ccxt in {ANSWER_S:g} s") from error


def _text(size: Decimal | None) -> str:
    return "" if size is None else f"{size.normalize():f}"
