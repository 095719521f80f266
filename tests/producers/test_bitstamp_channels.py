"""Bitstamp's channels of today: orders bridged to the REST book, pushed books, and what feeds a book that has both."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from producers.exchanges.bitstamp import BitstampOrdersFeed, BitstampParser
from producers.exchanges.venue import feed_of
from producers.frames import Frame
from quicksilver.events import BookDelta, BookSnapshot, Gap, Levels
from quicksilver.orders import QueuePosition
from tests.producers.faults import play

NOW = 1_654_072_104_000_000_000


def modern(event: str, channel: str, data: dict[str, object], at_ms: int) -> Frame:
    body = {"event": event, "channel": channel, "data": {"microtimestamp": str(NOW // 1000 + at_ms * 1000), **data}}
    return Frame("bitstamp", "c", "recv", NOW + (at_ms + 50) * 1_000_000, msgspec.json.encode(body))


def order(event: str, number: int, kind: int, price: str, amount: str, at_ms: int) -> Frame:
    data = {"id": number, "id_str": str(number), "order_type": kind, "price": float(price), "price_str": price}
    return modern(event, "live_orders_btcusd", {**data, "amount": float(amount), "amount_str": amount}, at_ms)


def rest(bids: list[list[str]], asks: list[list[str]], at_ms: int) -> Frame:
    body = {"timestamp": "1", "microtimestamp": str(NOW // 1000 + at_ms * 1000), "bids": bids, "asks": asks}
    url = "https://www.bitstamp.net/api/v2/order_book/btcusd/?group=2"
    return Frame("bitstamp", "c", "rest", NOW + (at_ms + 60) * 1_000_000, msgspec.json.encode(body), url)


ACK = Frame(
    "bitstamp", "c", "recv", NOW, b'{"event":"bts:subscription_succeeded","channel":"live_orders_btcusd","data":{}}'
)
WHOLE = rest([["99.5", "1", "3"], ["99.5", "2", "4"], ["98", "5", "1"]], [["101", "0.25", "2"]], 100)


def test_orders_are_bridged_to_the_rest_book_by_their_times() -> None:
    parser = BitstampParser()
    before = [
        order("order_created", 4, 0, "99.5", "2", 90),  # in the book already
        order("order_changed", 3, 0, "99.50", "0.5", 110),
        order("order_created", 5, 1, "100.75", "1.10000000", 120),
    ]
    events = play(parser, [ACK, *before, WHOLE, order("order_deleted", 4, 0, "99.5", "2", 130)])
    recv = WHOLE.ts_recv_ns
    at = NOW + 120_000_000
    assert events == [
        BookSnapshot(
            "bitstamp", "BTC-USD", 1, at, recv, Levels.of([(99.5, 2.5), (98.0, 5.0)]),
            Levels.of([(100.75, 1.1), (101.0, 0.25)]), None, (2, 1), (1, 1),
        ),
        BookDelta(
            "bitstamp", "BTC-USD", 2, NOW + 130_000_000, NOW + 180_000_000,
            Levels.of([(99.5, 0.5)]), Levels.of([]), (1,), (),
        ),
    ]  # fmt: skip
    orders = parser.orders("BTC-USD")
    assert orders is not None
    assert orders.queue_position(3) == QueuePosition(0, 0.0)
    assert parser.counts.skipped == 1


def test_an_event_from_before_the_book_is_in_it() -> None:
    parser = BitstampParser()
    late = order("order_changed", 3, 0, "99.5", "0.125", 95)
    assert [type(event) for event in play(parser, [ACK, WHOLE, late])] == [BookSnapshot]
    assert parser.instruments["BTC-USD"].counts.duplicates == 1


def test_what_was_kept_before_a_loss_is_no_bridge() -> None:
    """Also where the venue's clock is ahead of ours: the book must be newer than all that was kept."""
    parser = BitstampParser()
    ahead = order("order_created", 9, 0, "90", "1", 5_000)
    ahead = msgspec.structs.replace(ahead, ts_recv_ns=NOW)
    events = play(parser, [ACK, ahead, Frame("bitstamp", "c", "disconnect", NOW + 1, b"")])
    newer = [rest([["99", "1", "3"]], [["101", "1", "4"]], at_ms) for at_ms in (4_000, 6_000)]
    events += play(parser, newer)
    assert [type(event) for event in events] == [Gap, BookSnapshot]


def test_a_recorded_order_event_is_read(tapes: Path) -> None:
    lines = (tapes / "crypto-msg-parser/bitstamp.jsonl").read_text().splitlines()
    raw = {one["test"]: one["raw"] for one in map(msgspec.json.decode, filter(None, lines))}
    parser = BitstampParser()
    empty = rest([["30000", "1", "1"]], [["32000", "1", "2"]], -1)
    events = play(parser, [ACK, empty, Frame("bitstamp", "c", "recv", NOW + 10**9, raw["l3_event"].encode())])
    assert events[1] == BookDelta(
        "bitstamp", "BTC-USD", 2, 1_654_072_104_363_000_000, NOW + 10**9,
        Levels.of([(31483.1, 7.9201)]), Levels.of([]), (1,), (),
    )  # fmt: skip


