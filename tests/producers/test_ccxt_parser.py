"""The ccxt adapter's parser, names and books, without ccxt: what its frames mean, and what a loss of one means."""

import subprocess
import sys
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.exchanges import ccxt_parser
from producers.exchanges.ccxt_book import WHOLE_EVERY_NS, BookTeller, best
from producers.exchanges.ccxt_exchange import exchange_ids
from producers.exchanges.ccxt_parser import CcxtParser
from producers.exchanges.ccxt_wire import DEPTH, symbol_of
from producers.exchanges.venue import parser_of, venue_named, venues
from producers.frames import Frame
from quicksilver.errors import InputError
from quicksilver.events import BookDelta, BookSnapshot, Gap, Levels, Trade
from quicksilver.records import DeadLetter
from tests.producers.faults import assert_sound, books_of, play, with_payload

NOW_NS = 1_795_305_382_000_000_000
NOW_MS = NOW_NS // 1_000_000
DAY_MS = 86_400_000
NOTHING: dict[str, list[list[float]]] = {"bids": [], "asks": []}
BOTH = {"bids": [[100.0, 1.5]], "asks": [[101.5, 1.0]]}


def frame(kind: str, conn: str = "okx.1", at_ns: int = NOW_NS, **said: Any) -> Frame:
    payload = msgspec.json.encode({"kind": kind, "symbol": "BTC-USDT", **said})
    return Frame("okx", conn, "recv", at_ns, payload)


def book(n: int, ts: int | None = NOW_MS, conn: str = "okx.1", **said: Any) -> Frame:
    return frame("book", conn, **{"n": n, "ts": ts, "nonce": None, "depth": 400, **BOTH, **said})


def change(n: int, ts: int | None = NOW_MS, conn: str = "okx.1", **said: Any) -> Frame:
    return frame("change", conn, **{"n": n, "ts": ts, "nonce": None, **NOTHING, **said})


def trades(*given: tuple[str | None, int | None], conn: str = "okx.1") -> Frame:
    rows = [{"id": name, "ts": ts, "price": 101.5, "size": 0.25, "side": None} for name, ts in given]
    return frame("trades", conn, trades=rows)


def life(direction: Any, conn: str = "okx.1", at_ns: int = NOW_NS) -> Frame:
    return Frame("okx", conn, direction, at_ns, b"")


def test_whole_events() -> None:
    changed = change(2, None, asks=[[101.5, 0.0], [102.25, 3.0]])
    events = play(CcxtParser("okx"), [book(1), changed, trades(("a", NOW_MS - 1))])
    bids, asks = Levels.of([(100.0, 1.5)]), Levels.of([(101.5, 1.0)])
    assert events == [
        BookSnapshot("okx", "BTC-USDT", 1, NOW_NS, NOW_NS, bids, asks, 400),
        BookDelta("okx", "BTC-USDT", 2, NOW_NS, NOW_NS, Levels.of([]), Levels.of([(101.5, 0.0), (102.25, 3.0)])),
        Trade("okx", "BTC-USDT", 3, NOW_NS - 1_000_000, NOW_NS, 101.5, 0.25, None, "a"),
    ]


def test_a_message_that_is_missing_is_a_gap_until_the_next_whole_book() -> None:
    parser = CcxtParser("okx")
    events = play(parser, [book(1), change(2), change(2), change(4), change(5), book(6), book(7), change(8)])
    assert [type(event) for event in events] == [BookSnapshot, BookDelta, Gap, BookSnapshot, BookDelta]
    assert isinstance(events[2], Gap)
    assert events[2].reason == "message 4 after 2: 1 lost"
    counts = parser.instruments["BTC-USDT"].counts
    assert (counts.frames, counts.duplicates, counts.skipped, counts.gaps, counts.resyncs) == (8, 1, 3, 1, 1)


def test_a_tape_that_begins_in_the_middle_takes_the_next_whole_book() -> None:
    events = play(CcxtParser("okx"), [change(40), change(41), book(42), change(43)])
    assert [type(event) for event in events] == [BookSnapshot, BookDelta]


