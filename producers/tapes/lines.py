"""One function a layout: a line of some recorder's file to a ``Frame``.

Each is given the line without its end, the file's venue and where the line stands, and returns None for a line that is
no frame (a header, a comment).

Raises:
    FrameError: the line is not of the layout; as do msgspec and ``int``, which ``read.py`` treats alike.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from producers.frames import Direction, Frame
from producers.tapes.own import MARK, OwnLine
from quicksilver.errors import FrameError
from quicksilver.events import SECOND_NS


class _MarketAggregator(msgspec.Struct):
    venue: str
    recorded_wall_unix_nanos: int
    payload: str
    symbol: str = ""
    source: str = ""


class _Cryptofeed(msgspec.Struct):
    t: str
    ts: Decimal = Decimal(0)
    exchange: str = ""
    conn: str = ""
    url: str | None = None
    data: str | None = None


_own = msgspec.json.Decoder(OwnLine).decode
_market_aggregator = msgspec.json.Decoder(_MarketAggregator).decode
_cryptofeed = msgspec.json.Decoder(_Cryptofeed, float_hook=Decimal).decode
_KINDS: dict[str, Direction] = {"recv": "recv", "send": "send", "connect": "connect", "http": "rest", "rest": "rest"}
_LEGACY = re.compile(rb"(?:(\S+://\S*) (<->|<-|->) )?(\d+(?:\.\d+)?)(?:: (.*))?$", re.DOTALL)
LEGACY_START = re.compile(rb"configuration: |\S+://\S* (<->|<-|->) \d|\d+\.\d+: ")
LEGACY_URL = 4096  # bytes in which a line's address and arrow are
_ARROWS: dict[bytes | None, Direction] = {None: "recv", b"<-": "send", b"->": "rest", b"<->": "connect"}


def own(line: bytes, venue: str, source: str) -> Frame | None:  # noqa: ARG001 (all layouts are called alike)
    """Quicksilver's own layout."""
    return None if line.startswith(MARK) else _own(line).frame(source)


def market_aggregator(line: bytes, venue: str, source: str) -> Frame | None:  # noqa: ARG001
    """github.com/oscarno22/market-aggregator: several venues in one file; ``source`` marks REST bodies."""
    one = _market_aggregator(line)
    url = f"{one.source}?symbol={one.symbol}" if one.source else None
    kind: Direction = "rest" if one.source else "recv"
    return Frame(one.venue, one.venue, kind, one.recorded_wall_unix_nanos, one.payload.encode(), url, source)


def cryptofeed(line: bytes, venue: str, source: str) -> Frame | None:
    """github.com/bmoscon/cryptofeed, recorder since 2022: JSON lines of kind ``t``."""
    one = _cryptofeed(line)
    if one.t == "header":
        return None
    if one.t not in _KINDS:
        raise FrameError(f"unknown kind of line {one.t[:20]!r}")
    conn_venue, ts_ns = one.conn.split(".")[0].lower(), int(one.ts * SECOND_NS)
    return Frame(conn_venue or venue, one.conn, _KINDS[one.t], ts_ns, (one.data or "").encode(), one.url, source)


def cryptofeed_legacy(line: bytes, venue: str, source: str) -> Frame | None:
    """github.com/bmoscon/cryptofeed until 2022: ``seconds: text``, ``address <-|->|<-> seconds: text``."""
    if line.startswith(b"configuration: "):
        return None
    match = _LEGACY.match(line)
    if match is None:
        raise FrameError("not `seconds: text`")
    url, arrow, seconds, text = match.groups()
    direction = _ARROWS[arrow]
    address = url.decode() if url else None
    if arrow == b"<-" and address and address.startswith("http"):
        direction = "send"
    return Frame(venue, venue, direction, int(Decimal(seconds.decode()) * SECOND_NS), text or b"", address, source)


def whole_bodies(stream: Iterator[bytes]) -> Iterator[bytes]:
    """Join the lines of REST bodies that cryptofeed until 2022 wrote as they came: some venues break their JSON."""
    body = b""
    try:
        for line in stream:
            if body and not LEGACY_START.match(line):
                body += line
                continue
            if body:
                yield body
            body = line if b" -> " in line[:LEGACY_URL] else b""
            if not body:
                yield line
    except FrameError:  # the file is torn
        if body:
            yield body
        raise
    if body:
        yield body


def hftbacktest(line: bytes, venue: str, source: str) -> Frame | None:
    """github.com/nkaz001/hftbacktest's collector: ``receive_ns json``; a bare REST book is recognised by its key."""
    stamp, space, text = line.partition(b" ")
    if not space:
        raise FrameError("not `nanoseconds json`")
    kind: Direction = "rest" if text.startswith(b'{"lastUpdateId"') else "recv"
    return Frame(venue, venue, kind, int(stamp), text, None, source)


def ob_analytics(line: bytes, venue: str, source: str) -> Frame | None:
    """github.com/phil8192/ob-analytics: ``receive_ms event json`` of Bitstamp's order-by-order feed."""
    stamp, space, text = line.partition(b" ")
    if not space:
        raise FrameError("not `milliseconds event json`")
    return Frame(venue, venue, "recv", int(stamp) * 1_000_000, text, None, source)


def bare(line: bytes, venue: str, source: str) -> Frame | None:
    """One message a line without a time: the line's number stands in for the receive time, in nanoseconds."""
    return Frame(venue, venue, "recv", int(source.rsplit(":", 1)[1]), line, None, source)
