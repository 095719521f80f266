"""Venues' lists of symbols: real bodies, damaged ones, and what feeds and parsers make of them."""

import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from producers.exchanges.base import Parser
from producers.exchanges.binance_listings import read_exchange_info
from producers.exchanges.bitfinex_listings import PAIRS, read_pairs
from producers.exchanges.bitstamp_listings import read_markets as read_bitstamp
from producers.exchanges.coinbase_listings import read_products
from producers.exchanges.kraken_listings import read_asset_pairs
from producers.exchanges.listings import Listing, unlisted
from producers.exchanges.poloniex_listings import read_markets as read_poloniex
from producers.exchanges.venue import venues
from producers.frames import Frame
from quicksilver.errors import FrameError
from quicksilver.events import Trade
from quicksilver.records import DeadLetter

Read = Callable[[bytes, str], list[Listing]]
READERS: dict[str, Read] = {
    "binance": read_exchange_info, "binanceusdm": read_exchange_info, "bitfinex": read_pairs,
    "bitstamp": read_bitstamp, "coinbase": read_products, "coinbaseexchange": read_products,
    "kraken": read_asset_pairs, "poloniex": read_poloniex,
}  # fmt: skip
# What https://docs.bitfinex.com/reference/rest-public-conf shows of each list; there is no recording of it.
BITFINEX = (
    b'[[["BTCUSD",[null,null,null,"0.00006","2000.0",null,null,null,null,null,null,null]],'
    b'["DUSK:USD",[null,null,null,"22.0","250000.0",null,null,null,null,null,null,null]],'
    b'["ETHUST",[null,null,null,"0.0008","5000.0",null,null,null,null,null,null,null]]],'
    b'[["BTCF0:USTF0",[null,null,null,"0.00006","100.0",null,null,null,0.01,0.005,null,null]]],'
    b'[["UST","USDt"],["ALG","ALGO"],["LNX","LN-BTC"]]]'
)
BITSTAMP = (
    b'[{"name":"BTC/USD","market_symbol":"btcusd","base_currency":"BTC","base_decimals":8,"counter_currency":"USD",'
    b'"counter_decimals":0,"minimum_order_value":"10","trading":"Enabled","instant_order_counter_decimals":2},'
    b'{"name":"BTC/USD-PERP","market_symbol":"btcusd-perp","base_decimals":5,"counter_decimals":0,'
    b'"minimum_order_amount":"0.00001000","trading":"Disabled"}]'
)


def listing(venue: str, symbol: str, native: str, tick: str | None, lot: str, least: str | None) -> Listing:
    sizes = {"tick_size": tick, "lot_size": lot, "min_size": least}
    decimals = {name: None if size is None else Decimal(size) for name, size in sizes.items()}
    return Listing(venue, symbol, native, active=True, **decimals)


def recorded(tapes: Path, name: str, path: str) -> bytes:
    """A REST body that gocryptotrader recorded."""
    compressed = (tapes / f"gocryptotrader/{name}_http.json.zst").read_bytes()
    text = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(compressed)).read()
    return msgspec.json.encode(msgspec.json.decode(text)["routes"][path]["GET"][0]["data"])


def body(tapes: Path, venue: str) -> bytes:
    """A real body of each venue's list, where there is one."""
    folder = tapes / "nautilus"
    status = tapes / "coinbase-pro-node/ws/status/status.json"
    found: dict[str, Callable[[], bytes]] = {
        "binance": lambda: recorded(tapes, "binance", "/api/v3/exchangeInfo"),
        "binanceusdm": lambda: recorded(tapes, "binance", "/fapi/v1/exchangeInfo"),
        "bitfinex": lambda: BITFINEX,
        "bitstamp": lambda: recorded(tapes, "bitstamp", "/api/v2/trading-pairs-info/"),
        "coinbase": (folder / "coinbase/http_products.json").read_bytes,
        "coinbaseexchange": lambda: msgspec.json.encode(msgspec.json.decode(status.read_bytes())["products"]),
        "kraken": (folder / "kraken/http_asset_pairs.json").read_bytes,
        "poloniex": lambda: recorded(tapes, "poloniex", "/markets"),
    }
    return found[venue]()


