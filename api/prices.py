"""What an order goes by: the newest price of an asset where its universe takes it from, and the lots of that place."""

from collections.abc import Iterable
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
        """Return the newest price of a frontier's asset: its own, or the mid of the live book that it is from; or None.

        Another venue's book is another price, which a universe may have been told not to go by.
        """
        found = [self._mid(key) for key in sources_of(row, asset, self._hub.keys("tops"))]
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

    def lot(self, row: PickRow, asset: str) -> Lot | None:
        """Return the lot of the venue that the price is from; None if it says none.

        Of a row from before sources were told, the coarsest of the venues that list the asset, and the highest of
        their least orders.
        """
        known = {f"{one.venue}:{one.symbol}": one for one in (self._symbols.subscribed() if self._symbols else [])}
        found = [
            Lot(listing.lot_size, listing.min_size or Decimal(0), known[key].venue)
            for key in sources_of(row, asset, known)
            if (listing := known[key].listing) and listing.lot_size
        ]
        coarsest = max(found, key=lambda one: one.size, default=None)
        return None if coarsest is None else coarsest._replace(least=max(one.least for one in found))


def sources_of(row: PickRow, asset: str, keys: Iterable[str]) -> list[str]:
    """Return those of ``venue:symbol`` keys that an asset's price may be of: where the frontier has it from.

    Of a row from before sources were told all those of the asset, which is a symbol or itself of one venue.
    """
    place = row.assets.index(asset)
    if place < len(row.sources):
        return [key for key in keys if key == row.sources[place]]
    return [key for key in keys if asset in (key, key.split(":", 1)[1])]
