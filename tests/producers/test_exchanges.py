"""The contract of every venue's parser, and each venue's own rules on real recordings."""

import zlib
from importlib import import_module
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.exchanges.base import Parser
from producers.exchanges.bitstamp import BitstampParser
from producers.exchanges.coinbase import CoinbaseParser
from producers.exchanges.kraken import KrakenParser
from producers.exchanges.kraken_checksum import ChecksumBook
from producers.exchanges.venue import parser_of, venues
from producers.frames import Frame
from producers.tapes import read_frames
from quicksilver.book import Book
from quicksilver.errors import InputError
from quicksilver.events import BookDelta, BookSnapshot, Gap, Trade
from quicksilver.records import DeadLetter
from tests.producers.faults import assert_sound, books_of, play, with_payload

LIVE = "market-aggregator/2026-08-09-btc-usd-live.jsonl.gz"


TAPES = {
    "coinbaseexchange": "cryptofeed/legacy/2021-04-17.3525dc8c.COINBASE.ws.28.0.zst",
    "poloniex": "cryptofeed/legacy/2021-04-05.1312c062.POLONIEX-d60751.0.zst",
    "bitfinex": "cryptofeed/legacy/2021-04-05.1312c062.BITFINEX-58bafb.0.zst",
    "binance": "cryptofeed/legacy/2021-04-05.1312c062.BINANCE-b38f7c.0.zst",
    "binanceusdm": "cryptofeed/legacy/2021-04-05.1312c062.BINANCE-b38f7c.0.zst",  # the spot market's; same messages
}


def frames_of(tapes: Path, name: str, venue: str) -> list[Frame]:
    frames = read_frames(tapes / name, venue=venue if name in TAPES.values() else None)
    return [frame for frame in frames if frame.venue == venue]


@pytest.mark.parametrize("name", sorted(venues()))
class TestEveryVenue:
    def test_has_a_parser_and_a_feed_that_agree_on_symbols(self, name: str) -> None:
        venue = venues()[name]
        parser = venue.parser(name)
        feed = venue.feed(name, ["BTC-USD", "ETH-EUR"])
        assert parser.native("BTC-USD")
        assert feed.url.startswith("wss://")
        for message in feed.subscribe(["BTC-USD"]):
            msgspec.json.decode(message)
        assert "https://" in (import_module(venue.parser.__module__).__doc__ or "")

    @given(payload=st.binary(max_size=80) | st.text(max_size=60).map(str.encode))
    @settings(max_examples=150, deadline=None)
    def test_junk_is_a_dead_letter_and_never_an_exception(self, name: str, payload: bytes) -> None:
        letters: list[DeadLetter] = []
        parser = venues()[name].parser(name, letters.append)
        for direction in ("recv", "rest"):
            parser.parse(Frame(name, "c", direction, 1, payload, "x?symbol=BTC-USD", "tape:7"))
        assert len(letters) == parser.counts.rejected
        assert all(letter.source == "tape:7" and letter.reason and letter.payload == payload for letter in letters)

    def test_mutated_real_frames_leave_the_events_sound(self, name: str, tapes: Path) -> None:
        frames = frames_of(tapes, TAPES.get(name, LIVE), name)[:600]
        letters: list[DeadLetter] = []
        parser = venues()[name].parser(name, letters.append)
        events = []
        for i, frame in enumerate(frames):
            payload = frame.payload
            if i % 7 == 3 and len(payload) < 5_000:
                at = zlib.crc32(payload) % len(payload)
                kind = i % 3
                payload = payload[:at] if kind == 0 else payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]
            events += parser.parse(with_payload(frame, payload))
            if i % 50 == 13:
                events += parser.parse(frame)  # twice
        assert_sound(events)
        assert letters


def test_an_unknown_venue_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="unknown venue 'nowhere'"):
        parser_of("nowhere", lambda letter: None)


# Kraken


