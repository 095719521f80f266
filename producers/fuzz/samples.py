"""A short session of each venue, in its own words: it makes one book live, changes it, and has a trade.

The messages are written after those in the documentation that each venue's file under ``producers/exchanges`` cites.
They are there so that parsers can be fuzzed where there are no recordings, and to see that a parser that has been fed
with garbage reads a good session again.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from zlib import crc32

from producers.frames import Frame

Session = list[tuple[str, str | None]]
"""Texts of messages, each with the address that it answers, or None where it came over the socket."""


def _iso(ts_ns: int) -> str:
    return f"{datetime.fromtimestamp(ts_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.000001Z"


def _kraken(ts_ns: int) -> Session:
    def book(kind: str, bids: str, digits: bytes) -> str:
        """A book message; ``digits`` is the text of which the checksum is made."""
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USD","bids":[{bids}],"asks":'
            f'[{{"price":64001.0,"qty":0.50000000}}],"checksum":{crc32(digits)},"timestamp":"{_iso(ts_ns)}"}}]}}'
        )

    ack = (
        '{"method":"subscribe","result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"},"success":true,'
        f'"time_in":"{_iso(ts_ns)}","time_out":"{_iso(ts_ns)}"}}'
    )
    trade = (
        '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":64000.0,"qty":0.1,'
        f'"ord_type":"market","trade_id":{ts_ns},"timestamp":"{_iso(ts_ns)}"}}]}}'
    )
    first = book("snapshot", '{"price":64000.0,"qty":1.25000000}', b"64001050000000640000125000000")
    then = book("update", '{"price":64000.0,"qty":2.00000000}', b"64001050000000640000200000000")
    return [(ack, None), (first, None), ('{"channel":"heartbeat"}', None), (then, None), (trade, None)]


def _kraken_v1(ts_ns: int) -> Session:
    time = f"{ts_ns // 10**9}.000001"
    first = (
        f'[336,{{"as":[["2001.10000","1.50000000","{time}"]],"bs":[["2000.00000","2.00000000","{time}"]]}},'
        '"book-10","ETH/USD"]'
    )
    digits = b"200110000150000000" + b"200000000300000000"
    then = f'[336,{{"b":[["2000.00000","3.00000000","{time}"]],"c":"{crc32(digits)}"}},"book-10","ETH/USD"]'
    trade = f'[337,[["2000.00000","0.10000000","{time}","s","m",""]],"trade","ETH/USD"]'
    return [(first, None), (then, None), (trade, None)]


def _binance(ts_ns: int, path: str = "/api/v3/depth?limit=5000", chain: str = "") -> Session:
    ms, number = ts_ns // 10**6, ts_ns // 10**9

    def depth(first: int, before: str) -> tuple[str, None]:
        """A depthUpdate of two changes from ``first`` on; ``before`` is the futures' ``pu``, or nothing."""
        return (
            f'{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{ms},"s":"BTCUSDT","U":{first},'
            f'"u":{first + 1},{before}"b":[["64000.00000000","1.50000000"]],"a":[["64001.00000000","0.00000000"],'
            '["64002.00000000","3.00000000"]]}}',
            None,
        )

    levels = '"bids":[["64000.0","1.0"]],"asks":[["64001.0","2.0"],["64003.0","1.0"]]'
    book = f'{{"lastUpdateId":{number + 1},{levels}}}'
    trade = (
        f'{{"stream":"btcusdt@aggTrade","data":{{"e":"aggTrade","E":{ms},"s":"BTCUSDT","a":{number},'
        f'"p":"64000.00000000","q":"0.00100000","f":1,"l":2,"T":{ms},"m":true,"M":true}}}}'
    )
    chains = [chain.replace("?", str(number + last)) for last in (-1, 1)]
    kept, then = depth(number, chains[0]), depth(number + 2, chains[1])
    return [('{"result":null,"id":1}', None), kept, (book, f"https://x{path}&symbol=BTCUSDT"), then, (trade, None)]


def _binanceusdm(ts_ns: int) -> Session:
    return _binance(ts_ns, "/fapi/v1/depth?limit=1000", '"pu":?,')


def _bitfinex(ts_ns: int) -> Session:
    ms = ts_ns // 10**6
    checksum = crc32(b"64000:1.5:64001:-2")
    messages = (
        '{"event":"info","version":2,"platform":{"status":1}}',
        '{"event":"subscribed","channel":"book","chanId":7,"symbol":"tBTCUSD","prec":"P0","freq":"F0","len":"250"}',
        '{"event":"subscribed","channel":"trades","chanId":8,"symbol":"tBTCUSD","pair":"BTCUSD"}',
        f"[7,[[64000,2,1],[64001,1,-2]],1,{ms}]",
        f"[8,[[1,{ms},0.1,64000]],2,{ms}]",
        f"[7,[64000,3,1.5],3,{ms}]",
        f'[7,"cs",{checksum - (1 << 32) if checksum >> 31 else checksum},4,{ms}]',
        f'[8,"te",[{ts_ns},{ms},-0.1,64000],5,{ms}]',
        f'[7,"hb",6,{ms}]',
    )
    return [(message, None) for message in messages]


