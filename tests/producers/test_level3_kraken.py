"""Kraken's level3: the checksum of its own documentation, queues that it proves, and what happens when it differs."""

import zlib
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.exchanges.kraken import KrakenParser
from producers.exchanges.kraken_feed import TOKEN, KrakenOrdersFeed
from producers.exchanges.venue import feed_of
from producers.frames import Frame
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Levels
from quicksilver.orders import QueuePosition
from quicksilver.records import DeadLetter
from tests.producers.faults import assert_sound, books_of, play

NOW = 1_704_716_805_000_000_000
TIME = "2024-01-08T12:26:45.066096694Z"
# The example of https://docs.kraken.com/api/docs/guides/spot-ws-l3-v2, where its checksum is 1063832831.
EXAMPLE_BIDS = """44939.4 0.88968699 0.45210000 0.10000000 0.14296323 0.25000000 0.10292988 0.33880000 1.28140860
44937.1 0.03346877
44934.7 0.35630000
44930.2 0.22734299 0.01000000 0.05550000 0.70000000 0.15000000
44928.0 0.00105240
44919.6 0.33870000
44919.5 0.07610000
44912.0 0.35630000
44909.7 0.06690000
44901.9 0.00088982"""
EXAMPLE_ASKS = """44939.5 4.52308393 0.00111261 0.00100000 0.01000000
44950.0 0.10334926
44953.0 0.00064537
44955.0 0.00250000
44959.6 0.35630000 0.35630000
44960.1 0.00338072
44960.2 0.88967575
44967.0 3.14392283
44978.5 0.06778960
44979.2 0.35630000"""
EXAMPLE = 1_063_832_831
Queue = list[tuple[str, str]]
"""Ids and sizes, the first in the queue first."""
Queues = dict[str, Queue]
"""By price."""


def frame(payload: bytes) -> Frame:
    return Frame("kraken", "c", "recv", NOW, payload)


def queues(text: str, letter: str) -> Queues:
    rows = [line.split() for line in text.splitlines()]
    return {price: [(f"{letter}{price}.{i}", size) for i, size in enumerate(sizes)] for price, *sizes in rows}


def orders(side: Queues, quoted: bool = True) -> str:
    mark = '"' if quoted else ""
    return ",".join(
        f'{{"order_id":"{number}","limit_price":{mark}{price}{mark},"order_qty":{mark}{size}{mark},"timestamp":"{TIME}"}}'
        for price, queue in side.items()
        for number, size in queue
    )


def snapshot(bids: Queues, asks: Queues, checksum: int, quoted: bool = True) -> Frame:
    sides = f'"bids":[{orders(bids, quoted)}],"asks":[{orders(asks, quoted)}]'
    data = f'{{"symbol":"BTC/USD","checksum":{checksum},{sides}}}'
    return frame(f'{{"channel":"level3","type":"snapshot","data":[{data}]}}'.encode())


def checksum(bids: Queues, asks: Queues) -> int:
    """The documentation's algorithm, written down once more."""
    text = ""
    for side, sign in ((asks, 1), (bids, -1)):
        for price in sorted(side, key=lambda price: sign * Decimal(price))[:10]:
            for _, size in side[price]:
                text += price.replace(".", "").lstrip("0") + size.replace(".", "").lstrip("0")
    return zlib.crc32(text.encode())


def update(bids: str, asks: str, number: int) -> Frame:
    data = f'{{"symbol":"BTC/USD","checksum":{number},"timestamp":"{TIME}","bids":[{bids}],"asks":[{asks}]}}'
    return frame(f'{{"channel":"level3","type":"update","data":[{data}]}}'.encode())


def change(event: str, number: str, price: str, size: str) -> str:
    return f'{{"event":"{event}","order_id":"{number}","limit_price":{price},"order_qty":{size},"timestamp":"{TIME}"}}'


@pytest.mark.parametrize("quoted", [True, False])
def test_the_documentations_own_checksum(quoted: bool) -> None:
    parser = KrakenParser()
    bids, asks = queues(EXAMPLE_BIDS, "b"), queues(EXAMPLE_ASKS, "a")
    assert checksum(bids, asks) == EXAMPLE
    [event] = parser.parse(snapshot(bids, asks, EXAMPLE, quoted))
    assert isinstance(event, BookSnapshot)
    assert (event.depth, event.bid_counts, event.ask_counts) == (
        10, (8, 1, 1, 5, 1, 1, 1, 1, 1, 1), (4, 1, 1, 1, 2, 1, 1, 1, 1, 1)
    )  # fmt: skip
    assert event.bids.tolist()[0] == [44939.4, 3.5578887]
    assert event.asks.tolist()[4] == [44959.6, 0.7126]
    book = parser.orders("BTC-USD")
    assert book is not None
    assert book.queue_position("b44939.4.2") == QueuePosition(2, 0.88968699 + 0.4521)
    counts = parser.instruments["BTC-USD"].counts
    assert (counts.checksums_passed, counts.checksums_failed) == (1, 0)


