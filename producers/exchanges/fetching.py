"""What a venue gives by REST: fetched in turn, within the venue's rate, and again until it is there."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from itertools import chain
from ssl import SSLContext

import httpx

from producers.exchanges.limits import MOST_BYTES, Limits, pace_of
from producers.exchanges.retrying import backoff, retry_after_s

WHOLE_S = 60.0  # for a whole answer, in which something comes all the time
NO_SUCH_BOOK = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}  # asking once more would not help
log = logging.getLogger(__name__)
Take = Callable[[bytes, str], Awaitable[None]]
"""Takes a body and the address that it came from."""


class Fetcher:
    """Fetches for one feed; all feeds of a process share the rate of a host, and what its ``Retry-After`` asks for.

    Nothing comes for ``timeout_s`` at most, and all of an answer within ``whole_s`` (seconds).
    """

    def __init__(
        self, venue: str, limits: Limits, timeout_s: float, ssl: SSLContext | None = None, whole_s: float = WHOLE_S
    ) -> None:
        self._venue = venue
        self._limits = limits
        self._timeout_s, self._whole_s, self._ssl = timeout_s, whole_s, ssl
        self._made: httpx.AsyncClient | None = None

    @property
    def _client(self) -> httpx.AsyncClient:
        """Made when it is wanted first: to read all the certificates that the system trusts takes a while."""
        if self._made is None:
            self._made = httpx.AsyncClient(timeout=self._timeout_s, verify=self._ssl or True, follow_redirects=True)
        return self._made

    async def aclose(self) -> None:
        """Close the connections."""
        if self._made is not None:
            await self._made.aclose()

    async def get(self, url: str, weight: float = 1) -> httpx.Response:
        """Return the answer, its status and body, whatever they are, when it is the request's turn.

        Raises:
            httpx.HTTPError: there was none, or it does not end: it takes too long, or is of more than ``MOST_BYTES``.
        """
        pace = pace_of("rest", url, self._limits.rest)
        await pace.turn(weight)
        try:
            async with asyncio.timeout(self._whole_s), self._client.stream("GET", url) as response:
                if not response.is_success:
                    pace.pause(retry_after_s(*response.headers.get_list("Retry-After")))
                return httpx.Response(response.status_code, content=await _body(response), request=response.request)
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"not all of it came in {self._whole_s:g} s") from error

    async def book(
        self, symbol: str, url: str, weight: float, settle_s: float, retry_s: float, most_s: float, take: Take
    ) -> None:
        """Fetch a symbol's book until it is there, and hand it to ``take``; give up one that the venue does not have.

        The first attempt is made after ``settle_s``, the next after about ``retry_s``, then ever later, up to
        ``most_s``.
        """
        for wait_s in chain((settle_s,), backoff(retry_s, most_s)):
            await asyncio.sleep(wait_s)
            try:
                response = await self.get(url, weight)
            except httpx.HTTPError as error:
                log.warning("%s: no book of %s from %s (%r); trying again", self._venue, symbol, url, error)
                continue
            if response.is_success:
                await take(response.content, url)
                return
            status = response.status_code
            if status in NO_SUCH_BOOK:
                log.warning("%s: no book of %s at %s (HTTP %d)", self._venue, symbol, url, status)
                return
            log.warning("%s: no book of %s from %s (HTTP %d); trying again", self._venue, symbol, url, status)


async def _body(response: httpx.Response) -> bytes:
    found = bytearray()
    async for part in response.aiter_bytes():
        found += part
        if len(found) > MOST_BYTES:
            raise httpx.ReadError(f"more than {MOST_BYTES >> 20} MB")
    return bytes(found)


async def fetched(venue: str, url: str, limits: Limits, timeout_s: float, ssl: SSLContext | None = None) -> bytes:
    """Fetch one body, once, in ``timeout_s`` at most from its turn on.

    Raises:
        httpx.HTTPError: it cannot be had.
    """
    fetcher = Fetcher(venue, limits, timeout_s, ssl, whole_s=timeout_s)
    try:
        response = await fetcher.get(url, limits.listings_weight)
        return response.raise_for_status().content
    finally:
        await fetcher.aclose()