@pytest.mark.parametrize(
    ("tape", "checksums"),
    [
        (LIVE, 1676),
        ("market-aggregator/2026-08-09-btc-usd.jsonl.gz", 176),
        ("crossbook/kraken_btcusd_sample.cbcap", 2052),
        ("crossbook/kraken_btcusd_l2.cbcap", 301),
    ],
)
def test_kraken_every_checksum_of_every_tape(tapes: Path, tape: str, checksums: int) -> None:
    parser = KrakenParser()
    events = play(parser, frames_of(tapes, tape, "kraken"))
    counts = next(iter(parser.instruments.values())).counts
    assert (counts.checksums_passed, counts.checksums_failed, counts.gaps) == (checksums, 0, 0)
    assert sum(isinstance(event, BookSnapshot | BookDelta) for event in events) == checksums
    assert_sound(events)


def test_kraken_first_events_whole(tapes: Path) -> None:
    frames = frames_of(tapes, "crossbook/kraken_btcusd_l2.cbcap", "kraken")
    raw = [msgspec.json.decode(frame.payload) for frame in frames]
    snapshot, first = play(KrakenParser(), frames)[:2]
    book = next(one for one in raw if one.get("type") == "snapshot" and one.get("channel") == "book")["data"][0]
    assert isinstance(snapshot, BookSnapshot)
    assert snapshot.bids.tolist() == [[one["price"], one["qty"]] for one in book["bids"]]
    assert snapshot.asks.tolist() == [[one["price"], one["qty"]] for one in book["asks"]]
    assert (snapshot.venue, snapshot.symbol, snapshot.seq, snapshot.depth) == ("kraken", "BTC-USD", 1, 10)
    update = next(one for one in raw if one.get("type") == "update" and one.get("channel") == "book")["data"][0]
    assert isinstance(first, BookDelta)
    assert first.asks.tolist() == [[one["price"], one["qty"]] for one in update["asks"]]
    assert first.ts_event_ns % 1000 == 0
    assert first.seq == 2


def test_kraken_one_flipped_byte_is_caught_at_once_and_only_that_symbol_stops(tapes: Path) -> None:
    frames = frames_of(tapes, LIVE, "kraken")
    at = next(i for i, frame in enumerate(frames) if i > 900 and b'"qty":0.' in frame.payload)
    payload = frames[at].payload
    where = payload.index(b'"qty":0.') + 9
    flipped = payload[:where] + bytes([payload[where] ^ 1]) + payload[where + 1 :]
    eth = b'"bids":[{"price":1.0,"qty":2.0}],"asks":[],"checksum":%d' % zlib.crc32(b"1020")
    head = b'{"channel":"book","type":"%s","data":[{"symbol":"ETH/USD",%s,"timestamp":"2026-08-09T05:24:00.000000Z"}]}'
    first, ts_ns = frames[0], frames[0].ts_recv_ns
    other = [Frame(first.venue, first.conn, "recv", ts_ns, head % (kind, eth)) for kind in (b"snapshot", b"update")]
    parser = KrakenParser()
    events = play(parser, [other[0], *frames[:at], with_payload(frames[at], flipped), other[1], *frames[at + 1 :]])
    gaps = [event for event in events if isinstance(event, Gap)]
    assert [(gap.symbol, gap.ts_recv_ns) for gap in gaps] == [("BTC-USD", frames[at].ts_recv_ns)]
    assert "checksum" in gaps[0].reason
    after = events[events.index(gaps[0]) + 1 :]
    assert [(type(event), event.symbol) for event in after] == [(BookDelta, "ETH-USD")]
    counts = parser.instruments["BTC-USD"].counts
    assert (counts.checksums_failed, counts.gaps) == (1, 1)
    assert counts.skipped == sum(
        b'"update"' in frame.payload and b'"book"' in frame.payload for frame in frames[at + 1 :]
    )
    assert_sound(events)


def test_kraken_resyncs_with_the_next_snapshot(tapes: Path) -> None:
    frames = frames_of(tapes, "crossbook/kraken_btcusd_l2.cbcap", "kraken")
    at = next(i for i, frame in enumerate(frames) if b'"update"' in frame.payload and b'"qty"' in frame.payload)
    parser = KrakenParser()
    events = play(parser, [*frames[:at], with_payload(frames[at], frames[at].payload[:-9]), *frames[at + 1 :]])
    counts = parser.instruments["BTC-USD"].counts
    assert (parser.counts.rejected, counts.gaps, counts.resyncs) == (1, 1, 1)
    assert_sound(events)


