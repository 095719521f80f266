"""Coinbase Exchange's full channel: real messages, the real book of 110,000 orders, and the bridge between them."""

import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.exchanges.coinbase import CoinbaseParser
from producers.exchanges.coinbaseexchange import CoinbaseExchangeOrdersFeed
from producers.exchanges.venue import feed_of
from producers.frames import Frame
from quicksilver.errors import InputError
from quicksilver.events import BookDelta, BookSnapshot, Trade
from quicksilver.orders import QueuePosition
from quicksilver.records import DeadLetter
from tests.producers.faults import assert_sound, books_of, play

NOW = 1_755_503_206_000_000_000
TIME = "2025-08-18T07:46:46.500000Z"
URL = "https://api.exchange.coinbase.com/products/ETH-USD/book?level=3"


def told(kind: str, sequence: int, **fields: object) -> Frame:
    body = {"type": kind, "product_id": "ETH-USD", "sequence": sequence, "time": TIME, **fields}
    return Frame("coinbaseexchange", "c", "recv", NOW, msgspec.json.encode(body))


def opened(sequence: int, order: str, side: str, price: str, size: str) -> Frame:
    return told("open", sequence, order_id=order, side=side, price=price, remaining_size=size)


def whole(sequence: int, bids: list[list[str]], asks: list[list[str]]) -> Frame:
    body = {"sequence": sequence, "bids": bids, "asks": asks, "auction_mode": False, "time": TIME}
    return Frame("coinbaseexchange", "c", "rest", NOW, msgspec.json.encode(body), URL)


def new_parser() -> CoinbaseParser:
    return CoinbaseParser("coinbaseexchange")


BOOK = whole(10, [["99", "1", "a"], ["99", "2", "b"], ["98", "5", "c"]], [["101", "0.5", "d"]])


