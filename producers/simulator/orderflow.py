"""A seeded market in simulated time: several symbols, one common factor, an order book each.

Each step is one event of one symbol:

1. The fair price moves: a common and an own Brownian part, under one volatility that wanders (log Ornstein-Uhlenbeck),
   with rare jumps. Makers quote around it, a little late.
2. Quotes that the fair price has left behind are cancelled, or taken by someone who saw it first; so a book leans
   before it moves, and order-flow imbalance says something about the next mid (Glosten, Milgrom 1985; Cont, Kukanov,
   Stoikov 2014).
3. Takers arrive in clusters, a Hawkes process with exponential memory (Bacry, Mastromatteo, Muzy, Hawkes processes in
   finance, 2015). Their signs come in runs of Pareto length, large orders cut up, so they are autocorrelated (Lillo,
   Mike, Farmer, Theory for long memory in supply and demand, 2005); sizes are heavy tailed; each moves the fair price.
   A hidden pressure of investors, a few seconds long, tilts takers' signs, makers' sizes and the price's drift.
4. Limit orders come, change and go at ranks whose density falls as a power of the distance from the best (Bouchaud,
   Mezard, Potters, Statistical properties of stock order books, 2002); comings outweigh goings where the book is thin.

Prices are integers of ticks and sizes integers of lots (units of the last decimal place) throughout.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from producers.simulator.factor import Factor
from producers.simulator.ladder import Ladder
from producers.simulator.listings import Listing, listed
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS, Side

YEAR_S = 365.0 * 86_400.0
LEVELS = 1_200  # a side at the start: Kraken's deepest subscription is 1,000
QUOTES_PER_S = 25.0
TAKERS_PER_S = 0.7
EXCITEMENT = 0.9  # what one taker adds to the rate of takers; with FORGET_PER_S, 3 of 5 takers answer another
FORGET_PER_S = 1.5
PRESSURE_S = 5.0  # how long large investors keep buying or selling
PRESSURE = 0.25  # the drift they cause, in units of volatility a second: a few per cent of a second's variance
RECENT = 50  # executions in Kraken's trade snapshot
WARM_UP_S = 30.0  # of market before the first step, so that there are executions to show
MAX_LAG_NS = SECOND_NS  # longest time between two events of a symbol


class Fill(NamedTuple):
    """One execution: the taker's side, price in ticks, size in lots, and whether the taker's order was a limit."""

    trade_id: int
    ts_ns: int
    side: Side
    price: int
    lots: int
    limit: bool


class Step(NamedTuple):
    """What one event changed: ``(key, lots)`` of the levels of each side (see ``Ladder``), and executions."""

    symbol: str
    ts_ns: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]
    fills: list[Fill]


class Book:
    """One symbol's book and the people who trade in it."""

    def __init__(self, listing: Listing, rng: Random, now_ns: int) -> None:
        self.listing = listing
        self.bids = Ladder(-1)
        self.asks = Ladder(1)
        self._rng = rng
        self._now_ns = now_ns
        ticks = listing.price * 10**listing.price_decimals
        basis_point = ticks / 10_000.0
        self._edge = max(0.5, 0.35 * listing.volatility * basis_point)  # makers' half spread, ticks
        self._gap = 0.25 * listing.volatility * basis_point  # mean distance of levels near the best, ticks
        self._sigma = listing.volatility / math.sqrt(YEAR_S * (1.0 + 2.0 * PRESSURE**2 * PRESSURE_S))  # for a second
        self._lots_per_usd = 10**listing.qty_decimals / listing.price
        self._log_start = math.log(ticks)
        self._own = 0.0
        self._factor = 0.0
        self._excitement = 0.0
        self._pressure = rng.gauss(0.0, 1.0)
        self._sign, self._run = 1, 0
        self._trade_id = rng.randrange(1_000_000, 50_000_000)
        self.recent: deque[Fill] = deque(maxlen=RECENT)  # the newest executions, oldest first
        self.fair = ticks
        for ladder in (self.bids, self.asks):
            ladder.put(math.ceil(ladder.sign * ticks + self._edge), self._size())
            self._extend(ladder)
            ladder.commit()

    def wait_ns(self, rate: float) -> int:
        """Draw the time to this symbol's next event."""
        total = QUOTES_PER_S + TAKERS_PER_S + 7.0 * self._excitement
        return min(MAX_LAG_NS, 1_000 + int(self._rng.expovariate(rate * total) * SECOND_NS))

    def rest(self, pause_ns: int) -> None:
        """Let time pass in which nothing happens."""
        self._now_ns += pause_ns

    def advance(self, now_ns: int, factor: Factor, rate: float) -> Step:
        """Let this symbol's next event happen at ``now_ns``."""
        self._move_fair(now_ns, factor, rate)
        fills = self._correct(self.asks) + self._correct(self.bids)
        takers = TAKERS_PER_S + self._excitement
        if self._rng.random() * (QUOTES_PER_S + TAKERS_PER_S + 7.0 * self._excitement) < takers:
            fills += self._taker()
        else:
            ladder, other = (self.bids, self.asks) if self._rng.random() < 0.5 else (self.asks, self.bids)
            self._quote(ladder, other)
        self._refill(self.asks, self.bids)
        self._refill(self.bids, self.asks)
        for ladder in (self.bids, self.asks):
            self._extend(ladder)
        return Step(self.listing.symbol, now_ns, self.bids.commit(), self.asks.commit(), fills)

    def _move_fair(self, now_ns: int, factor: Factor, rate: float) -> None:
        dt_s = (now_ns - self._now_ns) / SECOND_NS
        self._now_ns = now_ns
        beta, common, gauss = self.listing.beta, factor.value - self._factor, self._rng.gauss
        self._factor = factor.value
        own = math.sqrt((1.0 - beta * beta) * dt_s) * gauss(0.0, 1.0) + PRESSURE * self._pressure * dt_s
        self._own += self._sigma * (beta * common + factor.volatility * own)
        self._pressure += -self._pressure * dt_s / PRESSURE_S + math.sqrt(2.0 * dt_s / PRESSURE_S) * gauss(0.0, 1.0)
        self.fair = math.exp(self._log_start + self._own)
        self._excitement *= math.exp(-FORGET_PER_S * rate * dt_s)

    def _correct(self, ladder: Ladder) -> list[Fill]:
        """Cancel or take the quotes of ``ladder`` that the fair price has passed."""
        rng, fair = self._rng, ladder.sign * self.fair
        if ladder.keys[0] >= fair:
            return []
        if rng.random() < 0.15:
            return self._take(ladder, ladder.lots[ladder.keys[0]])
        for key in ladder.keys[: rng.randint(1, 3)]:
            if key < fair:
                ladder.put(key, 0)
        return []

    def _refill(self, ladder: Ladder, other: Ladder) -> None:
        """Let a maker quote where all others hang back."""
        rng, fair = self._rng, ladder.sign * self.fair
        if ladder.keys[0] > fair + 2.0 * self._edge and rng.random() < 0.5 - 0.2 * ladder.sign * self._pressure:
            self._place(ladder, other, math.ceil(fair + self._edge * rng.uniform(0.2, 1.4)))

    def _place(self, ladder: Ladder, other: Ladder, key: int) -> None:
        """Add an order, at the other side's best but one at most: a maker never crosses."""
        key = max(key, 1 - other.keys[0])
        tilt = math.exp(-0.5 * ladder.sign * self._pressure)
        ladder.put(key, ladder.lots.get(key, 0) + max(1, round(tilt * self._size())))

    def _quote(self, ladder: Ladder, other: Ladder) -> None:
        """Change, cancel, move or add one order at a random rank."""
        rng, keys = self._rng, ladder.keys
        rank = self._rank(len(keys))
        draw = rng.random()
        if draw < 0.3:
            key = keys[rank]
            ladder.put(key, max(1, int(ladder.lots[key] * rng.uniform(0.3, 1.5))))
            return
        low, high = max(rank - 5, 0), min(rank + 5, len(keys) - 1)
        thin = (keys[high] - keys[low]) / ((high - low) * self._spacing(rank))
        add, old = (
            rng.random() < min(0.95, max(0.05, 0.6 * thin - 0.1 - 0.15 * ladder.sign * self._pressure)),
            keys[rank],
        )
        if add or draw < 0.5:
            step = (0.5 - rng.random()) * 4.0 * self._spacing(rank)
            floor = math.ceil(ladder.sign * self.fair + 0.2 * self._edge)
            self._place(ladder, other, max(floor, old + round(step)))
        if not add:
            ladder.put(old, 0)

    def _rank(self, n: int) -> int:
        """Draw a level by its rank: a power law with half of the mass in the first seven."""
        while True:
            rank = int(6.0 * ((1.0 - self._rng.random()) ** (-1.0 / 0.9) - 1.0))
            if rank < n:
                return rank

    def _spacing(self, rank: int) -> float:
        """Usual distance in ticks from the level of that rank to the next."""
        return 1.0 + self._gap * (1.0 + rank / 200.0)

    def _size(self) -> int:
        """Draw an order's size: crumbs of small accounts, round values of market makers, and a lognormal rest."""
        rng, usd, kind = self._rng, self.listing.order_usd, self._rng.random()
        if kind < 0.2:
            usd *= 0.001 * rng.lognormvariate(0.0, 1.0)
        elif kind < 0.7:
            usd *= rng.choice((0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)) * rng.uniform(0.9995, 1.0005)
        else:
            usd *= rng.lognormvariate(0.0, 1.3)
        return max(1, round(usd * self._lots_per_usd))

    def _extend(self, ladder: Ladder) -> None:
        """Keep the far end in place as the price wanders: beyond all that subscribers see, or nearly."""
        keys = ladder.keys
        if len(keys) < LEVELS - 100:
            while len(keys) < LEVELS:
                key = keys[-1] + 1 + int(self._rng.expovariate(1.0 / (self._spacing(len(keys)) - 1.0)))
                if ladder.sign < 0 <= key:
                    return  # no price is left below
                ladder.put(key, self._size())
        while len(keys) > LEVELS + 300:
            ladder.put(keys[-1], 0)

    def _taker(self) -> list[Fill]:
        """Let one taker come: mostly the next piece of a large order, else someone who knows the fair price."""
        rng = self._rng
        self._excitement += EXCITEMENT
        if self._run <= 0:
            self._sign, self._run = rng.choice((-1, 1)), int(rng.paretovariate(1.5))
        self._run -= 1
        mid = (self.asks.keys[0] - self.bids.keys[0]) / 2.0
        lean = self._sign + 1.5 * self._pressure + 1.5 * max(-2.0, min(2.0, (self.fair - mid) / self._edge))
        sign = 1 if rng.random() < 1.0 / (1.0 + math.exp(-lean)) else -1
        lots = max(1, round(0.15 * self.listing.order_usd * (rng.paretovariate(1.1) - 0.95) * self._lots_per_usd))
        typical = 0.3 * self.listing.order_usd * self._lots_per_usd
        self._own += sign * 0.1 * self._edge / self.fair * min(3.0, math.sqrt(lots / typical))
        return self._take(self.asks if sign > 0 else self.bids, lots)

    def _take(self, ladder: Ladder, lots: int) -> list[Fill]:
        """Match a taker's order against at most a dozen levels; the rest of it is cancelled."""
        fills: list[Fill] = []
        side: Side = "buy" if ladder.sign > 0 else "sell"
        limit = self._rng.random() < 0.6
        for key in ladder.keys[:12]:
            matched = min(lots, ladder.lots[key])
            ladder.put(key, ladder.lots[key] - matched)
            self._trade_id += 1
            fills.append(Fill(self._trade_id, self._now_ns, side, abs(key), matched, limit))
            lots -= matched
            if not lots:
                break
        self.recent.extend(fills)
        return fills