def test_kraken_a_first_snapshot_with_a_wrong_checksum_is_a_gap_once(tapes: Path) -> None:
    frames = frames_of(tapes, "crossbook/kraken_btcusd_l2.cbcap", "kraken")
    first = next(frame for frame in frames if b'"type":"snapshot"' in frame.payload)
    wrong = with_payload(first, first.payload.replace(b'"checksum":', b'"checksum":1'))
    parser = KrakenParser()
    kinds = [type(event) for event in play(parser, [wrong, wrong, first])]
    assert kinds == [Gap, BookSnapshot]
    counts = parser.instruments["BTC-USD"].counts
    assert (counts.checksums_failed, counts.checksums_passed, counts.gaps, counts.resyncs) == (2, 1, 1, 1)


def test_kraken_trades_skip_history_and_repetitions() -> None:
    def frame(kind: str, *ids: int) -> Frame:
        trades = ",".join(
            f'{{"symbol":"BTC/USD","side":"buy","price":10.5,"qty":0.25,"ord_type":"limit","trade_id":{i},'
            f'"timestamp":"2026-01-01T00:00:00.{i:06d}Z"}}'
            for i in ids
        )
        return Frame("kraken", "k", "recv", 7, f'{{"channel":"trade","type":"{kind}","data":[{trades}]}}'.encode())

    parser = KrakenParser()
    events = play(parser, [frame("snapshot", 1, 2), frame("update", 2, 3), frame("update", 4)])
    midnight = 1_767_225_600_000_000_000
    assert events == [
        Trade("kraken", "BTC-USD", i - 2, midnight + i * 1000, 7, 10.5, 0.25, "buy", str(i)) for i in (3, 4)
    ]
    counts = parser.instruments["BTC-USD"].counts
    assert (counts.skipped, counts.duplicates) == (2, 1)


@given(
    steps=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 40), st.integers(0, 10**12)), max_size=60),
    depth=st.sampled_from([3, 10]),
)
@settings(max_examples=100, deadline=None)
def test_kraken_checksum_equals_zlib(steps: list[tuple[int, int, int]], depth: int) -> None:
    import numpy as np

    book, naive = ChecksumBook(depth), ({}, {})  # type: ignore[var-annotated]
    for side, price, size in steps:
        row, mark = np.array([[float(price), 0.0, 0.0]]), np.array([[price, size]], np.uint64)
        ours = book.apply(row, mark, 1 - side, 1)
        naive[side][price] = size
        if not size:
            del naive[side][price]
        for one, best_first in ((0, True), (1, False)):
            for worst in sorted(naive[one], reverse=best_first)[depth:]:
                del naive[one][worst]
        asks, bids = sorted(naive[1])[:10], sorted(naive[0], reverse=True)[:10]
        text = "".join(f"{p}{naive[1][p]}" for p in asks) + "".join(f"{p}{naive[0][p]}" for p in bids)
        assert ours == zlib.crc32(text.encode())


# Coinbase


def test_coinbase_full_depth_without_a_gap_or_a_cross(tapes: Path) -> None:
    parser, book = CoinbaseParser(), Book()
    events = play(parser, frames_of(tapes, LIVE, "coinbase"))
    assert sum(isinstance(event, BookDelta) for event in events) == 3266
    for event in events:
        if isinstance(event, BookSnapshot):
            book.snapshot(event.bids, event.asks, event.depth)
            assert len(event.bids) + len(event.asks) > 40_000
        elif isinstance(event, BookDelta):
            assert not book.apply(event.bids, event.asks)
    assert_sound(events)


def test_coinbase_names_the_makers_side_so_buyers_lift_asks(tapes: Path) -> None:
    books: dict[str, Book] = {}
    at_ask = at_bid = 0
    for event in play(CoinbaseParser(), frames_of(tapes, "cryptofeed/v3/COINBASE.jsonl.zst", "coinbase")):
        book = books.setdefault(event.symbol, Book())
        if isinstance(event, BookSnapshot):
            book.snapshot(event.bids, event.asks)
        elif isinstance(event, BookDelta):
            book.apply(event.bids, event.asks)
        elif isinstance(event, Trade) and book.ready:
            bid, ask = book.top(1)[0][0, 0], book.top(1)[1][0, 0]
            buyer_pays = event.price >= (bid + ask) / 2
            at_ask += (event.side == "buy") == buyer_pays
            at_bid += (event.side == "buy") != buyer_pays
    assert at_ask > 2 * at_bid


