"""Coinbase's lists of products, of Advanced Trade and of the Exchange.

https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public/list-public-products and
https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-all-trading-pairs (2026-11). The first is
an object of products, the other a list of them; they share most names.
"""

import msgspec

from producers.exchanges.listings import Listing, Listings, once, step
from producers.exchanges.reading import decoded


class _Product(msgspec.Struct):
    product_id: str = ""
    id: str = ""
    price_increment: str | None = None  # Advanced Trade
    quote_increment: str | None = None  # the Exchange's step of prices
    base_increment: str | None = None
    base_min_size: str | None = None
    status: str = "online"
    is_disabled: bool = False
    trading_disabled: bool = False


class _Products(msgspec.Struct):
    products: list[_Product]


_decode = msgspec.json.Decoder(_Products | list[_Product]).decode


def read_products(body: bytes, venue: str) -> list[Listing]:
    """Return the listings of a body of products.

    Raises:
        FrameError: it is none.
    """
    read = decoded(_decode, body, "Coinbase's products")
    products = read.products if isinstance(read, _Products) else read
    return once(_listing(one, venue) for one in products if "-" in (one.product_id or one.id))


def _listing(product: _Product, venue: str) -> Listing:
    name = product.product_id or product.id
    tick_size = step(product.price_increment) or step(product.quote_increment)
    # Advanced Trade says nothing in place of "online" for some of its futures.
    active = product.status in {"online", ""} and not (product.is_disabled or product.trading_disabled)
    return Listing(venue, name, name, tick_size, step(product.base_increment), step(product.base_min_size), active)


MARKET_PRODUCTS = Listings("/api/v3/brokerage/market/products", read_products)
PRODUCTS = Listings("/products", read_products)
