"""Why a venue cannot be reached, in one sentence for people: who, what happened, what to do."""

import socket
import ssl
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
from websockets.exceptions import InvalidStatus, WebSocketException

E = TypeVar("E", bound=Exception)

UNREACHED = (OSError, EOFError, WebSocketException, ValueError, LookupError)
"""What an attempt to open a websocket raises; the last two where a redirect leads nowhere or a header comes twice."""
BLOCKED = {HTTPStatus.FORBIDDEN, HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS}
BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.IM_A_TEAPOT}  # 418: Binance's word for who went on after 429


def sentence(venue: str, url: str, error: Exception) -> str:
    """Return what is to be said of an attempt to reach the venue that failed."""
    host, status = urlsplit(url).netloc, status_of(error)
    return f"{venue}: {_refused(host, status) if status else _unreached(host, error)}"


def _refused(host: str, status: int) -> str:
    if status in BLOCKED:
        return (
            f"{host} refuses connections from here (HTTP {status}): it may not serve this country or network;"
            " choose other venues with VENUES="
        )
    if status in BUSY:
        return f"{host} says that too many connections came from here (HTTP {status}); waiting before the next"
    return f"{host} does not accept a connection now (HTTP {status})"


def _unreached(host: str, error: Exception) -> str:
    certificate = _cause(error, ssl.SSLCertVerificationError)
    if certificate is not None:
        return (
            f"the TLS certificate of {host} is not valid ({certificate.verify_message}): somebody may stand between, or"
            " this machine's clock or certificates are wrong; nothing was sent"
        )
    if _cause(error, ssl.SSLError) is not None:
        return f"{host} speaks no TLS that this machine accepts ({error}); check the address and any proxy"
    if _cause(error, socket.gaierror) is not None:
        return f"there is no address for {host} ({error}); check the network and its DNS"
    return f"{host} cannot be reached ({str(error) or type(error).__name__})"


def status_of(error: Exception) -> int:
    """Return the HTTP status with which a handshake or request was refused, 0 if there was none."""
    if isinstance(error, InvalidStatus):
        return error.response.status_code
    return error.response.status_code if isinstance(error, httpx.HTTPStatusError) else 0


def _cause(error: BaseException | None, kind: type[E]) -> E | None:
    """The error of that kind which another wraps."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
