"""Symbols over REST: which there are, one more, one less; and who may change them."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.server import serving
from api.store_sqlite import SqliteStore
from api.symbols import NOT_HERE, Subscribed, Symbols
from producers.exchanges.listings import Listing
from quicksilver.errors import InputError


class Held:
    """Symbols that are held in a list; only Kraken's bitcoin is refused."""

    def __init__(self) -> None:
        listing = Listing("kraken", "ETH-USD", "ETH/USD", Decimal("0.01"), Decimal("1e-8"), None, True)
        self.found = [Subscribed("kraken", "ETH-USD", listing), Subscribed("bitstamp", "ETH-EUR")]

    def subscribed(self) -> list[Subscribed]:
        return self.found

    async def add(self, venue: str, symbol: str) -> None:
        if symbol == "BTC-USDX":
            raise InputError("kraken lists no BTC-USDX; did you mean BTC-USD?")
        self.found.append(Subscribed(venue, symbol))

    async def remove(self, venue: str, symbol: str) -> None:
        if not any((one.venue, one.symbol) == (venue, symbol) for one in self.found):
            raise InputError(f"{venue}:{symbol} is not subscribed to")
        self.found = [one for one in self.found if (one.venue, one.symbol) != (venue, symbol)]


class Site:
    def __init__(self, http: httpx.AsyncClient, held: Held) -> None:
        self.http, self.held = http, held


async def served(folder: Path, symbols: Symbols | None) -> AsyncIterator[httpx.AsyncClient]:
    store = SqliteStore(folder / "x.sqlite")
    app = create_app(Hub(SourceInfo("LIVE", "a test")), store, None, symbols=symbols)
    async with (
        serving(app, "127.0.0.1", 0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as http,
    ):
        yield http
    store.close()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    held = Held()
    async for http in served(tmp_path, held):
        yield Site(http, held)


@pytest.fixture
async def elsewhere(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async for http in served(tmp_path, None):
        yield http


async def test_what_is_subscribed_to_is_listed_with_its_steps(site: Site) -> None:
    answer = await site.http.get("/api/symbols")
    assert answer.json() == [
        {
            "venue": "kraken", "symbol": "ETH-USD",
            "listing": {
                "venue": "kraken", "symbol": "ETH-USD", "native": "ETH/USD", "tick_size": "0.01", "lot_size": "1E-8",
                "min_size": None, "active": True,
            },
        },
        {"venue": "bitstamp", "symbol": "ETH-EUR", "listing": None},
    ]  # fmt: skip


async def test_a_symbol_is_added_and_removed(site: Site) -> None:
    answer = await site.http.post("/api/symbols", json={"venue": "kraken", "symbol": "sol-usd"})
    assert (answer.status_code, answer.json()) == (201, {"venue": "kraken", "symbol": "SOL-USD"})
    assert site.held.found[-1] == Subscribed("kraken", "SOL-USD")
    answer = await site.http.delete("/api/symbols/kraken/SOL-USD")
    assert (answer.status_code, answer.content) == (204, b"")
    assert len(site.held.found) == 2


async def test_what_cannot_be_done_is_said_in_a_sentence(site: Site) -> None:
    answer = await site.http.post("/api/symbols", json={"venue": "kraken", "symbol": "BTC-USDX"})
    assert (answer.status_code, answer.json()) == (
        422, {"detail": "kraken lists no BTC-USDX; did you mean BTC-USD?"},
    )  # fmt: skip
    answer = await site.http.delete("/api/symbols/kraken/BTC-USD")
    assert (answer.status_code, answer.json()) == (422, {"detail": "kraken:BTC-USD is not subscribed to"})
    answer = await site.http.post("/api/symbols", json={"venue": "kraken"})
    assert (answer.status_code, answer.json()) == (422, {"detail": "symbol: Field required"})
    assert len(site.held.found) == 2


@pytest.mark.parametrize("symbol", ["", "..", "%00", "\0", "BTC", "BTC-", "../../X-Y", "BTC-USD?X=1", "-", "A B-C"])
async def test_what_is_no_symbol_is_refused_before_any_venue_is_asked(site: Site, symbol: str) -> None:
    before = list(site.held.found)
    answer = await site.http.post("/api/symbols", json={"venue": "kraken", "symbol": symbol})
    why = f"not a symbol: {symbol!r}; write BASE-QUOTE, such as BTC-USD"
    assert (answer.status_code, answer.json()) == (422, {"detail": why})
    assert site.held.found == before


async def test_a_process_that_subscribes_to_nothing_says_who_does(elsewhere: httpx.AsyncClient) -> None:
    assert (await elsewhere.get("/api/symbols")).json() == []
    answer = await elsewhere.post("/api/symbols", json={"venue": "kraken", "symbol": "BTC-USD"})
    assert (answer.status_code, answer.json()) == (409, {"detail": NOT_HERE})
    answer = await elsewhere.delete("/api/symbols/kraken/BTC-USD")
    assert (answer.status_code, answer.json()) == (409, {"detail": NOT_HERE})


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_pages_of_other_sites_may_change_nothing(site: Site, method: str) -> None:
    url, body = "/api/symbols", b'{"venue":"kraken","symbol":"SOL-USD"}'
    if method == "DELETE":
        url, body = "/api/symbols/kraken/ETH-USD", b""
    for origin in ("http://evil.example", "null"):
        answer = await site.http.request(method, url, content=body, headers={"Origin": origin})
        said = {"detail": f"pages of {origin!r} may not change anything here"}
        assert (answer.status_code, answer.json()) == (403, said)
    assert len(site.held.found) == 2
    ours = {"Origin": str(site.http.base_url).rstrip("/"), "Content-Type": "application/json"}
    assert (await site.http.request(method, url, content=body, headers=ours)).is_success
    assert (await site.http.get("/api/symbols", headers={"Origin": "http://evil.example"})).status_code == 200