def test_what_ccxt_finds_wrong_is_a_gap_once() -> None:
    lost = [frame("lost", n=2, reason="okx: InvalidNonce"), frame("lost", n=3, reason="again")]
    events = play(CcxtParser("okx"), [book(1), *lost, book(4)])
    assert [type(event) for event in events] == [BookSnapshot, Gap, BookSnapshot]
    assert isinstance(events[1], Gap)
    assert events[1].reason == "okx: InvalidNonce"


def test_a_refusal_is_a_dead_letter_and_no_gap() -> None:
    letters: list[DeadLetter] = []
    refused = frame("refused", reason="okx lists no BTC-UDST")
    events = play(CcxtParser("okx", letters.append), [book(1), refused, change(2)])
    assert [type(event) for event in events] == [BookSnapshot, BookDelta]
    assert [(letter.reason, letter.payload) for letter in letters] == [("okx lists no BTC-UDST", refused.payload)]


def test_another_connection_counts_anew_and_the_end_of_the_first_costs_it_nothing() -> None:
    frames = [
        life("connect"), book(1), change(2), life("connect", "okx.2"), book(1, conn="okx.2"), change(3),
        life("disconnect"),
        change(2, conn="okx.2"), life("disconnect", "okx.2"), life("connect"), book(1),
    ]  # fmt: skip
    events = play(CcxtParser("okx"), frames)
    assert [type(event) for event in events] == [
        BookSnapshot, BookDelta, BookSnapshot, BookDelta, Gap, BookSnapshot,
    ]  # fmt: skip
    assert_sound(events)


def test_trades_skip_history_and_repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccxt_parser, "KEPT_IDS", 3)
    parser = CcxtParser("okx")
    later = NOW_MS + 1_000
    events = play(
        parser,
        [
            life("connect"), trades(("1", NOW_MS - 1), ("2", later), ("3", later)), trades(("2", later), ("3", later)),
            trades((None, later), (None, later)), life("disconnect"), life("connect"),
            trades(("3", later), ("4", None)), trades(("1", later), ("2", later)),
        ],
    )  # fmt: skip
    found = [event.trade_id for event in events if isinstance(event, Trade)]
    assert found == ["2", "3", None, None, "4", "1", "2"]  # the first two are kept no more
    counts = parser.instruments["BTC-USDT"].counts
    assert (counts.skipped, counts.duplicates, counts.events) == (1, 3, 7)


def test_the_time_of_a_quiet_book_is_ours_and_a_corrupt_one_is_refused() -> None:
    parser = CcxtParser("okx")
    (quiet,) = play(parser, [book(1, NOW_MS - 3 * DAY_MS)])
    assert (type(quiet), quiet.ts_event_ns) == (BookSnapshot, NOW_NS)
    assert [type(event) for event in play(parser, [change(2, NOW_MS + DAY_MS)])] == [Gap]
    assert play(parser, [book(3, NOW_MS + DAY_MS), book(4, 0)])[0].ts_event_ns == NOW_NS
    assert parser.counts.rejected == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"symbol": "BTCUSDT"}, {"symbol": "okx:BTC-USDT"}, {"n": "2"}, {"ts": "now"}, {"bids": [[1]]}, {"bids": 7},
        {"bids": [[-1, 2]]}, {"asks": [[None, 2]]}, {"kind": "books"},
    ],
)  # fmt: skip
def test_a_frame_that_cannot_be_read_is_a_gap(wrong: dict[str, Any]) -> None:
    letters: list[DeadLetter] = []
    parser = CcxtParser("okx", letters.append)
    events = play(parser, [book(1), frame(**{"kind": "change", "n": 2, "ts": NOW_MS, "nonce": 1, **BOTH, **wrong})])
    assert [type(event) for event in events] == [BookSnapshot, Gap]
    assert len(letters) == 1