def test_pushed_books_alone_are_a_book(tapes: Path) -> None:
    lines = (tapes / "crypto-msg-parser/bitstamp.jsonl").read_text().splitlines()
    raw = next(one["raw"] for one in map(msgspec.json.decode, filter(None, lines)) if one["test"] == "l2_topk")
    first = Frame("bitstamp", "c", "recv", 1_653_978_374_000_000_000, raw.encode())
    body = msgspec.json.decode(raw)
    body["data"]["microtimestamp"] = "1653978373264007"
    body["data"]["bids"] = [["31524.50", "0.4"], ["31521.03", "0.66028343"]]
    second = Frame("bitstamp", "c", "recv", 1_653_978_374_100_000_000, msgspec.json.encode(body))
    parser = BitstampParser()
    events = play(parser, [first, second, second])
    assert [type(event) for event in events] == [BookSnapshot, BookDelta]
    assert isinstance(events[0], BookSnapshot)
    assert len(events[0].bids) == 3
    assert events[1] == BookDelta(
        "bitstamp", "BTC-USD", 2, 1_653_978_373_264_007_000, second.ts_recv_ns,
        Levels.of([(31521.05, 0.0), (31524.5, 0.4)]), Levels.of([]),
    )  # fmt: skip
    assert parser.instruments["BTC-USD"].counts.duplicates == 1


def test_of_several_channels_that_with_the_first_whole_book_feeds_it() -> None:
    push: dict[str, object] = {"bids": [["99.5", "3"], ["97", "1"]], "asks": [["101", "0.25"]]}
    seen: list[Levels] = []
    parser = BitstampParser()
    parser.observers.append(lambda found: seen.append(found.bids))
    diff = modern("data", "diff_order_book_btcusd", {"bids": [["99.5", "7"]], "asks": []}, 200)
    events = play(parser, [ACK, WHOLE, modern("data", "order_book_btcusd", push, 150), diff])
    assert [type(event) for event in events] == [BookSnapshot]
    assert [list(bids) for bids in seen] == [[[99.5, 3.0], [97.0, 1.0]]]
    parser.doubt("BTC-USD")
    again = rest([["99", "1"]], [["101", "1"]], 300)
    later = modern("data", "diff_order_book_btcusd", {"bids": [["99", "2"]], "asks": []}, 310)
    events = play(parser, [again, later, order("order_created", 70, 0, "98", "1", 320)])
    assert [type(event) for event in events] == [BookSnapshot, BookDelta]
    assert parser.orders("BTC-USD") is None


def test_a_rest_book_of_orders_serves_changes_of_levels_too() -> None:
    parser = BitstampParser()
    diff = modern("data", "diff_order_book_btcusd", {"bids": [["99.5", "7"]], "asks": []}, 200)
    events = play(parser, [WHOLE, diff])
    assert isinstance(events[0], BookSnapshot)
    assert (list(events[0].bids), events[0].bid_counts) == ([[99.5, 3.0], [98.0, 5.0]], msgspec.UNSET)
    assert isinstance(events[1], BookDelta)


def test_the_feed_subscribes_to_orders_where_that_is_asked_for() -> None:
    feed = feed_of("bitstamp/orders", ["BTC-USD"])
    assert isinstance(feed, BitstampOrdersFeed)
    assert feed.venue == "bitstamp"
    channels = [msgspec.json.decode(message)["data"]["channel"] for message in feed.subscribe(["BTC-USD"])]
    assert channels == ["live_orders_btcusd", "live_trades_btcusd"]
    assert feed.snapshot_url("BTC-USD") == "https://www.bitstamp.net/api/v2/order_book/btcusd/?group=2"


SENT = Frame("bitstamp", "c", "send", NOW, b'{"event":"bts:subscribe","data":{"channel":"diff_order_book_btcusd"}}')


def diff(at_ms: int) -> Frame:
    return modern("data", "diff_order_book_btcusd", {"bids": [["98", "2"]], "asks": []}, at_ms)


def diffs(at_ms: int) -> Frame:
    """A book by price, fetched ``at_ms``."""
    return rest([["99", "1"]], [["101", "1"]], at_ms)


@pytest.mark.parametrize(
    ("first", "book", "older_ms"),
    [
        ([SENT, diff(5_000)], diffs, 1),
        ([SENT, diff(5_000)], diffs, 3_600_000),
        ([diff(5_000)], diffs, 2_001),  # recorded by others, who have asked at once, and once
        ([SENT, ACK, order("order_created", 5, 1, "100.75", "1.1", 5_000)], None, 1),
    ],
)
def test_a_first_book_that_is_older_than_the_first_change_is_refused(
    first: list[Frame], book: Callable[[int], Frame] | None, older_ms: int
) -> None:
    def fetched(at_ms: int) -> Frame:
        return book(at_ms) if book else rest([["99.5", "1", "3"]], [["101", "0.25", "2"]], at_ms)

    parser = BitstampParser()
    reason = "the book is older than the first change that came: it bridges nothing"
    (gap,) = play(parser, [*first, fetched(5_000 - older_ms)])
    assert isinstance(gap, Gap)
    assert gap.reason == reason
    assert play(parser, [fetched(5_000 - older_ms)]) == []
    assert parser.unusable == {"BTC-USD"}  # so that it is asked for again
    assert isinstance(play(parser, [fetched(5_001)])[0], BookSnapshot)


def test_a_first_book_of_a_recording_may_be_as_old_as_rest_books_are() -> None:
    assert [type(one) for one in play(BitstampParser(), [diff(5_000), diffs(3_000)])] == [BookSnapshot, BookDelta]
