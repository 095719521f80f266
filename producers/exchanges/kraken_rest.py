"""Kraken's REST book, with which the one from the socket is compared.

https://docs.kraken.com/api-reference/market-data/get-order-book (2026-11): ``/0/public/Depth?pair=XBTUSD&count=100``
answers ``{"error": [], "result": {NAME: {"bids": [[price, size, seconds], ...], "asks": ...}}}``. The name in it may be
another than the one asked by, the book has no time, and its sizes are rounded to three decimals.
"""

from urllib.parse import parse_qs

import msgspec

from producers.exchanges.kraken_v1 import COINS
from producers.exchanges.reading import decoded, split_address
from producers.levels import LevelScanner
from quicksilver.errors import FrameError, RefusalError
from quicksilver.events import Levels

PATH = "/0/public/Depth"
STEP = 0.001
_THEIRS = {ours: theirs for theirs, ours in COINS.items()}


class _Book(msgspec.Struct):
    bids: msgspec.Raw
    asks: msgspec.Raw


class _Body(msgspec.Struct):
    error: list[str]
    result: dict[str, _Book] = {}


_decode = msgspec.json.Decoder(_Body).decode


def rest_name(symbol: str) -> str:
    """Return what the REST interface calls ``BASE-QUOTE``.

    >>> rest_name("BTC-USD"), rest_name("DOGE-EUR"), rest_name("SOL-USD")
    ('XBTUSD', 'XDGEUR', 'SOLUSD')
    """
    return "".join(_THEIRS.get(coin, coin) for coin in symbol.split("-"))


def asked_for(url: str) -> str:
    """Return the pair of a book's address, as ``rest_name`` writes it; nothing if it is another address."""
    parts = split_address(url)
    if not parts.path.endswith(PATH):
        return ""
    pair = parse_qs(parts.query).get("pair", [""])[0].upper()
    return rest_name(pair.replace("/", "-"))


def book_of(payload: bytes, scanner: LevelScanner) -> tuple[Levels, Levels]:
    """Return the bids and asks of a body.

    Raises:
        RefusalError: Kraken says what was wrong with the request.
        FrameError: it is none.
    """
    body = decoded(_decode, payload)
    if body.error:
        raise RefusalError(f"Kraken refuses: {'; '.join(body.error)}")
    if len(body.result) != 1:
        raise FrameError(f"not Kraken's answer to a request for a book: {len(body.result)} books")
    (book,) = body.result.values()
    return scanner.two(book.bids, book.asks)
