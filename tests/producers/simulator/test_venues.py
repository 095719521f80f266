"""The simulated venues: their messages are read without a gap, are those of recordings, and errors are answered."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from producers.exchanges.base import Parser
from producers.exchanges.feed import Feed
from producers.exchanges.venue import venues
from producers.frames import Frame
from producers.simulator.listings import listing_of
from producers.simulator.orderflow import Market
from producers.simulator.venues.base import Answer, Message, VenueEngine
from producers.simulator.venues.registry import engine_of, engines
from producers.simulator.venues.window import Window
from producers.tapes.read import read_frames
from quicksilver.book import Book
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS, AnyEvent, BookDelta, BookSnapshot, Gap, Trade
from tests.producers.simulator.letters import Letters, strange
from tests.producers.test_listings import BITSTAMP, body

START_NS = 1_790_000_000 * SECOND_NS
SYMBOLS = ["BTC-USD", "DOGE-USD"]
NAMES = sorted(engines())
LEGACY = "cryptofeed/legacy"


def engine(name: str, rate: float = 3.0, symbols: list[str] | None = None) -> VenueEngine:
    made = engine_of(name)(Market(3, START_NS, [listing_of(one) for one in symbols or SYMBOLS], rate))
    made.watched.update(made.books)
    return made


class Listener:
    """A feed's requests to an engine, and all that is said, through the venue's own parser into books."""

    def __init__(self, name: str, made: VenueEngine) -> None:
        self.engine = made
        self.feed: Feed = venues()[name].feed(name, list(made.books))
        self.rejected: list[str] = []
        self.parser: Parser = venues()[name].parser(name, lambda letter: self.rejected.append(letter.reason))
        self.events: list[AnyEvent] = []
        self.books: dict[str, Book] = {}
        self.texts: list[str] = []
        self.wrong = 0
        self.fetch_listings()
        self.session = made.connect()
        for greeting in self.session.greeting:
            self.take(greeting)
        for request in (*self.feed.greeting(), *self.feed.subscribe(self.feed.symbols)):
            self.request(request)

    def fetch_listings(self) -> None:
        """Let feed and parser learn what the venue calls its symbols, as a run does before all else."""
        url = self.feed.listings_url
        assert url is not None
        body = self.engine.rest(url.removeprefix(self.feed.rest_url)).body
        assert self.feed.know(body) == []
        assert self.parser.parse(Frame(self.feed.venue, self.feed.venue, "rest", START_NS, body, url)) == []

    def request(self, text: str) -> None:
        for message in self.engine.request(self.session, text):
            self.feed.heed(message.text.encode())
            self.take(message)

    def take(self, said: Message | Answer, url: str | None = None) -> None:
        payload = said.body if isinstance(said, Answer) else said.text.encode()
        if isinstance(said, Message):
            self.texts.append(said.text)
        direction: Any = "rest" if url else "recv"
        found = self.parser.parse(Frame(self.feed.venue, "c", direction, self.engine.now_ns, payload, url))
        self.events += found
        for event in found:
            book = self.books.setdefault(event.symbol, Book())
            if isinstance(event, BookSnapshot):
                book.snapshot(event.bids, event.asks, event.depth)
            elif isinstance(event, BookDelta):
                assert not book.apply(event.bids, event.asks)
        if said.truth is not None and any(event.symbol == said.symbol for event in found):
            tops = self.books[said.symbol].top(10)
            self.wrong += [[tuple(level[:2]) for level in side.tolist()] for side in tops] != list(
                map(list, said.truth)
            )

    def step(self, n: int) -> None:
        for _ in range(n):
            for _, message in self.engine.step():
                self.take(message)

    def fetch(self) -> None:
        for symbol in self.feed.symbols:
            url = self.feed.snapshot_url(symbol)
            if url is not None:
                self.take(self.engine.rest(url.removeprefix(self.feed.rest_url)), url)


@pytest.mark.parametrize("name", NAMES)
def test_a_venue_is_read_without_a_gap_and_every_book_is_the_venues_own(name: str) -> None:
    listener = Listener(name, engine(name))
    listener.step(300)
    listener.fetch()
    listener.step(2_000)
    assert listener.rejected == []
    assert listener.wrong == 0
    assert not any(isinstance(event, Gap) for event in listener.events)
    for symbol in SYMBOLS:
        kinds = [type(event) for event in listener.events if event.symbol == symbol]
        assert kinds.count(BookSnapshot) == 1
        assert kinds.count(BookDelta) > 50
        assert kinds.count(Trade) > 20
    bids, asks = listener.books["BTC-USD"].levels
    assert min(bids, asks) >= {"kraken": 100, "poloniex": 20, "bitfinex": 250}.get(name, 900)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_market_gives_the_same_messages(name: str) -> None:
    both = [Listener(name, engine(name)) for _ in range(2)]
    for listener in both:
        listener.step(500)
    assert both[0].texts == both[1].texts


@pytest.mark.parametrize("name", NAMES)
def test_a_book_that_is_left_and_asked_for_again_goes_on(name: str) -> None:
    listener = Listener(name, engine(name))
    listener.step(100)
    listener.fetch()
    listener.step(200)
    again = [*listener.feed.unsubscribe_book("BTC-USD"), *listener.feed.subscribe_book("BTC-USD")]
    listener.parser.doubt("BTC-USD")
    listener.books["BTC-USD"].gap()
    for request in again:
        listener.request(request)
    listener.step(50)
    listener.fetch()
    listener.step(300)
    assert (listener.rejected, listener.wrong) == ([], 0)
    assert all(one.live for one in listener.parser.instruments.values())
    assert listener.parser.instruments["BTC-USD"].counts.resyncs == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_connection_that_has_gone_is_told_nothing(name: str) -> None:
    made = engine(name)
    first, second = Listener(name, made), Listener(name, made)
    made.disconnect(first.session)
    told = [session for _ in range(200) for session, _ in made.step()]
    assert set(told) == {second.session}


REAL: dict[str, tuple[str, Callable[[bytes], bool]]] = {
    "coinbase": ("cryptofeed/v3/COINBASE.jsonl.zst", lambda text: b'"candles"' not in text and b'"ticker"' not in text),
    "coinbaseexchange": (f"{LEGACY}/2021-04-17.3525dc8c.COINBASE.ws.28.0.zst", lambda text: b'"ticker"' not in text),
    "bitstamp": ("market-aggregator/2026-08-09-btc-usd.jsonl.gz", lambda text: b"diff_order_book" in text),
    "poloniex": (f"{LEGACY}/2022-08-21.723f776f.POLONIEX.ws.1.0.zst", lambda text: True),
    "binance": (f"{LEGACY}/2021-10-11.b90fa9b8.BINANCE.ws.1.0.zst", lambda text: b"depth" in text or b"aggTr" in text),
}


NOT_RECORDED = {
    "bitstamp": "live_trades", "binance": '"result"', "coinbaseexchange": "heartbeat", "coinbase": '"subscriptions"',
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_messages_have_the_letter_of_real_ones(name: str, tapes: Path) -> None:
    tape, counts = REAL[name]
    real, simulated = Letters(), Letters()
    for frame in read_frames(tapes / tape):
        if frame.direction == "recv" and frame.payload[:1] == b"{" and counts(frame.payload):
            real.add(frame.payload)
    listener = Listener(name, engine(name))
    listener.step(1_500)
    for text in listener.texts:
        if NOT_RECORDED.get(name, "?") not in text:
            simulated.add(text)
    assert strange(simulated, real) == []


def test_bitfinex_has_the_letter_of_real_messages(tapes: Path) -> None:
    real = {
        _as_letters(frame.payload)
        for frame in read_frames(tapes / LEGACY / "2021-04-05.1312c062.BITFINEX-58bafb.0.zst")
        if frame.direction == "recv"
    }
    listener = Listener("bitfinex", engine("bitfinex"))
    listener.request('{"event":"conf","flags":65536}')
    listener.texts.clear()
    listener.request('{"event":"unsubscribe","chanId":100000}')
    listener.texts.clear()
    listener.request('{"event":"subscribe","channel":"book","symbol":"tBTCUSD","prec":"P0","freq":"F0","len":"100"}')
    listener.step(3_000)
    assert {_as_letters(text.encode()) for text in listener.texts} - real == set()


def _as_letters(payload: bytes) -> str:
    """A message with its numbers taken out; lists of lists as one of them."""
    value = json.loads(payload)
    if isinstance(value, dict):
        return str([(key, type(inner).__name__) for key, inner in value.items()])
    body = [_length(inner) if isinstance(inner, list) else type(inner).__name__ for inner in value]
    return str([*body, value[1] if isinstance(value[1], str) else ""])


def _length(values: list[Any]) -> object:
    return [len(values[0])] if values and isinstance(values[0], list) else len(values)


def test_bitfinex_checksum_is_that_of_the_text() -> None:
    """The engine writes numbers as the venue does: the parser's checksum is of the text, the engine's of integers."""
    listener = Listener("bitfinex", engine("bitfinex", symbols=["XRP-BTC", "BTC-USD"]))
    listener.step(2_000)
    counts = [one.counts for one in listener.parser.instruments.values()]
    assert all(one.checksums_passed > 5 and one.checksums_failed == 0 for one in counts)


ERRORS: list[tuple[str, str, dict[str, Any]]] = [
    ("coinbase", '{"type":"subscribe","channel":"level2","product_ids":["XXX-USD"]}', {"type": "error"}),
    (
        "coinbaseexchange", '{"type":"subscribe","channels":["level2_batch"],"product_ids":["XXX-USD"]}',
        {"type": "error", "message": "Failed to subscribe", "reason": "XXX-USD is not a valid product"},
    ),
    ("kraken", '{"method":"subscribe","params":{"channel":"book","symbol":["XXX/USD"]}}', {"success": False}),
    (
        "bitstamp", '{"event":"bts:subscribe","data":{"channel":"diff_order_book_xxxusd"}}',
        {"event": "bts:error", "channel": "", "data": {"code": None, "message": "Bad subscription string."}},
    ),
    ("bitstamp", "hello", {"data": {"code": None, "message": "Incorrect JSON format."}}),
    ("bitstamp", '{"event":"bts:heartbeat"}', {"event": "bts:heartbeat", "channel": "", "data": {"status": "success"}}),
    (
        "bitfinex", '{"event":"subscribe","channel":"book","symbol":"tXXXUSD","prec":"P0"}',
        {"event": "error", "msg": "symbol: invalid", "code": 10300, "pair": "XXXUSD", "channel": "book"},
    ),
    (
        "bitfinex", '{"event":"subscribe","channel":"book","symbol":"tBTCUSD","prec":"P0"}',
        {"event": "error", "msg": "subscribe: dup", "code": 10301},
    ),
    ("bitfinex", '{"event":"subscribe","channel":"book","symbol":"tBTCUSD","len":"7"}', {"msg": "length: invalid"}),
    ("bitfinex", '{"event":"unsubscribe","chanId":1}', {"event": "error", "code": 10400}),
    ("poloniex", '{"event":"subscribe","channel":["book_lv2"],"symbols":["XXX_USD"]}', {"event": "error"}),
    ("poloniex", '{"event":"ping"}', {"event": "pong"}),
    ("binance", '{"method":"SUBSCRIBE","params":["xxxusd@depth"],"id":3}', {"result": None, "id": 3}),
    ("binance", '{"method":"ORDER","id":4}', {"id": 4}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "request_text", "expected"), ERRORS)
def test_what_cannot_be_met_is_answered_as_the_venue_does(
    name: str, request_text: str, expected: dict[str, Any]
) -> None:
    listener = Listener(name, engine(name))
    before = len(listener.texts)
    listener.request(request_text)
    (answer,) = map(json.loads, listener.texts[before:])
    assert {key: answer[key] for key in expected} == expected


REST = {
    "coinbase": ("/api/v3/brokerage/market/product_book?product_id={}&limit=5", "BTC-USD"),
    "coinbaseexchange": ("/products/{}/book?level=2", "BTC-USD"),
    "kraken": ("/0/public/Depth?pair={}&count=5", "XBTUSD"),
    "bitstamp": ("/api/v2/order_book/{}/", "btcusd"),
    "bitfinex": ("/v2/book/{}/P0?len=25", "tBTCUSD"),
    "poloniex": ("/markets/{}/orderBook?limit=20", "BTC_USD"),
    "binance": ("/api/v3/depth?symbol={}&limit=5", "BTCUSD"),
    "binanceusdm": ("/fapi/v1/depth?symbol={}&limit=5", "BTCUSD"),
}


@pytest.mark.parametrize("name", NAMES)
def test_rest_gives_the_book_and_refuses_what_there_is_not(name: str) -> None:
    made = engine(name)
    path, native = REST[name]
    answer = made.rest(path.format(native))
    best = made.truth("BTC-USD")
    assert (answer.status, answer.symbol, answer.truth) == (200, "BTC-USD", best)
    assert best is not None
    numbers = json.dumps(json.loads(answer.body)).replace('"', "")
    assert f"{best.bids[0][0]:.1f}".removesuffix(".0") in numbers
    assert f"{best.asks[0][0]:.1f}".removesuffix(".0") in numbers
    refused = made.rest(path.format("NOPE"))
    assert refused.status >= 400 or json.loads(refused.body)["error"]
    assert made.rest("/nowhere").status == 404


@pytest.mark.parametrize("name", NAMES)
def test_names_that_cannot_be_guessed_are_those_of_the_venues_list(name: str) -> None:
    """One coin has a short name at Bitfinex; the other pair's name can be cut in two in several ways."""
    symbols = ["ALGO-USD", "ABBT-CUSD"]
    listener = Listener(name, engine(name, symbols=symbols))
    listener.step(100)
    listener.fetch()
    listener.step(300)
    assert (listener.rejected, listener.wrong) == ([], 0)
    assert set(listener.parser.instruments) == set(symbols)
    assert all(one.live for one in listener.parser.instruments.values())