def test_coinbase_a_lost_message_puts_every_book_of_the_connection_in_doubt(tapes: Path) -> None:
    frames = frames_of(tapes, "cryptofeed/v3/COINBASE.jsonl.zst", "coinbase")
    at = len(frames) - 200
    parser = CoinbaseParser()
    events = play(parser, [*frames[:at], *frames[at + 1 :]])
    gaps = [event for event in events if isinstance(event, Gap)]
    assert sorted(gap.symbol for gap in gaps) == ["BTC-USD", "ETH-USD"]
    assert all("1 messages lost" in gap.reason for gap in gaps)
    assert_sound(events)


def test_coinbase_a_repeated_message_is_a_duplicate(tapes: Path) -> None:
    frames = frames_of(tapes, LIVE, "coinbase")[:50]
    parser = CoinbaseParser()
    assert play(parser, [*frames, frames[-1], frames[-5]]) == play(CoinbaseParser(), frames)
    assert parser.counts.duplicates == 2


def test_coinbase_exchange_books_are_never_crossed_and_trades_take_the_takers_side(tapes: Path) -> None:
    frames = frames_of(tapes, TAPES["coinbaseexchange"], "coinbaseexchange")
    parser = CoinbaseParser("coinbaseexchange")
    events = play(parser, frames)
    assert_sound(events)
    kinds = [sum(isinstance(event, kind) for event in events) for kind in (BookSnapshot, BookDelta, Trade, Gap)]
    assert kinds == [10, 9_719, 97, 0]
    assert all(book.ready for book in books_of(events).values())
    makers = [one for frame in frames if (one := msgspec.json.decode(frame.payload or b"{}")).get("type") == "match"]
    trades = [event for event in events if isinstance(event, Trade)]
    assert {(maker["side"], trade.side) for maker, trade in zip(makers, trades, strict=True)} == {
        ("buy", "sell"), ("sell", "buy"),
    }  # fmt: skip
    assert play(parser, [frame for frame in frames if b'"match"' in frame.payload]) == []  # known by their numbers
    assert parser.counts.rejected == 0


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"l2update","product_id":"BTC-USD","changes":[["hold","1","1"]],"time":"2021-04-17T16:43:37.178Z"}',
        '{"type":"l2update","product_id":"BTC-USD","changes":[["buy","-1","1"]],"time":"2021-04-17T16:43:37.178Z"}',
        '{"type":"l2update","product_id":"BTC-USD","changes":[],"time":"2021-04-17T16:43:37.178Z"}',
        '{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1","1"]]}',
        '{"type":"match","product_id":"BTC-USD","price":"x","size":"1"}',
        '{"type":"snapshot","product_id":"BTC","bids":[],"asks":[]}',
    ],
)
def test_coinbase_exchange_what_cannot_be_read_is_a_dead_letter(text: str) -> None:
    letters: list[DeadLetter] = []
    assert CoinbaseParser(reject=letters.append).parse(Frame("coinbase", "c", "recv", 1, text.encode())) == []
    assert len(letters) == 1


# Bitstamp


@pytest.mark.parametrize(
    "name",
    [
        LIVE,
        "market-aggregator/2026-08-09-btc-usd.jsonl.gz",
        "cryptofeed/legacy/2021-04-05.1312c062.BITSTAMP-b88f8b.0.zst",
    ],
)
def test_bitstamp_bridges_its_snapshots_without_a_gap_or_a_cross(tapes: Path, name: str) -> None:
    parser = BitstampParser()
    events = play(parser, frames_of(tapes, name, "bitstamp"))
    assert not any(isinstance(event, Gap) for event in events)
    assert_sound(events)
    assert all(book.ready for book in books_of(events).values())


