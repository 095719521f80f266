"""What the columns of a CSV file are: given by the user, or told by its header and first rows."""

import csv
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median

import msgspec
from dateutil import parser as dates

from quicksilver.errors import FrameError, InputError
from quicksilver.events import SECOND_NS

MAX_NS = 7_258_118_400 * SECOND_NS  # the year 2200: leaves room for horizons in 64 bits
# A unix time of the years 2001 to 2286 has a magnitude that tells its unit.
_UNITS = ((1e9, SECOND_NS), (1e12, 1_000_000), (1e15, 1_000), (1e18, 1))
_TIME_NAMES = re.compile(
    r"^(.*[ _])?(time|date|datetime|timestamp|unix|ts|t|dt)([ _(].*)?$|^time.*|^unix.*|^date.*", re.I
)
_NAMES = {
    "price": re.compile(r"^(price|last|last_price|close|c|adj close|.*[ _]close|close[ _].*|value|mid)$", re.I),
    "open": re.compile(r"^(open|o|.*[ _]open|open[ _].*)$", re.I),
    "high": re.compile(r"^(high|h|.*[ _]high)$", re.I),
    "low": re.compile(r"^(low|l|.*[ _]low)$", re.I),
    "volume": re.compile(r"^(volume|vol|v|size|amount|qty|quantity|volume[ _].*|.*[ _]volume)$", re.I),
    "symbol": re.compile(r"^(symbol|pair|ticker|product|instrument|market|tic)$", re.I),
}
_QUOTES = ("USDT", "USDC", "BUSD", "TUSD", "USD", "EUR", "GBP", "JPY", "BTC", "ETH", "XBT")
_DEFAULTS = (datetime(2000, 1, 1), datetime(2001, 2, 2))
_HYPHENATED = (*_QUOTES, "FDUSD", "DAI", "BNB", "CHF", "CAD", "AUD", "NZD", "KRW", "TRY", "BRL", "INR")
# Without a hyphen the likelier comes first: DOTUSD is no DO-TUSD, and TUSD, which is a coin, no T-USD.
_PAIR = re.compile(
    rf"(XBT|USDT|SHIB|[A-Z0-9]{{3,10}}?)({'|'.join(_QUOTES)})|([A-Z0-9]{{2}})({'|'.join(_QUOTES)})"
    rf"|([A-Z0-9.]{{1,20}})[-/_]({'|'.join(_HYPHENATED)})"
)
_COMPACT_DATE = re.compile(r"(19[7-9]\d|20\d\d|21\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")  # 20200701
_ALL_NUMBERS = re.compile(r"(\d{1,2})([./-])(\d{1,2})[./-]\d{4}(?:\D.*)?")  # 03.04.2020, whose order is not told
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
MISSING = {"", "nan", "na", "n/a", "#n/a", "null", "none", "-", "."}  # how files write that there is no price
_HYPHEN_HOUR = re.compile(r"^(\d{4}-\d{2}-\d{2}) (\d{1,2})-([AP]M)$", re.I)  # CryptoDataDownload: 2020-07-01 08-PM


class ColumnChoice(msgspec.Struct, frozen=True):
    """What the user says of the columns: names or positions from 0; None is sniffed.

    ``columns`` names all columns of a file without a header, in order.
    """

    time: str | None = None
    price: str | None = None
    volume: str | None = None
    columns: tuple[str, ...] | None = None