@pytest.mark.parametrize(
    ("venue", "n", "first"),
    [
        ("binance", 25, listing("binance", "ETH-BTC", "ETHBTC", "0.00001000", "0.00010000", "0.00010000")),
        ("binanceusdm", 25, listing("binanceusdm", "BTC-USDT", "BTCUSDT", "0.10", "0.001", "0.001")),
        ("bitfinex", 4, listing("bitfinex", "BTC-USD", "tBTCUSD", None, "1e-8", "0.00006")),
        ("bitstamp", 103, listing("bitstamp", "BTC-USD", "btcusd", "0.01", "1e-8", None)),
        ("coinbase", 2, listing("coinbase", "BTC-USD", "BTC-USD", "0.01", "1e-8", "1e-8")),
        ("coinbaseexchange", None, listing("coinbaseexchange", "LINK-GBP", "LINK-GBP", "0.00001", "0.01", "1")),
        ("kraken", 1, listing("kraken", "BTC-USDT", "BTC/USDT", "0.1", "1e-8", "0.00005")),
        ("poloniex", 5, listing("poloniex", "BTC-USDT", "BTC_USDT", "0.01", "1e-6", "0.000001")),
    ],
)
def test_every_venues_list_is_read_from_a_real_body(tapes: Path, venue: str, n: int | None, first: Listing) -> None:
    listings = READERS[venue](body(tapes, venue), venue)
    assert listings[0] == first
    assert n is None or len(listings) == n
    assert len({one.symbol for one in listings}) == len({one.native for one in listings}) == len(listings)
    for one in listings:
        assert one.symbol == one.symbol.upper()
        assert "-" in one.symbol
        assert all(size is None or size > 0 for size in (one.tick_size, one.lot_size, one.min_size))


def test_bitfinex_coins_have_the_names_that_the_venue_says_and_futures_are_listed_too() -> None:
    found = {one.native: one.symbol for one in read_pairs(BITFINEX, "bitfinex")}
    assert found == {
        "tBTCUSD": "BTC-USD", "tDUSK:USD": "DUSK-USD", "tETHUST": "ETH-USDT", "tBTCF0:USTF0": "BTCF0-USTF0",
    }  # fmt: skip


def test_bitstamp_both_lists_are_read_and_what_is_not_traded_says_so() -> None:
    spot, perpetual = read_bitstamp(BITSTAMP, "bitstamp")
    assert spot == listing("bitstamp", "BTC-USD", "btcusd", "1", "1e-8", None)
    assert perpetual == Listing(
        "bitstamp", "BTC-USD-PERP", "btcusd-perp", Decimal(1), Decimal("1e-5"), Decimal("0.00001000"), False
    )


def test_kraken_writes_two_coins_otherwise_by_rest_and_keeps_small_letters(tapes: Path) -> None:
    pair = b'"altname":"XDGUSD","wsname":"XDG/USD","lot_decimals":8,"pair_decimals":7,"status":"cancel_only"'
    (one,) = read_asset_pairs(b'{"error":[],"result":{"XDGUSD":{%s}}}' % pair, "kraken")
    assert one == Listing("kraken", "DOGE-USD", "DOGE/USD", Decimal("1e-7"), Decimal("1e-8"), None, False)
    tokenized = (tapes / "nautilus/kraken/http_asset_pairs_tokenized.json").read_bytes()
    assert [(one.symbol, one.native) for one in read_asset_pairs(tokenized, "kraken")] == [("AAPLX-USD", "AAPLx/USD")]


def test_binance_a_quarterly_future_is_not_the_perpetual() -> None:
    symbol = b'{"symbol":"BTCUSDT%s","baseAsset":"BTC","quoteAsset":"USDT","status":"TRADING","filters":[]}'
    text = b'{"symbols":[%s,%s]}' % (symbol % b"", symbol % b"_270326")
    found = [(one.symbol, one.native) for one in read_exchange_info(text, "binanceusdm")]
    assert found == [("BTC-USDT", "BTCUSDT"), ("BTC-USDT_270326", "BTCUSDT_270326")]