def kinds(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_recorded_messages_change_the_book_that_they_follow(tapes: Path) -> None:
    """The sample's numbers have a hole, where messages of another product were; the hole is filled here."""
    messages = msgspec.json.decode((tapes / "bbgo/coinbase_TestStreamFull.json").read_bytes())[1:]
    frames, expected = [], {}
    for one in messages:
        frames.append(Frame("coinbaseexchange", "c", "recv", NOW, msgspec.json.encode(one)))
        if one["type"] == "open":
            expected[one["order_id"]] = (float(one["price"]), float(one["remaining_size"]))
        elif one["type"] == "change":
            expected[one["order_id"]] = (float(one["new_price"]), float(one["new_size"]))
        elif one["type"] == "done":
            expected.pop(one["order_id"], None)
    first = messages[0]["sequence"]
    before: dict[str, tuple[list[list[str]], str]] = {"buy": ([], "bids"), "sell": ([], "asks")}
    for one in messages:
        if one["type"] == "change":
            before[one["side"]][0].append([str(one["old_price"]), str(one["old_size"]), one["order_id"]])
        elif one["type"] == "done":
            before[one["side"]][0].append([str(one["price"]), str(one["remaining_size"]), one["order_id"]])
    parser = new_parser()
    events = play(parser, [frames[0], whole(first, before["buy"][0], before["sell"][0]), *frames[1:]])
    assert_sound(events)
    assert "Gap" not in kinds(events)
    book = parser.orders("ETH-USD")
    assert book is not None
    found = {
        order.id: (order.price, order.size)
        for side in (0, 1)
        for price in book.prices(side)
        for order in book.queue(side, price)
    }
    assert found == expected


def test_the_real_book_of_all_orders_folds_to_its_levels(tapes: Path) -> None:
    data = gzip.decompress((tapes / "bmoscon-orderbook/coinbase_btcusd_l3_snapshot.json.gz").read_bytes())
    parser = new_parser()
    url = URL.replace("ETH-USD", "BTC-USD")
    [event] = parser.parse(Frame("coinbaseexchange", "c", "rest", 1_786_133_050_000_000_000, data, url))
    assert isinstance(event, BookSnapshot)
    rows = msgspec.json.decode(data)
    for side, levels, counts in (("bids", event.bids, event.bid_counts), ("asks", event.asks, event.ask_counts)):
        sizes: dict[float, Decimal] = {}
        numbers: dict[float, int] = {}
        for price, size, _ in rows[side]:
            sizes[float(price)] = sizes.get(float(price), Decimal(0)) + Decimal(size)
            numbers[float(price)] = numbers.get(float(price), 0) + 1
        assert levels.tolist() == [[price, float(size)] for price, size in sizes.items()]
        assert counts == tuple(numbers.values())
    book = parser.orders("BTC-USD")
    assert book is not None
    assert len(book) == len(rows["bids"]) + len(rows["asks"]) > 100_000
    level2 = gzip.decompress((tapes / "bmoscon-orderbook/coinbase_btcusd_l2_snapshot.json.gz").read_bytes())
    theirs = {float(price): (float(size), n) for price, size, n in msgspec.json.decode(level2)["bids"]}
    ours = {price: (size, n) for (price, size), n in zip(event.bids, event.bid_counts, strict=True)}  # type: ignore[arg-type]
    same = sum(ours.get(price) == level for price, level in theirs.items())
    assert same > 0.98 * len(theirs)  # it was taken two seconds before


def test_messages_are_bridged_by_their_numbers() -> None:
    parser = new_parser()
    frames = [
        told("received", 9, order_id="e", side="buy", price="100", size="1"),
        told("match", 10, maker_order_id="a", side="buy", price="99", size="1", trade_id=7),  # in the book already
        opened(11, "e", "buy", "100", "0.25"),
        BOOK,
        told("done", 12, order_id="zzz", side="buy", price="1", reason="canceled", remaining_size="1"),
        told("match", 13, maker_order_id="a", taker_order_id="x", side="buy", price="99", size="0.75", trade_id=8),
        told("change", 14, order_id="b", side="buy", price="99", old_size="2", new_size="1.5"),
        told("change", 15, order_id="d", reason="modify_order", new_price="102", new_size="3", side="sell"),
        told("done", 16, order_id="c", side="buy", price="98", reason="canceled", remaining_size="5"),
        told("done", 16, order_id="a", side="buy", price="99", reason="canceled", remaining_size="5"),
    ]
    events = play(parser, frames)
    assert_sound(events)
    assert kinds(events) == ["Trade", "BookSnapshot", *["BookDelta", "Trade"], *["BookDelta"] * 3]
    assert isinstance(events[1], BookSnapshot)
    assert (list(events[1].bids), events[1].bid_counts) == ([[100.0, 0.25], [99.0, 3.0], [98.0, 5.0]], (1, 2, 1))
    assert [(list(one.bids), list(one.asks)) for one in events if isinstance(one, BookDelta)] == [
        ([[99.0, 2.25]], []), ([[99.0, 1.75]], []), ([], [[101.0, 0.0], [102.0, 3.0]]), ([[98.0, 0.0]], []),
    ]  # fmt: skip
    assert [one.side for one in events if isinstance(one, Trade)] == ["sell", "sell"]
    book = parser.orders("ETH-USD")
    assert book is not None
    assert (book.queue_position("b"), book.queue_position("c")) == (QueuePosition(1, 0.25), None)
    assert parser.instruments["ETH-USD"].counts.duplicates == 1


def test_a_lost_message_is_a_gap_and_only_of_its_product() -> None:
    parser = new_parser()
    other = msgspec.structs.replace(BOOK, url=URL.replace("ETH", "BTC"))
    events = play(parser, [BOOK, other, opened(12, "e", "buy", "100", "1"), opened(13, "f", "buy", "97", "1")])
    assert [(type(event).__name__, event.symbol) for event in events] == [
        ("BookSnapshot", "ETH-USD"), ("BookSnapshot", "BTC-USD"), ("Gap", "ETH-USD"),
    ]  # fmt: skip
    assert parser.orders("BTC-USD") is not None
    old = parser.parse(whole(10, [["99", "1", "a"]], []))
    assert kinds(old) == []  # it bridges nothing, which was said with the gap
    [event] = parser.parse(whole(12, [["99", "1", "a"], ["100", "1", "e"]], []))
    assert isinstance(event, BookSnapshot)
    assert list(event.bids) == [[100.0, 1.0], [99.0, 1.0], [97.0, 1.0]]


def test_what_was_kept_before_a_loss_is_no_bridge() -> None:
    parser = new_parser()
    frames = [opened(5, "e", "buy", "1", "1"), opened(8, "f", "buy", "2", "1"), whole(5, [["3", "1", "g"]], [])]
    assert kinds(play(parser, frames)) == ["Gap"]  # at 5 there is no book to which 8 would be the next
    assert kinds(parser.parse(whole(7, [["3", "1", "g"]], []))) == ["BookSnapshot"]


def test_numbers_that_begin_anew_are_a_gap() -> None:
    parser = new_parser()
    events = play(parser, [BOOK, opened(11, "e", "buy", "1", "1"), opened(0, "f", "buy", "2", "1")])
    assert kinds(events) == ["BookSnapshot", "BookDelta", "Gap"]
    assert kinds(parser.parse(whole(0, [["3", "1", "g"]], []))) == ["BookSnapshot"]
    assert kinds(parser.parse(opened(1, "h", "buy", "2", "1"))) == ["BookDelta"]


def test_of_both_channels_the_first_whole_book_feeds_it() -> None:
    levels = {"type": "snapshot", "product_id": "ETH-USD", "bids": [["50", "1"]], "asks": [["60", "1"]]}
    change = {"type": "l2update", "product_id": "ETH-USD", "time": TIME, "changes": [["buy", "51", "1"]]}
    both = [Frame("coinbaseexchange", "c", "recv", NOW, msgspec.json.encode(one)) for one in (levels, change)]
    parser = new_parser()
    assert kinds(play(parser, [opened(10, "e", "buy", "1", "1"), BOOK, *both])) == ["BookSnapshot"]
    parser.doubt("ETH-USD")
    events = play(parser, [*both, opened(11, "f", "buy", "97", "1"), whole(11, [["1", "1", "q"]], [])])
    assert kinds(events) == ["BookSnapshot", "BookDelta"]
    assert parser.orders("ETH-USD") is None


def test_matches_alone_are_as_they_were() -> None:
    parser = new_parser()
    events = play(parser, [told("match", 500 + n, side="sell", price="9", size="1", trade_id=n) for n in (1, 3, 3, 1)])
    assert kinds(events) == ["Trade", "Trade"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["open", "done", "match", "change", "received"]),
            st.sampled_from("abcdef"),
            st.sampled_from(["97.5", "98", "98.25"]),
            st.sampled_from(["0.1", "0.2", "1.00000001"]),
        ),
        max_size=40,
    )
)
def test_levels_are_the_sums_of_the_orders(steps: list[tuple[str, str, str, str]]) -> None:
    held: dict[str, tuple[str, Decimal]] = {}
    frames = [whole(0, [["1", "1", "z"]], [["101", "1", "y"]])]
    for n, (kind, order, price, size) in enumerate(steps, 1):
        names = {"maker_order_id": order, "trade_id": n} if kind == "match" else {"order_id": order}
        frames.append(
            told(
                kind,
                n,
                **names,
                side="buy",
                price=price,
                size=size,
                remaining_size=size,
                new_size=size,
                new_price=price,
            )
        )
        if kind == "open" or (kind == "change" and order in held):
            held[order] = (price, Decimal(size))
        elif kind == "done" or (kind == "match" and order in held and held[order][1] <= Decimal(size)):
            held.pop(order, None)
        elif kind == "match" and order in held:
            held[order] = (held[order][0], held[order][1] - Decimal(size))
    parser = new_parser()
    events = play(parser, frames)
    assert_sound(events)
    sizes: dict[float, Decimal] = {1.0: Decimal(1)}
    for price, left in held.values():
        sizes[float(price)] = sizes.get(float(price), Decimal(0)) + left
    bids, _ = books_of(events)["ETH-USD"].top(10)
    assert {price: size for price, size, _ in bids.tolist()} == {price: float(size) for price, size in sizes.items()}


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "open", "order_id": "e", "side": "none", "price": "1", "remaining_size": "1"},
        {"type": "open", "order_id": "e", "side": "buy", "price": "0", "remaining_size": "1"},
        {"type": "open", "order_id": "e", "side": "buy", "price": "1", "remaining_size": "-1"},
        {"type": "change", "order_id": "a", "new_size": "x"},
        {"type": "match", "maker_order_id": "a", "size": None},
        {"type": "done", "order_id": "a", "sequence": -5},
        {"type": "done", "order_id": "a", "time": "yesterday"},
    ],
)
def test_what_cannot_be_read_is_a_dead_letter_and_a_gap(fields: dict[str, object]) -> None:
    letters: list[DeadLetter] = []
    parser = CoinbaseParser("coinbaseexchange", letters.append)
    body = {"product_id": "ETH-USD", "sequence": 11, "time": TIME, **fields}
    events = play(parser, [BOOK, Frame("coinbaseexchange", "c", "recv", NOW, msgspec.json.encode(body))])
    assert kinds(events) == ["BookSnapshot", "Gap"]
    assert len(letters) == 1