class Layout(msgspec.Struct, frozen=True):
    """Where a file's values stand. ``prices`` maps a symbol (or nothing, then ``symbol``) to its column."""

    delimiter: str
    skip_lines: int
    time: int
    unit_ns: int | None
    prices: dict[str, int]
    volume: int | None
    open: int | None
    high: int | None
    low: int | None
    symbol_column: int | None
    symbol: str
    newest_first: bool
    headings: dict[str, str] = {}  # of a wide file: how its header writes each symbol
    day_first: bool = False  # of dates such as 03.04.2020
    width: int = 0  # columns that a wide file's header names, 0 of others: a longer row has slipped
    unread: tuple[str, ...] = ()  # columns of a wide file that are no asset's: without a name, or not of numbers

    def cell(self, cells: Sequence[str], column: int) -> str:
        """Return a cell without white space.

        Raises:
            FrameError: the row is too short.
        """
        if column >= len(cells):
            raise FrameError(f"{len(cells)} columns, where column {column + 1} is needed")
        return cells[column].strip()

    def require_width(self, cells: Sequence[str]) -> None:
        """Refuse a row of a wide file that holds more than its header names: which price is whose is not known.

        Raises:
            FrameError: so it is, such as by ``1,200.50`` without quotes.
        """
        if self.width and any(cell.strip() for cell in cells[self.width :]):
            raise FrameError(f"{len(cells)} columns, where the header names {self.width}: which is whose is not known")

    def number(self, text: str, *, positive: bool = False) -> float:
        """Return the number of a cell; a decimal comma is read where columns are not parted by commas.

        Raises:
            FrameError: it is none.
        """
        if self.delimiter != "," and "," in text and "." not in text:
            text = text.replace(",", ".")
        try:
            value = float(text)
        except ValueError:
            raise FrameError(f"not a number: {text[:40]!r}") from None
        if not abs(value) < float("inf") or (positive and value <= 0):
            raise FrameError(f"not a price: {text[:40]!r}")
        return value

    def optional(self, cells: Sequence[str], column: int | None) -> float | None:
        """Return a number, or None where the file has no such column or the cell is empty.

        Raises:
            FrameError: the cell holds something else.
        """
        if column is None:
            return None
        text = self.cell(cells, column)
        return self.number(text) if text else None

    def symbol_of(self, cells: Sequence[str]) -> str:
        """Return the row's symbol."""
        if self.symbol_column is None:
            return self.symbol
        return as_symbol(self.cell(cells, self.symbol_column)) or self.symbol


def as_symbol(text: str) -> str:
    """Return ``BASE-QUOTE`` of ``BTC/USD``, ``btcusd``, ``BTC_USDT``; a bare base is quoted in USD.

    >>> as_symbol("btcusd"), as_symbol("ETH"), as_symbol("XBT/EUR")
    ('BTC-USD', 'ETH-USD', 'BTC-EUR')
    """
    match = _PAIR.fullmatch(text.strip().upper())
    base, quote = filter(None, match.groups()) if match else (text.strip().upper(), "USD")
    return f"{'BTC' if base == 'XBT' else base}-{quote}" if base else ""


def parse_time(layout: Layout, cells: Sequence[str]) -> int:
    """Return a row's time, nanoseconds since 1970; a time without a zone is UTC.

    Raises:
        FrameError: it is none that can be read.
    """
    text = layout.cell(cells, layout.time)
    ts_ns = _date_ns(text, layout.day_first) if layout.unit_ns is None else _number_ns(text, layout.unit_ns)
    if not 0 < ts_ns < MAX_NS:  # clocks take 0 for "none yet"
        raise FrameError(f"not a time of the years 1970 to 2200: {text[:40]!r}")
    return ts_ns


