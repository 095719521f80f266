"""The last prices of a universe's assets: which venue's counts, how old they are, and what was no price."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from quicksilver.events import SECOND_NS

USUAL = 20  # times between prices that a source's usual one is the mean of
LEAST_PRICE, MOST_PRICE = 1e-18, 1e18  # beyond, nothing is quoted; returns of 10^36 at a time stay numbers


class Quote(NamedTuple):
    """An asset's price: of which ``venue:symbol``, its how-manieth price that is, and when it was last told."""

    source: str
    price: float
    number: int
    ts_ns: int


class Seen(msgspec.Struct):
    """What has come of one ``venue:symbol``: prices, the time of the last, what was none, and the last such.

    ``silent`` is how many periods have ended since the last price, ``usual`` how many do so from one price to the next,
    the mean of the last of ``pauses``.
    """

    prices: int = 0
    ts_ns: int = 0
    refused: int = 0
    last_refused: float = 0.0
    silent: int = 0
    usual: float = 1.0
    pauses: int = 0


class SavedPrices(msgspec.Struct):
    """The state of ``Prices``; their order counts."""

    quotes: list[tuple[str, Quote]]
    seen: list[tuple[str, Seen]]


class Prices:
    """Prices of what belongs to a universe, in order of first sight.

    ``assets`` are symbols, or ``venue:symbol``; a symbol's price is that of the first of ``venues`` that has it, and if
    none is named that of the venue that has had one for longest: the next one's where it is in doubt or old. Without
    ``assets`` each symbol is one; as long as only one symbol has ever been seen, each venue's is an asset of its own.

    A price is old when more than ``stale`` periods have ended without a new one of its source, 0 for never. Prices that
    come more seldom than at each period by nature are old after as many of their own usual pauses. Only periods in
    which anything came are counted: where all are silent the market is closed, and none is the worse for it.
    """

    def __init__(self, assets: Sequence[str] = (), venues: Sequence[str] = (), stale: int = 0) -> None:
        self._assets = tuple(sorted(set(assets)))
        self._named = frozenset(assets)
        self._rank = {venue: place for place, venue in enumerate(dict.fromkeys(venues))}
        self._stale = stale
        self._quotes: dict[str, Quote] = {}
        self._seen: dict[str, Seen] = {}

    def take(self, venue: str, symbol: str, price: float, ts_ns: int) -> None:
        """Take in a price; NaN is a book without one, and what cannot be a price is counted as none."""
        key = f"{venue}:{symbol}"
        if not self._belongs(key, venue, symbol):
            return
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = Seen()
        if LEAST_PRICE <= price <= MOST_PRICE:
            self._learn_pause(seen)
            seen.prices += 1
            seen.ts_ns = max(seen.ts_ns, ts_ns)
            self._quotes[key] = Quote(key, price, seen.prices, seen.ts_ns)
            return
        self._quotes.pop(key, None)
        if not math.isnan(price):
            seen.refused, seen.last_refused = seen.refused + 1, price

    def forget(self, venue: str, symbol: str) -> None:
        """Forget a price: its book is in doubt."""
        self._quotes.pop(f"{venue}:{symbol}", None)

    def expire(self, before_ns: int) -> None:
        """Forget all prices that were last told before this time."""
        for key in [key for key, quote in self._quotes.items() if quote.ts_ns < before_ns]:
            del self._quotes[key]

    def end_period(self) -> None:
        """Take note that a period has ended, and forget the prices that are old by that."""
        for key, seen in self._seen.items():
            seen.silent += 1
            if self._stale and seen.silent > self._stale * seen.usual:
                self._quotes.pop(key, None)

    def _learn_pause(self, seen: Seen) -> None:
        """Follow how often a source has prices; a pause that is too long counts as the longest that is not."""
        if seen.silent and seen.prices:
            seen.pauses = min(seen.pauses + 1, USUAL)
            pause = min(float(seen.silent), max(self._stale, 1) * seen.usual)
            seen.usual += (pause - seen.usual) / seen.pauses
        seen.silent = 0

    @property
    def members(self) -> list[str]:
        """The assets that belong to the universe, whether they have a price or not, in alphabetical order."""
        if self._assets:
            return list(self._assets)
        symbols = {_symbol(key) for key in self._seen}
        return sorted(symbols if len(symbols) > 1 else self._seen)

    def quotes(self) -> dict[str, Quote]:
        """Return the prices of those members that have one, in alphabetical order."""
        first: dict[str, Quote] = {}
        for key in sorted(self._quotes, key=lambda key: self._rank.get(_venue(key), 0)):
            first.setdefault(_symbol(key), self._quotes[key])
        by_name = first | self._quotes
        return {asset: by_name[asset] for asset in self.members if asset in by_name}

    def last_ns(self, asset: str) -> int:
        """Return the time of an asset's last price; 0 if it never had one."""
        return max((seen.ts_ns for seen in self._of(asset)), default=0)

    def missing(self, asset: str, now_ns: int) -> str:
        """Say why an asset has no price."""
        last_ns = self.last_ns(asset)
        why = f"no price for {spoken(max(0, now_ns - last_ns))}" if last_ns else "no price yet"
        refused = [seen for seen in self._of(asset) if seen.refused]
        if refused:
            n = sum(seen.refused for seen in refused)
            told = "what came once was" if n == 1 else f"{n} that came were"
            why += f"; {told} none, such as {refused[-1].last_refused:g}"
        return why

    def _of(self, asset: str) -> list[Seen]:
        return [seen for key, seen in self._seen.items() if asset in (key, _symbol(key))]

    def _belongs(self, key: str, venue: str, symbol: str) -> bool:
        if self._rank and venue not in self._rank:
            return False
        return not self._named or symbol in self._named or key in self._named

    def dump(self) -> SavedPrices:
        """Return the state."""
        return SavedPrices(list(self._quotes.items()), list(self._seen.items()))

    def load(self, saved: SavedPrices) -> None:
        """Take over a dumped state."""
        self._quotes, self._seen = dict(saved.quotes), dict(saved.seen)


def _venue(key: str) -> str:
    return key.split(":", 1)[0]


def _symbol(key: str) -> str:
    return key.split(":", 1)[1]


def currencies(assets: Iterable[str]) -> list[str]:
    """Return the currencies that assets are priced in, in alphabetical order.

    >>> currencies(["BTC-USD", "kraken:ETH-EUR", "SOL-USD"])
    ['EUR', 'USD']
    """
    return sorted({asset.rpartition("-")[2] for asset in assets if "-" in asset})


def few(names: Sequence[str], most: int = 12) -> str:
    """Return names for people, no more than they read.

    >>> few(["A", "B"]), few(["A", "B", "C"], 2)
    ('A, B', 'A, B and 1 more')
    """
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def spoken(span_ns: int) -> str:
    """Return a span of time for people.

    >>> spoken(61_000_000_000), spoken(3_600_000_000_000), spoken(61 * 86_400_000_000_000)
    ('61 s', '60 min', '61 d')
    """
    seconds = span_ns / SECOND_NS
    for unit, size in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2.0 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.4g} s"


def moment(ts_ns: int) -> str:
    """Return a time for people, to the second after it, of any year.

    >>> moment(1_000_000_000_000_000_000)
    '2001-09-09 01:46:40 UTC'
    """
    return f"{np.datetime64(-(-ts_ns // SECOND_NS), 's')} UTC".replace("T", " ", 1)
