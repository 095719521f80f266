"""ccxt.pro's exchanges: which there are, one made ready to be listened to, and what its errors mean.

To import ccxt takes seconds: it is done where an exchange of its is made, and not to know their names.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from functools import cache
from http import HTTPStatus
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from ssl import SSLCertVerificationError, SSLContext
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from producers.exchanges.ccxt_wire import symbol_of
from producers.exchanges.listings import Listing, decimals, step
from producers.exchanges.refused import BLOCKED
from producers.exchanges.retrying import retry_after_s
from quicksilver.errors import InputError

PREFIX = "ccxt-"  # an exchange that we have a file for, through ccxt all the same
KEEP_ALIVE_MS = 5_000  # between pings, where they are websocket's own: ccxt misses the answer after two or three
_STATUS = re.compile(r"^\S+ [A-Z]+ \S+ (\d{3})\b")  # how ccxt begins what it says of a REST answer
_DECIMAL_PLACES, _TICK_SIZE = 2, 4  # ccxt's ways to say a precision
_SHOWN = 300  # letters of a venue's answer, which may be a whole page


@cache
def exchange_ids() -> frozenset[str]:
    """Return the names of all exchanges with websockets, as ccxt writes them, without importing one."""
    ccxt = find_spec("ccxt")
    folders = [f"{folder}/pro" for folder in (ccxt.submodule_search_locations or [] if ccxt else [])]
    return frozenset(found.name for found in iter_modules(folders) if not found.ispkg)


def new_exchange(exchange_id: str, url: str | None, rest_url: str | None, ssl: SSLContext | None) -> Any:
    """Return a ccxt exchange that has opened nothing yet; ``url`` and ``rest_url`` replace scheme and host of its own.

    Raises:
        InputError: ccxt gives no live book of it.
    """
    kind = getattr(import_module(f"ccxt.pro.{exchange_id}"), exchange_id)
    exchange = kind({"aiohttp_trust_env": True})
    if not exchange.has.get("watchOrderBook"):
        raise InputError(f"ccxt gives no live order book of {exchange_id}; take another venue")
    for scheme, instead in (("ws", url), ("http", rest_url)):
        if instead:
            exchange.urls["api"] = _moved(exchange.urls["api"], scheme, instead)
    if ssl is not None:
        exchange.ssl_context = ssl
    exchange.asked_to_wait = []
    also(exchange, "on_rest_response", lambda status, *said: _heed(exchange, status, said[3]))
    if exchange.streaming.get("ping") is None:
        exchange.streaming = {**exchange.streaming, "keepAlive": KEEP_ALIVE_MS}
    return exchange


def _heed(exchange: Any, status: int, headers: Mapping[str, str]) -> None:
    """Keep what a refusal says of when to come again: answers to other requests, sent together, may follow it."""
    if status >= HTTPStatus.BAD_REQUEST:
        exchange.asked_to_wait += [value for name, value in headers.items() if name.lower() == "retry-after"]


def _moved(urls: Any, scheme: str, instead: str) -> Any:
    """The same addresses elsewhere: those that begin with ``scheme``, at any depth."""
    if isinstance(urls, Mapping):
        return {name: _moved(one, scheme, instead) for name, one in urls.items()}
    if not isinstance(urls, str) or not urls.startswith(scheme):
        return urls
    there = urlsplit(instead)
    return urlunsplit(urlsplit(urls)._replace(scheme=there.scheme, netloc=there.netloc))


def address_of(exchange: Any) -> str:
    """Return an address of the exchange, to see whether it can be reached: of its websockets' host, if ccxt knows it.

    It is written as a page's: no websocket need be there, ccxt puts the rest of its address together later.
    """
    known = list(_texts(exchange.urls["api"]))
    found = next((one for one in known if one.startswith("ws")), known[0]).replace(
        "{hostname}", exchange.hostname or ""
    )
    return f"http{found.removeprefix('ws')}" if found.startswith("ws") else found


def _texts(urls: Any) -> Iterator[str]:
    if isinstance(urls, Mapping):
        for one in urls.values():
            yield from _texts(one)
    elif isinstance(urls, str):
        yield urls


def also(owner: Any, name: str, hook: Callable[..., object]) -> None:
    """Have ``hook`` called with the same arguments before each call of a method of ccxt's objects."""
    method = getattr(owner, name)

    def both(*given: Any) -> Any:
        """Call the hook, then the method, and return what that returns."""
        hook(*given)
        return method(*given)

    setattr(owner, name, both)


