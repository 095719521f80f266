"""Where the large frontier has its prices from: one function a source, all of which return a ``History``."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jobs.choices import Span, chosen
from producers.csv_layout import ColumnChoice
from producers.csv_prices import CsvFile
from producers.exchanges.base import Reject
from quicksilver.errors import InputError
from quicksilver.portfolio.history import History
from quicksilver.portfolio.prices import few

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from setup.cassandra.client import CassandraSettings


class Source(StrEnum):
    """Where prices come from."""

    FILES = "files"
    CASSANDRA = "cassandra"


class PriceTable(StrEnum):
    """Which of Cassandra's tables they come from."""

    CANDLES = "candles"
    FEATURES = "features"


def from_files(
    paths: Sequence[Path], reject: Reject, choice: ColumnChoice | None = None, period_ns: int | None = None,
    choose: Callable[[list[str]], list[str]] | None = None, say: Callable[[str], None] | None = None,
    *, partly: bool = False,
) -> History:  # fmt: skip
    """Return the moments at which every asset of the files has a price, and the prices.

    A file may hold one symbol, or several in columns or rows. With a period, an asset's price at a moment is its last
    one within that period: for series whose times never agree. ``choose`` says which of the assets are meant. ``say``
    is told of moments and columns that are left out, and of prices that contradict each other. ``partly`` keeps moments
    before some asset's first price or after its last, with NaN for it.

    Raises:
        InputError: a file cannot be read, or two give different prices of one asset at one time.
    """
    series: dict[str, dict[int, float]] = {}
    for path in paths:
        for symbol, found in _series(CsvFile(path, choice), reject, say).items():
            known = series.setdefault(symbol, {})
            if any(known.get(ts_ns, price) != price for ts_ns, price in found.items()):
                raise InputError(f"{path}: {symbol} has another price at the same time in a file before it")
            known.update(found)
    names = sorted(series) if choose is None else choose(sorted(series))
    return aligned({name: series[name] for name in names}, period_ns, say, partly=partly)


def headings_of(paths: Sequence[Path], choice: ColumnChoice | None = None) -> dict[str, str]:
    """Return how wide files write the names of their assets, by symbol: ``AAPL`` of ``AAPL-USD``.

    Raises:
        InputError: a file cannot be read.
    """
    found: dict[str, str] = {}
    for path in paths:
        found |= CsvFile(path, choice).layout.headings
    return found


def _series(file: CsvFile, reject: Reject, say: Callable[[str], None] | None) -> dict[str, dict[int, float]]:
    """Price by time of each symbol; of several rows of one time the last counts."""
    series: dict[str, dict[int, float]] = {}
    contradicted: dict[str, set[int]] = {}
    for price in file.prices(reject):
        known = series.setdefault(price.symbol, {})
        if known.get(price.ts_event_ns, price.price) != price.price:
            contradicted.setdefault(price.symbol, set()).add(price.ts_event_ns)
        known[price.ts_event_ns] = price.price
    if say is not None:
        empty = [heading for symbol, heading in file.layout.headings.items() if symbol not in series]
        for what, left_out in (("not read", file.layout.unread), ("left out, without any price", empty)):
            if left_out:
                say(f"{file.path}: {what}: {few(left_out)}")
        if contradicted:
            moments = len(set[int]().union(*contradicted.values()))
            told = "1 moment has" if moments == 1 else f"{moments} moments have"
            say(f"{file.path}: {told} different prices of {few(list(contradicted))}: the last in the file counts")
    return series


class Stored:
    """Prices of our tables; made before Spark starts, to say in time what is missing.

    Raises:
        InputError: none of ``symbols`` (as ``chosen`` reads them, with commas between) is there.
        StoreError: Cassandra does not answer.
    """

    def __init__(self, table: str, symbols: str, every_ns: int, span: Span) -> None:
        from jobs.spark_tables import connector_conf, keys_of
        from setup.cassandra.client import CassandraSettings

        self._settings = CassandraSettings.from_environment()
        self._table, self._every_ns, self._span = table, every_ns, span
        wanted = [one.strip() for one in symbols.split(",") if one.strip()]
        self._keys = chosen(keys_of(self._settings, table), wanted, table)
        self.conf = connector_conf(self._settings)

    def read(self, spark: "SparkSession") -> History:
        """Return the history; see ``from_cassandra``."""
        return from_cassandra(spark, self._settings, self._keys, self._every_ns, self._table, self._span)