def test_a_lost_frame_is_only_the_loss_of_the_symbol_that_it_still_names() -> None:
    contract = book(1, symbol="BTC-USDT_USDT")
    torn = with_payload(contract, contract.payload[:-9])
    gaps = [event for event in play(CcxtParser("okx"), [book(1), contract, torn]) if isinstance(event, Gap)]
    assert [gap.symbol for gap in gaps] == ["BTC-USDT_USDT"]


@given(payload=st.binary(max_size=80) | st.text(max_size=60).map(str.encode))
@settings(max_examples=150, deadline=None)
def test_junk_is_a_dead_letter_and_never_an_exception(payload: bytes) -> None:
    letters: list[DeadLetter] = []
    parser = CcxtParser("okx", letters.append)
    for direction in ("recv", "rest"):
        parser.parse(Frame("okx", "c", direction, 1, payload, None, "tape:7"))
    assert [(letter.source, letter.payload) for letter in letters] == [("tape:7", payload)]


# The books that the feed tells

SIDE = st.dictionaries(st.integers(1, 30), st.floats(0.001, 1e6), max_size=20)


def kept(bids: dict[int, float], asks: dict[int, float], ts: int | None) -> dict[str, Any]:
    """A book as ccxt keeps it: asks above all bids, both best first."""
    return {
        "bids": [[float(price), bids[price]] for price in sorted(bids, reverse=True)],
        "asks": [[float(price + 30), asks[price]] for price in sorted(asks)],
        "timestamp": ts, "nonce": None,
    }  # fmt: skip


def told(teller: BookTeller, one: dict[str, Any], now_ns: int) -> list[Frame]:
    return [Frame("okx", "okx.1", "recv", now_ns, msgspec.json.encode(said)) for said in teller.tell(one, now_ns)]


@given(states=st.lists(st.tuples(SIDE, SIDE, st.integers(0, 2)), min_size=1, max_size=12), drop=st.integers(1, 30))
@settings(max_examples=150, deadline=None)
def test_the_book_that_is_read_is_the_book_that_was_told(
    states: list[tuple[dict[int, float], dict[int, float], int]], drop: int
) -> None:
    teller, frames, now_ns = BookTeller("BTC-USDT"), [], NOW_NS
    for bids, asks, minutes in states:
        now_ns += minutes * WHOLE_EVERY_NS // 2
        frames += told(teller, kept(bids, asks, NOW_MS), now_ns)
    parser = CcxtParser("okx")
    events = play(parser, frames)
    last = kept(*states[-1][:2], NOW_MS)
    ours = books_of(events)["BTC-USDT"]
    assert [side[:, :2].tolist() for side in ours.top(50)] == [last["bids"], last["asks"]]
    assert parser.instruments["BTC-USDT"].counts.gaps == 0
    # Without one of the frames: a gap at the next one, unless it was the last or a book that is repeated.
    if drop < len(frames) - 1:
        assert_sound(play(CcxtParser("okx"), frames[:drop] + frames[drop + 1 :]))
        assert any(isinstance(event, Gap) for event in play(CcxtParser("okx"), frames[:drop] + frames[drop + 1 :]))


def test_what_is_said_again_is_not_told_again_and_a_new_time_is() -> None:
    teller = BookTeller("BTC-USDT")
    one = kept({1: 1.0}, {1: 2.0}, 5)
    assert len(teller.tell(one, NOW_NS)) == 1
    assert teller.tell(one, NOW_NS + 1) == []
    (change,) = teller.tell({**one, "timestamp": 6}, NOW_NS + 2)
    assert msgspec.json.decode(msgspec.json.encode(change)) == {
        "kind": "change", "symbol": "BTC-USDT", "n": 2, "ts": 6, "nonce": None, **NOTHING,
    }  # fmt: skip
    assert [said.n for said in teller.tell(one, NOW_NS + WHOLE_EVERY_NS)] == [3, 4]


