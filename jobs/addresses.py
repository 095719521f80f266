"""Where venues lie instead of at their own addresses, as ``VENUE_URLS`` says."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from quicksilver.errors import InputError

_ENTRY = re.compile(r"([\w:/.-]+?)=((?:ws|http)s?://[^\s?#@]+)")
_OF_REST = {"ws": "http", "wss": "https"}


class Address(NamedTuple):
    """Where a venue's websocket and REST are; empty: where the venue itself has them."""

    url: str = ""
    rest_url: str = ""


def addresses(text: str, venues: Sequence[str]) -> dict[str, Address]:
    """Return by name the venues, of ``venues``, that lie elsewhere; REST on the host of the websocket if none is given.

    >>> addresses("kraken=ws://127.0.0.1:9001/v2", ["kraken", "bitstamp"])
    {'kraken': Address(url='ws://127.0.0.1:9001/v2', rest_url='http://127.0.0.1:9001')}

    Raises:
        InputError: an entry is none, is there twice, or names a venue that is not played.
    """
    found: dict[str, Address] = {}
    for entry in filter(None, (one.strip() for one in text.split(","))):
        name, url = _parsed(entry)
        if name not in venues:
            raise InputError(f"VENUE_URLS={entry}: VENUES={','.join(venues)} does not name {name}")
        field, before = ("url" if url.startswith("ws") else "rest_url"), found.get(name, Address())
        if getattr(before, field):
            raise InputError(f"VENUE_URLS={entry}: there is an address of {name} already, {getattr(before, field)}")
        found[name] = before._replace(**{field: url})
    return {name: _with_rest(one) for name, one in found.items()}


def _parsed(entry: str) -> tuple[str, str]:
    match = _ENTRY.fullmatch(entry)
    try:
        whole = match is not None and bool(urlsplit(match[2]).hostname) and urlsplit(match[2]).port != 0
    except ValueError:  # a port that is none
        whole = False
    if match is None or not whole:
        raise InputError(f"VENUE_URLS={entry}: write NAME=ws://HOST:PORT/PATH or NAME=http://HOST:PORT, with commas")
    return match[1], match[2].rstrip("/")


def _with_rest(one: Address) -> Address:
    parts = urlsplit(one.url)
    return one if one.rest_url else one._replace(rest_url=f"{_OF_REST[parts.scheme]}://{parts.netloc}")