def test_bitstamp_reordered_and_unreadable_frames_are_gaps_and_the_next_book_ends_them(tapes: Path) -> None:
    frames = frames_of(tapes, LIVE, "bitstamp")
    for broken in (
        [*frames[:100], frames[101], frames[100], *frames[102:]],
        [*frames[:100], with_payload(frames[100], frames[100].payload[:40]), *frames[101:]],
    ):
        parser = BitstampParser()
        events = play(parser, broken)
        counts = parser.instruments["BTC-USD"].counts
        assert (counts.gaps, counts.resyncs) == (1, 1)
        assert_sound(events)


def bitstamp_diff(micros: int, bid: str, ask: str) -> Frame:
    data = f'{{"microtimestamp":"{micros}","bids":{bid},"asks":{ask}}}'
    text = f'{{"event":"data","channel":"diff_order_book_btcusd","data":{data}}}'
    return Frame("bitstamp", "b", "recv", micros * 1000, text.encode())


def bitstamp_book(micros: int, body: str = '"bids":[["99","1"]],"asks":[["101","1"]]') -> Frame:
    text = f'{{"microtimestamp":"{micros}",{body}}}'.encode()
    return Frame("bitstamp", "b", "rest", micros * 1000, text, "https://x/api/v2/order_book/btcusd/")


@pytest.mark.parametrize("ahead_ns", [-2_000_000, 0, 5_000_000])
def test_bitstamp_a_book_from_before_a_loss_is_known_for_one_whatever_our_clock_says(ahead_ns: int) -> None:
    def received(frame: Frame) -> Frame:
        return msgspec.structs.replace(frame, ts_recv_ns=frame.ts_recv_ns + 10_000_000 + ahead_ns)

    lost = Frame("bitstamp", "b", "disconnect", 5_000_000, b"")
    frames = [
        bitstamp_diff(3_000, '[["98","2"]]', "[]"),
        bitstamp_book(3_500),
        bitstamp_diff(4_000, '[["98","3"]]', "[]"),
        lost,
        bitstamp_diff(5_400, '[["98","4"]]', "[]"),
        bitstamp_book(4_900),
        bitstamp_book(5_300),
    ]
    events = play(BitstampParser(), [*map(received, frames)])
    assert [(type(event), event.ts_event_ns) for event in events if not isinstance(event, Gap)] == [
        (BookSnapshot, 3_500_000), (BookDelta, 4_000_000), (BookSnapshot, 5_300_000), (BookDelta, 5_400_000),
    ]  # fmt: skip


def test_bitstamp_an_unreadable_book_is_said_once_and_the_next_one_bridges() -> None:
    parser = BitstampParser()
    events = play(
        parser,
        [
            bitstamp_diff(1, '[["98","2"]]', "[]"),
            bitstamp_book(2, "not json"),
            bitstamp_book(2, "not json"),
            bitstamp_book(2),
            bitstamp_diff(3, '[["97","3"]]', "[]"),
            bitstamp_book(4, "not json"),
            bitstamp_diff(5, "[]", '[["102","4"]]'),
        ],
    )
    assert [(type(event), event.seq, event.ts_event_ns) for event in events] == [
        (Gap, 1, 2000),
        (BookSnapshot, 2, 2000),
        (BookDelta, 3, 3000),
        (BookDelta, 4, 5000),
    ]
    assert parser.counts.rejected == 3  # the third was to be compared: no book is in doubt because it cannot be read
    assert parser.instruments["BTC-USD"].counts.resyncs == 1


def test_bitstamp_a_doubted_book_is_taken_from_the_next_rest_book() -> None:
    parser = BitstampParser()
    play(parser, [bitstamp_diff(1, "[]", "[]"), bitstamp_book(2), bitstamp_diff(3, '[["98","2"]]', "[]")])
    assert play(parser, [bitstamp_book(4)]) == []  # an audit of a book that is live
    parser.doubt("BTC-USD")
    kinds = [type(one) for one in play(parser, [bitstamp_diff(6, '[["97","1"]]', "[]"), bitstamp_book(5)])]
    assert kinds == [BookSnapshot, BookDelta]


