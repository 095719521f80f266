"""REST for searches: which there are, how far each is, and what it has found so far."""

from typing import TYPE_CHECKING, Protocol

import msgspec
from fastapi import FastAPI, HTTPException, Response

if TYPE_CHECKING:
    from quicksilver.learning.ranking import Row  # it brings scikit-learn in


class SearchState(msgspec.Struct, frozen=True):
    """How far a search is: ``done`` of ``total`` configurations, ``failed`` of them without scores.

    ``running`` is whether a process is at it; if not, and not all are done, the same command goes on with it. ``eta_s``
    is how many seconds it will still take, None where that is not known.
    """

    name: str
    done: int
    total: int
    failed: int
    running: bool
    eta_s: float | None


class SearchTable(msgspec.Struct, frozen=True):
    """A search's results, the best first; ``tried`` is how many configurations their deflated scores go by."""

    state: SearchState
    tried: int
    verdict: str
    rows: "list[Row]"


class Searches(Protocol):
    """Who knows of searches."""

    def states(self) -> list[SearchState]:
        """Return all searches, by name."""

    def table(self, name: str) -> SearchTable | None:
        """Return what a search has found so far; None where there is none of that name."""


def add_searches(app: FastAPI, searches: Searches | None) -> None:
    """Add the routes; without ``searches`` there are none to list."""

    @app.get("/api/search")
    def states() -> Response:
        """Return all searches with how far each is."""
        return _json(searches.states() if searches else [])

    @app.get("/api/search/{name}")
    def table(name: str) -> Response:
        """Return what a search has found so far, the best first."""
        found = searches.table(name) if searches else None
        if found is None:
            raise HTTPException(404, f"there is no search {name!r}: `quicksilver search` makes one")
        return _json(found)


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
