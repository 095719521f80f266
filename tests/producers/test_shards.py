"""Parsers whose venue is read over several connections: what happens to one must not touch the others' books."""

from itertools import islice
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from producers.exchanges.base import Parser
from producers.exchanges.bitstamp import BitstampParser
from producers.exchanges.venue import venues
from producers.frames import Frame
from quicksilver.events import BookSnapshot, Gap
from tests.producers.faults import assert_sound, play
from tests.producers.test_exchanges import LIVE, TAPES, frames_of

NAMES = sorted(venues())


def over(conn: str, frames: list[Frame]) -> list[Frame]:
    return [replace(frame, conn=conn) for frame in frames]


def live(parser: Parser) -> set[str]:
    return {symbol for symbol, one in parser.instruments.items() if one.live}


@pytest.fixture(params=NAMES)
def played(tapes: Path, request: pytest.FixtureRequest) -> tuple[Parser, list[Frame]]:
    """A parser with live books that came over the connection ``a``, and their frames."""
    venue = request.param
    frames = over("a", list(islice(frames_of(tapes, TAPES.get(venue, LIVE), venue), 3_000)))
    frames = [frame for frame in frames if frame.direction in {"recv", "rest"}]
    parser = venues()[venue].parser(venue)
    assert_sound(play(parser, frames))
    assert live(parser)
    return parser, frames


@pytest.mark.parametrize("direction", ["connect", "disconnect", "recv"])
def test_what_happens_to_another_connection_costs_no_book(played: tuple[Parser, list[Frame]], direction: str) -> None:
    parser, frames = played
    before = live(parser)
    ours = replace(frames[-1], conn="b", direction=direction, payload=b'{"cut' if direction == "recv" else b"")
    assert parser.parse(ours) == []
    assert live(parser) == before


def test_a_connection_that_ends_costs_its_own_books_and_is_forgotten(played: tuple[Parser, list[Frame]]) -> None:
    parser, frames = played
    before = live(parser)
    gaps = parser.parse(replace(frames[-1], direction="disconnect", payload=b""))
    assert {gap.symbol for gap in gaps if isinstance(gap, Gap)} == before
    assert "a" not in parser.last_of
    assert not any(one.conn == "a" for one in parser.instruments.values())


@pytest.mark.parametrize("venue", ["bitfinex", "coinbase"])
def test_each_connection_counts_its_own_messages(tapes: Path, venue: str) -> None:
    """The same numbers over two connections, in turn: neither is the other's repetition, or loss."""
    frames = list(islice(frames_of(tapes, TAPES.get(venue, LIVE), venue), 2_000))
    parser = venues()[venue].parser(venue)
    both = [one for frame in frames for one in (replace(frame, conn="a"), replace(frame, conn="b"))]
    events = play(parser, both)
    assert not any(isinstance(event, Gap) for event in events)
    assert parser.last_of["a"] == parser.last_of["b"] > 0
    assert sum(isinstance(event, BookSnapshot) for event in events) == 2 * len(parser.instruments)


def bitstamp(conn: str, pair: str, micros: int) -> Frame:
    data = {"microtimestamp": str(micros), "bids": [["1", "1"]], "asks": []}
    message = {"event": "data", "channel": f"diff_order_book_{pair}", "data": data}
    return Frame("bitstamp", conn, "recv", micros * 1000, msgspec.json.encode(message))


def test_bitstamp_what_is_kept_for_a_book_survives_the_end_of_another_connection() -> None:
    """And what was kept over a connection that has ended, or before an unreadable frame, is no bridge."""
    book = b'{"microtimestamp":"12","bids":[["9","1"]],"asks":[]}'
    for broken, kinds in ((Frame("bitstamp", "b", "disconnect", 1, b""), ["BookSnapshot", "BookDelta"]),
                          (Frame("bitstamp", "b", "connect", 1, b""), ["BookSnapshot", "BookDelta"]),
                          (Frame("bitstamp", "a", "recv", 14_000, b"{"), ["Gap"])):  # fmt: skip
        parser = BitstampParser()
        play(parser, [bitstamp("a", "btcusd", 11), bitstamp("a", "btcusd", 13), broken])
        rest = Frame("bitstamp", "a", "rest", 15_000, book, "https://x/api/v2/order_book/btcusd/")
        assert [type(event).__name__ for event in parser.parse(rest)] == kinds


def test_bitstamp_an_unreadable_first_frame_of_a_new_connection_is_a_loss_all_the_same() -> None:
    parser = BitstampParser()
    rest = Frame("bitstamp", "a", "rest", 12_000, b'{"microtimestamp":"12","bids":[["9","1"]],"asks":[]}',
                 "https://x/api/v2/order_book/btcusd/")  # fmt: skip
    play(parser, [bitstamp("a", "btcusd", 11), rest, Frame("bitstamp", "a", "disconnect", 13_000, b"")])
    play(parser, [Frame("bitstamp", "c", "recv", 20_000, b"{"), bitstamp("c", "btcusd", 21)])
    older = replace(rest, conn="c", ts_recv_ns=22_000, payload=rest.payload.replace(b"12", b"19"))
    assert not any(isinstance(event, BookSnapshot) for event in parser.parse(older))
    newer = replace(older, ts_recv_ns=23_000, payload=rest.payload.replace(b"12", b"22"))
    assert [type(event) for event in parser.parse(newer)] == [BookSnapshot]


def test_a_connection_that_begins_costs_no_book_that_is_on_its_way_over_another() -> None:
    """The connection of a symbol is not known before its first change."""
    parser = BitstampParser()
    data = b'{"id":5,"amount_str":"0.5","price_str":"10","type":1,"microtimestamp":"11"}'
    trade = b'{"data":%s,"channel":"live_trades_btcusd","event":"trade"}' % data
    play(parser, [Frame("bitstamp", "a", "recv", 11_000, trade), Frame("bitstamp", "b", "connect", 15_000, b"")])
    book = b'{"microtimestamp":"12","bids":[["9","1"]],"asks":[]}'
    rest = Frame("bitstamp", "a", "rest", 16_000, book, "https://x/api/v2/order_book/btcusd/")
    assert [type(event) for event in parser.parse(rest)] == [BookSnapshot]
