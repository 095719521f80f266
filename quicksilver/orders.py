"""The order-by-order (L3) book: who stands where in the queue of each price, folded into price levels (L2).

An order keeps the place in its level's queue that it came to (price-time priority). A smaller size keeps the place, a
larger one and another price lose it: so the venues' matching rules say
(https://docs.cdp.coinbase.com/exchange/concepts/matching-engine, https://docs.kraken.com/api/docs/guides/spot-amends).
What a level holds beyond the orders that are known is *anonymous*: it was there before anybody listened.

Sizes are counted in whole units of 10^-18, so that a level's size is the exact sum of its orders, rounded once, however
many have come and gone; each change costs one look-up, and a level that comes or goes one search.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import NamedTuple, TypeAlias

from quicksilver.events import Levels

PLACES = 18
ONE = 10**PLACES
MOST = 10**15  # of the base currency; whatever is larger is no size
LONGEST_TEXT = 40
_LETTERS = "0123456789.eE+-"
BID, ASK = 0, 1
OrderId: TypeAlias = int | str


def units_of(text: str) -> int:
    """Return a size's text as a whole number of 10^-18.

    >>> units_of("0.5"), units_of("1e-7")
    (500000000000000000, 100000000000)

    Raises:
        ValueError: it is no number, negative, too large, or has more than 18 places.
    """
    whole, _, part = text.partition(".")
    digits = whole + part
    if len(part) <= PLACES and len(digits) <= LONGEST_TEXT and digits.isascii() and digits.isdigit():
        return int(digits) * 10 ** (PLACES - len(part))
    try:
        number = Decimal(text) if len(text) <= LONGEST_TEXT and not text.strip(_LETTERS) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not (number.is_finite() and 0 <= number < MOST):
        raise ValueError(f"not a size: {text[:LONGEST_TEXT]!r}")
    if not number:
        return 0
    # An exponent is looked at before it is worked out: 1e-99999999 would take all of the memory.
    over, under = number.as_integer_ratio() if number.adjusted() >= -PLACES else (1, ONE * ONE)
    units, rest = divmod(over * ONE, under)
    if rest:
        raise ValueError(f"a size of more than {PLACES} places: {text!r}")
    return units


class Order:
    """One resting order; ``units`` is its size in 10^-18 of the base currency, ``side`` is ``BID`` or ``ASK``."""

    __slots__ = ("id", "price", "side", "units")

    def __init__(self, order_id: OrderId, side: int, price: float, units: int) -> None:
        self.id = order_id
        self.side = side
        self.price = price
        self.units = units

    @property
    def size(self) -> float:
        """Size in the base currency."""
        return self.units / ONE


class QueuePosition(NamedTuple):
    """What stands before an order in the queue of its price; anonymous size counts as one order, the oldest."""

    orders_ahead: int
    size_ahead: float


class Fold(NamedTuple):
    """Price levels and the number of orders of each, in the same order; None where some are anonymous."""

    bids: Levels
    asks: Levels
    bid_counts: tuple[int | None, ...]
    ask_counts: tuple[int | None, ...]

    def __bool__(self) -> bool:
        return bool(len(self.bids) or len(self.asks))


class _Level:
    __slots__ = ("anonymous", "orders", "units")

    def __init__(self) -> None:
        self.orders: dict[OrderId, Order] = {}  # oldest first
        self.units = 0  # of all orders, without the anonymous
        self.anonymous = 0


class OrderBook:
    """All orders of one instrument that rest, by id and by price."""

    def __init__(self) -> None:
        self._orders: dict[OrderId, Order] = {}
        self._levels: tuple[dict[float, _Level], dict[float, _Level]] = ({}, {})
        self._keys: tuple[list[float], list[float]] = ([], [])  # prices, those of asks negated: the best is the last
        self._touched: dict[tuple[int, float], None] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, order_id: OrderId) -> bool:
        return order_id in self._orders

    def get(self, order_id: OrderId) -> Order | None:
        """Return an order that rests."""
        return self._orders.get(order_id)

    def load(self, orders: Iterable[tuple[OrderId, int, float, int]]) -> None:
        """Replace everything by ``(id, side, price, units)``, the older first; nothing counts as changed."""
        for held in (self._orders, *self._levels, *self._keys, self._touched):
            held.clear()
        for order_id, side, price, units in orders:
            level = self._levels[side].get(price)
            if level is None:
                level = self._levels[side][price] = _Level()
            order = self._orders[order_id] = level.orders[order_id] = Order(order_id, side, price, units)
            level.units += order.units
        for side in (BID, ASK):
            self._keys[side].extend(sorted(-price if side else price for price in self._levels[side]))

    def _level(self, side: int, price: float) -> _Level:
        """The level of a price, new if need be, which is about to change."""
        self._touched[side, price] = None
        level = self._levels[side].get(price)
        if level is None:
            level = self._levels[side][price] = _Level()
            insort(self._keys[side], -price if side else price)
        return level

    def _settle(self, side: int, price: float, level: _Level) -> None:
        """Forget a level that holds nothing."""
        if not (level.orders or level.anonymous):
            del self._levels[side][price]
            keys = self._keys[side]
            del keys[bisect_left(keys, -price if side else price)]

    def add(self, order_id: OrderId, side: int, price: float, units: int, *, first: bool = False) -> None:
        """Put a new order at the end of its price's queue, or at its beginning; one of that id goes before."""
        self.remove(order_id)
        level = self._level(side, price)
        order = self._orders[order_id] = Order(order_id, side, price, units)
        if first:
            level.orders = {order_id: order, **level.orders}
        else:
            level.orders[order_id] = order
        level.units += units

    def remove(self, order_id: OrderId) -> Order | None:
        """Take an order out; returns it, or None if it is not there."""
        order = self._orders.pop(order_id, None)
        if order is not None:
            level = self._level(order.side, order.price)
            del level.orders[order_id]
            level.units -= order.units
            self._settle(order.side, order.price, level)
        return order

    def resize(self, order_id: OrderId, units: int, *, keep: bool = False) -> None:
        """Give an order another size: 0 takes it out, a larger one puts it last in its queue unless ``keep``.

        Raises:
            KeyError: no such order.
        """
        order = self._orders[order_id]
        if units <= 0:
            self.remove(order_id)
        elif units > order.units and not keep:
            self.add(order_id, order.side, order.price, units)
        elif units != order.units:
            level = self._level(order.side, order.price)
            level.units += units - order.units
            order.units = units

    def change(self, order_id: OrderId, price: float, units: int, *, keep: bool = False) -> None:
        """Give an order another price and size; another price puts it last in the queue there.

        Raises:
            KeyError: no such order.
        """
        order = self._orders[order_id]
        if price != order.price and units > 0:
            self.add(order_id, order.side, price, units)
        else:
            self.resize(order_id, units, keep=keep)

    def match(self, order_id: OrderId, units: int) -> None:
        """Shrink an order by what was traded; it is gone when nothing is left.

        Raises:
            KeyError: no such order.
        """
        self.resize(order_id, self._orders[order_id].units - units)

    def to_back(self, order_id: OrderId) -> None:
        """Put an order last in its queue.

        Raises:
            KeyError: no such order.
        """
        order = self._orders[order_id]
        self.add(order_id, order.side, order.price, order.units)

    def set_anonymous(self, side: int, price: float, units: int) -> None:
        """Set what a price holds beyond the orders that are known."""
        units = max(0, units)
        if units != self.anonymous(side, price):
            level = self._level(side, price)
            level.anonymous = units
            self._settle(side, price, level)

    def anonymous(self, side: int, price: float) -> int:
        """Return what a price holds beyond the orders that are known, in units."""
        level = self._levels[side].get(price)
        return level.anonymous if level else 0

    def units(self, side: int, price: float) -> int:
        """Return all that a price holds, in units."""
        level = self._levels[side].get(price)
        return level.units + level.anonymous if level else 0

    def count(self, side: int, price: float) -> int | None:
        """Return the number of orders at a price; None where some are anonymous."""
        level = self._levels[side].get(price)
        if level is None:
            return 0
        return None if level.anonymous else len(level.orders)

    def queue(self, side: int, price: float) -> list[Order]:
        """Return the orders of a price, the first to be matched first."""
        level = self._levels[side].get(price)
        return list(level.orders.values()) if level else []

    def best(self, side: int) -> float | None:
        """Return the best price of a side, None if it is empty."""
        keys = self._keys[side]
        return abs(keys[-1]) if keys else None

    def prices(self, side: int) -> Iterator[float]:
        """Yield a side's prices, the best first; the book must not change meanwhile."""
        return map(abs, reversed(self._keys[side]))

    def crosses(self, side: int, price: float) -> bool:
        """Whether an order of that side and price would be matched at once."""
        other = self.best(1 - side)
        return other is not None and (price <= other if side else price >= other)

    def truncate(self, depth: int) -> None:
        """Drop the levels of each side beyond the best ``depth``."""
        for side in (BID, ASK):
            while len(self._keys[side]) > depth:
                price = abs(self._keys[side][0])
                for order in self.queue(side, price):
                    self.remove(order.id)
                if self.anonymous(side, price):
                    self.set_anonymous(side, price, 0)

    def queue_position(self, order_id: OrderId) -> QueuePosition | None:
        """Return what is matched before this order at its price, or None if it does not rest.

        Costs a step for each order ahead. A size that a venue hides, as an iceberg's, is in no feed and not counted.
        """
        order = self._orders.get(order_id)
        if order is None:
            return None
        level = self._levels[order.side][order.price]
        ahead, units = int(level.anonymous > 0), level.anonymous
        for other in level.orders.values():
            if other is order:
                break
            ahead += 1
            units += other.units
        return QueuePosition(ahead, units / ONE)

    def whole(self) -> Fold:
        """Return all levels, best first; nothing counts as changed then."""
        self._touched.clear()
        return self._fold([(side, price) for side in (BID, ASK) for price in self.prices(side)])

    def changes(self) -> Fold:
        """Return the levels that have changed since this was asked last, a size of 0 for one that is gone."""
        touched = list(self._touched)
        self._touched.clear()
        return self._fold(touched)

    def _fold(self, places: list[tuple[int, float]]) -> Fold:
        rows: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
        counts: tuple[list[int | None], list[int | None]] = ([], [])
        for side, price in places:
            rows[side].append((price, self.units(side, price) / ONE))
            counts[side].append(self.count(side, price))
        return Fold(Levels.of(rows[0]), Levels.of(rows[1]), tuple(counts[0]), tuple(counts[1]))
