"""Portfolios over REST: universes, frontiers now and before, and orders; what is refused is said in a sentence."""

import re
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.server import serving
from api.store_sqlite import SqliteStore
from api.symbols import Subscribed
from producers.exchanges.listings import Listing
from quicksilver import codec
from quicksilver.memory import MemoryBus
from quicksilver.records import BookTop, Frontier, Status, TopLevel
from tests.frontiers import ASSETS, PRICES, SECOND_NS, frontier, waiting


class Listed:
    """Symbols of two venues; of Solana none is listed."""

    def subscribed(self) -> list[Subscribed]:
        return [
            self._of("kraken", "BTC-USD", "0.00001", "0.0003"),
            self._of("coinbase", "BTC-USD", "0.0001", None),
            self._of("kraken", "ETH-USD", "0.001", "0.01"),
            Subscribed("kraken", "SOL-USD"),
        ]

    def _of(self, venue: str, symbol: str, lot: str, least: str | None) -> Subscribed:
        listing = Listing(venue, symbol, symbol, None, Decimal(lot), Decimal(least) if least else None, True)
        return Subscribed(venue, symbol, listing)

    async def add(self, venue: str, symbol: str) -> None:
        raise NotImplementedError

    async def remove(self, venue: str, symbol: str) -> None:
        raise NotImplementedError


