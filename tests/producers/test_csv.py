"""CSV files: every layout of the recordings, oddities one by one, and layouts that hypothesis makes up."""

import csv
import gzip
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.csv_layout import ColumnChoice, as_symbol
from producers.csv_prices import CsvFile
from quicksilver.errors import InputError
from quicksilver.events import Price
from quicksilver.records import DeadLetter

ROOT = Path(__file__).resolve().parents[2]
NOON = 1_600_000_000


def read(path: Path, choice: ColumnChoice | None = None, **named: Any) -> tuple[list[Price], list[DeadLetter], CsvFile]:
    letters: list[DeadLetter] = []
    file = CsvFile(path, choice, **named)
    return list(file.prices(letters.append)), letters, file


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# Recordings


def test_daily_candles_of_coinmarketcap(tapes: Path) -> None:
    path = tapes / "candles-cmc-daily/coin_Bitcoin.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    prices, letters, file = read(path)
    assert (len(prices), letters, file.interval_ns) == (len(rows), [], 86_400 * 10**9)
    row = rows[1000]
    ts = int(datetime.fromisoformat(row["Date"]).replace(tzinfo=UTC).timestamp()) * 10**9
    assert prices[1000] == Price(
        "csv", "BTC-USD", 1001, ts, ts, float(row["Close"]), float(row["Volume"]), float(row["Open"]),
        float(row["High"]), float(row["Low"]),
    )  # fmt: skip


def test_minutes_of_bitfinex_with_its_own_column_order(tapes: Path) -> None:
    path = next((tapes / "bitfinex-1m/2017-11_2018-01").glob("*BTC*"))
    rows = list(csv.DictReader(gzip.decompress(path.read_bytes()).decode().splitlines()))
    prices, letters, _ = read(path)
    assert (len(prices), len(letters)) == (len(rows), 0)
    first = rows[0]
    ts = int(first["timestamp_ms"]) * 10**6
    assert prices[0] == Price(
        "csv", "BTC-USD", 1, ts, ts, *(float(first[name]) for name in ("close", "volume", "open", "high", "low"))
    )


def test_every_price_file_of_the_recordings_is_read(tapes: Path) -> None:
    for pattern, symbol in (
        ("candles-binance-hourly/*ETH*", "ETH-USDT"),
        ("cryptuoso/*.csv", "BTC-USD"),
        ("ccapi-gemini/*trade*", "ETH-USD"),
        ("gocryptotrader/*.csv", "BTC-USDT"),
        ("freqtrade/kraken*.csv", "BCH-EUR"),
        ("lean/coinbase/daily/*trade*", "BTC-USD"),
    ):
        for path in tapes.glob(pattern):
            prices, letters, _ = read(path)
            assert len(prices) > 100
            assert not letters
            assert {price.symbol for price in prices} == {symbol}
            assert [price.ts_event_ns for price in prices] == sorted(price.ts_event_ns for price in prices)


def test_a_wide_file_has_an_asset_a_column(tapes: Path) -> None:
    path = tapes / "stocks/pyportfolioopt_stock_prices.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    prices, letters, _ = read(path)
    assert len(prices) == sum(bool(cell) for row in rows for name, cell in row.items() if name != "date")
    assert not letters
    last = [price for price in prices if price.symbol == "XOM-USD"][-1]
    assert last.price == float(rows[-1]["XOM"])


def test_milliseconds_of_day_are_refused_with_a_sentence(tapes: Path) -> None:
    with pytest.raises(InputError, match="no row with a time and a price"):
        CsvFile(next((tapes / "lean/coinbase/minute/btcusd").glob("*trade*")))


# Oddities


