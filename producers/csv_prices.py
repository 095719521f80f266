"""CSV files of prices or candles: the layout is sniffed, or given; rows come out as ``Price`` events in time order."""

import csv
import heapq
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from statistics import median

import msgspec

from producers.csv_layout import MISSING, ColumnChoice, Layout, parse_time, sniff
from producers.exchanges.base import Reject, ignore
from producers.exchanges.instrument import Counts
from producers.files import READ_ERRORS, open_text
from quicksilver.errors import FrameError, InputError
from quicksilver.events import Price
from quicksilver.records import DeadLetter

SNIFFED_ROWS = 2000
WINDOW = 100_000  # rows within which an unsorted file is put in order


class Row(msgspec.Struct, frozen=True):
    """One price of one line, before it is numbered."""

    ts_ns: int
    line: int
    symbol: str
    price: float
    volume: float | None
    open: float | None
    high: float | None
    low: float | None
    text: str


class CsvFile:
    """A CSV file of prices: what its columns are, and its rows as events.

    Raises:
        InputError: it is missing, empty, or no columns of time and price can be made out.
    """

    def __init__(
        self, path: Path, choice: ColumnChoice | None = None, *, venue: str = "csv", symbol: str | None = None
    ) -> None:
        self.path = path
        self.venue = venue
        self.counts = Counts()
        self._last_ns = 0
        with open_text(path) as file:
            head = list(islice(_clean_lines(file, path, ignore), SNIFFED_ROWS))
        self.layout: Layout = sniff(path, [line for _, line in head], choice or ColumnChoice(), symbol)

    @property
    def interval_ns(self) -> int:
        """Median time between rows of one symbol, nanoseconds; one second if it cannot be told."""
        times: dict[str, list[int]] = {}
        for row in islice(self._rows(ignore), SNIFFED_ROWS):
            times.setdefault(row.symbol, []).append(row.ts_ns)
        steps = [abs(b - a) for moments in times.values() for a, b in pairwise(moments) if a != b]
        return int(median(steps)) if steps else 1_000_000_000

    def prices(self, reject: Reject) -> Iterator[Price]:
        """Yield the file's prices in time order, numbered from 1 for each symbol.

        A row that cannot be read goes to ``reject`` with its line; one that repeats the row before it is counted as a
        duplicate; one that lies further back than the sorting window reaches is rejected.

        Raises:
            InputError: not one row could be read.
        """
        first: DeadLetter | None = None

        def refuse(letter: DeadLetter) -> None:
            """Count a row that cannot be read, and pass its dead letter on."""
            nonlocal first
            self.counts.rejected += 1
            first = first or letter
            reject(letter)

        numbers: dict[str, int] = {}
        last: dict[str, Row] = {}
        newest_ns = -(1 << 63)
        for row in self._in_order(refuse):
            before = last.get(row.symbol)
            if before is not None and before.text == row.text:
                self.counts.duplicates += 1
                continue
            if row.ts_ns < newest_ns:
                refuse(self._letter(row.line, f"{WINDOW:,} rows or more behind the order of time", row.text.encode()))
                continue
            newest_ns, last[row.symbol] = row.ts_ns, row
            numbers[row.symbol] = numbers.get(row.symbol, 0) + 1
            self.counts.events += 1
            yield Price(
                self.venue, row.symbol, numbers[row.symbol], row.ts_ns, row.ts_ns, row.price, row.volume, row.open,
                row.high, row.low,
            )  # fmt: skip
        if not self.counts.events:
            why = f"; the first: {first.reason}" if first is not None else ""
            raise InputError(f"{self.path}: no row could be read ({self.counts.rejected} rejected){why}")

    def _in_order(self, reject: Reject) -> Iterator[Row]:
        if self.layout.newest_first:
            yield from sorted(self._rows(reject), key=lambda row: (row.ts_ns, -row.line))
            return
        heap: list[tuple[int, int, int, Row]] = []
        for i, row in enumerate(self._rows(reject)):
            heapq.heappush(heap, (row.ts_ns, row.line, i, row))
            if len(heap) > WINDOW:
                yield heapq.heappop(heap)[-1]
        while heap:
            yield heapq.heappop(heap)[-1]

    def _rows(self, reject: Reject) -> Iterator[Row]:
        """Yield each line's prices, as the file has them."""
        layout = self.layout
        with open_text(self.path) as file:
            for number, line in _clean_lines(file, self.path, reject):
                if number <= layout.skip_lines:
                    continue
                try:
                    yield from self._read(number, line, next(csv.reader([line], delimiter=layout.delimiter)))
                except (FrameError, csv.Error, StopIteration) as error:
                    reject(self._letter(number, str(error), line.encode()))

    def _read(self, number: int, line: str, cells: list[str]) -> list[Row]:
        """A row's prices, all or none: one cell that is damaged may be a slipped row's, whose others are in doubt."""
        layout = self.layout
        layout.require_width(cells)
        ts_ns = self._last_ns = parse_time(layout, cells)
        symbol = layout.symbol_of(cells)
        rows = []
        for name, column in layout.prices.items():
            text = layout.cell(cells, column)
            if text.lower() in MISSING and len(layout.prices) > 1:
                continue  # a wide file: this asset has no price on this day
            price = layout.number(text, positive=True)
            volume, opened = layout.optional(cells, layout.volume), layout.optional(cells, layout.open)
            high, low = layout.optional(cells, layout.high), layout.optional(cells, layout.low)
            rows.append(Row(ts_ns, number, name or symbol, price, volume, opened, high, low, line))
        return rows

    def _letter(self, number: int, reason: str, payload: bytes) -> DeadLetter:
        """A dead letter of the time of the last row that could be read, for it has none of its own."""
        return DeadLetter(self._last_ns, f"{self.path}:{number}", self.venue, None, reason, payload)


def _clean_lines(file: Iterator[str], path: Path, reject: Reject) -> Iterator[tuple[int, str]]:
    """Yield numbered lines that hold something; a torn compressed file ends with a dead letter."""
    number = 0
    while True:
        number += 1
        try:
            line = next(file)
        except StopIteration:
            return
        except READ_ERRORS as error:
            reject(DeadLetter(0, f"{path}:{number}", "csv", None, f"the file is damaged from here on: {error}", b""))
            return
        line = line.rstrip("\r\n")
        if line.strip():
            yield number, line
