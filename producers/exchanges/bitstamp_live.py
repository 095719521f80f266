"""The book that Bitstamp's order events make, with what they leave out.

1. An order that crosses the other side when it is created has yet to be matched: its fills come as later events. It
   waits outside the book until it is deleted or crosses nothing any more; so the book is never crossed.
2. Events come late: one for an order that was deleted is ignored.
3. Where a recording holds no book of orders, the best levels that the venue pushes say what was there before it: the
   book starts from the first, and what a level holds beyond the orders that are known is anonymous.
4. A pushed book is some milliseconds older than the order events that come before it (seen on recordings), so it says
   nothing of prices at which something happened within the last ``SETTLE_NS``. At all others it is right: a level that
   it has and we have not is from before the recording, an order that it has not was deleted unseen.
5. When an order that nobody knows is filled, its size is that of the next trade at its price.
"""

from typing import Literal, NamedTuple, TypeAlias

from quicksilver.events import SECOND_NS
from quicksilver.orders import ASK, BID, Order, OrderBook

SETTLE_NS = SECOND_NS
STUCK_NS = 10 * SECOND_NS  # an order is matched within milliseconds: one that waits so long crosses a phantom
REMEMBERED = 200_000  # deleted orders: those of some hours
Action: TypeAlias = Literal["order_created", "order_changed", "order_deleted"]
Pushed: TypeAlias = tuple[dict[float, int], dict[float, int]]
"""Units by price of the best levels: bids, asks."""


class Change(NamedTuple):
    """One order event; ``units`` is what remains of the order, ``ts_ns`` when it happened."""

    action: Action
    id: int
    side: int
    price: float
    units: int
    ts_ns: int


class LiveBook:
    """The orders of one pair, those that wait to be matched, and those that are gone."""

    def __init__(self) -> None:
        self.book = OrderBook()
        self.partial = False  # whether it was made from a pushed book, and pushed books complete it
        self._waiting: dict[int, tuple[Order, int]] = {}  # with the time since when
        self._gone: dict[int, None] = {}
        self._changed_ns: dict[tuple[int, float], int] = {}
        self._filled: set[float] = set()  # prices at which an unknown order was filled

    def take(self, change: Change) -> bool:
        """Apply one event; False if it comes too late, or says nothing of the book."""
        if change.id in self._gone:
            return False
        if change.action == "order_deleted":
            self._delete(change)
        elif change.price > 0:  # a market order has no price, and never rests
            self._set(change)
        self._release()
        self._changed_ns[change.side, change.price] = change.ts_ns
        return True

    def _delete(self, change: Change) -> None:
        self._gone[change.id] = None
        if len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]
        if self._waiting.pop(change.id, None) is None and self.book.remove(change.id) is None:
            self._heard_of(change)

    def _heard_of(self, change: Change) -> None:
        """Take an order that is named for the first time, and not new, out of what is anonymous at its price."""
        anonymous = self.book.anonymous(change.side, change.price)
        if anonymous:
            self.book.set_anonymous(change.side, change.price, anonymous - change.units)
            if change.action == "order_changed" or not change.units:
                self._filled.add(change.price)

    def _set(self, change: Change) -> None:
        known, waiting = self.book.get(change.id), self._waiting.get(change.id)
        if known is not None and not (change.price != known.price and self.book.crosses(known.side, change.price)):
            self.book.change(change.id, change.price, change.units)
            return
        self.book.remove(change.id)
        if not change.units:
            self._waiting.pop(change.id, None)
        elif waiting is not None:
            waiting[0].price, waiting[0].units = change.price, change.units
        elif self.book.crosses(change.side, change.price):
            self._waiting[change.id] = Order(change.id, change.side, change.price, change.units), change.ts_ns
        else:
            old = change.action == "order_changed" and known is None
            if old:
                self._heard_of(change)
            self.book.add(change.id, change.side, change.price, change.units, first=old)

    def _release(self) -> None:
        """Put into the book what crosses it no longer."""
        for order, _ in list(self._waiting.values()):
            if not self.book.crosses(order.side, order.price):
                del self._waiting[int(order.id)]
                self.book.add(order.id, order.side, order.price, order.units)

    def stuck(self, now_ns: int) -> bool:
        """Whether an order has waited too long: what it crosses is no longer there."""
        return any(now_ns - since_ns > STUCK_NS for _, since_ns in self._waiting.values())

    def traded(self, price: float, units: int) -> None:
        """Take the size of a trade from an order that was filled and that nobody knows."""
        if price in self._filled:
            self._filled.discard(price)
            for side in (BID, ASK):
                anonymous = self.book.anonymous(side, price)
                if anonymous:
                    self.book.set_anonymous(side, price, anonymous - units)
            self._release()

    def start(self, pushed: Pushed, now_ns: int) -> None:
        """Make the book from the best levels that the venue pushed; what was heard of orders before stands."""
        self.partial = True
        self._drop_unpushed(pushed, now_ns)
        for side in (BID, ASK):
            for price, units in pushed[side].items():
                missing = units - self.book.units(side, price)
                if missing > 0:
                    self.book.set_anonymous(side, price, missing)
        self._uncross(pushed)

    def _uncross(self, pushed: Pushed) -> None:
        """Let orders wait that cross what was pushed: they came before the book by which that can be seen."""
        for side in (BID, ASK):
            limit = max(pushed[BID], default=0.0) if side else min(pushed[ASK], default=float("inf"))
            for price in [price for price in self.book.prices(side) if (price <= limit if side else price >= limit)]:
                for order in self.book.queue(side, price):
                    self.book.remove(order.id)
                    self._waiting[int(order.id)] = order, self._changed_ns.get((side, price), 0)

    def correct(self, pushed: Pushed, now_ns: int) -> None:
        """Apply rule 4 to a book that was made from a pushed one."""
        self._drop_unpushed(pushed, now_ns)
        self._release()
        for side in (BID, ASK):
            for price, units in pushed[side].items():
                if self._settled(side, price, now_ns) and not self.book.crosses(side, price):
                    self._agree(side, price, units)
        self._changed_ns = {place: ns for place, ns in self._changed_ns.items() if now_ns - ns <= SETTLE_NS}
        self._filled.clear()

    def _settled(self, side: int, price: float, now_ns: int) -> bool:
        waits = any(order.side == side and order.price == price for order, _ in self._waiting.values())
        return not waits and now_ns - self._changed_ns.get((side, price), 0) > SETTLE_NS

    def _drop_unpushed(self, pushed: Pushed, now_ns: int) -> None:
        """Forget levels that a pushed book would have."""
        for side in (BID, ASK):
            if not pushed[side]:
                continue
            last = max(pushed[side]) if side else min(pushed[side])
            for price in list(self.book.prices(side)):
                if price > last if side else price < last:
                    break
                if price not in pushed[side] and self._settled(side, price, now_ns):
                    self._agree(side, price, 0)

    def _agree(self, side: int, price: float, units: int) -> None:
        """Make a level's size that of the pushed one."""
        if self.book.units(side, price) == units:
            return
        queue = self.book.queue(side, price)
        excess = sum(order.units for order in queue) - units
        if excess > 0:  # the order that explains it, or all of them, were deleted unseen
            phantoms = [order for order in queue if order.units == excess][:1] or queue
            for order in phantoms:
                self.book.remove(order.id)
                self._gone[int(order.id)] = None
        known = sum(order.units for order in self.book.queue(side, price))
        self.book.set_anonymous(side, price, units - known)