def test_a_book_that_cannot_be_read_is_missed_only_where_one_is_waited_for() -> None:
    parser = new_parser()
    torn = msgspec.structs.replace(BOOK, payload=BOOK.payload[:50])
    play(parser, [opened(9, "e", "buy", "1", "1")])
    assert kinds(parser.parse(torn)) == ["Gap"]
    assert kinds(parser.parse(BOOK)) == ["BookSnapshot"]
    assert kinds(parser.parse(torn)) == []
    assert parser.instruments["ETH-USD"].live


def test_the_feed_subscribes_to_all_orders() -> None:
    feed = feed_of("coinbaseexchange/orders", ["ETH-USD"])
    assert isinstance(feed, CoinbaseExchangeOrdersFeed)
    assert msgspec.json.decode(feed.subscribe(["ETH-USD"])[0])["channels"] == ["full", "heartbeat"]
    assert feed.snapshot_url("ETH-USD") == URL
    with pytest.raises(InputError, match=r"poloniex has no feed 'orders'; there are .*bitstamp/orders"):
        feed_of("poloniex/orders", [])
    with pytest.raises(InputError, match="unknown venue 'mtgox'"):
        feed_of("mtgox/orders", [])


def test_a_book_of_levels_is_not_taken_for_one_of_orders() -> None:
    parser = new_parser()
    levels = msgspec.structs.replace(BOOK, url=URL.replace("level=3", "level=2"))
    assert parser.parse(levels) == []
    assert kinds(parser.parse(BOOK)) == ["BookSnapshot"]
    assert parser.parse(BOOK) == []  # it is live