@pytest.mark.parametrize("name", NAMES)
def test_rest_lists_the_symbols_with_the_steps_of_their_prices_and_sizes(name: str) -> None:
    made = engine(name)
    listed = Listener(name, made).feed.listed
    assert set(listed) == set(SYMBOLS)
    for symbol, one in listed.items():
        listing = made.books[symbol].listing
        tick = None if name == "bitfinex" else Decimal(1).scaleb(-listing.price_decimals)
        assert (one.tick_size, one.lot_size) == (tick, Decimal(1).scaleb(-listing.qty_decimals))
        assert one.min_size == (None if name in {"bitstamp", "coinbaseexchange"} else one.lot_size)
        assert one.active


def _kinds_of_list(text: bytes) -> dict[str, set[str]]:
    """The kinds of values of a list, but for those of Kraken's, which are named after pairs."""
    letters, value = Letters(), json.loads(text)
    if isinstance(value, dict) and "result" in value:
        value["result"] = list(value["result"].values())
    letters.add(json.dumps(value))
    return letters.kinds


@pytest.mark.parametrize("name", NAMES)
def test_the_list_has_the_letter_of_real_ones(name: str, tapes: Path) -> None:
    real = _kinds_of_list(BITSTAMP if name == "bitstamp" else body(tapes, name))
    for path, kinds in _kinds_of_list(engine(name, symbols=["BTC-USD", "ETH-USDT"]).listings()).items():
        assert kinds <= real[path], path


