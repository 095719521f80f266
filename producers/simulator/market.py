"""A seeded market: several symbols with a common factor, each with an order book and clustered order flow.

Per symbol and step (a few tens of milliseconds of simulated time):

1. the fair price moves: a common and an own Brownian part, under a volatility that wanders (log Ornstein-Uhlenbeck) and
   a rare jump;
2. informed orders take every quote that the fair price has left behind;
3. noise orders arrive in clusters (a Hawkes process with exponential memory; Bacry, Mastromatteo, Muzy, Hawkes
   processes in finance, 2015), with signs that persist (Lillo, Farmer, The long memory of the efficient market, 2004)
   and heavy tailed sizes;
4. limit orders come in around the fair price, dense near it (Bouchaud, Mezard, Potters, Statistical properties of stock
   order books, 2002), and leave at random.

Book pressure follows the fair price before the mid does, so order-flow imbalance says something about the next move.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import numpy as np

from quicksilver.events import Side

NS = 1_000_000_000
YEAR_S = 365.0 * 86_400.0


class Listing(msgspec.Struct, frozen=True):
    """A symbol's start price, decimals, yearly volatility, share of the common factor and typical order size."""

    symbol: str
    price: float
    price_decimals: int
    size_decimals: int
    volatility: float
    beta: float
    size: float


LISTINGS: dict[str, Listing] = {
    listing.symbol: listing
    for listing in (
        Listing("BTC/USD", 64_000.0, 1, 8, 0.5, 0.9, 0.05),
        Listing("ETH/USD", 3_200.0, 2, 8, 0.65, 0.85, 0.8),
        Listing("SOL/USD", 150.0, 2, 8, 0.85, 0.75, 12.0),
        Listing("XRP/USD", 0.52, 5, 8, 0.8, 0.65, 3_000.0),
        Listing("ADA/USD", 0.45, 6, 8, 0.85, 0.7, 3_500.0),
        Listing("DOGE/USD", 0.12, 7, 8, 1.0, 0.7, 12_000.0),
    )
}


class Fill(NamedTuple):
    """One trade: the taker's side, price in ticks, size in lots."""

    side: Side
    price: int
    size: int


class Step(NamedTuple):
    """What one step changed: levels touched a side, and trades."""

    symbol: str
    ts_ns: int
    fills: list[Fill]


