"""Bitfinex's rules, on real recordings and on messages made for what those do not hold."""

from pathlib import Path

import pytest

from producers.exchanges.bitfinex import BitfinexParser
from producers.exchanges.bitfinex_feed import BitfinexFeed
from producers.exchanges.bitfinex_listings import symbol_of
from producers.frames import Frame
from producers.tapes import read_frames
from quicksilver.errors import FrameError
from quicksilver.events import BookDelta, BookSnapshot, Gap, Trade
from quicksilver.records import DeadLetter
from tests.producers.faults import assert_sound, books_of, play, with_payload

NUMBERED = "cryptofeed/legacy/2021-04-05.1312c062.BITFINEX-58bafb.0.zst"
CHECKED = "bitfinex-api-go/book_checksum_vector.jsonl"


def frames_of(tapes: Path, name: str) -> list[Frame]:
    return list(read_frames(tapes / name, venue="bitfinex"))


def test_eight_numbered_books_without_a_gap_or_a_cross(tapes: Path) -> None:
    parser = BitfinexParser()
    events = play(parser, frames_of(tapes, NUMBERED))
    assert_sound(events)
    kinds = [sum(isinstance(event, kind) for event in events) for kind in (BookSnapshot, BookDelta, Trade, Gap)]
    assert kinds == [8, 22_466, 8, 0]
    assert all(book.ready for book in books_of(events).values())
    assert parser.counts.rejected == 0


@pytest.mark.parametrize("damage", [None, (b"266122.94", b"266122.95")])
def test_the_venues_own_checksum(tapes: Path, damage: tuple[bytes, bytes] | None) -> None:
    parser = BitfinexParser()
    frames = frames_of(tapes, CHECKED)
    if damage is not None:
        frames = [with_payload(frame, frame.payload.replace(*damage)) for frame in frames]
    events = play(parser, frames)
    counts = parser.instruments["XRP-BTC"].counts
    assert (counts.checksums_passed, counts.checksums_failed) == ((1, 0) if damage is None else (0, 1))
    assert [type(event) for event in events] == [BookSnapshot, BookDelta, *([Gap] if damage else [])]


def test_a_lost_message_puts_every_book_in_doubt_and_a_repeated_one_none(tapes: Path) -> None:
    frames = frames_of(tapes, NUMBERED)
    cut = len(frames) // 2
    parser = BitfinexParser()
    events = play(parser, [*frames[:cut], frames[cut - 1], *frames[cut + 1 :]])
    gaps = [event for event in events if isinstance(event, Gap)]
    assert len(gaps) == len(parser.instruments) == 8
    assert "1 messages lost" in gaps[0].reason
    assert parser.counts.duplicates == 1
    assert_sound(events)


def frame(text: str, direction: str = "recv", conn: str = "c") -> Frame:
    return Frame("bitfinex", conn, direction, 1_700_000_000_000_000_000, text.encode())  # type: ignore[arg-type]


BOOK = '{"event":"subscribed","channel":"book","chanId":7,"symbol":"tBTCUSD","prec":"P0","freq":"F0","len":"25"}'
TRADES = '{"event":"subscribed","channel":"trades","chanId":8,"symbol":"tBTCUSD"}'
WHOLE = "[7,[[100,1,2],[101,3,-4]]]"


def kinds(*texts: str, parser: BitfinexParser | None = None) -> list[str]:
    return [type(event).__name__ for event in play(parser or BitfinexParser(), [frame(text) for text in texts])]


def test_levels_are_set_and_removed_by_the_amounts_sign() -> None:
    parser = BitfinexParser()
    texts = (BOOK, WHOLE, "[7,[99.5,1,7]]", "[7,[100,0,1]]", "[7,[101,0,-1]]", "[7,[102,2,-1]]", '[7,"hb"]')
    events = play(parser, [frame(text) for text in texts])
    bids, asks = books_of(events)["BTC-USD"].top(5)
    assert bids[:, :2].tolist() == [[99.5, 7.0]]
    assert asks[:, :2].tolist() == [[102.0, 1.0]]


