"""REST for portfolios: which universes there are, their frontiers now and before, and orders towards a pick."""

import time
from collections.abc import Callable, Sequence
from typing import Annotated, TypeAlias

import msgspec
from fastapi import FastAPI, HTTPException, Query, Response
from msgspec import Raw

from api.hub import Hub
from api.order_forms import Orders, Wanted
from api.orders import ordered
from api.picks import PickRow
from api.ports import JsonStore
from api.prices import Quotes
from api.symbols import Symbols
from quicksilver import codec
from quicksilver.errors import StoreError
from quicksilver.records import FrontierState

MAX_ROWS = 10_000
NONE_YET = "there is none yet: each is there from the first price on"
Nanoseconds: TypeAlias = Annotated[int | None, Query(ge=-(2**63), le=2**63 - 1)]


class Universe(msgspec.Struct, frozen=True):
    """What a universe's newest frontier is of; ``age_s`` is since its prices, None if there were none yet."""

    universe: str
    state: FrontierState
    reason: str
    age_s: float | None
    ts_event_ns: int
    period_ns: int
    n_observations: int
    assets: list[str]
    absent: dict[str, str]
    picks: list[str]


class Shelf:
    """The frontiers of all universes: the hub's, which are live, and the store's."""

    def __init__(self, hub: Hub, store: JsonStore) -> None:
        self._hub, self._store = hub, store

    def names(self) -> list[str]:
        """Return all universes; those that are live also while the store is away."""
        live = set(self._hub.keys("frontiers"))
        try:
            return sorted(live | set(self._store.keys("frontiers")))
        except StoreError:
            if not live:
                raise
            return sorted(live)

    def newest(self, universe: str) -> bytes:
        """Return a universe's newest frontier as JSON; HTTP 404 where there is none."""
        return self._hub.last_row("frontiers", universe) or self.at(universe, None)

    def at(self, universe: str, at_ns: int | None) -> bytes:
        """Return the newest frontier at or before a time, as JSON; HTTP 404 where there is none."""
        end_ns = None if at_ns is None else min(at_ns, 2**63 - 2) + 1
        rows = self._store.read_json("frontiers", universe, end_ns=end_ns, limit=1)
        if not rows:
            self.known(universe)
            raise HTTPException(404, f"{universe}: there is no frontier at or before {at_ns}")
        return rows[-1]

    def known(self, universe: str) -> None:
        """Answer HTTP 404 if there is no such universe, with those that there are."""
        names = self.names()
        if universe not in names:
            raise HTTPException(404, f"no universe {universe!r}; {say_which(names) if names else NONE_YET}")

    def rows(self, universe: str, start_ns: int | None, end_ns: int | None, limit: int) -> list[bytes]:
        """Return stored frontiers, oldest first, as JSON; HTTP 404 where there is no such universe."""
        found = self._store.read_json("frontiers", universe, start_ns=start_ns, end_ns=end_ns, limit=limit)
        if not found:
            self.known(universe)
        return found


def say_which(names: Sequence[str]) -> str:
    """Return the names as the end of a sentence.

    >>> say_which(["auto"]), say_which(["auto", "majors"])
    ('there is auto', 'there are auto, majors')
    """
    return f"there {'is' if len(names) == 1 else 'are'} {', '.join(names)}"


def add_portfolios(
    app: FastAPI, hub: Hub, store: JsonStore, symbols: Symbols | None, now_ns: Callable[[], int] = time.time_ns
) -> None:
    """Add ``/api/portfolios``; ``symbols`` know venues' lot sizes."""
    shelf = Shelf(hub, store)

    @app.get("/api/portfolios")
    def universes() -> Response:
        """Return every universe with its state, the age of its newest frontier, and its assets."""
        return _json([_described(_read(shelf.newest(name)), now_ns()) for name in shelf.names()])

    @app.get("/api/portfolios/{universe}")
    def portfolio(universe: str, at_ns: Nanoseconds = None) -> Response:
        """Return the newest frontier of a universe, or the newest at or before a time, and its age in seconds."""
        row = shelf.newest(universe) if at_ns is None else shelf.at(universe, at_ns)
        age_s = _age_s(_read(row), now_ns())
        return _json({"universe": universe, "age_s": age_s, "frontier": Raw(row)})

    @app.get("/api/portfolios/{universe}/history")
    def history(
        universe: str,
        start_ns: Nanoseconds = None,
        end_ns: Nanoseconds = None,
        limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 500,
        picks_only: bool = False,
    ) -> Response:
        """Return the newest frontiers within a span of time, oldest first; or their picks alone."""
        rows = shelf.rows(universe, start_ns, end_ns, limit)
        if picks_only:
            rows = [codec.encode(_read(row)) for row in rows]
        return _json({"universe": universe, "rows": [Raw(row) for row in rows]})

    _add_orders(app, shelf, Quotes(hub, symbols), now_ns)


def _add_orders(app: FastAPI, shelf: Shelf, quotes: Quotes, now_ns: Callable[[], int]) -> None:
    @app.post("/api/portfolios/{universe}/rebalance")
    def rebalance(universe: str, wanted: Wanted) -> Orders:
        """Return the orders that lead from holdings to a portfolio, with what they will cost. Nothing is sent."""
        return ordered(_read(shelf.newest(universe)), wanted, quotes, now_ns())


def _read(row: bytes) -> PickRow:
    return codec.decode(PickRow, row)


def _age_s(row: PickRow, now_ns: int) -> float | None:
    return None if row.computed_ns is None else round((now_ns - row.computed_ns) / 1e9, 3)


def _described(row: PickRow, now_ns: int) -> Universe:
    return Universe(
        row.universe, row.state, row.reason, _age_s(row, now_ns), row.ts_event_ns, row.period_ns, row.n_observations,
        row.assets, row.absent, list(row.picks),
    )  # fmt: skip


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