def test_two_orders_that_have_changed_places_are_a_wrong_book() -> None:
    parser = KrakenParser()
    bids, asks = queues(EXAMPLE_BIDS, "b"), queues(EXAMPLE_ASKS, "a")
    bids["44939.4"][0:2] = bids["44939.4"][1::-1]
    assert [type(event) for event in parser.parse(snapshot(bids, asks, EXAMPLE))] == [Gap]
    assert parser.orders("BTC-USD") is None


class Venue:
    """Keeps queues as Kraken does, and writes what it sends of each change.

    Sizes are all different: a checksum cannot tell two orders of the same price and size apart.
    """

    def __init__(self, larger_goes_back: bool) -> None:
        self.sides: tuple[Queues, Queues] = queues(EXAMPLE_BIDS, "b"), queues(EXAMPLE_ASKS, "a")
        self.larger_goes_back = larger_goes_back
        self.next = 0

    def step(self, side: int, what: str, pick: int, size: str) -> Frame:
        told = [self._set(side, what, pick, size), *self._drop(side)]
        text = ",".join(told)
        return update(*(("", text) if side else (text, "")), checksum(*self.sides))

    def _set(self, side: int, what: str, pick: int, size: str) -> str:
        book = self.sides[side]
        price = sorted(book)[pick % len(book)]
        if what == "add":
            self.next += 1
            price = f"{44939.5 + pick / 2 if side else 44939.4 - pick / 2:.1f}"
            book.setdefault(price, []).append((f"n{self.next}", size))
            return change("add", f"n{self.next}", price, size)
        queue = book[price]
        i = pick % len(queue)
        number, old = queue[i]
        if what == "delete":
            del queue[i]
            if not queue:
                del book[price]
            return change("delete", number, price, "0")
        if Decimal(size) > Decimal(old) and self.larger_goes_back:
            del queue[i]
            queue.append((number, size))
        else:
            queue[i] = (number, size)
        return change("modify", number, price, size)

    def _drop(self, side: int) -> list[str]:
        """Beyond ten levels the venue says nothing; where fewer are left it tells of the next ones."""
        book, sign = self.sides[side], 1 if side else -1
        for price in sorted(book, key=lambda price: sign * Decimal(price))[10:]:
            del book[price]
        told = []
        while len(book) < 10:
            self.next += 1
            price = f"{45000 + self.next if side else 44000 - self.next:.1f}"
            book[price] = [(f"n{self.next}", "1.00000000")]
            told.append(change("add", f"n{self.next}", price, "1.00000000"))
        return told


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.sampled_from(["add", "add", "delete", "modify"]),
            st.integers(0, 25),
            st.sampled_from("019"),
        ),
        max_size=40,
    ),
    st.booleans(),
)
def test_every_message_is_proved_and_folds_to_the_same_levels(
    steps: list[tuple[int, str, int, str]], larger_goes_back: bool
) -> None:
    venue, parser = Venue(larger_goes_back), KrakenParser()
    events: list[AnyEvent] = parser.parse(snapshot(*venue.sides, EXAMPLE))
    for step in steps:
        side, what, pick, whole = step
        size = f"{whole}.{len(events):08d}"
        events += parser.parse(venue.step(side, what, pick, size))
    assert_sound(events)
    assert len(events) == len(steps) + 1
    counts = parser.instruments["BTC-USD"].counts
    assert (counts.checksums_passed, counts.checksums_failed) == (len(steps) + 1, 0)
    tops = books_of(events)["BTC-USD"].top(20)
    book = parser.orders("BTC-USD")
    assert book is not None
    for side, (top, sign) in enumerate(zip(tops, (-1, 1), strict=True)):
        expected = [
            [float(price), float(sum(Decimal(size) for _, size in queue))]
            for price, queue in sorted(venue.sides[side].items(), key=lambda level: sign * Decimal(level[0]))
        ]
        assert top[:, :2].tolist() == expected
        for price, queue in venue.sides[side].items():
            assert [str(order.id) for order in book.queue(side, float(price))] == [number for number, _ in queue]


@pytest.mark.parametrize("larger_goes_back", [False, True])
def test_the_checksum_says_where_a_larger_order_stands(larger_goes_back: bool) -> None:
    venue, parser = Venue(larger_goes_back), KrakenParser()
    events = parser.parse(snapshot(*venue.sides, EXAMPLE))
    events += parser.parse(venue.step(0, "modify", 9, "9.00000001"))
    assert [type(event) for event in events] == [BookSnapshot, BookDelta]
    book = parser.orders("BTC-USD")
    assert book is not None
    places = [order.id for order in book.queue(0, 44939.4)]
    assert places.index("b44939.4.1") == (7 if larger_goes_back else 1)