def test_levels_beyond_the_depth_come_in_when_others_go() -> None:
    prices = [float(price) for price in range(DEPTH + 2, 0, -1)]
    deep: dict[str, Any] = {"bids": [[price, 1.0] for price in prices], "asks": [], "timestamp": None, "nonce": None}
    teller = BookTeller("BTC-USDT")
    frames = told(teller, deep, NOW_NS) + told(teller, {**deep, "bids": deep["bids"][1:]}, NOW_NS)
    snapshot, delta = play(CcxtParser("okx"), frames)
    assert isinstance(snapshot, BookSnapshot)
    assert isinstance(delta, BookDelta)
    assert (len(snapshot.bids), snapshot.depth) == (DEPTH, DEPTH)
    assert delta.bids.tolist() == [[DEPTH + 2.0, 0.0], [2.0, 1.0]]


def test_orders_of_one_price_are_one_level_however_many() -> None:
    assert best([[7.0, 1.0, "a"]] * (DEPTH + 5) + [[6.0, 2.0, "b"]]) == {7.0: DEPTH + 5.0, 6.0: 2.0}
    orders = [[float(-price), 1.0, "a"] for price in range(DEPTH + 5) for _ in range(2)]
    assert best(orders) == {float(-price): 2.0 for price in range(DEPTH)}


# Names


@pytest.mark.parametrize(
    ("unified", "ours"),
    [
        ("BTC/USDT", "BTC-USDT"), ("BTC/USDT:USDT", "BTC-USDT_USDT"), ("BTC/USD:BTC-260327", "BTC-USD_BTC-260327"),
        ("kBONK/USDC:USDC", "KBONK-USDC_USDC"), ("BTC-USDT", "BTC-USDT"),
    ],
)  # fmt: skip
def test_symbols_have_one_name_without_a_colon(unified: str, ours: str) -> None:
    assert symbol_of(unified) == ours
    assert ccxt_parser._SYMBOL.fullmatch(ours)


def test_venues_that_are_not_ours_are_ccxts() -> None:
    for name, known in (("okx", "okx"), ("ccxt:kraken", "ccxt-kraken"), ("ccxt-okx", "ccxt-okx")):
        venue = venue_named(name)
        assert (venue.name, venue.parser) == (known, CcxtParser)
        assert isinstance(parser_of(known, lambda letter: None), CcxtParser)
    assert venue_named("kraken") is venues()["kraken"]
    assert {"okx", "bybit", "kucoin", "gate"} <= exchange_ids()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("okxx", "unknown venue 'okxx'; did you mean okx?"),
        ("ccxt:krakn", "unknown venue 'ccxt:krakn'; did you mean kraken?"),
        ("mtgox", f"unknown venue 'mtgox'; there are {', '.join(sorted(venues()))}, and all that ccxt.pro has"),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_are_like_it(name: str, why: str) -> None:
    with pytest.raises(InputError) as failure:
        venue_named(name)
    assert str(failure.value) == why


def test_mutated_frames_leave_the_events_sound() -> None:
    teller, frames = BookTeller("BTC-USDT"), []
    for i in range(300):
        sizes = {price: float(1 + (price * i) % 7) for price in range(1, 20) if (price + i) % 5}
        frames += told(teller, kept(sizes, sizes, NOW_MS + i), NOW_NS + i * WHOLE_EVERY_NS // 10)
    letters: list[DeadLetter] = []
    parser, events = CcxtParser("okx", letters.append), []
    for i, one in enumerate(frames):
        payload, at = one.payload, zlib.crc32(one.payload) % len(one.payload)
        if i % 7 == 3:
            payload = payload[:at] if i % 2 else payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]
        events += parser.parse(with_payload(one, payload))
        if i % 50 == 13:
            events += parser.parse(one)
    assert_sound(events)
    assert letters


def test_names_are_known_without_importing_ccxt() -> None:
    code = (
        "import sys; from producers.exchanges.venue import *; parser_of('okx', print); sys.exit('ccxt' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