class Site:
    def __init__(self, folder: Path) -> None:
        self.hub, self.store, self.bus = (
            Hub(SourceInfo("LIVE", "a test")),
            SqliteStore(folder / "x.sqlite"),
            MemoryBus(),
        )
        self.bus.subscribe(self.hub.on_record)
        self.app = create_app(self.hub, self.store, None, symbols=Listed())
        self.http = httpx.AsyncClient(timeout=60.0)

    def publish(self, record: Frontier | BookTop | Status) -> None:
        self.bus.publish(record)
        self.keep(record)

    def keep(self, record: Frontier | BookTop | Status) -> None:
        """Store a record that the hub does not know: it is of a run before."""
        self.store.write([record])
        self.store.flush()

    def book(self, venue: str, mid: float, ts_ns: int) -> None:
        """Publish a live book of Bitcoin."""
        self.publish(Status(venue, "BTC-USD", 1, ts_ns, ts_ns, "LIVE", ""))
        levels = [TopLevel(mid - 1, 1, 1)], [TopLevel(mid + 1, 1, 1)]
        self.publish(BookTop(venue, "BTC-USD", 2, ts_ns, ts_ns, *levels, 0, 0, 0.0, 0.0))

    async def get(self, path: str, **asked: Any) -> Any:
        answer = await self.http.get(path, params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def orders(self, universe: str = "majors", **asked: Any) -> Any:
        answer = await self.http.post(f"/api/portfolios/{universe}/rebalance", json=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, status: int, universe: str = "majors", **asked: Any) -> str:
        body = msgspec.json.encode(asked) if "raw" not in asked else asked["raw"]
        head = {"content-type": "application/json"}
        answer = await self.http.post(f"/api/portfolios/{universe}/rebalance", content=body, headers=head)
        assert answer.status_code == status, answer.text
        return str(answer.json()["detail"])


NUMBER = "give a number from 1E-12 to 1e+15"
LOTS = dict.fromkeys(ASSETS, 0.01)  # a default is asked of no asset then


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    async with serving(made.app, "127.0.0.1", 0) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as made.http:
            yield made
    made.store.close()


def plain(seq: int, ts_ns: int, universe: str = "auto") -> Frontier:
    """Return a frontier as it was before records told of prices and states."""
    full = frontier(seq, ts_ns, universe)
    values = {name: getattr(full, name) for name in Frontier.__struct_fields__[:13]}
    return Frontier(**values)


async def test_every_universe_is_listed_with_state_age_and_assets(site: Site) -> None:
    assert await site.get("/api/portfolios") == []
    now = time.time_ns()
    site.keep(plain(1, now - 3_600 * SECOND_NS, "before"))
    site.publish(frontier(1, now - 9 * SECOND_NS))
    site.publish(waiting(frontier(1, now - 9 * SECOND_NS), now, "XRP-USD has had no price for 9 s"))
    before, majors = await site.get("/api/portfolios")
    assert (before["universe"], before["state"], before["absent"]) == ("before", "LIVE", {})
    assert 3_600 <= before["age_s"] < 3_660
    assert majors["assets"] == ASSETS
    assert majors["picks"] == ["min_variance", "max_sharpe", "equal_weight"]
    assert (majors["state"], majors["reason"]) == ("WAITING", "XRP-USD has had no price for 9 s")
    assert 9 <= majors["age_s"] < 69  # of the prices that it is computed from
    assert (await site.get("/api/portfolios/before"))["frontier"]["seq"] == 1


async def test_a_universe_that_never_had_a_frontier_has_no_age(site: Site) -> None:
    site.publish(Frontier("new", 1, 5, 5, SECOND_NS, [], 0, 0, [], {}, [], [], [], "WAITING", "1 asset, needs 2"))
    (new,) = await site.get("/api/portfolios")
    assert (new["age_s"], new["reason"]) == (None, "1 asset, needs 2")
    assert await site.refused(409, "new", cash=1) == "new has no frontier yet: 1 asset, needs 2"


async def test_now_then_and_history_are_the_records_themselves(site: Site) -> None:
    rows = [frontier(seq, seq * SECOND_NS) for seq in range(1, 6)]
    for row in rows:
        site.publish(row)
    asked = "/api/portfolios/majors"
    as_json = [msgspec.json.decode(codec.encode(row)) for row in rows]
    assert (await site.get(asked))["frontier"] == as_json[-1]
    assert (await site.get(asked, at_ns=3 * SECOND_NS))["frontier"] == as_json[2]
    assert (await site.get(asked, at_ns=4 * SECOND_NS - 1))["frontier"] == as_json[2]
    history = f"{asked}/history"
    assert await site.get(history) == {"universe": "majors", "rows": as_json}
    assert (await site.get(history, limit=2))["rows"] == as_json[-2:]
    assert (await site.get(history, start_ns=2 * SECOND_NS, end_ns=4 * SECOND_NS))["rows"] == as_json[1:3]
    short = (await site.get(history, picks_only=True))["rows"]
    assert [row["picks"] for row in short] == [row["picks"] for row in as_json]
    assert not {"cloud", "frontier", "frontier_weights", "correlation"} & set(short[0])
    early = await site.http.get(asked, params={"at_ns": 1})
    assert (early.status_code, early.json()["detail"]) == (404, "majors: there is no frontier at or before 1")


async def test_an_unknown_universe_is_refused_with_those_that_there_are(site: Site) -> None:
    for path in ("nope", "nope/history"):
        answer = await site.http.get(f"/api/portfolios/{path}")
        said = "no universe 'nope'; there is none yet: each is there from the first price on"
        assert (answer.status_code, answer.json()["detail"]) == (404, said)
    site.publish(frontier(1, time.time_ns()))
    site.publish(plain(1, time.time_ns()))
    assert await site.refused(404, "nope") == "no universe 'nope'; there are auto, majors"


async def test_orders_are_in_lots_sales_first_and_cost_what_the_model_says(site: Site) -> None:
    site.publish(frontier(1, time.time_ns()))
    asked: dict[str, Any] = {
        "pick": "equal_weight",
        "holdings": {"BTC-USD": "1.00005", "ADA-USD": 10.0},
        "cash": 1000.0,
    }
    answer = await site.orders(**asked, lot_sizes={"SOL-USD": 1}, fee_bps=20)
    orders = {one["asset"]: one for one in answer["orders"]}
    assert [one["side"] for one in answer["orders"]] == ["sell", "buy", "buy", "buy", "buy"]
    assert answer["costs"] == {"fee_bps": 20.0, "spread_bps": 2.0, "impact_bps": 12.0}
    bitcoin = orders["BTC-USD"]
    assert (bitcoin["lot_size"], bitcoin["lot_of"], bitcoin["units"]) == (0.00001, "kraken", 0.79669)
    assert (orders["ETH-USD"]["lot_of"], orders["SOL-USD"]["lot_of"]) == ("kraken", "given")
    assert (orders["XRP-USD"]["lot_of"], orders["XRP-USD"]["lot_size"]) == ("default", 1e-8)
    assert orders["SOL-USD"]["units"] == int(orders["SOL-USD"]["units"])
    assert bitcoin["price_of"] == "frontier"
    assert 0.5 <= bitcoin["price_age_s"] < 60
    value = 1.00005 * PRICES["BTC-USD"] + 10 * PRICES["ADA-USD"] + 1000.0
    assert answer["value"] == pytest.approx(value)
    for asset, one in orders.items():
        assert one["notional"] == pytest.approx(one["units"] * PRICES[asset])
        share = one["notional"] / value
        assert one["cost"] == pytest.approx(one["notional"] * (20 + 1 + 12 * share) / 1e4)
    flows = sum(one["notional"] * (1 if one["side"] == "sell" else -1) - one["cost"] for one in answer["orders"])
    assert 0.0 <= answer["cash_left"] == pytest.approx(1000.0 + flows)
    assert answer["weights_target"] == dict.fromkeys(ASSETS, pytest.approx(0.2))
    assert answer["weights_before"]["BTC-USD"] == pytest.approx(1.00005 * 60_000 / value)
    assert answer["weights_after"]["BTC-USD"] == pytest.approx(0.2, abs=2e-3)


async def test_costs_are_the_universes_own_unless_given(site: Site) -> None:
    site.publish(frontier(1, time.time_ns()))
    asked: dict[str, Any] = {"weights": {"ADA-USD": 0.5}, "cash": 1e6}
    own = await site.orders(**asked)
    assert own["costs"] == {"fee_bps": 16.0, "spread_bps": 2.0, "impact_bps": 12.0}
    (order,) = own["orders"]
    assert order["cost"] == pytest.approx(order["notional"] * (16 + 1 + 12 * order["notional"] / 1e6) / 1e4)
    given = await site.orders(**asked, fee_bps=0, impact_bps=0)
    assert given["costs"] == {"fee_bps": 0.0, "spread_bps": 2.0, "impact_bps": 0.0}
    assert given["cost_bps"] == pytest.approx(0.5, rel=1e-6)
    site.publish(plain(1, time.time_ns()))  # it does not tell of costs
    usual = await site.orders("auto", **asked, prices=PRICES)
    assert usual["costs"] == {"fee_bps": 10.0, "spread_bps": 5.0, "impact_bps": 10.0}


async def test_what_is_not_traded_says_why(site: Site) -> None:
    site.publish(frontier(1, time.time_ns()))
    held = {"ADA-USD": 400.0, "BTC-USD": 0.003, "ETH-USD": 0.06, "SOL-USD": 1.4, "XRP-USD": 333.0}
    answer = await site.orders(pick="equal_weight", holdings=held, cash=70.0, band=0.03)
    assert answer["orders"] == []
    assert answer["not_traded"]["BTC-USD"].endswith("less than the band of 3.000%")
    lots = {"XRP-USD": 500}
    answer = await site.orders(pick="equal_weight", holdings=held, cash=70.0, min_trade=30, lot_sizes=lots)
    assert answer["not_traded"]["XRP-USD"] == "less than one lot of 500"
    assert answer["not_traded"]["ADA-USD"].endswith("is less than the least of 30.00")


async def test_weights_of_ones_own_and_a_pick_that_no_trade_is_worth(site: Site) -> None:
    good = frontier(1, time.time_ns())
    stays = msgspec.structs.replace(good.picks["max_sharpe"], weights=good.held, wanted=[0.0, 1.0, 0.0, 0.0, 0.0])
    stays = msgspec.structs.replace(stays, note="what is held stays: 1.00% to trade is less than 2.00%")
    site.publish(frontier(1, good.ts_event_ns, picks={"max_sharpe": stays}))
    answer = await site.orders(weights={"BTC-USD": 0.5}, cash=100_000)
    assert [(one["asset"], one["units"]) for one in answer["orders"]] == [("BTC-USD", 0.83333)]
    assert (answer["pick"], answer["cash_left"] > 49_000) == (None, True)
    kept = await site.orders(cash=100)
    assert len(kept["orders"]) == 4  # of ether a fifth is less than the least
    assert kept["note"] == (
        "what is held stays: 1.00% to trade is less than 2.00%; these orders lead to what the universe holds: give"
        " `wanted` for what would be best without costs"
    )
    assert kept["weights_target"]["BTC-USD"] == pytest.approx(0.2)
    assert (await site.orders(cash=100_000, wanted=True))["weights_target"]["BTC-USD"] == 1.0


async def test_the_newest_price_of_the_universes_own_source_is_used_and_a_book_in_doubt_has_none(site: Site) -> None:
    now = time.time_ns()
    site.publish(frontier(1, now - 5 * SECOND_NS))

    async def price(universe: str = "majors", asset: str = "BTC-USD") -> tuple[float, str]:
        answer = await site.orders(universe, weights={asset: 1}, cash=1e6)
        return answer["orders"][0]["price"], answer["orders"][0]["price_of"]

    site.book("kraken", 59_000.0, now - 60 * SECOND_NS)
    assert await price() == (60_000.0, "frontier")
    site.book("kraken", 61_000.0, now)
    site.book("bitstamp", 62_000.0, now + 1)  # newer, but not where the universe takes its price from
    assert await price() == (61_000.0, "kraken:BTC-USD")
    site.publish(Status("kraken", "BTC-USD", 3, now, now, "GAP", "sequence"))
    assert await price() == (60_000.0, "frontier")
    given = await site.orders(weights={"BTC-USD": 1}, cash=1e6, prices={"BTC-USD": 50_000})
    assert (given["orders"][0]["price"], given["orders"][0]["price_of"]) == (50_000.0, "given")
    named = [name.replace("BTC", "bitstamp:BTC") for name in ASSETS]
    sources = ["bitstamp:BTC-USD" if "BTC" in name else f"kraken:{name}" for name in ASSETS]
    site.publish(frontier(1, now - 5 * SECOND_NS, "venues", named, sources=sources))
    assert await price("venues", "bitstamp:BTC-USD") == (62_000.0, "bitstamp:BTC-USD")


async def test_a_row_that_tells_no_sources_goes_by_any_venue_and_the_coarsest_lot(site: Site) -> None:
    now = time.time_ns()
    site.publish(frontier(1, now - 5 * SECOND_NS, sources=[]))
    site.book("bitstamp", 62_000.0, now)
    (order,) = (await site.orders(weights={"BTC-USD": 1}, cash=1e6))["orders"]
    assert (order["price_of"], order["lot_of"], order["lot_size"]) == ("bitstamp:BTC-USD", "coinbase", 0.0001)
    small = await site.orders(weights={"BTC-USD": 1}, cash=15.0)  # kraken would not take it
    assert small["not_traded"]["BTC-USD"] == "0.0002 is less than the least order of 0.0003"


async def test_lots_are_those_of_the_venue_that_the_price_is_from(site: Site) -> None:
    sources = [f"coinbase:{name}" for name in ASSETS]
    site.publish(frontier(1, time.time_ns(), sources=sources))
    orders = {one["asset"]: one for one in (await site.orders(pick="equal_weight", cash=1e6))["orders"]}
    assert (orders["BTC-USD"]["lot_of"], orders["BTC-USD"]["lot_size"]) == ("coinbase", 0.0001)
    assert (orders["ETH-USD"]["lot_of"], orders["ETH-USD"]["lot_size"]) == ("default", 1e-8)  # kraken's is not its


async def test_records_without_prices_need_a_book_or_given_prices(site: Site) -> None:
    site.publish(plain(1, time.time_ns()))
    asked: dict[str, Any] = {"pick": "equal_weight", "cash": 1000}
    said = await site.refused(409, "auto", **asked)
    assert said == "there is no price of ADA-USD here: give one in prices"
    answer = await site.orders("auto", **asked, prices=PRICES)
    assert answer["cash_left"] >= 0
    assert len(answer["orders"]) == 5


async def test_old_and_waiting_frontiers_are_refused_unless_their_age_is_allowed(site: Site) -> None:
    now = time.time_ns()
    old = frontier(1, now - 100 * SECOND_NS)
    site.publish(old)
    said = await site.refused(409, cash=10)
    assert said.startswith("the frontier of majors is 10")
    assert re.search(r" s old, more than 60 s; wait for a newer one, or give max_age_s of 10\d or more$", said)
    site.publish(waiting(old, now, "BTC-USD has had no price for 100 s"))
    said = await site.refused(409, cash=10)
    assert said.startswith("majors is waiting (BTC-USD has had no price for 100 s): its last good frontier is 10")
    assert (await site.refused(409, cash=10, max_age_s=50)).startswith("the frontier of majors is 10")
    assert re.search(r" s old; give max_age_s of 10\d or more to use it$", said)
    site.publish(frontier(1, 1, "ancient"))
    assert " d old, more than 60 s; " in await site.refused(409, "ancient", cash=10)
    answer = await site.orders(cash=1e6, max_age_s=1000)
    assert 100 <= answer["age_s"] < 200
    assert all(one["price_age_s"] >= 100 for one in answer["orders"])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"pick": "best"}, "no pick 'best'; there are min_variance, max_sharpe, equal_weight"),
        (
            {"holdings": {"BTC-USDX": 1}},
            "holdings: majors has no asset 'BTC-USDX'; there are ADA-USD, BTC-USD, ETH-USD, SOL-USD, XRP-USD; did you"
            " mean BTC-USD?",
        ),
        (
            {"holdings": {"DOGE-USD": 1}},
            "holdings: DOGE-USD has left majors (no price for 90 s); leave it out, it is not traded",
        ),
        ({"holdings": {"BTC-USD": -1}}, "holdings of BTC-USD: -1 is no amount; give a number from 0 to 1e+15"),
        ({"holdings": {"BTC-USD": "NaN"}}, "holdings of BTC-USD: NaN is no amount; give a number from 0 to 1e+15"),
        ({"raw": b'{"cash": NaN, "pick": "equal_weight"}'}, "cash: NaN is no amount; give a number from 0 to 1e+15"),
        ({"holdings": {"BTC-USD": "1e999"}}, "holdings of BTC-USD: 1E+999 is no amount; give a number from 0 to 1e+15"),
        ({"holdings": {"BTC-USD": "x"}}, "BTC-USD: Input should be a valid decimal"),
        ({"cash": -5}, "cash: -5 is no amount; give a number from 0 to 1e+15"),
        ({}, "holdings and cash are worth 0 together: give more than 0 and at most 1e+15"),
        ({"cash": 1, "prices": {"BTC-USD": 0}}, "prices: 0 is no price of BTC-USD"),
        ({"cash": 1, "prices": {"BTC-USD": "1e-300"}}, "prices: 1E-300 is no price of BTC-USD"),
        *(
            ({"cash": 1, "lot_sizes": LOTS, "default_lot": lot}, f"default_lot: {lot} is no lot; {NUMBER}")
            for lot in (0, -1, "NaN", "Infinity", "-Infinity", "1E-13", "1E+16")
        ),
        ({"raw": b'{"cash": 1, "default_lot": Infinity}'}, f"default_lot: Infinity is no lot; {NUMBER}"),
        ({"weights": {"BTC-USD": 1}, "lot_sizes": {"ADA-USD": 0}}, f"lot_sizes of ADA-USD: 0 is no lot; {NUMBER}"),
        ({"weights": {"BTC-USD": 1}, "prices": {"ADA-USD": "-1"}}, "prices: -1 is no price of ADA-USD"),
        ({"weights": {"BTC-USD": 0.6, "ADA-USD": 1}}, "the weights sum to 1.6: at most 1, the rest stays cash"),
        (
            {"weights": {"BTC-USD": -0.5}},
            "the weight of BTC-USD: -0.5 is no share of the money; give a number from 0 to 1",
        ),
        ({"raw": b"cash=5"}, "the body is no JSON, from character 0 on: Expecting value"),
        ({"cash": 1, "fee_bps": 5000}, "fee_bps: Input should be less than or equal to 1000"),
        ({"cash": 1, "money": 1}, "money: Extra inputs are not permitted"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused_in_a_sentence(site: Site, asked: dict[str, Any], said: str) -> None:
    site.publish(frontier(1, time.time_ns(), picks=frontier(1, 1).picks))
    pick = {} if "raw" in asked or "pick" in asked else {"pick": "equal_weight"}
    assert await site.refused(422, **pick, **asked) == said


async def test_a_refusal_does_not_repeat_all_that_was_sent(site: Site) -> None:
    site.publish(frontier(1, time.time_ns()))
    name, pick = "n" * 60_000, {"pick": "equal_weight"}
    many: list[dict[str, Any]] = [
        *({what: {name: 1}} for what in ("holdings", "prices", "lot_sizes", "weights")),
        {"cash": "9" * 60_000}, {name: 1}, {"weights": {"BTC-USD": "9" * 60_000}},
    ]  # fmt: skip
    for asked in many:
        said = await site.refused(422, **pick, **asked)
        assert len(said) < 1_100
        assert " ... " in said
    said = await site.refused(422, **pick, holdings={name: 1})
    assert said.startswith("holdings: majors has no asset 'nnn")
    assert said.endswith(f"nnn'; there are {', '.join(ASSETS)}")
    for path in (f"portfolios/{name}", f"portfolios/{name}/history", name, f"{name}/x", f"search/{name}"):
        answer = await site.http.get(f"/api/{path}")
        assert (answer.status_code, len(answer.text) < 1_100) == (404, True)
    assert (await site.http.get("/nowhere")).json() == {"detail": "Not Found"}
    assert (await site.http.put("/api/portfolios")).headers["allow"] == "GET"


async def test_a_fallback_is_asked_for_by_its_name_and_short_weights_are_refused(site: Site) -> None:
    picks = frontier(1, 1).picks
    short = msgspec.structs.replace(picks["equal_weight"], weights=[0.6, 0.6, -0.2, 0.0, 0.0])
    now = time.time_ns()
    site.publish(frontier(1, now, picks={"max_sharpe_fallback": picks["min_variance"], "short": short}))
    assert await site.refused(422, cash=1) == (
        "no pick 'max_sharpe'; there are max_sharpe_fallback, short; max_sharpe_fallback stands in for it now: ask for"
        " that by its name"
    )
    said = "short sells ETH-USD short: orders are made for long-only portfolios only"
    assert await site.refused(422, pick="short", cash=1) == said


async def test_a_pick_that_borrows_is_refused(site: Site) -> None:
    pick = msgspec.structs.replace(frontier(1, 1).picks["equal_weight"], weights=[0.9, 0.6, 0.0, 0.0, 0.0])
    site.publish(frontier(1, time.time_ns(), picks={"lent": pick}))
    assert await site.refused(422, pick="lent", cash=10_000) == (
        "lent invests 1.5 of the money: orders are made without borrowing, so ask for weights of at most 1"
    )


async def test_money_of_two_currencies_is_not_added_up(site: Site) -> None:
    site.publish(frontier(1, time.time_ns(), assets=["BTC-EUR", "BTC-USD"], absent={}))
    said = "prices are in EUR and USD, which cannot be added up: give prices of all in one currency"
    assert await site.refused(422, pick="equal_weight", cash=1e6) == said
    answer = await site.orders(pick="equal_weight", cash=1e6, prices={"BTC-EUR": 60_000})
    assert len(answer["orders"]) == 2