class SymbolMarket:
    """One symbol's book, ``bids`` and ``asks``: price in ticks -> size in lots."""

    def __init__(self, listing: Listing, rng: np.random.Generator) -> None:
        self.listing = listing
        self.tick = 10.0**-listing.price_decimals
        self.lot = 10.0**-listing.size_decimals
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self._rng = rng
        self._log_price = math.log(listing.price)
        self._log_volatility = 0.0
        self._excitement = 0.0
        self._sign = 1
        self._half_spread = max(1.0, 0.6e-4 * listing.price / self.tick)  # in ticks: about half a basis point
        self._reach = 25.0 * self._half_spread
        for _ in range(400):
            self._add_limit_order()

    @property
    def fair(self) -> float:
        """Fair price in ticks."""
        return math.exp(self._log_price) / self.tick

    def advance(self, dt_s: float, common: float, market_volatility: float) -> list[Fill]:
        """Move on by ``dt_s`` seconds; ``common`` is the common factor's standard normal draw."""
        self._move_fair(dt_s, common, market_volatility)
        fills = self._take_stale_quotes()
        fills += self._noise_orders(dt_s)
        for _ in range(self._rng.poisson(160.0 * dt_s)):
            self._add_limit_order()
        for _ in range(self._rng.poisson(130.0 * dt_s)):
            self._cancel()
        self._tidy()
        return fills

    def _move_fair(self, dt_s: float, common: float, market_volatility: float) -> None:
        beta, rng = self.listing.beta, self._rng
        own, shock, jump = rng.standard_normal(), rng.standard_normal(), rng.random()
        self._log_volatility += -0.02 * self._log_volatility * dt_s + 0.12 * math.sqrt(dt_s) * shock
        sigma = self.listing.volatility * math.sqrt(dt_s / YEAR_S) * math.exp(self._log_volatility) * market_volatility
        self._log_price += sigma * (beta * common + math.sqrt(1.0 - beta**2) * own)
        if jump < 0.002 * dt_s:
            self._log_price += 8e-4 * rng.standard_normal()

    def _size(self) -> int:
        """A lognormal size: most orders small, some very large."""
        return max(1, int(self.listing.size / self.lot * math.exp(1.1 * self._rng.standard_normal() - 0.6)))

    def _add_limit_order(self) -> None:
        rng = self._rng
        distance = self._half_spread * (0.3 + rng.exponential(0.5)) + rng.exponential(self._reach) * rng.random() ** 2
        if rng.random() < 0.5:
            price = math.floor(self.fair - distance)
            if price > 0 and (not self.asks or price < min(self.asks)):
                self.bids[price] = self.bids.get(price, 0) + self._size()
        else:
            price = math.ceil(self.fair + distance)
            if not self.bids or price > max(self.bids):
                self.asks[price] = self.asks.get(price, 0) + self._size()

    def _cancel(self) -> None:
        book = self.bids if self._rng.random() < 0.5 else self.asks
        if len(book) < 20:
            return
        prices = list(book)
        price = prices[int(self._rng.integers(len(prices)))]
        if self._rng.random() < 0.7:
            del book[price]
        else:
            book[price] = max(1, book[price] // 2)

    def _tidy(self) -> None:
        """Take far-away levels out and keep both sides filled."""
        fair, limit = self.fair, 8.0 * self._reach
        for book in (self.bids, self.asks):
            for price in [price for price in book if abs(price - fair) > limit]:
                del book[price]
        while len(self.bids) < 40 or len(self.asks) < 40:
            self._add_limit_order()

    def _take(self, side: Side, size: int) -> list[Fill]:
        """Match a market order, at most through five levels."""
        fills: list[Fill] = []
        book = self.asks if side == "buy" else self.bids
        for _ in range(5):
            if size <= 0 or len(book) < 12:
                break
            price = min(book) if side == "buy" else max(book)
            matched = min(size, book[price])
            fills.append(Fill(side, price, matched))
            size -= matched
            if matched == book[price]:
                del book[price]
            else:
                book[price] -= matched
        return fills

    def _take_stale_quotes(self) -> list[Fill]:
        fills: list[Fill] = []
        fair = self.fair
        while self.asks and min(self.asks) < fair and len(self.asks) >= 12:
            fills += self._take("buy", self.asks[min(self.asks)])
        while self.bids and max(self.bids) > fair and len(self.bids) >= 12:
            fills += self._take("sell", self.bids[max(self.bids)])
        return fills

    def _noise_orders(self, dt_s: float) -> list[Fill]:
        self._excitement *= math.exp(-dt_s / 2.0)
        fills: list[Fill] = []
        for _ in range(self._rng.poisson((0.8 + self._excitement) * dt_s)):
            self._excitement = min(self._excitement + 0.3, 8.0)
            if self._rng.random() < 0.2:
                self._sign = -self._sign
            fills += self._take("buy" if self._sign > 0 else "sell", self._size())
        return fills


class Market:
    """All symbols, in simulated time from ``start_ns``; the same seed gives the same steps.

    Args:
        seed: of all draws.
        start_ns: simulated time of the first step, nanoseconds since 1970.
        symbols: names in ``LISTINGS``, all by default.
        step_s: mean simulated time between two steps of a symbol, in seconds.

    Raises:
        KeyError: an unknown symbol.
    """

    def __init__(self, seed: int, start_ns: int, symbols: list[str] | None = None, step_s: float = 0.04) -> None:
        names = symbols or list(LISTINGS)
        self.books = {
            name: SymbolMarket(LISTINGS[name], np.random.default_rng([seed, i])) for i, name in enumerate(names)
        }
        self.now_ns = start_ns
        self._rng = np.random.default_rng([seed, 1_000_000])
        self._step_s = step_s
        self._log_volatility = 0.0

    def steps(self) -> Iterator[Step]:
        """Yield one step of one symbol after another, for ever, in rising time."""
        names = list(self.books)
        while True:
            common, shock = self._rng.standard_normal(2)
            self._log_volatility += -0.01 * self._log_volatility * self._step_s + 0.1 * self._step_s**0.5 * shock
            volatility = math.exp(self._log_volatility)
            gaps = self._rng.dirichlet(np.ones(len(names))) * self._step_s
            for name, gap_s in zip(names, gaps.tolist(), strict=True):
                self.now_ns += int(gap_s * NS)
                yield Step(name, self.now_ns, self.books[name].advance(self._step_s, common, volatility))