class Market:
    """All symbols in simulated time; the same arguments give the same steps, for ever.

    Args:
        seed: of all draws.
        start_ns: simulated time before the first step, nanoseconds since 1970 UTC.
        symbols: names in ``listings.LISTINGS``, or listings; None for all that are there.
        rate: multiplies the number of orders in a second; 1 is about 30 book messages for each symbol.

    Raises:
        InputError: an unknown or repeated symbol, or a rate that is not above 0.
    """

    def __init__(
        self, seed: int, start_ns: int, symbols: Sequence[str | Listing] | None = None, rate: float = 1.0
    ) -> None:
        if not 0.0 < rate < math.inf:
            raise InputError(f"the simulator's rate must be above 0, not {rate}")
        listings = listed(symbols)
        self.seed = seed
        self.now_ns = start_ns - int(WARM_UP_S / max(rate, 1.0) * SECOND_NS)
        self.books = {one.symbol: Book(one, Random(f"{seed} {one.symbol}"), self.now_ns) for one in listings}
        self._rate = rate
        self._factor = Factor(Random(f"{seed} common factor"), self.now_ns)
        self._due = [(self.now_ns + book.wait_ns(rate), name) for name, book in self.books.items()]
        heapq.heapify(self._due)
        while self.next_ns <= start_ns:
            self.step()
        self.now_ns = start_ns

    @property
    def next_ns(self) -> int:
        """Simulated time of the step to come."""
        return self._due[0][0]

    def rest(self, pause_ns: int) -> None:
        """Let time pass in which nothing happens: what was due comes so much later."""
        self.now_ns += pause_ns
        self._due = [(due_ns + pause_ns, name) for due_ns, name in self._due]
        self._factor.rest(pause_ns)
        for book in self.books.values():
            book.rest(pause_ns)

    def step(self) -> Step:
        """Let the next event happen and return what it changed, which may be nothing."""
        self.now_ns, name = self._due[0]
        book = self.books[name]
        self._factor.advance(self.now_ns)
        step = book.advance(self.now_ns, self._factor, self._rate)
        heapq.heapreplace(self._due, (self.now_ns + book.wait_ns(self._rate), name))
        return step

    def steps(self) -> Iterator[Step]:
        """Yield one step after another, for ever, in rising time."""
        while True:
            yield self.step()