def listed(exchange: Any) -> dict[str, str]:
    """Return the exchange's symbols by our names for them."""
    return {symbol_of(unified): unified for unified in exchange.symbols}


class Trouble(Enum):
    """What an error of ccxt's means, by what is to be done after it."""

    REFUSED = "the venue will not give this, however often it is asked"
    BARRED = "the venue will not talk to us at all: geo-block, ban, a certificate that is not trusted"
    DOUBT = "the book is in doubt, and ccxt asks for it again"
    BROKEN = "the network or the venue failed: try again later"


def trouble_of(error: BaseException) -> Trouble:
    """Return what an error of ccxt's means; https://docs.ccxt.com/#/README?id=error-handling draws their tree."""
    import ccxt

    if certificate_error(error) or status_of(error) in BLOCKED or isinstance(error, ccxt.RestrictedLocation):
        return Trouble.BARRED
    refusals = (ccxt.BadRequest, ccxt.NotSupported, ccxt.ArgumentsRequired, ccxt.OperationRejected)
    if isinstance(error, (ccxt.AuthenticationError, *refusals)):
        return Trouble.REFUSED
    return Trouble.DOUBT if isinstance(error, ccxt.InvalidNonce) else Trouble.BROKEN


def ccxt_sentence(venue: str, error: BaseException) -> str:
    """Return what happened, for people, and what they can do where that is known."""
    import ccxt

    text = f"{error or repr(error)}"[:_SHOWN]
    if certificate := certificate_error(error):
        return f"{venue}: its TLS certificate is not trusted ({certificate}); check this machine's clock and proxy"
    if isinstance(error, ccxt.AuthenticationError):
        return f"{venue} wants an API key for this, and only what is public is read here: {text}"
    if status_of(error) in BLOCKED or isinstance(error, ccxt.RestrictedLocation):
        return f"{venue} bars this machine, maybe for the country it is in: {text}"
    return f"{venue}: {type(error).__name__}: {text}"


def certificate_error(error: BaseException) -> SSLCertVerificationError | None:
    """Return the failed check of a certificate that an error of ccxt's comes from."""
    for one in _causes(error):
        certificate = getattr(one, "certificate_error", one)  # aiohttp wraps it
        if isinstance(certificate, SSLCertVerificationError):
            return certificate
    return None


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of the answer that an error of ccxt's is about."""
    for one in _causes(error):
        status = getattr(one, "status", None)  # aiohttp's, of a handshake
        if isinstance(status, int):
            return status
    said = _STATUS.match(str(error))
    return int(said[1]) if said else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was made from: ccxt takes the first one as its text, or raises from it."""
    found: Any = error
    while isinstance(found, BaseException):
        yield found
        found = found.__cause__ or next(iter(found.args), None)


def left_alone_s(exchange: Any) -> float:
    """Return the seconds for which the venue's answers ask to be left alone; 0 if they do not."""
    asked = [client.last_retry_after for client in exchange.clients.values()] + exchange.asked_to_wait
    return retry_after_s(*(str(one) for one in asked if one is not None))


def listings(venue: str, exchange: Any) -> Iterator[Listing]:
    """Yield each market that the exchange has loaded: https://docs.ccxt.com/#/README?id=market-structure.

    Sizes of contracts are in contracts; steps in significant digits are none.
    """
    for market in exchange.markets.values():
        precision = market.get("precision") or {}
        tick, lot = (_step(precision.get(name), exchange.precisionMode) for name in ("price", "amount"))
        least = step(((market.get("limits") or {}).get("amount") or {}).get("min"))
        active = market.get("active") is not False
        yield Listing(venue, symbol_of(market["symbol"]), market["id"], tick, lot, least, active)


def _step(precision: float | None, mode: int) -> Decimal | None:
    if precision is None or mode not in {_TICK_SIZE, _DECIMAL_PLACES}:
        return None
    return step(precision) if mode == _TICK_SIZE else decimals(int(precision))
