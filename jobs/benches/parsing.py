"""Raw bytes to checked events, beside ``json.loads`` alone and cryptofeed, on the same frames in the same run.

Frames are those of books and trades that our feeds ask for. Recordings are measured where there are any; without them
the simulator's market, in the words of each venue.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from cryptofeed.defines import L2_BOOK, TRADES
from cryptofeed.exchanges import Binance, Kraken
from cryptofeed.symbols import Symbols

from jobs.benches.frames import Pass, nothing, recordings
from jobs.benches.measure import ROUNDS, Row, rate_row, seconds, time_row
from producers.exchanges.base import ignore
from producers.exchanges.binance_names import symbol_of
from producers.exchanges.coinbase import CoinbaseParser
from producers.exchanges.venue import parser_of
from producers.frames import Frame
from producers.simulator.frames import frames as simulated
from producers.simulator.orderflow import Market
from producers.tapes import read_frames
from quicksilver.book import Book
from quicksilver.events import BookSnapshot

N = 5_000  # simulated frames
MOST = 15_000  # of a recording
LEVELS = 30_000  # of the snapshot, a half on each side
_START_NS = 1_700_000_000_000_000_000
_LEVEL = re.compile(rb'\{"price":([\d.]+),"qty":([\d.]+)\}')
_NOT_ASKED_FOR = (b"bookTicker", b"kline", b'"ticker"', b'"candles"', b'"spread"')
_TAPES = (
    ("kraken v2", "kraken", "crossbook/kraken_btcusd_sample.cbcap"),
    ("kraken v1", "kraken", "cryptofeed/legacy/2021-04-05.1312c062.KRAKEN-c197c0.0.zst"),
    ("binance depth+aggTrade", "binance", "cryptofeed/legacy/2021-04-05.1312c062.BINANCE-b38f7c.0.zst"),
    ("binance depth+trade", "binance", "hftbacktest/spot/btcusdt_20240808.gz"),
    ("coinbase", "coinbase", "market-aggregator/2026-08-09-btc-usd-live.jsonl.gz"),
    ("coinbaseexchange", "coinbaseexchange", "cryptofeed/legacy/2021-04-17.3525dc8c.COINBASE.ws.28.0.zst"),
    ("bitstamp", "bitstamp", "market-aggregator/2026-08-09-btc-usd-live.jsonl.gz"),
    ("bitfinex", "bitfinex", "cryptofeed/legacy/2021-04-05.1312c062.BITFINEX-58bafb.0.zst"),
    ("poloniex push", "poloniex", "cryptofeed/legacy/2021-04-05.1312c062.POLONIEX-d60751.0.zst"),
)


class Source(NamedTuple):
    """Frames of a venue in one of its protocols, and who else reads them."""

    name: str
    venue: str
    frames: list[Frame]
    peer: str = ""  # kraken or binance, where cryptofeed knows the protocol


def _market(depth: int) -> list[tuple[int, bytes]]:
    market = Market(1, _START_NS, ["BTC/USD"])
    return list(simulated(market, ["BTC/USD"], depth, N))


def _as_v1(texts: list[bytes]) -> Iterator[bytes]:
    """The simulated market in the words of Kraken's websocket v1, which is what cryptofeed speaks."""
    time = b"%d.000001" % (_START_NS // 10**9)
    for text in texts:
        if not text.startswith(b'{"channel":"book"'):
            continue
        bids, asks = (_LEVEL.findall(part) for part in text.split(b'"asks"'))
        whole = b'"type":"snapshot"' in text
        sides = []
        for key, rows in ((b"as" if whole else b"a", asks), (b"bs" if whole else b"b", bids)):
            levels = b",".join(b'["%s","%s","%s"]' % (price, size, time) for price, size in rows)
            sides += [b'"%s":[%s]' % (key, levels)] if rows else []
        number = re.search(rb'"checksum":(\d+)', text)
        end = b',"c":"%s"' % number[1] if number and not whole else b""
        yield b'[336,{%s%s},"book-1000","XBT/USD"]' % (b",".join(sides), end)


def _as_binance(texts: list[bytes]) -> Iterator[bytes]:
    """The simulated market in the words of Binance's combined streams; trades of a message are one."""
    number, ms = 1, _START_NS // 10**6
    for text in texts:
        if b'"channel":"book","type":"update"' in text:
            sides = [
                b",".join(b'["%s000000","%s"]' % level for level in _LEVEL.findall(part))
                for part in text.split(b'"asks"')
            ]
            number += 1
            yield (
                b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":%d,"s":"BTCUSDT","U":%d,"u":%d,'
                b'"b":[%s],"a":[%s]}}' % (ms, number, number, sides[0], sides[1])
            )
        elif b'"channel":"trade","type":"update"' in text:
            yield (
                b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":%d,"s":"BTCUSDT","a":%d,"p":"64000.00000000",'
                b'"q":"0.00100000","f":1,"l":2,"T":%d,"m":true,"M":true}}' % (ms, number, ms)
            )


def _frames(venue: str, texts: list[bytes]) -> list[Frame]:
    return [Frame(venue, venue, "recv", _START_NS, text) for text in texts]


def _made() -> list[Source]:
    market = _market(10)
    texts = [text for _, text in market]
    v2 = [Frame("kraken", "kraken", "recv", ts_ns, text) for ts_ns, text in market]
    v1 = _frames("kraken", list(_as_v1([text for _, text in _market(1000)])))
    body = b'{"lastUpdateId":1,"bids":[["63000.0","1.0"]],"asks":[["65000.0","1.0"]]}'
    book = Frame("binance", "binance", "rest", _START_NS, body, "https://x/api/v3/depth?symbol=BTCUSDT&limit=5000")
    return [
        Source("kraken v2 (simulated)", "kraken", v2),
        Source("kraken v1 (simulated)", "kraken", v1, "kraken"),
        Source("binance (simulated)", "binance", [book, *_frames("binance", list(_as_binance(texts)))], "binance"),
    ]


def _recorded() -> Iterator[Source]:
    for name, venue, path in _TAPES:
        if not (recordings() / path).exists():
            continue
        of_all = path.startswith("market-aggregator")
        found = (
            frame
            for frame in read_frames(recordings() / path, venue=None if of_all else venue)
            if frame.venue == venue and not any(word in frame.payload[:200] for word in _NOT_ASKED_FOR)
        )
        peer = venue if name in {"kraken v1", "binance depth+aggTrade"} else ""
        yield Source(f"{name} (recorded)", venue, list(islice(found, MOST)), peer)


class _Fetched:
    """Stands where cryptofeed fetches a book over HTTP."""

    def __init__(self, books: dict[str, str]) -> None:
        self._books = books

    async def read(self, url: str, **_: Any) -> str:
        """Return the body that the recording has for the address's symbol."""
        return self._books[parse_qs(urlsplit(url).query)["symbol"][0]]


class Cryptofeed:
    """Runs a source's messages through cryptofeed's handler and callbacks, a fresh one each time."""

    def __init__(self, source: Source) -> None:
        self._kind = {"kraken": Kraken, "binance": Binance}[source.peer]
        self._texts = [frame.payload.decode() for frame in source.frames if frame.direction == "recv"]
        self._texts = [text for text in self._texts if text[0] == "[" or '"stream"' in text]
        names = {
            text.split('"')[-2] if text[0] == "[" else text.split('"s":"')[1].split('"')[0] for text in self._texts
        }
        self._books = {
            parse_qs(urlsplit(frame.url or "").query)["symbol"][0]: frame.payload.decode()
            for frame in source.frames
            if frame.direction == "rest"
        }
        self._symbols = {name.replace("/", "-") if "/" in name else symbol_of(name): name for name in names}
        self.n = len(self._texts)
        self.take: Callable[[Any], None] = lambda _: None

    async def _take(self, event: Any, _: float) -> None:
        self.take(event)

    def __call__(self) -> None:
        """Take in all messages."""
        Symbols.set(self._kind.id, self._symbols, {"instrument_type": dict.fromkeys(self._symbols, "spot")})
        handler = self._kind(
            symbols=list(self._symbols), channels=[L2_BOOK, TRADES], checksum_validation=True,
            callbacks={L2_BOOK: self._take, TRADES: self._take},
        )  # fmt: skip
        handler.http_conn = _Fetched(self._books)

        async def feed() -> None:
            """Hand cryptofeed the source's messages, one after the other."""
            for text in self._texts:
                await handler.message_handler(text, None, 0.0)

        asyncio.run(feed())


def _rates(source: Source) -> Iterator[Row]:
    parse = Pass(type(parser_of(source.venue, ignore)), source.frames, nothing)
    for _ in range(ROUNDS + 2):
        parse.prepare()
    payloads = [frame.payload for frame in source.frames[parse.start :]]

    def loads() -> None:
        """Decode the same bytes with ``json.loads`` and do nothing else."""
        for payload in payloads:
            if payload:  # that a connection was made is a frame too
                json.loads(payload)

    name = f"{source.name}: raw bytes -> checked events"
    peers = [Cryptofeed(source)] if source.peer else []
    ours_s, loads_s, *theirs_s = seconds(parse, loads, *peers)
    ours = parse.n / ours_s / 1e3
    yield rate_row(name, "k/s", ours, "json.loads alone", parse.n / loads_s / 1e3)
    for peer, taken_s in zip(peers, theirs_s, strict=True):
        yield rate_row(name, "k/s", ours, "cryptofeed's handler", peer.n / taken_s / 1e3)


def snapshot() -> bytes:
    """Return Coinbase's message of a whole book of ``LEVELS`` levels."""
    levels = [
        b'{"side":"%s","event_time":"2026-01-01T00:00:00.000000Z","price_level":"%.2f","new_quantity":"%.8f"}'
        % (side, 64_000 + sign * (i + 1) / 100, 0.1 + i % 977 / 1000)
        for side, sign in ((b"bid", -1), (b"offer", 1))
        for i in range(LEVELS // 2)
    ]
    head = b'{"channel":"l2_data","timestamp":"2026-01-01T00:00:00.000000Z","sequence_num":0,"events":['
    return head + b'{"type":"snapshot","product_id":"BTC-USD","updates":[' + b",".join(levels) + b"]}]}"


def _snapshot_row() -> Row:
    frame = Frame("coinbase", "c", "recv", 1, snapshot())

    def ours() -> None:
        """Parse the snapshot and make a book of it."""
        (event,) = CoinbaseParser().parse(frame)
        if isinstance(event, BookSnapshot):
            Book().snapshot(event.bids, event.asks, event.depth)

    ours_s, theirs_s = seconds(ours, lambda: json.loads(frame.payload))
    name = f"a snapshot of {LEVELS:,} levels: raw bytes -> event -> book"
    return time_row(name, "ms", ours_s * 1e3, "json.loads alone", theirs_s * 1e3)


def rows() -> Iterator[Row]:
    """Return the rows of all sources, and of a large snapshot."""
    for source in (*_made(), *_recorded()):
        yield from _rates(source)
    yield _snapshot_row()