def _bitstamp(ts_ns: int) -> Session:
    micros = ts_ns // 1000

    def diff(at: int) -> str:
        """A diff of that time, in microseconds."""
        data = (
            f'{{"timestamp":"{at // 10**6}","microtimestamp":"{at}","bids":[["64000","1.5"]],"asks":[["64002","0"]]}}'
        )
        return f'{{"data":{data},"channel":"diff_order_book_btcusd","event":"data"}}'

    book = f'{{"timestamp":"0","microtimestamp":"{micros}","bids":[["64000","1"]],"asks":[["64001","2"]]}}'
    trade = (
        f'{{"data":{{"id":5,"amount_str":"0.5","price_str":"64000","type":1,"microtimestamp":"{micros}"}},'
        '"channel":"live_trades_btcusd","event":"trade"}'
    )
    ack = '{"event":"bts:subscription_succeeded","channel":"diff_order_book_btcusd","data":{}}'
    return [
        (ack, None),
        (diff(micros - 5), None),
        (book, "https://x/api/v2/order_book/btcusd/"),
        (diff(micros + 5), None),
        (trade, None),
    ]


def _coinbase(ts_ns: int) -> Session:
    def message(channel: str, number: int, event: str) -> tuple[str, None]:
        """A message of a channel with its number in the connection."""
        head = f'{{"channel":"{channel}","client_id":"","timestamp":"{_iso(ts_ns)}","sequence_num":{number},"events":['
        return f"{head}{event}]}}", None

    def level(side: str, price: str, size: str) -> str:
        """A level as an update has it."""
        return f'{{"side":"{side}","event_time":"{_iso(ts_ns)}","price_level":"{price}","new_quantity":"{size}"}}'

    def book(kind: str, *levels: str) -> str:
        """An event of ``level2``: a snapshot or an update."""
        return f'{{"type":"{kind}","product_id":"BTC-USD","updates":[{",".join(levels)}]}}'

    trade = (
        f'{{"type":"update","trades":[{{"trade_id":"{ts_ns}","product_id":"BTC-USD","price":"64000","size":"0.1",'
        f'"side":"BUY","time":"{_iso(ts_ns)}"}}]}}'
    )
    return [
        message("subscriptions", 0, '{"subscriptions":{"level2":["BTC-USD"]}}'),
        message("l2_data", 1, book("snapshot", level("bid", "64000", "1"), level("offer", "64001", "2"))),
        message("l2_data", 2, book("update", level("bid", "64000", "0"), level("bid", "63999", "4.5"))),
        message("market_trades", 3, trade),
    ]


def _coinbaseexchange(ts_ns: int) -> Session:
    head = f'"product_id":"BTC-USD","time":"{_iso(ts_ns)}"'
    messages = (
        '{"type":"subscriptions","channels":[{"name":"level2_batch","product_ids":["BTC-USD"]}]}',
        '{"type":"snapshot","product_id":"BTC-USD","asks":[["64001","2"]],"bids":[["64000","1"]]}',
        f'{{"type":"l2update",{head},"changes":[["buy","64000","0"],["sell","64002","3"]]}}',
        f'{{"type":"match",{head},"trade_id":{ts_ns},"side":"buy","price":"64000","size":"0.1","sequence":9}}',
    )
    return [(message, None) for message in messages]


def _poloniex(ts_ns: int) -> Session:
    ms, number = ts_ns // 10**6, ts_ns // 10**9

    def book(action: str, last: int) -> str:
        """A message of ``book_lv2`` that follows the one numbered ``last``."""
        data = (
            f'{{"symbol":"BTC_USDT","createTime":{ms},"asks":[["64001","2"]],"bids":[["64000","1"]],"lastId":{last},'
            f'"id":{last + 1},"ts":{ms}}}'
        )
        return f'{{"channel":"book_lv2","data":[{data}],"action":"{action}"}}'

    trade = (
        f'{{"channel":"trades","data":[{{"symbol":"BTC_USDT","amount":"64","quantity":"0.001","takerSide":"sell",'
        f'"createTime":{ms},"price":"64000","id":"{ts_ns}","ts":{ms}}}]}}'
    )
    whole = '["i",{"currencyPair":"USDT_ETH","orderBook":[{"2001":"1"},{"2000":"2"}]}]'
    change = f'["o",1,"2000","3","{ms}"],["t","{ms}",1,"2001","0.1",{number},"{ms}"]'
    pushed = [f"[149,{number},[{whole}]]", f"[149,{number + 1},[{change}]]", "[1010]"]
    return [(text, None) for text in (book("snapshot", number), book("update", number + 1), trade, *pushed)]


_SESSIONS: dict[str, tuple[Callable[[int], Session], ...]] = {
    "kraken": (_kraken, _kraken_v1),
    "binance": (_binance,),
    "binanceusdm": (_binanceusdm,),
    "bitfinex": (_bitfinex,),
    "bitstamp": (_bitstamp,),
    "coinbase": (_coinbase,),
    "coinbaseexchange": (_coinbaseexchange,),
    "poloniex": (_poloniex,),
}


def session(venue: str, ts_ns: int) -> list[Frame]:
    """Return a good session of a venue from its connection on, at a time; nothing for a venue without a sample."""
    said = [one for make in _SESSIONS.get(venue, ()) for one in make(ts_ns)]
    frames = [
        Frame(venue, venue, "rest" if url else "recv", ts_ns, text.encode(), url, f"sample:{number}")
        for number, (text, url) in enumerate(said, 1)
    ]
    return [Frame(venue, venue, "connect", ts_ns - 10**9, b""), *frames] if frames else []
