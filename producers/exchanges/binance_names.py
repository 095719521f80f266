"""What Binance calls its pairs, where its own list of them is not known."""

from quicksilver.errors import FrameError

# Where nobody has said what a pair's two coins are: the longest of these that ends its name is the second.
QUOTES = (
    "AEUR", "ARS", "AUD", "BIDR", "BKRW", "BNB", "BRL", "BTC", "BUSD", "BVND", "COP", "CZK", "DAI", "DOGE",
    "DOT", "ETH", "EUR", "EURI", "FDUSD", "GBP", "GYEN", "IDRT", "JPY", "MXN", "NGN", "PAX", "PLN", "RON",
    "RUB", "TRX", "TRY", "TUSD", "UAH", "USD", "USD1", "USDC", "USDP", "USDS", "USDT", "UST", "VAI", "XRP",
    "ZAR",
)  # fmt: skip


def symbol_of(pair: str) -> str:
    """Return ``BASE-QUOTE`` of a pair's name, by the quote currencies that there are.

    >>> symbol_of("BTCUSDT"), symbol_of("BTCSTUSDT"), symbol_of("BTCUSDT_270326")
    ('BTC-USDT', 'BTCST-USDT', 'BTC-USDT_270326')

    Raises:
        FrameError: it ends with none of them.
    """
    coins, underscore, expiry = pair.partition("_")
    quotes = [quote for quote in QUOTES if coins.endswith(quote) and coins != quote]
    if not quotes or not coins.isalnum():
        raise FrameError(f"not a Binance pair: {pair[:40]!r}")
    quote = max(quotes, key=len)
    return f"{coins.removesuffix(quote)}-{quote}{underscore}{expiry}"


def native_of(symbol: str) -> str:
    """Return a pair's name at the venue.

    >>> native_of("BTC-USDT"), native_of("BTC-USDT_270326")
    ('BTCUSDT', 'BTCUSDT_270326')
    """
    return symbol.replace("-", "")
