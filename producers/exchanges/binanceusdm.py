"""Binance, USD-M futures: as the spot market's (``binance.py``), but for how messages are chained.

Rules (https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams/How-to-manage-a-local-order-book-correctly,
2026-11): 1 to 3, 5 and 6 as there, and

4. ``pu`` of each message is the ``u`` of the one before, else messages were lost; ``U`` may be any number above it.

The first message after a book has ``U`` at or below the book's number, thus its ``pu`` below: so one rule serves both,
that a message follows whatever contains its ``pu``.
"""

from producers.exchanges.binance import BinanceParser
from producers.exchanges.binance_feed import BinanceFeed
from producers.exchanges.binance_listings import FUTURES_INFO
from producers.exchanges.limits import Limits, Rate
from producers.exchanges.venue import Venue


class BinanceUsdmFeed(BinanceFeed):
    """The futures' public streams and REST book; the largest book that they give has 1,000 levels a side."""

    url = "wss://fstream.binance.com/stream"
    rest_url = "https://fapi.binance.com"
    book_path = "/fapi/v1/depth"
    books = ((1000, 20), (500, 10))
    listings = FUTURES_INFO
    limits = Limits(
        "https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams"
        " and .../general-info (2026-11)",
        connections=Rate(300, 300), messages=Rate(8, 1), channels=1024, lifetime_s=86_400, rest=Rate(2400, 60),
        audit_weight=10, listings_weight=1,
    )  # fmt: skip


VENUE = Venue("binanceusdm", BinanceParser, BinanceUsdmFeed)
