"""What every store must do; each store's tests run these over it."""

import sys
from functools import partial

import pytest

from api.answers import bounded
from quicksilver import codec
from quicksilver.events import Trade
from quicksilver.ports import Store
from quicksilver.records import Candle, DeadLetter, FeedStats, FullBook, Latency, Status, TopLevel
from quicksilver.tables import DAY_NS


def status(seq: int, ts: int, symbol: str = "BTC-USD", state: str = "LIVE") -> Status:
    return Status("kraken", symbol, seq, ts, ts, state, "")  # type: ignore[arg-type]


def full_book(seq: int, ts: int) -> FullBook:
    bids, asks = [TopLevel(1.5, 2.0, 2.0), TopLevel(1.0, 5e-324, 2.0, 3)], [TopLevel(2.0, 1e300, 1e300)]
    return FullBook("kraken", "BTC-USD", seq, ts, ts, bids, asks, 9, 1, 2, 3, -0.0, 4.5)


def candle(ts_open: int, close: float) -> Candle:
    return Candle("k", "s", 1, 5, 5, ts_open, 60, 1.0, 1.0, 1.0, close, 1.0, 0.0, 1, "trade", False)


def settle(store: Store) -> None:
    """Wait until all that was written can be read, in a store that writes behind."""
    flush = getattr(store, "flush", None)
    if flush is not None:
        flush()


class StoreContract:
    """Wants a fixture ``store``: an empty one."""

    def test_reads_the_newest_rows_of_a_span_oldest_first(self, store: Store) -> None:
        store.write([status(i, 100 + i) for i in range(10)])
        store.write([status(1, 100, "ETH-USD")])
        settle(store)
        assert store.read("status", "kraken:BTC-USD", limit=3) == [status(i, 100 + i) for i in (7, 8, 9)]
        span = store.read("status", "kraken:BTC-USD", start_ns=103, end_ns=105)
        assert span == [status(3, 103), status(4, 104)]
        assert store.keys("status") == ["kraken:BTC-USD", "kraken:ETH-USD"]
        assert store.count("status") == 11
        assert store.read("status", "kraken:XRP-USD") == []

    def test_writing_a_row_again_leaves_one(self, store: Store) -> None:
        for _ in range(3):
            store.write([status(1, 100), candle(60, 2.0)])
        store.write([candle(60, 3.0), candle(120, 4.0)])
        settle(store)
        assert store.count("status") == 1
        assert store.read("candles", "k:s") == [candle(60, 3.0), candle(120, 4.0)]

    def test_numbers_that_start_again_with_a_session_do_not_overwrite_history(self, store: Store) -> None:
        store.write([status(1, 100)])
        store.write([status(1, 900)])
        settle(store)
        assert store.read("status", "kraken:BTC-USD") == [status(1, 100), status(1, 900)]

    def test_rows_of_one_moment_keep_their_order(self, store: Store) -> None:
        rows = [Trade("kraken", "BTC-USD", seq, 100, 100, 1.0, 1.0, "buy", str(seq)) for seq in (8, 9, 10, 11)]
        store.write(rows)
        settle(store)
        assert store.read("trades", "kraken:BTC-USD", limit=3) == rows[1:]

    def test_records_without_an_instrument(self, store: Store) -> None:
        letter = DeadLetter(7, "a:1", "kraken", None, "why", b"\xff")
        feed = FeedStats("kraken", "", 6, "LIVE", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0.5, 2.5, None, -1.5)
        store.write([Latency("hop", 5, 1, 1.0, 2.0, 3.0), letter, feed])
        settle(store)
        assert store.read("latency", "hop") == [Latency("hop", 5, 1, 1.0, 2.0, 3.0)]
        assert store.read("dead-letters", store.keys("dead-letters")[0]) == [letter]
        assert store.keys("feeds") == ["kraken:"]
        assert store.read("feeds", "kraken:") == [feed]

    def test_the_newest_rows_come_from_as_many_days_as_it_takes(self, store: Store) -> None:
        rows = [status(i, i * DAY_NS // 3) for i in range(12)]
        store.write(rows[6:])
        store.write(rows[:6])
        settle(store)
        assert store.read("status", "kraken:BTC-USD", limit=8) == rows[4:]
        assert store.read("status", "kraken:BTC-USD", start_ns=DAY_NS, end_ns=3 * DAY_NS) == rows[3:9]
        assert store.read("status", "kraken:BTC-USD", start_ns=DAY_NS + 1, end_ns=3 * DAY_NS + 1, limit=2) == rows[8:10]
        assert store.read("status", "kraken:BTC-USD", start_ns=-(2**63), end_ns=-(2**63)) == []
        assert store.read("status", "kraken:BTC-USD", limit=0) == []
        assert store.count("status") == 12

    def test_full_books_come_from_as_many_minutes_as_it_takes(self, store: Store) -> None:
        rows = [full_book(i, i * 25_000_000_000) for i in range(8)]
        store.write(rows[4:])
        store.write(rows[:4])
        settle(store)
        assert store.read("full-books", "kraken:BTC-USD", limit=5) == rows[3:]
        span = store.read("full-books", "kraken:BTC-USD", start_ns=rows[2].ts_event_ns, end_ns=rows[6].ts_event_ns)
        assert span == rows[2:6]
        assert store.count("full-books") == 8

    def test_an_answer_of_large_rows_is_of_the_newest_and_reading_on_gives_all(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read_json = getattr(store, "read_json", None)
        if read_json is None:
            pytest.skip("the twin in memory keeps no JSON")
        rows = [full_book(i, i * 25_000_000_000) for i in range(8)]
        store.write(rows)
        settle(store)
        of_two_rows = 2 * len(codec.encode(rows[0])) + 9
        for name in ("api.store_sqlite", "api.store_cassandra"):
            if name in sys.modules:
                monkeypatch.setattr(f"{name}.bounded", partial(bounded, most_bytes=of_two_rows))
        found, end_ns = list[bytes](), 2**63 - 1
        while some := read_json("full-books", "kraken:BTC-USD", end_ns=end_ns):
            assert len(some) <= 2
            found, end_ns = some + found, codec.decode(FullBook, some[0]).ts_event_ns
        assert found == [codec.encode(row) for row in rows]
        assert len(store.read("full-books", "kraken:BTC-USD")) == 8

    def test_of_one_row_in_one_write_the_last_stays(self, store: Store) -> None:
        store.write([candle(60, float(close)) for close in range(50)])
        settle(store)
        assert store.read("candles", "k:s") == [candle(60, 49.0)]

    def test_rows_are_served_as_the_codec_writes_them(self, store: Store) -> None:
        rows = [
            Trade("kraken", "é-USD", 1, 2, 3, -0.0, 5e-324, None),
            Trade("kraken", "é-USD", 2, 2, 3, 1.0, 1e300, "sell", "x"),
        ]
        store.write(rows)
        settle(store)
        assert [codec.encode(row) for row in store.read("trades", "kraken:é-USD")] == [
            codec.encode(row) for row in rows
        ]
        read_json = getattr(store, "read_json", None)  # the twin in memory keeps no JSON
        if read_json is not None:
            assert read_json("trades", "kraken:é-USD") == [codec.encode(row) for row in rows]
