"""Candles against a plain group-by."""

from hypothesis import given, settings
from hypothesis import strategies as st

from quicksilver.candles import CandleBuilder
from quicksilver.events import Price, Trade
from quicksilver.records import Candle

INTERVAL = 100
trades = st.lists(
    st.tuples(st.integers(0, 60), st.floats(1, 100), st.floats(0.1, 5), st.sampled_from(["buy", "sell", None])),
    min_size=1,
    max_size=80,
)


Row = tuple[int, float, bool]  # time step, price, whether it is a trade (else a mid)
both = st.lists(st.tuples(st.integers(-60, 130), st.floats(1, 100), st.booleans()), min_size=1, max_size=80)


def play(rows: list[Row], builder: CandleBuilder, before: list[Row] | None = None) -> list[Candle]:
    seq = len(before or [])
    ts = 5_000 + sum(row[0] for row in before or [])
    out = []
    for dt, price, is_trade in rows:
        ts, seq = ts + dt, seq + 1
        if is_trade:
            out += builder.on_trade(Trade("v", "A-B", seq, ts, ts, price, 1.0, None))
        else:
            out += builder.on_mid(seq, ts, ts, price)
    return out


def naive(rows: list[Row]) -> list[tuple[int, float, float, float, float, int, str]]:
    """Closed candles, from a list of them all as (open time, prices, number of trades, source)."""
    candles: list[tuple[int, list[float], int, str]] = []
    ts, reached, traded = 5_000, 5_000, False
    for dt, price, is_trade in rows:
        ts += dt
        reached = max(reached, ts)
        traded |= is_trade
        kind = "trade" if is_trade else "mid"
        end = candles[-1][0] + INTERVAL if candles else 0
        if reached < end:
            open_ns, prices, count, source = candles[-1]
            candles[-1] = (open_ns, [*prices, price] if kind == source else prices, count + is_trade, source)
        elif is_trade or not traded:
            candles.append((max(ts // INTERVAL * INTERVAL, end), [price], int(is_trade), kind))
            reached = ts
    done = candles if not candles or candles[-1][0] + INTERVAL <= reached else candles[:-1]
    return [(open_ns, p[0], max(p), min(p), p[-1], count, source) for open_ns, p, count, source in done]


def run(rows: list[tuple[int, float, float, str | None]], builder: CandleBuilder, ts: int = 5_000) -> list[Candle]:
    out = []
    for seq, (dt, price, size, side) in enumerate(rows, 1):
        ts += dt
        out += builder.on_trade(Trade("v", "A-B", seq, ts, ts, price, size, side))  # type: ignore[arg-type]
    return out


@given(rows=trades)
@settings(max_examples=150)
def test_closed_candles_equal_group_by(rows: list[tuple[int, float, float, str | None]]) -> None:
    groups: dict[int, list[tuple[float, float, str | None]]] = {}
    ts = 5_000
    for dt, price, size, side in rows:
        ts += dt
        groups.setdefault(ts // INTERVAL * INTERVAL, []).append((price, size, side))
    closed = [one for one in run(rows, CandleBuilder("v", "A-B", INTERVAL, 10)) if one.closed]
    assert [one.ts_open_ns for one in closed] == sorted(groups)[:-1]
    for one in closed:
        prices = [price for price, _, _ in groups[one.ts_open_ns]]
        assert (one.open, one.high, one.low, one.close) == (prices[0], max(prices), min(prices), prices[-1])
        assert one.trades == len(prices)
        assert abs(one.volume - sum(size for _, size, _ in groups[one.ts_open_ns])) < 1e-9
        assert one.source == "trade"


@given(rows=trades, cut=st.integers(0, 80))
def test_dump_and_load_at_any_event(rows: list[tuple[int, float, float, str | None]], cut: int) -> None:
    first, second = CandleBuilder("v", "A-B", INTERVAL, 10), CandleBuilder("v", "A-B", INTERVAL, 10)
    run(rows[:cut], first)
    second.load(first.dump())
    last = 5_000 + sum(row[0] for row in rows[:cut])
    assert run(rows[cut:], second, last) == run(rows[cut:], first, last)


def test_mids_make_candles_until_there_are_trades() -> None:
    builder = CandleBuilder("v", "A-B", INTERVAL, 10)
    mids = [candle for i in range(12) for candle in builder.on_mid(i, 1000 + 10 * i, 0, 50.0 + i)]
    assert [one.source for one in mids if one.closed] == ["mid"]
    assert (mids[-1].open, mids[-1].close) == (60.0, 61.0)
    builder.on_trade(Trade("v", "A-B", 20, 1120, 0, 70.0, 1.0, "buy"))
    builder.on_mid(21, 1130, 0, 80.0)  # its prices are mids until its end
    (closed,) = builder.on_mid(22, 1200, 0, 90.0)
    assert (closed.high, closed.close, closed.volume, closed.closed) == (80.0, 80.0, 1.0, True)
    first = builder.on_trade(Trade("v", "A-B", 23, 1210, 0, 71.0, 1.0, "buy"))
    assert [one.source for one in first] == ["trade"]
    (again,) = builder.on_mid(24, 1300, 0, 90.0)
    assert (again.close, again.closed) == (71.0, True)


@settings(max_examples=200)
@given(rows=both, cut=st.integers(0, 80))
def test_books_and_trades_on_jittery_clocks_equal_the_naive_reading(rows: list[Row], cut: int) -> None:
    builder, again = CandleBuilder("v", "A-B", INTERVAL, 10), CandleBuilder("v", "A-B", INTERVAL, 10)
    out = play(rows[:cut], builder)
    again.load(builder.dump())
    out += play(rows[cut:], again, rows[:cut])
    keys = [one.ts_open_ns for one in out if one.closed]
    assert keys == sorted(set(keys))  # one closing row a candle, in order
    for at, one in enumerate(out):
        assert one.closed or all(one.ts_open_ns != before.ts_open_ns for before in out[:at] if before.closed)
    got = [(c.ts_open_ns, c.open, c.high, c.low, c.close, c.trades, c.source) for c in out if c.closed]
    assert got == naive(rows)


def test_the_forming_candle_is_emitted_only_so_often() -> None:
    builder = CandleBuilder("v", "A-B", 1000, 100)
    emitted = [one for i in range(100) for one in builder.on_mid(i, 2000 + 10 * i, 0, 1.0)]
    assert len(emitted) == 10


def test_a_late_event_never_rewrites_a_closed_candle() -> None:
    builder = CandleBuilder("v", "A-B", INTERVAL, 10)
    out = run([(0, 1.0, 1.0, "buy"), (100, 2.0, 1.0, "buy")], builder)
    out += builder.on_trade(Trade("v", "A-B", 3, 5_050, 0, 9.0, 1.0, "sell"))
    closed = [one for one in out if one.closed]
    assert [one.high for one in closed] == [1.0]


def test_rows_that_are_candles_keep_their_own_extremes() -> None:
    builder = CandleBuilder("v", "A-B", INTERVAL, 0)
    builder.on_price(Price("v", "A-B", 1, 1000, 0, 11.0, 5.0, 10.0, 12.0, 9.0))
    (closed, _) = builder.on_price(Price("v", "A-B", 2, 1100, 0, 11.0))
    assert (closed.open, closed.high, closed.low, closed.close, closed.volume) == (10.0, 12.0, 9.0, 11.0, 5.0)
