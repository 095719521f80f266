"""The live feed of any exchange that ccxt.pro has; ``ccxt_sessions.py`` does the work."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from ssl import SSLContext
from typing import Any

from producers.exchanges.ccxt_exchange import PREFIX, address_of, new_exchange
from producers.exchanges.ccxt_sessions import Sessions
from producers.exchanges.ccxt_wire import symbol_of
from producers.exchanges.feed import Feed
from producers.exchanges.listings import Listing
from producers.frames import Frame


class CcxtFeed(Feed):
    """The exchange of ccxt's that the venue's name says, with ``ccxt-`` before it or not."""

    def __init__(
        self,
        venue: str,
        symbols: Sequence[str],
        url: str | None = None,
        rest_url: str | None = None,
        ssl: SSLContext | None = None,
    ) -> None:
        """``url`` and ``rest_url`` replace scheme and host of the exchange's own addresses.

        Raises:
            InputError: ccxt gives no live book of this exchange.
        """

        def make() -> Any:
            """Return a new exchange object: each session has its own."""
            return new_exchange(venue.removeprefix(PREFIX), url, rest_url, ssl)

        ours = list(dict.fromkeys(map(symbol_of, symbols)))
        super().__init__(venue, ours, address_of(make()), rest_url, ssl)
        self._sessions = Sessions(venue, ours, make)

    def subscribe(self, symbols: Sequence[str]) -> list[str]:  # noqa: ARG002 (the base's signature)
        """Return nothing: ccxt subscribes."""
        return []

    def unsubscribe_book(self, symbol: str) -> list[str]:  # noqa: ARG002
        """Return nothing, as ``subscribe``."""
        return []

    def subscribe_book(self, symbol: str) -> list[str]:  # noqa: ARG002
        """Return nothing, as ``subscribe``."""
        return []

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Yield frames for ever; close the iterator to end it.

        Raises:
            InputError: the venue gives none of the symbols, or bars us from the start.
        """
        async with aclosing(self._sessions.frames()) as frames:
            async for frame in frames:
                yield frame

    async def add(self, symbol: str) -> None:
        """Subscribe to one more symbol, on a connection of its own; the others go on undisturbed."""
        symbol = symbol_of(symbol)
        self.symbols = list(dict.fromkeys([*self.symbols, symbol]))
        self._sessions.add(symbol)

    async def remove(self, symbol: str) -> None:
        """Subscribe to a symbol no longer; the others go on undisturbed."""
        symbol = symbol_of(symbol)
        self.symbols = [one for one in self.symbols if one != symbol]
        self._sessions.remove(symbol)

    async def resync(self, symbol: str) -> None:
        """Have one symbol's book asked for anew, on a connection of its own; the others go on undisturbed.

        Nothing is done while the book is on its way already.
        """
        self._sessions.resync(symbol)

    async def renew(self, symbol: str) -> None:
        """Subscribe anew to all of one symbol, as ``resync``."""
        await self.resync(symbol)

    async def markets(self) -> list[Listing]:
        """Return all that the venue lists.

        Raises:
            InputError: the venue bars us.
        """
        return await self._sessions.markets()
