"""What an order goes by: the newest price of an asset that this process knows, and the lots that its venues trade."""

from decimal import Decimal
from typing import NamedTuple

from api.hub import Hub
from api.picks import PickRow
from api.symbols import Symbols
from quicksilver import codec
from quicksilver.records import BookTop


class Quote(NamedTuple):
    """A price, when it was, and where it is from."""

    price: float
    ts_ns: int
    source: str


class Lot(NamedTuple):
    """The step of sizes, the least size of an order, and who says so."""

    size: Decimal
    least: Decimal
    source: str


class Quotes:
    """Prices of the hub's order books and of frontiers, lots of the symbols that are subscribed to."""

    def __init__(self, hub: Hub, symbols: Symbols | None) -> None:
        self._hub, self._symbols = hub, symbols

    def newest(self, row: PickRow, asset: str) -> Quote | None:
        """Return the newest price of a frontier's asset: its own, or the mid of a live book; None if there is none."""
        found = [self._mid(key) for key in self._hub.keys("tops") if is_of(key, asset)]
        place = row.assets.index(asset)
        price = row.prices[place] if place < len(row.prices) else None
        if price is not None and price > 0.0 and row.computed_ns is not None:
            age_ns = row.ages_ns[place] if place < len(row.ages_ns) else 0
            found.append(Quote(price, row.computed_ns - age_ns, "frontier"))
        return max((one for one in found if one), key=lambda one: one.ts_ns, default=None)

    def _mid(self, key: str) -> Quote | None:
        row = self._hub.last_row("tops", key)
        if row is None or self._hub.instruments.get(key, {}).get("state") != "LIVE":
            return None
        top = codec.decode(BookTop, row)
        if not top.bids or not top.asks:
            return None
        return Quote((top.bids[0].price + top.asks[0].price) / 2.0, top.ts_event_ns, key)

    def lot(self, asset: str) -> Lot | None:
        """Return the coarsest lot of the venues that list the asset: each of them takes it. None: no venue says one."""
        known = self._symbols.subscribed() if self._symbols else []
        found = [
            Lot(one.listing.lot_size, one.listing.min_size or Decimal(0), one.venue)
            for one in known
            if one.listing and one.listing.lot_size and is_of(f"{one.venue}:{one.symbol}", asset)
        ]
        return max(found, key=lambda one: (one.size, one.least), default=None)


def is_of(key: str, asset: str) -> bool:
    """Return whether ``venue:symbol`` is of the asset, which is a symbol or itself of one venue.

    >>> is_of("kraken:BTC-USD", "BTC-USD"), is_of("kraken:BTC-USD", "coinbase:BTC-USD")
    (True, False)
    """
    return asset in (key, key.split(":", 1)[1])