def test_an_aged_book_is_told_once_as_it_was() -> None:
    made = engine("binance")
    url = REST["binance"][0].format("BTCUSD")
    before = made.rest(url).body
    made.age("BTC-USD")
    for _ in range(500):
        made.step()
    assert made.rest(url).body == before
    assert made.rest(url).body != before


def test_a_window_tells_what_leaves_and_what_comes_in() -> None:
    made = Market(5, START_NS, [listing_of("BTC-USD")], 5.0)
    book = made.books["BTC/USD"]
    window, shown = Window(book, 20), [dict(book.bids.lots), dict(book.asks.lots)]
    for side, ladder in zip(shown, (book.bids, book.asks), strict=True):
        for key in ladder.keys[20:]:
            del side[key]
    for _ in range(3_000):
        step = made.step()
        for side, changes in zip(shown, window.told(step.bids, step.asks), strict=True):
            for key, lots in changes:
                side[key] = lots
                if not lots:
                    del side[key]
        for side, ladder in zip(shown, (book.bids, book.asks), strict=True):
            assert side == {key: ladder.lots[key] for key in ladder.keys[:20]}


def test_any_two_coins_are_listed_and_nothing_else() -> None:
    assert listing_of("btc-usdt").price == listing_of("BTC/USD").price
    assert listing_of("FOO-USD") == listing_of("FOO/USD")
    for wrong in ("BTC", "BTC-", "-USD", "BTC-USD-EUR", ""):
        with pytest.raises(InputError, match="not a symbol"):
            listing_of(wrong)
