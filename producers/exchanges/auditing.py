"""Fetches whole books now and then, so that the ones kept by their changes can be compared with them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import httpx

LEAST_S = 1.0  # between two requests, however many symbols there are: audits must not use up the venue's limits
log = logging.getLogger(__name__)


class Auditing:
    """Asks for each symbol's book once in ``every_s`` seconds, evenly spread.

    ``get`` fetches an address when the venue wants to be asked, ``take`` is given what came. One that does not come is
    not asked for again before its next turn: nothing waits for it.
    """

    def __init__(
        self,
        every_s: float,
        symbols: Callable[[], Sequence[str]],
        url_of: Callable[[str], str | None],
        get: Callable[[str], Awaitable[httpx.Response]],
        take: Callable[[str, bytes, str], Awaitable[None]],
    ) -> None:
        self._every_s = every_s
        self._symbols, self._url_of = symbols, url_of
        self._get, self._take = get, take

    async def run(self) -> None:
        """Go round the symbols for ever."""
        at = 0
        while True:
            await asyncio.sleep(max(LEAST_S, self._every_s / max(1, len(self._symbols()))))
            symbols = self._symbols()
            if symbols:
                await self._audit(symbols[at % len(symbols)])
                at += 1

    async def _audit(self, symbol: str) -> None:
        url = self._url_of(symbol)
        if url is None:
            return
        try:
            response = await self._get(url)
        except httpx.HTTPError as error:
            log.warning("no book of %s to compare with from %s (%r)", symbol, url, error)
            return
        if response.is_success:
            await self._take(symbol, response.content, url)
        else:
            log.warning("no book of %s to compare with from %s (HTTP %d)", symbol, url, response.status_code)