def test_bitstamp_a_book_older_than_what_was_applied_to_a_doubted_one_bridges_nothing() -> None:
    parser = BitstampParser()
    play(parser, [bitstamp_diff(1_000, "[]", "[]"), bitstamp_book(2_000), bitstamp_diff(9_000, '[["98","2"]]', "[]")])
    parser.doubt("BTC-USD")
    assert play(parser, [bitstamp_book(5_000)]) == []
    assert parser.unusable == {"BTC-USD"}
    assert [type(one) for one in play(parser, [bitstamp_book(9_500)])] == [BookSnapshot]


def test_what_was_fetched_to_compare_with_is_never_taken_for_the_book() -> None:
    """It may hold the best levels alone, and come from before a loss."""
    parser = BitstampParser()
    audit = msgspec.structs.replace(bitstamp_book(3), direction="audit")
    assert play(parser, [bitstamp_diff(1, "[]", "[]"), audit]) == []
    assert [type(one) for one in play(parser, [bitstamp_book(4)])] == [BookSnapshot]
    unreadable = msgspec.structs.replace(audit, payload=b"not json")
    assert play(parser, [unreadable]) == []
    assert parser.instruments["BTC-USD"].heard == 1


@pytest.mark.parametrize("why", [b"KeyError('btcusd')", b"1000 (OK) btcusd", b""])
def test_a_connection_that_breaks_is_a_gap_of_all_its_books_whatever_its_last_words_name(why: bytes) -> None:
    parser = BitstampParser()

    def of(pair: str, frame: Frame) -> Frame:
        url = frame.url and frame.url.replace("btcusd", pair)
        return msgspec.structs.replace(frame, payload=frame.payload.replace(b"btcusd", pair.encode()), url=url)

    pairs = ("btcusd", "ethusd")
    play(parser, [of(pair, frame) for pair in pairs for frame in (bitstamp_diff(1, "[]", "[]"), bitstamp_book(2))])
    events = play(parser, [Frame("bitstamp", "b", "disconnect", 3_000, why)])
    assert [(type(event), event.symbol) for event in events] == [(Gap, "BTC-USD"), (Gap, "ETH-USD")]


def test_a_book_that_we_give_up_ends_in_a_gap_with_the_reason() -> None:
    parser = BitstampParser()
    play(parser, [bitstamp_diff(1, "[]", "[]"), bitstamp_book(2)])
    (gap,) = play(parser, [Frame("bitstamp", "b", "drop", 3_000, b"BTC-USD removed: not wanted")])
    assert isinstance(gap, Gap)
    assert (gap.symbol, gap.reason) == ("BTC-USD", "removed: not wanted")
    assert play(parser, [Frame("bitstamp", "b", "drop", 3_000, b"ETH-USD removed: not wanted")]) == []


def test_bitstamp_trades_take_the_takers_side() -> None:
    payload = (
        b'{"data":{"id":5,"amount_str":"0.50000000","price_str":"10.25","type":1,"microtimestamp":"1700000000000001"},'
        b'"channel":"live_trades_btcusd","event":"trade"}'
    )
    (trade,) = BitstampParser().parse(Frame("bitstamp", "b", "recv", 9, payload))
    assert trade == Trade("bitstamp", "BTC-USD", 1, 1_700_000_000_000_001_000, 9, 10.25, 0.5, "sell", "5")


def test_a_time_that_cannot_be_true_is_refused() -> None:
    """A corrupt far-future time would freeze every window."""
    data = b'{"microtimestamp":"9900000000000000","bids":[],"asks":[]}'
    payload = b'{"data":%s,"channel":"diff_order_book_btcusd","event":"data"}' % data
    parser: Parser = BitstampParser()
    parser.parse(Frame("bitstamp", "b", "recv", 1_700_000_000_000_000_000, payload))
    assert parser.counts.rejected == 1


def test_a_broken_connection_is_a_gap_for_its_books(tapes: Path) -> None:
    frames = list(islice(frames_of(tapes, LIVE, "kraken"), 200))
    parser = KrakenParser()
    play(parser, frames)
    (gap,) = parser.parse(Frame("kraken", frames[0].conn, "disconnect", frames[-1].ts_recv_ns, b""))
    assert isinstance(gap, Gap)
    assert gap.reason == "connection lost"
