"""Symbols that are subscribed to while a process runs: which they are, one more, one less."""

import re
from typing import Protocol

import msgspec
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from producers.exchanges.listings import Listing
from quicksilver.errors import InputError

NOT_HERE = "this process subscribes to nothing itself: `quicksilver run` and `quicksilver publish` do"

_COIN = r"[^\W_][\w.:$*+]*"  # any script's letters: there are such coins; futures add to theirs, as in USDT:USDT
_SYMBOL = re.compile(rf"{_COIN}(-{_COIN})+")


class Subscribed(msgspec.Struct):
    """One symbol that is subscribed to; ``listing`` is what its venue says of it, None where that is not known."""

    venue: str
    symbol: str
    listing: Listing | None = None


class Symbols(Protocol):
    """Who subscribes to symbols."""

    def subscribed(self) -> list[Subscribed]:
        """Return what is subscribed to."""

    async def add(self, venue: str, symbol: str) -> None:
        """Subscribe to one more symbol.

        Raises:
            InputError: that cannot be.
        """

    async def remove(self, venue: str, symbol: str) -> None:
        """Subscribe to a symbol no longer.

        Raises:
            InputError: that cannot be.
        """


class Wanted(BaseModel):
    """A symbol to be added, such as ``kraken`` and ``BTC-EUR``."""

    venue: str = Field(max_length=40)
    symbol: str = Field(max_length=40)


def add_symbols(app: FastAPI, symbols: Symbols | None) -> None:
    """Add the routes; without ``symbols`` they say why there are none."""

    @app.get("/api/symbols")
    async def subscribed() -> Response:
        """Return every symbol that is subscribed to, with its venue's name for it and its tick and lot sizes."""
        found = symbols.subscribed() if symbols else []
        return Response(msgspec.json.encode(found), media_type="application/json")

    @app.post("/api/symbols", status_code=201)
    async def add(wanted: Wanted) -> Response:
        """Subscribe to one more symbol; all others go on undisturbed."""
        if symbols is None:
            return _refused(NOT_HERE, 409)
        venue, symbol = wanted.venue.strip(), wanted.symbol.strip().upper()
        if _SYMBOL.fullmatch(symbol) is None:
            return _refused(f"not a symbol: {symbol!r}; write BASE-QUOTE, such as BTC-USD", 422)
        try:
            await symbols.add(venue, symbol)
        except InputError as error:
            return _refused(str(error), 422)
        return JSONResponse({"venue": venue, "symbol": symbol}, 201)

    @app.delete("/api/symbols/{venue}/{symbol}", status_code=204)
    async def remove(venue: str, symbol: str) -> Response:
        """Subscribe to a symbol no longer; its book ends in a gap, and all others go on undisturbed."""
        if symbols is None:
            return _refused(NOT_HERE, 409)
        try:
            await symbols.remove(venue, symbol.upper())
        except InputError as error:
            return _refused(str(error), 422)
        return Response(status_code=204)


def _refused(why: str, status: int) -> Response:
    return JSONResponse({"detail": why}, status)