def test_banner_newest_first_and_am_pm(tmp_path: Path) -> None:
    path = write(
        tmp_path / "Gemini_ETHUSD_1h.csv",
        "https://www.example.com/data\nDate,Symbol,Open,High,Low,Close,Volume\n"
        "2020-07-01 12-AM,ETHUSD,3,5,2,4,10\n2020-06-30 11-PM,ETHUSD,2,4,1,3,20\n2020-06-30 10-PM,ETHUSD,1,2,1,2,30\n",
    )
    prices, letters, file = read(path)
    assert not letters
    assert file.layout.newest_first
    assert [(price.symbol, price.price, price.volume) for price in prices] == [
        ("ETH-USD", 2.0, 30.0), ("ETH-USD", 3.0, 20.0), ("ETH-USD", 4.0, 10.0),
    ]  # fmt: skip
    assert prices[2].ts_event_ns == int(datetime(2020, 7, 1, tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize("factor", [1, 10**3, 10**6, 10**9])
def test_unix_times_of_every_unit(tmp_path: Path, factor: int) -> None:
    path = write(tmp_path / "btcusd.csv", "".join(f"{(NOON + i) * factor},{100 + i}\n" for i in range(5)))
    prices, _, _ = read(path)
    assert [price.ts_event_ns for price in prices] == [(NOON + i) * 10**9 for i in range(5)]


@pytest.mark.parametrize(
    "text", ["7/1/2020 8:00 PM", "2020-07-01T20:00:00Z", "2020-07-01T22:00:00+02:00", "Jul 1, 2020 20:00"]
)
def test_dates_of_every_kind(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "x.csv", f'date,close\n"{text}",5\n')
    prices, _, _ = read(path)
    assert prices[0].ts_event_ns == int(datetime(2020, 7, 1, 20, tzinfo=UTC).timestamp()) * 10**9


def test_repeated_rows_are_counted_and_other_trades_of_a_moment_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", f"time,price\n{NOON},5\n{NOON},5\n{NOON},6\n{NOON + 1},7\n")
    prices, _, file = read(path)
    assert [price.price for price in prices] == [5.0, 6.0, 7.0]
    assert [price.seq for price in prices] == [1, 2, 3]
    assert file.counts.duplicates == 1


def test_rows_that_cannot_be_read_are_rejected_by_line(tmp_path: Path) -> None:
    rows = [
        f"{NOON},1",
        "junk",
        f"{NOON + 1},x",
        f"{NOON + 2}",
        f"{NOON + 3},-4",
        f"{NOON + 4},nan",
        "",
        f"{NOON + 5},6",
    ]
    path = write(tmp_path / "x.csv", "time,price\n" + "\n".join(rows) + "\n")
    prices, letters, file = read(path)
    assert [price.price for price in prices] == [1.0, 6.0]
    assert [letter.source for letter in letters] == [f"{path}:{line}" for line in (3, 4, 5, 6, 7)]
    assert file.counts.rejected == 5


def test_odd_bytes_and_separators(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(
        b"\xef\xbb\xbf" + f"Zeit;Date;Close\na;{NOON};1,5\nb;{NOON + 1};2,5\nc;{NOON + 2};\xff\n".encode("latin-1")
    )
    prices, letters, _ = read(path)
    assert [price.price for price in prices] == [1.5, 2.5]
    assert len(letters) == 1
    path.write_bytes(f"time,price\n{NOON},1\n{NOON + 1},\x002\n{NOON + 2},3\n".encode())
    prices, letters, _ = read(path)
    assert [price.price for price in prices] == [1.0, 3.0]
    assert len(letters) == 1


def test_columns_by_name_and_by_position(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", f"a,b,c\n{NOON},5,7\n{NOON + 1},6,8\n")
    assert [price.price for price in read(path, ColumnChoice(price="c"))[0]] == [7.0, 8.0]
    assert [price.price for price in read(path, ColumnChoice(price="1"))[0]] == [5.0, 6.0]
    with pytest.raises(InputError, match="no column 'z' for the price; there are a, b, c"):
        CsvFile(path, ColumnChoice(price="z"))
    plain = write(tmp_path / "y.csv", f"{NOON},5,7\n{NOON + 1},6,8\n")
    assert [price.price for price in read(plain, ColumnChoice(columns=("time", "volume", "close")))[0]] == [7.0, 8.0]


def test_a_zip_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.csv", f"time,price\n{NOON},5\n")
    assert len(read(path)[0]) == 1
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("y.csv", "")
    with pytest.raises(InputError, match="holds 2 files"):
        CsvFile(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"time,price\n", "no row with"),
        (b"\x00\x01\x02\xff" * 50, "no row with"),
        (None, "no such file"),
    ],
)
def test_files_that_hold_nothing(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "x.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=why):
        CsvFile(path)


def test_symbols() -> None:
    assert [as_symbol(text) for text in ("BTC/USDT", "ethbtc", "XBT-EUR", "SOL", "")] == [
        "BTC-USDT", "ETH-BTC", "BTC-EUR", "SOL-USD", "",
    ]  # fmt: skip


@given(
    moments=st.lists(st.integers(0, 10**6), min_size=3, max_size=40, unique=True),
    unit=st.sampled_from([1, 10**3, 10**6]),
    delimiter=st.sampled_from(",;\t"),
    newest_first=st.booleans(),
    header=st.booleans(),
    data=st.data(),
)
@settings(max_examples=80, deadline=None)
def test_any_layout_gives_the_same_prices(
    tmp_path_factory: pytest.TempPathFactory, moments: list[int], unit: int, delimiter: str, newest_first: bool,
    header: bool, data: st.DataObject,
) -> None:  # fmt: skip
    expected = [
        ((NOON + m) * 10**9, data.draw(st.floats(0.01, 1e6).map(lambda x: round(x, 4)))) for m in sorted(moments)
    ]
    rows = [f"{ts // 10**9 * unit}{delimiter}{price!r}" for ts, price in expected]
    text = "\n".join(([f"timestamp{delimiter}price"] if header else []) + (rows[::-1] if newest_first else rows))
    path = tmp_path_factory.mktemp("c") / "x.csv"
    path.write_text(text)
    assert [(price.ts_event_ns, price.price) for price in read(path)[0]] == expected


def test_short_long_and_ambiguous_pairs_keep_their_quotes() -> None:
    texts = ("A-USD", "T_EUR", "BRK.B-USD", "BTC-CHF", "XBTUSD", "DOTUSD", "BNBUSD", "BTCBUSD", "USDTUSD", "TUSD")
    assert [as_symbol(text) for text in texts] == [
        "A-USD", "T-EUR", "BRK.B-USD", "BTC-CHF", "BTC-USD", "DOT-USD", "BNB-USD", "BTC-BUSD", "USDT-USD", "TUSD-USD",
    ]  # fmt: skip
