"""Kraken's older protocol, on a recording and on messages made for what that does not hold."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from producers.exchanges.kraken import KrakenParser
from producers.frames import Frame
from producers.fuzz.samples import session
from producers.tapes import read_frames
from quicksilver.events import BookDelta, BookSnapshot, Gap, Trade
from quicksilver.records import DeadLetter
from tests.producers.faults import assert_sound, books_of, play, with_payload

TAPE = "cryptofeed/legacy/2021-04-05.1312c062.KRAKEN-{}.0.zst"


def test_every_checksum_of_ten_books_of_a_thousand_levels(tapes: Path) -> None:
    parser = KrakenParser()
    events = play(parser, list(read_frames(tapes / TAPE.format("c197c0"), venue="kraken")))
    assert_sound(events)
    counts = [one.counts for one in parser.instruments.values()]
    assert sum(one.checksums_passed for one in counts) == 14_496
    assert sum(one.checksums_failed + one.gaps for one in counts) == parser.counts.rejected == 0
    assert all(book.ready and max(book.levels) <= 1000 for book in books_of(events).values())
    assert "BTC-USD" in parser.instruments


def test_trades_and_other_channels(tapes: Path) -> None:
    parser = KrakenParser()
    events = play(parser, list(read_frames(tapes / TAPE.format("82ac16"), venue="kraken")))
    assert len(events) == sum(isinstance(event, Trade) for event in events) == 28
    assert play(parser, list(read_frames(tapes / TAPE.format("4b7396"), venue="kraken"))) == []
    assert parser.counts.rejected == 0


def test_a_damaged_level_is_caught_by_the_checksum_and_only_that_symbol_stops(tapes: Path) -> None:
    frames = list(read_frames(tapes / TAPE.format("c197c0"), venue="kraken"))
    at = next(i for i, one in enumerate(frames) if i > 300 and one.payload.startswith(b'[320,{"b":[["5872'))
    payload = frames[at].payload
    where = payload.index(b'","') + 3  # the size's first digit
    changed = payload[:where] + (b"7" if payload[where : where + 1] != b"7" else b"8") + payload[where + 1 :]
    frames[at] = with_payload(frames[at], changed)
    parser = KrakenParser()
    events = play(parser, frames)
    assert [event.symbol for event in events if isinstance(event, Gap)] == ["BTC-USD"]
    assert_sound(events)


def frame(text: str) -> Frame:
    return Frame("kraken", "c", "recv", 1_700_000_000_000_000_000, text.encode())


WHOLE = '[1,{"as":[["101","1.5","1699999999.1"]],"bs":[["99","2.5","1699999999.2"]]},"book-10","XDG/XBT"]'


def test_a_trade_has_no_number() -> None:
    (trade,) = play(KrakenParser(), [frame('[9,[["10.5","2","1699999999.5","s","l",""]],"trade","XDG/XBT"]')])
    time_ns = 1_699_999_999_500_000_000
    assert trade == Trade("kraken", "DOGE-BTC", 1, time_ns, trade.ts_recv_ns, 10.5, 2.0, "sell", None)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ('[1,{"a":[["101","x","1699999999.3"]],"c":"1"},"book-10","XDG/XBT"]', [Gap]),
        ('[1,{"a":[["102","1","1699999999.3"]],"c":"1"},"book-10","XDG/XBT"]', [Gap]),
        ('[1,{"a":[["102","1"]],"c":"1"},"book-10","XDG/XBT"]', [Gap]),
        ('[1,"book-10"]', []),
        ('[1,{},"book-x","XDG/XBT"]', [Gap]),
        ('[1,{},"book-10","XDGXBT"]', [Gap]),
        ('{"event":"subscriptionStatus","status":"error","errorMessage":"no such pair"}', []),
    ],
)
def test_what_is_wrong_is_a_gap_or_a_dead_letter(text: str, kinds: list[type]) -> None:
    letters: list[DeadLetter] = []
    parser = KrakenParser(reject=letters.append)
    (snapshot,) = play(parser, [frame(WHOLE)])
    assert isinstance(snapshot, BookSnapshot)
    assert [type(event) for event in play(parser, [frame(text)])] == kinds
    assert len(letters) == (0 if parser.instruments["DOGE-BTC"].counts.checksums_failed else 1)


def test_both_sides_of_a_message_are_applied_before_the_checksum() -> None:
    parser = KrakenParser()
    both = '[1,{"a":[["102","1","1699999999.3"]]},{"b":[["98","1","1699999999.4"]],"c":"%s"},"book-10","XDG/XBT"]'
    (_, gap) = play(parser, [frame(WHOLE), frame(both % 1)])
    right = gap.reason.split()[1] if isinstance(gap, Gap) else ""
    (_, delta) = play(KrakenParser(), [frame(WHOLE), frame(both % right)])
    assert isinstance(delta, BookDelta)
    assert (len(delta.bids), len(delta.asks), delta.ts_event_ns) == (1, 1, 1_699_999_999_400_000_000)


@pytest.mark.parametrize("depth", ["1000000", "999999999999", "-10", "11"])
def test_a_depth_that_kraken_does_not_have_makes_no_room_for_it(depth: str) -> None:
    good = next(frame for frame in session("kraken", 1_700_000_000_000_000_000) if b'"book-10"' in frame.payload)
    letters: list[DeadLetter] = []
    parser = KrakenParser(reject=letters.append)
    assert parser.parse(replace(good, payload=good.payload.replace(b"book-10", f"book-{depth}".encode()))) == []
    assert [letter.reason for letter in letters] == [f"not a depth of Kraken's books: 'book-{depth}'"]
    assert [type(event) for event in parser.parse(good)] == [BookSnapshot]


def test_a_change_of_v1_to_a_book_of_v2_is_a_gap() -> None:
    frames = session("kraken", 1_700_000_000_000_000_000)
    change = next(frame for frame in frames if b'"b":' in frame.payload)
    parser = KrakenParser()
    play(parser, [frame for frame in frames if frame.payload[:1] != b"["])
    (gap,) = parser.parse(replace(change, payload=change.payload.replace(b"ETH/USD", b"XBT/USD")))
    assert isinstance(gap, Gap)
    assert "whose book is of v2" in gap.reason
