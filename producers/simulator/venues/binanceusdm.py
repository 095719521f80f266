"""Binance USD-M futures: as the spot market (``binance.py``), but for the chain of messages and the times.

https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams/Diff-Book-Depth-Streams
(2026-11): ``pu`` is the ``u`` of the message before.
"""

from producers.simulator.venues.binance import BinanceEngine


class BinanceUsdmEngine(BinanceEngine):
    """The futures' public streams over a simulated market."""

    book_path = "/fapi/v1/depth"
    listings_path = "/fapi/v1/exchangeInfo"

    def chained(self, before: int) -> str:
        """Return the field that says the last number of the message before."""
        return f'"pu":{before},'

    def when(self, millis: int) -> str:
        """Return the field that says when the market moved."""
        return f'"T":{millis},'

    def listing(self, native: str, symbol: str) -> dict[str, object]:
        """Return what is said of a contract."""
        return {**super().listing(native, symbol), "pair": native, "contractType": "PERPETUAL"}

    def body_times(self, millis: int) -> str:
        """Return the fields that say when the book was sent and when it was so."""
        return f'"E":{millis},"T":{millis},'


ENGINE = BinanceUsdmEngine
