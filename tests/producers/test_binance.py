"""Binance's rules, on real recordings and on messages made for what those do not hold."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from producers.exchanges.binance import BinanceParser
from producers.exchanges.binanceusdm import VENUE as USDM
from producers.exchanges.venue import venues
from producers.frames import Frame
from producers.tapes import read_frames
from quicksilver.book import Book
from quicksilver.events import BookDelta, BookSnapshot, Gap, Trade
from tests.producers.faults import assert_sound, books_of, play, with_payload

COMBINED = "hftbacktest/spot/btcusdt_2024080{}.gz"
LEGACY = "cryptofeed/legacy/{}.zst"


def tape(tapes: Path, *names: str) -> list[Frame]:
    frames = [frame for name in names for frame in read_frames(tapes / name, venue="binance")]
    return sorted(frames, key=lambda frame: frame.ts_recv_ns)


@pytest.mark.parametrize(
    ("names", "books", "deltas", "trades"),
    [
        ([COMBINED.format(8), COMBINED.format(9)], 1, 6_493, 19_904),
        ([LEGACY.format("2021-04-05.1312c062.BINANCE-b38f7c.0")], 10, 4_642, 1_240),
        *(
            ([LEGACY.format(f"{day}.BINANCE{kind}") for kind in (".0", ".http.0.0", ".ws.1.0")], *counts)
            for day, *counts in (
                ("2021-04-17.3525dc8c", 10, 590, 24),
                ("2021-08-14.4fe02974", 4, 528, 28),
                ("2021-10-11.b90fa9b8", 4, 172, 2),
            )
        ),
    ],
)
def test_every_tape_bridges_its_books_without_a_gap_or_a_cross(
    tapes: Path, names: list[str], books: int, deltas: int, trades: int
) -> None:
    parser = BinanceParser()
    events = play(parser, tape(tapes, *names))
    assert_sound(events)
    assert [sum(isinstance(event, kind) for event in events) for kind in (BookSnapshot, BookDelta, Trade, Gap)] == [
        books, deltas, trades, 0,
    ]  # fmt: skip
    assert all(book.ready for book in books_of(events).values())
    assert parser.counts.rejected == 0


@pytest.mark.parametrize(
    ("torn", "lost"),
    [
        (b'{"e":"depthUpdate","s":"BTCUSDT","U":', ["BTC-USDT"]),  # and not BTC-USD, with which the name begins
        (b'{"stream":"btcusdt@depth@100ms","data":{"e":"dep', ["BTC-USDT"]),
        (b'{"e":"depthUpdate","s":"BTCUSDT_2709', ["BTC-USDT", "BTC-USD"]),  # of neither: it may be anybody's
    ],
)
def test_a_torn_message_is_a_loss_of_the_symbol_that_it_names_in_full(torn: bytes, lost: list[str]) -> None:
    parser, body = BinanceParser(), b'{"lastUpdateId":1,"bids":[["64.0","1.0"]],"asks":[["65.0","1.0"]]}'
    for pair in ("BTCUSDT", "BTCUSD"):
        parser.parse(Frame("binance", "c", "rest", 1, body, f"https://x/api/v3/depth?symbol={pair}"))
    assert [event.symbol for event in parser.parse(Frame("binance", "c", "recv", 2, torn))] == lost


@pytest.mark.parametrize("price", [b'"6\xb74.5"', b'"x"', b'"0"', b"[]"])
def test_best_prices_that_cannot_be_read_are_a_dead_letter(price: bytes) -> None:
    """They are read only for who compares; what cannot be read must not come out of the parser as an error."""
    letters: list[str] = []
    parser = BinanceParser(reject=lambda letter: letters.append(letter.reason))
    parser.observers.append(lambda _: None)
    body = b'{"lastUpdateId":1,"bids":[["64.0","1.0"]],"asks":[["65.0","1.0"]]}'
    url = "https://x/api/v3/depth?symbol=BTCUSDT"
    parser.parse(Frame("binance", "c", "rest", 1, body, url))
    ticker = b'{"u":2,"s":"BTCUSDT","b":%s,"B":"1.0","a":"65.0","A":"1.0"}' % price
    events = parser.parse(Frame("binance", "c", "recv", 2, ticker))
    assert [type(event) for event in events] == [Gap]
    assert len(letters) == parser.counts.rejected == 1


def test_the_best_prices_are_those_that_the_venue_says(tapes: Path) -> None:
    """A bookTicker after change ``u`` has the best levels of the book after that change: a second oracle."""
    parser, book, compared = BinanceParser(), Book(), 0
    tickers: dict[int, list[float]] = {}
    for frame in tape(tapes, COMBINED.format(8)):
        message = msgspec.json.decode(frame.payload)
        data = message.get("data", message)
        if "@bookTicker" in message.get("stream", ""):
            tickers[data["u"]] = [float(data[key]) for key in ("b", "B", "a", "A")]
        for event in parser.parse(frame):
            if isinstance(event, BookSnapshot):
                book.snapshot(event.bids, event.asks)
            elif isinstance(event, BookDelta):
                book.apply(event.bids, event.asks)
        if data.get("e") == "depthUpdate" and book.ready and data["u"] in tickers:
            bids, asks = book.top(1)
            assert [*bids[0, :2], *asks[0, :2]] == tickers[data["u"]]
            compared += 1
    assert compared > 500


def depth(first: int, last: int, before: int | None = None, ms: int = 1_000, bid: str = "99") -> Frame:
    chain = "" if before is None else f'"pu":{before},'
    text = f'{{"e":"depthUpdate","E":{ms},"s":"BTCUSDT","U":{first},"u":{last},{chain}"b":[["{bid}","1"]],"a":[]}}'
    return Frame("binance", "c", "recv", 5, text.encode())


def rest(last: int, url: str | None = "https://x/api/v3/depth?limit=5000&symbol=BTCUSDT", time: str = "") -> Frame:
    text = f'{{"lastUpdateId":{last},{time}"bids":[["98","1"]],"asks":[["101","1"]]}}'
    return Frame("binance", "c", "rest", 7_000_000, text.encode(), url)


def kinds(frames: list[Frame], parser: BinanceParser | None = None) -> list[str]:
    return [type(event).__name__ for event in play(parser or BinanceParser(), frames)]


def test_changes_kept_before_the_book_follow_it() -> None:
    parser = BinanceParser()
    events = play(parser, [depth(1, 5, ms=1), depth(6, 9, ms=2), depth(10, 12, ms=3), rest(7), depth(13, 13, ms=4)])
    assert [(type(event).__name__, event.ts_event_ns // 10**6) for event in events] == [
        ("BookSnapshot", 1), ("BookDelta", 2), ("BookDelta", 3), ("BookDelta", 4),
    ]  # fmt: skip
    counts = parser.instruments["BTC-USDT"].counts
    assert (counts.duplicates, counts.skipped, counts.frames) == (1, 0, 5)


def test_a_book_older_than_all_that_was_kept_is_refused_once_and_the_next_one_bridges() -> None:
    frames = [depth(10, 12), rest(7), rest(8), depth(13, 15), rest(14)]
    assert kinds(frames) == ["Gap", "BookSnapshot", "BookDelta"]


@pytest.mark.parametrize("url", [None, "rest?symbol=BTC-USDT"])
def test_a_book_of_a_tape_that_does_not_give_the_venues_address(url: str | None) -> None:
    assert kinds([depth(1, 5), rest(5, url)]) == ["BookSnapshot"]


def test_lost_messages_are_a_gap_and_what_came_after_bridges_to_the_next_book() -> None:
    frames = [depth(1, 5), rest(5), depth(8, 9), depth(10, 11), rest(9), depth(12, 12)]
    assert kinds(frames) == ["BookSnapshot", "Gap", "BookSnapshot", "BookDelta", "BookDelta"]


def test_a_loss_among_the_kept_is_a_gap_after_the_book() -> None:
    frames = [depth(1, 5), depth(8, 9), depth(10, 10), rest(5), rest(9)]
    assert kinds(frames) == ["BookSnapshot", "Gap", "BookSnapshot", "BookDelta"]


def test_repeated_and_overlapping_changes() -> None:
    frames = [rest(5), depth(4, 5), depth(6, 8), depth(6, 8), depth(7, 9)]
    parser = BinanceParser()
    parser.instrument("BTC-USDT")
    assert kinds(frames, parser) == ["BookSnapshot", "BookDelta", "BookDelta"]
    assert parser.instruments["BTC-USDT"].counts.duplicates == 2


def test_futures_are_chained_by_the_message_before() -> None:
    frames = [depth(1, 5, 0), depth(20, 25, 5), rest(22), depth(40, 41, 25), depth(45, 46, 43)]
    assert kinds(frames, USDM.parser(USDM.name)) == ["BookSnapshot", "BookDelta", "BookDelta", "Gap"]  # type: ignore[arg-type]


def test_futures_books_have_a_time_of_their_own() -> None:
    (snapshot,) = play(BinanceParser(), [rest(5, time='"E":6,')])
    assert snapshot.ts_event_ns == 6_000_000


def test_a_books_parser_forgets_what_it_kept_when_the_connection_breaks() -> None:
    broken = Frame("binance", "c", "disconnect", 6, b"")
    parser = BinanceParser()
    assert kinds([depth(1, 5), broken, rest(3), depth(7, 8)], parser) == ["BookSnapshot", "Gap"]


def trade(kind: str, number: int, maker: str = "true") -> Frame:
    key = "t" if kind == "trade" else "a"
    text = f'{{"e":"{kind}","E":3,"s":"BTCUSDT","{key}":{number},"p":"10.5","q":"2","T":2,"m":{maker}}}'
    return Frame("binance", "c", "recv", 5, f'{{"stream":"btcusdt@{kind}","data":{text}}}'.encode())


def test_trades_take_the_takers_side_and_only_one_kind_of_them_counts() -> None:
    frames = [trade("aggTrade", 7), trade("trade", 100), trade("aggTrade", 7), trade("aggTrade", 8, "false")]
    parser = BinanceParser()
    assert play(parser, frames) == [
        Trade("binance", "BTC-USDT", 1, 2_000_000, 5, 10.5, 2.0, "sell", "7"),
        Trade("binance", "BTC-USDT", 2, 2_000_000, 5, 10.5, 2.0, "buy", "8"),
    ]
    counts = parser.instruments["BTC-USDT"].counts
    assert (counts.skipped, counts.duplicates) == (1, 1)


def test_what_a_pair_is_made_of_is_taken_from_the_venue_where_it_says() -> None:
    listing = b'{"symbols":[{"symbol":"BTCUSDT","baseAsset":"BTCU","quoteAsset":"SDT"}]}'
    info = Frame("binance", "c", "rest", 1, listing, "https://api.binance.com/api/v3/exchangeInfo")
    parser = BinanceParser()
    assert kinds([info, depth(1, 5), rest(5)], parser) == ["BookSnapshot"]
    assert list(parser.instruments) == ["BTCU-SDT"]


def test_messages_of_the_futures_documentation(tapes: Path) -> None:
    """Each kind of message is taken or skipped, none is refused."""
    parser = USDM.parser(USDM.name)
    files = sorted((tapes / "nautilus/binance/futures/market_data_json").iterdir())
    events = [parser.parse(Frame(USDM.name, "c", "recv", 1, file.read_bytes())) for file in files]
    assert [len(one) for file, one in zip(files, events, strict=True) if "trade" in file.name] == [1, 0]  # one kind
    assert parser.counts.rejected == 0


@pytest.mark.parametrize(
    ("venue", "symbols", "levels", "weight"),
    [("binance", 24, 5000, 250), ("binance", 25, 1000, 50), ("binance", 1000, 500, 25), ("binanceusdm", 50, 1000, 20)],
)
def test_books_are_fetched_as_deep_as_lets_all_be_there_within_a_minute(
    venue: str, symbols: int, levels: int, weight: float
) -> None:
    feed = venues()[venue].feed(venue, [f"C{n}-USDT" for n in range(symbols)])
    assert f"?limit={levels}&symbol=C0USDT" in (feed.snapshot_url("C0-USDT") or "")
    assert feed.book_weight == weight


def test_refusals_and_junk_touch_no_book() -> None:
    parser = BinanceParser()
    play(parser, [depth(1, 5), rest(5)])
    for text in ('{"error":{"code":2,"msg":"Invalid request"},"id":1}', '{"code":-1121,"msg":"Invalid symbol."}', "{}"):
        assert play(parser, [with_payload(depth(1, 1), text.encode())]) == []
    assert parser.counts.rejected == 3
    assert parser.instruments["BTC-USDT"].live


def test_event_times_rise_across_a_book(tapes: Path) -> None:
    events = play(BinanceParser(), tape(tapes, COMBINED.format(8)))
    deltas = [event.ts_event_ns for event in events if isinstance(event, BookSnapshot | BookDelta)]
    assert all(before <= after for before, after in pairwise(deltas))
