"""Bitfinex's raw books: real messages, the checksum in both orders, and the same levels as a model's."""

from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from zlib import crc32

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.exchanges.bitfinex import BitfinexParser
from producers.exchanges.bitfinex_feed import BitfinexOrdersFeed
from producers.exchanges.venue import feed_of
from producers.frames import Frame
from quicksilver.events import BookDelta, BookSnapshot, Gap, Levels
from quicksilver.orders import QueuePosition
from quicksilver.records import DeadLetter
from tests.producers.faults import assert_sound, books_of, play

NOW = 1_600_000_000_000_000_000
RAW = '{"event":"subscribed","channel":"book","chanId":5,"symbol":"tBTCUST","prec":"R0","freq":"F0","len":"250"}'
P0 = '{"event":"subscribed","channel":"book","chanId":6,"symbol":"tBTCUST","prec":"P0","freq":"F0","len":"25"}'
WHOLE = "[5,[[11,100,1],[13,100,2.5],[12,99,1e-7],[21,101,-0.25],[22,102,-3]]]"


def frame(text: str) -> Frame:
    return Frame("bitfinex", "c", "recv", NOW, text.encode())


def parser_of_orders(*texts: str) -> BitfinexParser:
    parser = BitfinexParser()
    play(parser, [frame(text) for text in (RAW, *texts)])
    return parser


def checksum(bids: list[tuple[int, str]], asks: list[tuple[int, str]]) -> int:
    texts = [f"{number}:{amount}" for two in zip_longest(bids, asks) for number, amount in filter(None, two)]
    found = crc32(":".join(texts).encode())
    return found - (1 << 32) if found >> 31 else found


def test_recorded_raw_books(tapes: Path) -> None:
    """The change moves an order of the whole book to another price."""
    lines = (tapes / "crypto-msg-parser/bitfinex.jsonl").read_text().splitlines()
    raw = [msgspec.json.decode(line) for line in lines if '"R0' in line or 'R0\\"' in line]
    whole, update = (msgspec.json.decode(one["raw"]) for one in raw[:2])
    texts = [RAW, *(msgspec.json.encode([5, body]).decode() for _, body in (whole, update))]
    events = play(BitfinexParser(), [frame(text) for text in texts])
    assert events == [
        BookSnapshot(
            "bitfinex", "BTC-USDT", 1, NOW, NOW, Levels.of([(31534.0, 0.0385), (31532.0, 0.01586)]),
            Levels.of([(31544.0, 0.28917593), (31547.0, 0.6338)]), None, (2, 1), (2, 1),
        ),
        BookDelta(
            "bitfinex", "BTC-USDT", 2, NOW, NOW,
            Levels.of([(31532.0, 0.0), (31535.0, 0.01586)]), Levels.of([]), (0, 1), (),
        ),
    ]  # fmt: skip


def test_orders_queue_change_and_go() -> None:
    parser = parser_of_orders(WHOLE, "[5,[11,100,0.5]]", "[5,[14,100,1]]")
    book = parser.orders("BTC-USDT")
    assert book is not None
    assert [book.queue_position(number) for number in (11, 13, 14, 99)] == [
        QueuePosition(0, 0.0), QueuePosition(1, 0.5), QueuePosition(2, 3.0), None,
    ]  # fmt: skip
    events = play(parser, [frame(text) for text in ("[5,[13,0,1]]", "[5,[13,0,1]]", "[5,[11,100,0.7]]")])
    assert [(list(one.bids), one.bid_counts) for one in events if isinstance(one, BookDelta)] == [
        ([[100.0, 1.5]], (2,)), ([[100.0, 1.7]], (2,)),
    ]  # fmt: skip
    assert [order.id for order in book.queue(0, 100.0)] == [14, 11]
    assert parser.instruments["BTC-USDT"].counts.duplicates == 1


BY_ID = "[11,100,1],[13,100,2.5]"
AS_LISTED = "[13,100,2.5],[11,100,1]"


