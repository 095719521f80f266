"""What all order-by-order feeds and parsers share: frames that go wrong leave events sound, and nothing crashes."""

import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.exchanges.venue import feed_of, parser_of, venues
from producers.frames import Frame
from producers.tapes import read_frames
from quicksilver.book import Book
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap
from quicksilver.records import DeadLetter
from tests.producers import test_bitstamp_channels as bitstamp
from tests.producers import test_full_coinbase as coinbase
from tests.producers import test_level3_kraken as kraken
from tests.producers import test_raw_bitfinex as bitfinex
from tests.producers.faults import assert_sound, with_payload
from tests.producers.test_bitstamp_orders import TAPE

SIZES = ("1.00000000", "0.25000000", "3.50000000")


def bitstamp_frames() -> list[Frame]:
    found = [bitstamp.ACK, bitstamp.WHOLE]
    for n in range(60):
        kind, side = ("order_created", "order_changed", "order_deleted")[n % 3], n % 2
        price = str(100 + n % 7 if side else 99 - n % 7)
        found.append(bitstamp.order(kind, 100 + n // 3, side, price, SIZES[n % 3], 200 + n))
    return found


def coinbase_frames() -> list[Frame]:
    found = [coinbase.BOOK]
    for n in range(60):
        side, price = ("sell", "102") if n % 2 else ("buy", "97")
        kind = ("open", "change", "match", "done")[n % 4]
        order = "maker_order_id" if kind == "match" else "order_id"
        size = {"size": SIZES[n % 3], "remaining_size": SIZES[n % 3], "new_size": SIZES[n % 3], "trade_id": n + 1}
        found.append(coinbase.told(kind, 11 + n, **{order: f"o{n // 4}"}, side=side, price=price, **size))
    return found


def kraken_frames() -> list[Frame]:
    venue = kraken.Venue(larger_goes_back=False)
    first = kraken.snapshot(*venue.sides, kraken.EXAMPLE)
    kinds = ("add", "modify", "delete")
    return [first, *(venue.step(n % 2, kinds[n % 3], n, f"{n % 4}.{n + 1:08d}") for n in range(60))]


def bitfinex_frames() -> list[Frame]:
    found = [bitfinex.frame(text) for text in (bitfinex.RAW, bitfinex.WHOLE)]
    for n in range(60):
        sign = "-" if n % 2 else ""
        price = 0 if n % 5 == 4 else 101 + n % 3 if n % 2 else 99 - n % 3
        found.append(bitfinex.frame(f"[5,[{30 + n % 8},{price},{sign}{SIZES[n % 3]}]]"))
    return found


FRAMES: dict[str, Callable[[], list[Frame]]] = {
    "bitstamp": bitstamp_frames,
    "coinbaseexchange": coinbase_frames,
    "kraken": kraken_frames,
    "bitfinex": bitfinex_frames,
}


def test_each_venue_with_such_a_feed_is_tested_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRAKEN_TOKEN", "t")
    assert set(FRAMES) == {venue.name for venue in venues().values() if "orders" in venue.others}
    for venue in venues().values():
        for which in venue.others:
            feed = feed_of(f"{venue.name}/{which}", ["BTC-USD"])
            assert feed.venue == venue.name
            assert [msgspec.json.decode(message) for message in feed.subscribe(["BTC-USD"])]


@pytest.mark.parametrize("name", sorted(FRAMES))
class TestEveryVenue:
    def test_its_frames_are_read(self, name: str) -> None:
        letters: list[DeadLetter] = []
        parser = parser_of(name, letters.append)
        events = [event for frame in FRAMES[name]() for event in parser.parse(frame)]
        assert letters == []
        assert_sound(events)
        kinds = [type(event) for event in events]
        assert (kinds.count(BookSnapshot), kinds.count(Gap)) == (1, 0)
        assert kinds.count(BookDelta) > 20

    @given(st.integers(0, 2**32 - 1))
    @settings(max_examples=40, deadline=None)
    def test_frames_that_go_wrong_leave_the_events_sound(self, name: str, seed: int) -> None:
        letters: list[DeadLetter] = []
        parser = parser_of(name, letters.append)
        events: list[AnyEvent] = []
        frames = FRAMES[name]()
        for i, frame in enumerate(frames):
            chance = zlib.crc32(f"{seed}:{i}".encode())
            payload, at = frame.payload, chance // 16 % len(frame.payload)
            if chance % 16 == 1:
                payload = payload[:at] + bytes([chance // 65536 % 256]) + payload[at + 1 :]
            elif chance % 16 == 2:
                payload = payload[:at]
            elif chance % 16 == 3:
                continue
            events += parser.parse(with_payload(frame, payload))
            if chance % 16 == 4:
                events += parser.parse(frame)
            if chance % 16 == 5:
                events += parser.parse(frames[i - 1])
        # What was lost before there was a book is said as well, so that it is asked for.
        live = next((i for i, event in enumerate(events) if isinstance(event, BookSnapshot)), len(events))
        assert not any(isinstance(event, BookDelta) for event in events[:live])
        assert [event.seq for event in events if event.symbol == events[0].symbol] == list(
            range(1, 1 + sum(event.symbol == events[0].symbol for event in events))
        )
        assert len(letters) == parser.counts.rejected
        assert all(letter.reason for letter in letters)

    def test_a_connection_that_breaks_takes_the_book_with_it(self, name: str) -> None:
        parser = parser_of(name, lambda letter: None)
        frames = FRAMES[name]()
        for frame in frames[:30]:
            parser.parse(frame)
        [symbol] = parser.order_books
        assert parser.orders(symbol) is not None
        events = parser.parse(Frame(name, frames[1].conn, "disconnect", frames[1].ts_recv_ns, b"gone"))
        assert [type(event) for event in events] == [Gap]
        assert parser.orders(symbol) is None
        assert [event for frame in frames[30:] for event in parser.parse(frame) if isinstance(event, BookDelta)] == []


def test_events_and_books_stay_the_same_when_a_tape_is_played_twice(tapes: Path) -> None:
    frames = list(read_frames(tapes / TAPE))[:4000]
    runs = []
    for _ in range(2):
        parser, book = parser_of("bitstamp", lambda letter: None), Book()
        events = [event for frame in frames for event in parser.parse(frame)]
        for event in events:
            if isinstance(event, BookSnapshot):
                book.snapshot(event.bids, event.asks)
            elif isinstance(event, BookDelta):
                book.apply(event.bids, event.asks)
        orders = parser.orders("BTC-USD")
        assert orders is not None
        whole = orders.whole()
        assert [side[:, :2].tolist() for side in book.top(500)] == [list(whole.bids), list(whole.asks)]
        runs.append(events)
    assert runs[0] == runs[1]
