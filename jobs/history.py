"""Where the large frontier has its prices from: one function a source, all of which return a ``History``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from producers.csv_layout import ColumnChoice
from producers.csv_prices import CsvFile
from producers.exchanges.base import Reject
from quicksilver.errors import InputError
from quicksilver.portfolio.history import History


def from_files(
    paths: Sequence[Path], reject: Reject, choice: ColumnChoice | None = None, period_ns: int | None = None
) -> History:
    """Return the moments at which every asset of the files has a price, and the prices.

    A file may hold one symbol, or several in columns or rows. With a period, an asset's price at a moment is its last
    one within that period: for series whose times never agree.

    Raises:
        InputError: a file cannot be read, or two give different prices of one asset at one time.
    """
    series: dict[str, dict[int, float]] = {}
    for path in paths:
        for symbol, found in _series(CsvFile(path, choice), reject).items():
            known = series.setdefault(symbol, {})
            if any(known.get(ts_ns, price) != price for ts_ns, price in found.items()):
                raise InputError(f"{path}: {symbol} has another price at the same time in a file before it")
            known.update(found)
    return aligned(series, period_ns)


def _series(file: CsvFile, reject: Reject) -> dict[str, dict[int, float]]:
    """Price by time of each symbol; of several rows of one time the last counts."""
    series: dict[str, dict[int, float]] = {}
    for price in file.prices(reject):
        series.setdefault(price.symbol, {})[price.ts_event_ns] = price.price
    return series


def aligned(series: dict[str, dict[int, float]], period_ns: int | None = None) -> History:
    """Return the times that all series have, and their prices, assets by name.

    With ``period_ns`` each series is first cut to the last price of each period, at the period's end.
    """
    if period_ns is not None:
        series = {name: _sampled(one, period_ns) for name, one in series.items()}
    assets = sorted(series)
    times = sorted(set.intersection(*(set(one) for one in series.values()))) if series else []
    prices = np.array([[series[name][ts_ns] for name in assets] for ts_ns in times], np.float64)
    return History(assets, np.array(times, np.int64), prices.reshape(len(times), len(assets)))


def _sampled(prices: dict[int, float], period_ns: int) -> dict[int, float]:
    return {(ts_ns // period_ns + 1) * period_ns: prices[ts_ns] for ts_ns in sorted(prices)}