@pytest.mark.parametrize(
    ("listed", "first", "right"), [(BY_ID, 11, 1), (BY_ID, 13, 0), (AS_LISTED, 13, 1), (AS_LISTED, 11, 1)]
)
def test_a_checksum_is_right_as_orders_queue_or_by_their_ids(listed: str, first: int, right: int) -> None:
    best = {11: "1", 13: "2.5"}
    bids = [(first, best.pop(first)), *best.items(), (12, "1e-7")]
    number = checksum(bids, [(21, "-0.25"), (22, "-3")])
    parser = parser_of_orders(WHOLE.replace(BY_ID, listed), f'[5,"cs",{number}]')
    counts = parser.instruments["BTC-USDT"].counts
    assert (counts.checksums_passed, counts.checksums_failed) == (right, 1 - right)


def test_a_wrong_checksum_is_a_gap_until_the_next_whole_book() -> None:
    parser = parser_of_orders(WHOLE)
    events = play(parser, [frame(text) for text in ('[5,"cs",1]', "[5,[30,98,1]]", WHOLE)])
    assert [type(event) for event in events] == [Gap, BookSnapshot]


def test_of_both_precisions_the_first_whole_book_feeds_it() -> None:
    parser = parser_of_orders(P0, WHOLE)
    levels = "[6,[[50,1,1],[60,1,-1]]]"
    assert play(parser, [frame(text) for text in (levels, "[6,[50,2,3]]", '[6,"cs",1]')]) == []
    parser.doubt("BTC-USDT")
    events = play(parser, [frame(text) for text in (levels, WHOLE, "[5,[30,98,1]]", "[6,[50,2,3]]")])
    assert [type(event) for event in events] == [BookSnapshot, BookDelta]
    assert parser.orders("BTC-USDT") is None


@pytest.mark.parametrize(
    "text",
    ["[5,[1,2]]", "[5,[1,null,1]]", "[5,[1,1,0]]", "[5,[-1,1,1]]", "[5,[1,1,1e99]]", "[5,[[7,0,1]]]"],
)
def test_what_is_no_order_is_a_dead_letter(text: str) -> None:
    letters: list[DeadLetter] = []
    parser = BitfinexParser(reject=letters.append)
    events = play(parser, [frame(one) for one in (RAW, WHOLE, text)])
    assert [type(event) for event in events] == [BookSnapshot, Gap]
    assert len(letters) == 1


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from(["0", "97", "98.5"]), st.sampled_from(["1", "0.1", "3e-8"])),
        max_size=40,
    )
)
def test_levels_are_the_sums_of_the_orders(told: list[tuple[int, str, str]]) -> None:
    held: dict[int, tuple[str, str]] = {}
    texts = [RAW, "[5,[[50,50,1],[51,101,-1]]]"]
    for number, price, amount in told:
        texts.append(f"[5,[{number},{price},{amount}]]")
        held[number] = (price, amount)
    events = play(BitfinexParser(), [frame(text) for text in texts])
    assert_sound(events)
    sizes: dict[float, Decimal] = {50.0: Decimal(1)}
    for price, amount in held.values():
        if price != "0":
            sizes[float(price)] = sizes.get(float(price), Decimal(0)) + Decimal(amount)
    bids, _ = books_of(events)["BTC-USDT"].top(10)
    assert {price: size for price, size, _ in bids.tolist()} == {price: float(size) for price, size in sizes.items()}


def test_the_feed_asks_for_raw_books() -> None:
    feed = feed_of("bitfinex/orders", ["BTC-USDT"])
    assert isinstance(feed, BitfinexOrdersFeed)
    assert msgspec.json.decode(feed.subscribe_book("BTC-USDT")[0])["prec"] == "R0"
    assert msgspec.json.decode(feed_of("bitfinex", []).subscribe_book("BTC-USDT")[0])["prec"] == "P0"