def test_the_venues_time_is_taken_where_it_is_asked_for() -> None:
    (event,) = play(BitfinexParser(), [frame(BOOK), frame("[7,[[100,1,2]],1,1699999999000]")])
    assert event.ts_event_ns == 1_699_999_999_000_000_000
    (event,) = play(BitfinexParser(), [frame(BOOK), frame("[7,[[100,1,2]],1]")])
    assert event.ts_event_ns == event.ts_recv_ns


def test_trades_are_taken_once_with_the_takers_side() -> None:
    parser = BitfinexParser()
    body = "[658733916,1699999999128,{},230890]"
    texts = (
        TRADES, f"[8,[{body.format(1)}]]", f'[8,"te",{body.format(-0.5)}]', f'[8,"tu",{body.format(-0.5)}]',
        f'[8,"te",{body.format(-0.5)}]',
    )  # fmt: skip
    (trade,) = play(parser, [frame(text) for text in texts])
    assert trade == Trade(
        "bitfinex", "BTC-USD", 1, 1_699_999_999_128_000_000, trade.ts_recv_ns, 230_890.0, 0.5, "sell", "658733916"
    )
    assert parser.instruments["BTC-USD"].counts.duplicates == 1


def test_the_end_of_maintenance_is_a_gap() -> None:
    assert kinds(BOOK, WHOLE, '{"event":"info","code":20061,"msg":"x"}', WHOLE) == [
        "BookSnapshot",
        "Gap",
        "BookSnapshot",
    ]


def test_a_channel_that_is_left_says_nothing_more() -> None:
    assert kinds(BOOK, WHOLE, '{"event":"unsubscribed","status":"OK","chanId":7}', "[7,[99,1,1]]") == ["BookSnapshot"]


def test_channels_are_those_of_their_connection() -> None:
    parser = BitfinexParser()
    play(parser, [frame(BOOK), frame(WHOLE)])
    assert play(parser, [frame("[7,[99,1,1]]", conn="d")]) == []
    assert [type(one) for one in play(parser, [frame("", "disconnect"), frame("[7,[99,1,1]]")])] == [Gap]


@pytest.mark.parametrize(
    "text",
    ["[7,[99,1]]", "[7,[99,1,0]]", "[7,[0,1,1]]", "[7,[[99,0,1]]]", '[7,["x",1,1]]', "[7]", "[7,[nan,1,1]]", "{}"],
)
def test_what_cannot_be_read_is_a_dead_letter(text: str) -> None:
    letters: list[DeadLetter] = []
    parser = BitfinexParser(reject=letters.append)
    events = kinds(BOOK, WHOLE, text, parser=parser)
    assert len(letters) == parser.counts.rejected == 1
    assert events in (["BookSnapshot"], ["BookSnapshot", "Gap"])


@pytest.mark.parametrize("native", ["tBTCUSDX", "tBTC", "t", "t:USD"])
def test_what_is_no_pair(native: str) -> None:
    with pytest.raises(FrameError, match="not a Bitfinex pair"):
        symbol_of(native)


def test_names_are_the_venues_again() -> None:
    names = ["tBTCUSD", "tGTXUST", "tETH2X:ETH"]
    assert [BitfinexParser().native(symbol_of(name)) for name in names] == names


def test_a_book_is_left_by_the_channel_that_the_venue_gave_it() -> None:
    feed = BitfinexFeed("bitfinex", ["BTC-USD"])
    assert feed.unsubscribe_book("BTC-USD") == []
    for heard in (BOOK, TRADES, "[7,1]", "{"):
        feed.heed(heard.encode())
    assert feed.unsubscribe_book("BTC-USD") == ['{"event":"unsubscribe","chanId":7}']