def _number_ns(text: str, unit_ns: int) -> int:
    whole, _, fraction = text.partition(".")
    try:
        scaled = int(whole) * unit_ns
        return scaled + (int(fraction) * unit_ns // 10 ** len(fraction) if fraction else 0)
    except ValueError:
        raise FrameError(f"not a time: {text[:40]!r}") from None


def _date_ns(text: str, day_first: bool = False) -> int:
    match = _HYPHEN_HOUR.match(text)
    if match:
        text = f"{match[1]} {match[2]} {match[3]}"
    if _MONTH.fullmatch(text):
        text += "-01"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _parse_date(text, day_first)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    try:
        return int(moment.replace(microsecond=0).timestamp()) * SECOND_NS + moment.microsecond * 1000
    except (ValueError, OverflowError):  # a time zone of 99 hours, the year 1 in Tokyo
        raise FrameError(f"not a date: {text[:40]!r}") from None


def _parse_date(text: str, day_first: bool) -> datetime:
    """A date in words; what it leaves out must not be filled in with today's."""
    try:
        found = [dates.parse(text, default=default, dayfirst=day_first) for default in _DEFAULTS]
    except (ValueError, ArithmeticError, RecursionError):
        raise FrameError(f"not a date: {text[:40]!r}") from None
    if found[0] != found[1]:
        raise FrameError(f"not a whole date: {text[:40]!r}")
    return found[0]


def sniff(path: Path, lines: list[str], choice: ColumnChoice, symbol: str | None) -> Layout:
    """Return the layout of a file from its first lines.

    Raises:
        InputError: no columns of time and price can be made out.
    """
    try:
        return _sniff(path, lines, choice, symbol)
    except (csv.Error, LookupError, ValueError) as error:  # junk has more shapes than can be asked for one by one
        raise InputError(
            f"{path}: its columns cannot be made out ({error}); name them with --time-column and so on"
        ) from error


def _sniff(path: Path, lines: list[str], choice: ColumnChoice, symbol: str | None) -> Layout:
    if not lines:
        raise InputError(f"{path}: there is nothing but empty lines in it")
    delimiter = max(",;\t|", key=lambda one: _regular(lines, one))
    rows = [next(csv.reader([line], delimiter=delimiter), []) for line in lines]
    first = next((i for i, row in enumerate(rows) if _is_data(row)), None)
    if first is None:
        raise InputError(f"{path}: no row with a time and a price among its first {len(rows)} lines")
    header = [cell.strip().strip('"') for cell in rows[first - 1]] if first and len(rows[first - 1]) > 1 else []
    if choice.columns:
        header = list(choice.columns)
    data = [row for row in rows[first:] if len(row) == len(rows[first])]
    time = _column(path, header, choice.time, "time")
    if time is None:
        time = next((i for i, name in enumerate(header) if _TIME_NAMES.match(name)), _guess_time(data))
    unit_ns = _unit_of([row[time] for row in data if time < len(row)])
    prices = _price_columns(path, header, data, time, choice)
    named = _named_columns(header, data, time)
    wide = len(prices) > 1
    volume = _column(path, header, choice.volume, "volume")
    layout = Layout(
        delimiter, first, time, unit_ns, prices,
        None if wide else (volume if volume is not None else named["volume"]),
        None if wide else named["open"], None if wide else named["high"], None if wide else named["low"],
        named["symbol"], symbol or _symbol_from(path, header), False,
        {name: header[column] for name, column in prices.items()} if wide else {},
        unit_ns is None and _day_first([row[time].strip() for row in data if time < len(row)]),
        len(header) if wide else 0,
        _unread(header, data, {time, *prices.values(), *named.values()}) if wide else (),
    )  # fmt: skip
    return msgspec.structs.replace(layout, newest_first=_descends(layout, data))


def _regular(lines: list[str], delimiter: str) -> tuple[int, int]:
    """How many lines agree on their number of columns, and what it is."""
    counts = [line.count(delimiter) for line in lines[:100]]
    common = max(set(counts), key=counts.count)
    return (counts.count(common) if common else 0, common)


def _float(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", ".") if text.count(",") == 1 else text.strip())
    except ValueError:
        return None


def _is_time(text: str) -> bool:
    value = _float(text)
    if value is not None and not _COMPACT_DATE.fullmatch(text.strip()):
        return any(scale <= value < 10 * scale for scale, _ in _UNITS)
    try:
        _date_ns(text.strip())
    except FrameError:
        return False
    return any(c.isdigit() for c in text)


def _is_data(row: list[str]) -> bool:
    """A row of data holds a number, and a time that is none of its words."""
    return len(row) > 1 and any(_float(cell) is not None for cell in row) and any(_is_time(cell) for cell in row)


def _guess_time(data: list[list[str]]) -> int:
    for column in range(len(data[0])):
        if sum(_is_time(row[column]) for row in data[:50]) > min(len(data), 50) // 2:
            return column
    return 0


def _unit_of(texts: list[str]) -> int | None:
    """Nanoseconds a unit of a column of unix times, by its median's magnitude; None for dates.

    The median, for some files hold a few rows of another epoch; such rows keep their consistent, early time.
    """
    if all(_COMPACT_DATE.fullmatch(text.strip()) for text in texts):
        return None
    values = [value for text in texts if (value := _float(text)) is not None]
    if len(values) < len(texts) / 2:
        return None
    middle = median(values)
    return min(_UNITS, key=lambda unit: abs(len(str(int(abs(middle)))) - len(str(int(unit[0])))))[1]


def _day_first(texts: list[str]) -> bool:
    """Whether dates of nothing but numbers begin with the day: no month is above 12; if none tells, dots do."""
    found = [match for text in texts if (match := _ALL_NUMBERS.fullmatch(text))]
    if any(int(match[1]) > 12 for match in found):
        return not any(int(match[3]) > 12 for match in found)
    return bool(found) and all(match[2] == "." and int(match[3]) <= 12 for match in found)


def _column(path: Path, header: list[str], wanted: str | None, what: str) -> int | None:
    if wanted is None:
        return None
    if wanted.isdigit():
        return int(wanted)
    lowered = [name.lower() for name in header]
    if wanted.lower() not in lowered:
        raise InputError(
            f"{path}: no column {wanted!r} for the {what}; there are {', '.join(header) or 'only positions'}"
        )
    return lowered.index(wanted.lower())


def _price_columns(
    path: Path, header: list[str], data: list[list[str]], time: int, choice: ColumnChoice
) -> dict[str, int]:
    """The price's column, or of a wide file each asset's."""
    chosen = _column(path, header, choice.price, "price")
    if chosen is None:
        letters = {name.lower() for name in header}
        known = [i for i, name in enumerate(header) if i != time and _NAMES["price"].match(name)]
        # A lone C is the close beside O, H and L; among A, B and D it is an asset.
        chosen = next((i for i in known if header[i].lower() != "c" or {"o", "h", "l"} <= letters), None)
    if chosen is not None:
        return {"": chosen}
    numeric = [i for i in range(len(data[0])) if i != time and _numeric(data, i)]
    if not numeric:
        raise InputError(f"{path}: no column of prices; name it with --price-column")
    if not header:
        return {"": _headerless_price(numeric)}
    width = min(len(header), len(data[0]))
    numeric = [i for i in numeric if i < width]
    empty = [i for i in range(width) if all(row[i].strip().lower() in MISSING for row in data)]
    # An asset that was listed later has no price among the first rows; it is still an asset of a wide file.
    candidates = sorted(numeric + (empty if len(numeric) > 1 else []))
    named = {i for i in candidates if any(one.match(header[i]) for one in _NAMES.values())}
    if len({header[i].lower() for i in candidates} & set("ohlcv")) < 4:  # single letters are assets' names then
        named -= {i for i in named if len(header[i]) == 1}
    known = [i for i in candidates if header[i] and i not in named]
    if not known:
        raise InputError(f"{path}: which of {', '.join(header)} is the price? Name it with --price-column")
    _require_different(path, [header[i] for i in known])
    return {as_symbol(header[i]): i for i in known}


def _unread(header: list[str], data: list[list[str]], read: set[int | None]) -> tuple[str, ...]:
    """Names of the columns that hold something and are not read."""
    width = min(len(header), len(data[0]))
    others = [i for i in range(width) if i not in read and any(row[i].strip() for row in data)]
    return tuple(header[i] or f"column {i + 1} (without a name)" for i in others)


def _require_different(path: Path, names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        symbol = as_symbol(name)
        if symbol in seen:
            raise InputError(f"{path}: columns {seen[symbol]!r} and {name!r} are both prices of {symbol}: rename one")
        seen[symbol] = name


def _named_columns(header: list[str], data: list[list[str]], time: int) -> dict[str, int | None]:
    """Which columns are open, high, low, volume and symbol; without a header their customary places."""
    if header:
        return {
            kind: next((i for i, name in enumerate(header) if pattern.match(name)), None)
            for kind, pattern in _NAMES.items()
        }
    numeric = [i for i in range(len(data[0])) if i != time and _numeric(data, i)]
    named: dict[str, int | None] = dict.fromkeys(_NAMES)
    if len(numeric) >= 5:
        named["open"], named["high"], named["low"], _, named["volume"] = numeric[:5]
    elif len(numeric) >= 2:
        named["volume"] = numeric[1]
    return named


def _numeric(data: list[list[str]], column: int) -> bool:
    """A column of numbers, some of which may be missing; a few that are damaged are a matter of their rows."""
    texts = [row[column].strip() for row in data]
    filled = [text for text in texts if text.lower() not in MISSING]
    return bool(filled) and sum(_float(text) is not None for text in filled) > len(filled) / 2


def _headerless_price(numeric: list[int]) -> int:
    """Of ``time, open, high, low, close, volume`` the close; of ``time, price, size`` the price."""
    return numeric[3] if len(numeric) >= 5 else numeric[0]


def _symbol_from(path: Path, header: list[str]) -> str:
    """The pair that a file's name, its folder or a column's name holds; else the file's stem."""
    stem = path.name.split(".")[0]
    parts = [part for text in (stem, *header, path.parent.name) for part in re.split(r"[_\s]+|__", text.upper())]
    for part in parts:
        match = _PAIR.fullmatch(part)
        if match:
            return as_symbol(part)
    return stem.upper()


def _descends(layout: Layout, data: list[list[str]]) -> bool:
    times = []
    for row in data:
        try:
            times.append(parse_time(layout, row))
        except FrameError:
            continue
    steps = [b - a for a, b in pairwise(times)]
    return sum(step < 0 for step in steps) > sum(step > 0 for step in steps)