@pytest.mark.parametrize("venue", sorted(READERS))
@pytest.mark.parametrize("damage", ["cut", "empty", "none", "foreign", "refused"])
def test_what_is_no_list_is_refused_in_a_sentence(tapes: Path, venue: str, damage: str) -> None:
    whole = body(tapes, venue)
    empty = b"[[],[],[]]" if venue == "bitfinex" else b'{"symbols":[],"products":[],"result":{},"error":[]}'
    text = {
        "cut": whole[: len(whole) // 2], "empty": empty if whole[:1] == empty[:1] else b"[]", "none": b"",
        "foreign": b"<html>not found</html>", "refused": b'{"error":["EGeneral:Internal error"],"code":-1003}',
    }[damage]  # fmt: skip
    with pytest.raises(FrameError):
        READERS[venue](text, venue)


@pytest.mark.parametrize(
    ("size", "why"), [('"x"', "not a step"), ('"-1"', "not a step"), ('"nan"', "not a step"), ("[]", "object|str")]
)
def test_a_step_that_is_none_is_refused(size: str, why: str) -> None:
    text = f'[{{"id":"A-B","quote_increment":{size}}}]'
    with pytest.raises(FrameError, match=why):
        read_products(text.encode(), "coinbaseexchange")


@pytest.mark.parametrize(
    ("symbol", "said"),
    [
        ("BTC-USDX", "v lists no BTC-USDX; did you mean BTC-USD, BTC-USDC or BTC-USDT?"),
        ("USD-BTC", "v lists no USD-BTC; did you mean BTC-USD?"),
        ("ETHUSD", "v lists no ETHUSD; did you mean ETH-USD?"),
        ("ZZZ-QQQ", "v lists no ZZZ-QQQ; `quicksilver symbols v` prints what it lists"),
    ],
)
def test_an_unknown_symbol_is_said_with_those_that_are_like_it(symbol: str, said: str) -> None:
    assert unlisted("v", symbol, ["BTC-USD", "BTC-USDT", "BTC-USDC", "ETH-USD", "DOGE-EUR"]) == said


@pytest.mark.parametrize("venue", sorted(READERS))
def test_a_feed_subscribes_to_what_is_listed_under_the_venues_own_name(tapes: Path, venue: str) -> None:
    text = body(tapes, venue)
    known = READERS[venue](text, venue)
    feed = venues()[venue].feed(venue, [known[0].symbol, "NOSUCH-COIN"])
    (said,) = feed.know(text)
    assert said.startswith(f"{venue} lists no NOSUCH-COIN; ")
    assert feed.symbols == [known[0].symbol]
    assert feed.native(known[0].symbol) == known[0].native
    assert all(known[0].native.lower() in message.lower() for message in feed.subscribe(feed.symbols))


class TestParsersThatAreTold:
    """A parser that has had the list reads names that it would guess wrongly."""

    @staticmethod
    def told(venue: str, text: bytes, url: str) -> tuple[Parser, list[DeadLetter]]:
        letters: list[DeadLetter] = []
        parser = venues()[venue].parser(venue, letters.append)
        assert parser.parse(Frame(venue, venue, "rest", 1, text, url)) == []
        return parser, letters

    def test_binance(self) -> None:
        text = b'{"symbols":[{"symbol":"ABBTCUSD","baseAsset":"ABBT","quoteAsset":"CUSD"}]}'
        parser, _ = self.told("binance", text, "https://api.test/api/v3/exchangeInfo?showPermissionSets=false")
        trade = b'{"e":"trade","E":5,"s":"ABBTCUSD","t":7,"p":"2.5","q":"4","T":5,"m":true}'
        events = parser.parse(Frame("binance", "b.1", "recv", 9, trade))
        assert events == [Trade("binance", "ABBT-CUSD", 1, 5_000_000, 9, 2.5, 4.0, "sell", "7")]
        assert parser.native("ABBT-CUSD") == "ABBTCUSD"

    def test_bitstamp(self) -> None:
        text = b'[{"name":"ABC/XYZ","market_symbol":"abcxyz"}]'
        parser, _ = self.told("bitstamp", text, "https://api.test/api/v2/markets/")
        data = b'{"id":5,"amount_str":"0.5","price_str":"10.25","type":1,"microtimestamp":"1700000000000001"}'
        trade = b'{"data":%s,"channel":"live_trades_abcxyz","event":"trade"}' % data
        (event,) = parser.parse(Frame("bitstamp", "b.1", "recv", 9, trade))
        assert event == Trade("bitstamp", "ABC-XYZ", 1, 1_700_000_000_000_001_000, 9, 10.25, 0.5, "sell", "5")

    def test_bitfinex(self) -> None:
        text = BITFINEX.replace(b'"ETHUST"', b'"ALGUST"')
        parser, _ = self.told("bitfinex", text, f"https://api.test{PAIRS.path}")
        parser.parse(
            Frame(
                "bitfinex", "b.1", "recv", 1, b'{"event":"subscribed","channel":"trades","chanId":3,"symbol":"tALGUST"}'
            )
        )
        (event,) = parser.parse(Frame("bitfinex", "b.1", "recv", 9, b'[3,"te",[11,5,-2,0.25]]'))
        assert event == Trade("bitfinex", "ALGO-USDT", 1, 5_000_000, 9, 0.25, 2.0, "sell", "11")

    @pytest.mark.parametrize("venue", sorted(READERS))
    def test_a_list_that_cannot_be_read_costs_nothing_but_a_dead_letter(self, venue: str) -> None:
        feed = venues()[venue].feed(venue, [], rest_url="https://api.test")
        parser, (letter,) = self.told(venue, b"<html>", feed.listings_url or "")
        assert letter.reason.startswith("not a list of symbols: ")
        assert parser.counts.rejected == 1

    @pytest.mark.parametrize("venue", sorted(READERS))
    def test_a_parser_knows_its_feeds_list(self, tapes: Path, venue: str) -> None:
        feed = venues()[venue].feed(venue, [], rest_url="https://api.test")
        parser, letters = self.told(venue, body(tapes, venue), feed.listings_url or "")
        assert letters == []
        assert len(parser.natives) == len(parser.our_names) > 0
        assert parser.counts.skipped == 1


def test_every_venue_has_a_list() -> None:
    assert {name for name, venue in venues().items() if venue.feed.listings} == set(READERS)


async def test_the_list_is_the_first_frame_so_that_a_tape_has_it() -> None:
    feed = venues()["bitfinex"].feed("bitfinex", ["BTC-USD"], "ws://127.0.0.1:1", "https://api.test")
    feed.know(BITFINEX)
    frames: Any = feed.frames()
    first = await anext(frames)
    await frames.aclose()
    assert (first.direction, first.conn, first.url, first.payload) == ("rest", "bitfinex", feed.listings_url, BITFINEX)