def from_cassandra(
    spark: "SparkSession", settings: "CassandraSettings", keys: Sequence[str], every_ns: int,
    source: str = "candles", span: Span = Span(),  # noqa: B008 (immutable)
) -> History:  # fmt: skip
    """Return the moments at which every instrument of ``keys`` (``venue:symbol``) has a price, and the prices.

    Prices are the closes of the table ``candles``, of candles of ``every_ns`` that are closed, or the last mid within
    each ``every_ns`` of the table ``features``; a moment is the end of its candle or period. Assets go by symbol, or
    by key where two venues list one.

    Raises:
        InputError: there is no candle of that length.
    """
    from jobs.spark_tables import read

    rows = read(spark, settings, source, keys, span)
    prices = (_closes if source == "candles" else _mids)(rows, every_ns)
    symbols = [key.split(":", 1)[1] for key in keys]
    named = symbols if len(set(symbols)) == len(symbols) else keys
    series: dict[str, dict[int, float]] = {}
    for row in prices.collect():
        key = f"{row['venue']}:{row['symbol']}"
        series.setdefault(named[keys.index(key)], {})[row["period"] * every_ns + every_ns] = row["price"]
    missing = [name for name in named if name not in series]
    if missing:
        raise InputError(f"Cassandra has no {source} every {every_ns / 1e9:g} s of {missing[0]} in that time")
    return aligned(series)


def _closes(candles: "DataFrame", every_ns: int) -> "DataFrame":
    found = candles.where((candles["interval_ns"] == every_ns) & candles["closed"])
    return found.selectExpr("venue", "symbol", f"ts_open_ns div {every_ns} AS period", "close AS price")


def _mids(features: "DataFrame", every_ns: int) -> "DataFrame":
    """The last mid of each period, by time and then by number."""
    from pyspark.sql import functions as f

    known = features.where(features["mid"].isNotNull())
    found = known.selectExpr("venue", "symbol", "mid", "ts_event_ns", "seq", f"ts_event_ns div {every_ns} AS period")
    return found.groupBy("venue", "symbol", "period").agg(
        f.expr("max_by(mid, struct(ts_event_ns, seq))").alias("price")
    )


def aligned(
    series: dict[str, dict[int, float]], period_ns: int | None = None, say: Callable[[str], None] | None = None,
    *, partly: bool = False,
) -> History:  # fmt: skip
    """Return the times that all series have, and their prices, assets by name.

    With ``period_ns`` each series is first cut to the last price of each period, at the period's end. ``partly`` keeps
    the times that all those have which have begun and not ended: prices of the others are NaN then.
    """
    if period_ns is not None:
        series = {name: _sampled(one, period_ns) for name, one in series.items()}
    assets = sorted(series)
    every, kept = set[int]().union(*series.values()), set[int]()
    if partly:
        kept = every.difference(*(_gaps(series[name], every) for name in assets))
    elif series:
        kept = set.intersection(*(set(one) for one in series.values()))
    if say is not None and len(kept) < len(every):
        fewest = min(assets, key=lambda name: len(series[name]))
        say(
            f"{len(every) - len(kept)} of {len(every)} moments lack a price of some asset and are left out:"
            f" {fewest} has one at {len(series[fewest])}"
        )
    times = sorted(kept)
    prices = np.array([[series[name].get(ts_ns, np.nan) for name in assets] for ts_ns in times], np.float64)
    return History(assets, np.array(times, np.int64), prices.reshape(len(times), len(assets)))


def _gaps(prices: dict[int, float], every: set[int]) -> set[int]:
    """The times between the first price and the last at which there is none."""
    first, last = min(prices), max(prices)
    return {ts_ns for ts_ns in every if first < ts_ns < last and ts_ns not in prices}


def _sampled(prices: dict[int, float], period_ns: int) -> dict[int, float]:
    return {(ts_ns // period_ns + 1) * period_ns: prices[ts_ns] for ts_ns in sorted(prices)}