def test_a_checksum_that_differs_is_a_gap_until_the_next_snapshot() -> None:
    parser, venue = KrakenParser(), Venue(larger_goes_back=False)
    good = venue.step(0, "add", 3, "1.50000000")
    lost = venue.step(1, "delete", 0, "0")
    after = [venue.step(0, "add", 1, "1.00000000"), venue.step(0, "add", 2, "1.00000000")]
    events = play(parser, [snapshot(queues(EXAMPLE_BIDS, "b"), queues(EXAMPLE_ASKS, "a"), EXAMPLE), good, *after])
    assert lost
    assert [type(event) for event in events] == [BookSnapshot, BookDelta, Gap]
    assert isinstance(parser.parse(snapshot(*venue.sides, checksum(*venue.sides)))[0], BookSnapshot)


def test_messages_of_every_type_are_read(tapes: Path) -> None:
    """Samples made by hand, with a checksum of zero: refused as books, but none as messages."""
    letters: list[DeadLetter] = []
    parser = KrakenParser(reject=letters.append)
    paths = sorted((tapes / "nautilus/kraken").glob("ws_l3_*.json"))
    bodies = [path.read_bytes() for path in paths]
    snapshots = [body for body in bodies if b'"snapshot"' in body]
    assert len(paths) == 5
    assert [type(event) for body in snapshots for event in parser.parse(Frame("kraken", "c", "recv", 1, body))] == [Gap]

    bids: Queues = {"42000.5": [("order-bid-1", "0.5"), ("order-bid-2", "1.2")], "41999.0": [("order-bid-3", "0.3")]}
    asks: Queues = {"42001.0": [("order-ask-1", "0.8")], "42002.0": [("order-ask-2", "2.0")]}
    events = parser.parse(Frame("kraken", "c", "recv", 1, snapshots[0].replace(
        b'"checksum": 0', f'"checksum": {checksum(bids, asks)}'.encode()
    )))  # fmt: skip
    assert isinstance(events[0], BookSnapshot)
    assert (list(events[0].bids), events[0].bid_counts) == ([[42000.5, 1.7], [41999.0, 0.3]], (2, 1))

    del bids["42000.5"][0]
    bids["41998.0"] = [("order-bid-1", "0.5")]
    moved = (tapes / "nautilus/kraken/ws_l3_update_modify_price.json").read_bytes()
    right = f'"checksum": {checksum(bids, asks)}'.encode()
    [event] = parser.parse(Frame("kraken", "c", "recv", 1, moved.replace(b'"checksum": 0', right)))
    assert isinstance(event, BookDelta)
    assert (list(event.bids), event.bid_counts) == ([[42000.5, 1.2], [41998.0, 0.5]], (1, 1))
    assert letters == []


def test_of_both_channels_the_first_snapshot_feeds_the_book() -> None:
    parser = KrakenParser()
    by_order = snapshot(queues(EXAMPLE_BIDS, "b"), queues(EXAMPLE_ASKS, "a"), EXAMPLE)
    crc = zlib.crc32(b"21")
    levels = frame(
        f'{{"channel":"book","type":"snapshot","data":[{{"symbol":"BTC/USD","bids":[{{"price":2,"qty":1}}],"asks":[],'
        f'"checksum":{crc}}}]}}'.encode()
    )
    assert [type(event) for event in play(parser, [by_order, levels])] == [BookSnapshot]
    parser.doubt("BTC-USD")
    events = play(parser, [levels, by_order])
    assert events == [BookSnapshot("kraken", "BTC-USD", 2, NOW, NOW, Levels.of([(2.0, 1.0)]), Levels.of([]), 10)]
    assert parser.orders("BTC-USD") is None


def test_the_feed_wants_a_token_and_keeps_it_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(InputError, match=TOKEN):
        feed_of("kraken/orders", ["BTC-USD"])
    monkeypatch.setenv(TOKEN, "secret-1")
    feed = feed_of("kraken/orders", ["BTC-USD"])
    assert isinstance(feed, KrakenOrdersFeed)
    [book] = feed.subscribe_book("BTC-USD")
    assert msgspec.json.decode(book)["params"] == {
        "channel": "level3", "symbol": ["BTC/USD"], "depth": 1000, "snapshot": True, "token": "secret-1",
    }  # fmt: skip
    assert "secret" not in feed.redacted(book)
    assert '"level3"' in feed.redacted(book)
