"""The simulated exchange without its sockets: subscriptions, answers, messages and faults; no clock, no network."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import TypeAlias

import msgspec

from producers.exchanges.kraken_v1 import DEPTHS
from producers.simulator.ladder import Ladder
from producers.simulator.orderflow import Book, Market, Step
from producers.simulator.wire import CHECKED, HEARTBEAT, DepthView, answer, checksum, level, status, trades
from quicksilver.events import SECOND_NS

Stream: TypeAlias = tuple[str, str, int]
"""Channel, symbol and depth (0 where a channel has none)."""

HEARTBEAT_S = 1.0


class _Params(msgspec.Struct):
    channel: str = ""
    symbol: list[str] = []
    depth: int = DEPTHS[0]
    snapshot: bool = True


class _Request(msgspec.Struct):
    method: str
    params: _Params = msgspec.field(default_factory=_Params)
    req_id: int | None = None


class Session:
    """One connection: the message it is greeted with, and what it has subscribed to."""

    def __init__(self, greeting: str) -> None:
        self.greeting = greeting
        self.streams: set[Stream] = set()


class Engine:
    """Kraken v2's public ``book`` and ``trade`` channels over a simulated market.

    Kraken documents no error texts. Those for a symbol, a depth (which names no symbol), a second subscription (at
    another depth too) and an unknown subscription are as in frames that others recorded from v2
    (GarethCooke/DepthCharge, locar77i/Wirekrak, mdolmen/market-tick-collector, BYTEX-TRADE/bytex; 2025-12 to 2026-09);
    an unknown channel's and a malformed request's are second-hand; "Symbol(s) not found" and "Unsupported method" are
    ours.
    """

    def __init__(self, market: Market) -> None:
        self.market = market
        self._decode = msgspec.json.Decoder(_Request).decode
        self._rng = Random(f"{market.seed} connections")
        self._readers: Counter[Stream] = Counter()
        self._views: defaultdict[str, dict[int, DepthView]] = defaultdict(dict)
        self._checksums = {name: checksum(book) for name, book in market.books.items()}
        self._corrupt: set[str] = set()
        self._drop: set[str] = set()

    def connect(self) -> Session:
        """Open a connection."""
        return Session(status(self._rng.getrandbits(63)))

    def disconnect(self, session: Session) -> None:
        """Close a connection and forget its subscriptions."""
        for stream in list(session.streams):
            self._unsubscribe(session, stream)

    def corrupt_next(self, symbol: str) -> None:
        """Change a digit in the symbol's next book update that names one of the ten best levels.

        Other levels are not in the checksum: nobody could tell.
        """
        self._corrupt.add(symbol)

    def drop_next(self, symbol: str) -> None:
        """Leave out the symbol's next book update that changes the ten best levels."""
        self._drop.add(symbol)

    def request(self, session: Session, text: str | bytes) -> list[str]:
        """Return the answers to a message of the client's, and the snapshots it asked for."""
        now_ns = self.market.now_ns
        try:
            request = self._decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [answer(now_ns, error="Malformed request", success=False)]
        if request.method == "ping":
            return [answer(now_ns, method="pong", req_id=request.req_id)]
        wrong = _wrong(request)
        if wrong:
            return [_refusal(now_ns, request, wrong, None)]
        answers: list[str] = []
        snapshots: list[str] = []
        for symbol in request.params.symbol:
            error = self._refuses(session, request, symbol)
            if error is None:
                answers.append(self._accept(session, request, symbol, snapshots))
            else:
                answers.append(_refusal(now_ns, request, error, symbol))
        return answers + snapshots

    def _refuses(self, session: Session, request: _Request, symbol: str) -> str | None:
        """Return why a request for one symbol cannot be met, or None."""
        params = request.params
        if symbol not in self.market.books:
            return f"Currency pair not supported {symbol}"
        if request.method == "unsubscribe":
            return None if _stream(params, symbol) in session.streams else "Subscription Not Found"
        taken = any(stream[:2] == (params.channel, symbol) for stream in session.streams)
        return "Already subscribed" if taken else None

    def _accept(self, session: Session, request: _Request, symbol: str, snapshots: list[str]) -> str:
        params, now_ns, stream = request.params, self.market.now_ns, _stream(request.params, symbol)
        result: dict[str, object] = {"channel": params.channel}
        if params.channel == "book":
            result["depth"] = params.depth
        if request.method == "unsubscribe":
            self._unsubscribe(session, stream)
        else:
            result["snapshot"] = params.snapshot
            first = self._subscribe(session, stream)
            snapshots += [first] if params.snapshot else []
        result["symbol"] = symbol
        return answer(now_ns, method=request.method, req_id=request.req_id, result=result, success=True)

    def _subscribe(self, session: Session, stream: Stream) -> str:
        channel, symbol, depth = stream
        book = self.market.books[symbol]
        session.streams.add(stream)
        self._readers[stream] += 1
        if channel == "trade":
            return trades("snapshot", book.listing, book.recent)
        self._checksums[symbol] = checksum(book)
        return self._views[symbol].setdefault(depth, DepthView(book, depth)).snapshot(self.market.now_ns)

    def _unsubscribe(self, session: Session, stream: Stream) -> None:
        session.streams.discard(stream)
        self._readers[stream] -= 1
        if not self._readers[stream]:
            del self._readers[stream]
            self._views[stream[1]].pop(stream[2], None)

    def step(self) -> list[tuple[Stream, str]]:
        """Let the market's next event happen and return the messages it makes."""
        return self.step_with()[0]

    def step_with(self) -> tuple[list[tuple[Stream, str]], Step]:
        """Let the market's next event happen and return the messages it makes, and the event."""
        step = self.market.step()
        return self._told(step), step

    def _told(self, step: Step) -> list[tuple[Stream, str]]:
        symbol, book = step.symbol, self.market.books[step.symbol]
        messages: list[tuple[Stream, str]] = []
        if step.fills:
            messages.append((("trade", symbol, 0), trades("update", book.listing, step.fills)))
        views = self._views[symbol]
        if not views:
            return messages
        crc = checksum(book)
        updates = {depth: view.update(step, crc) for depth, view in views.items()}
        dropped = symbol in self._drop and crc != self._checksums[symbol]
        self._checksums[symbol] = crc
        if dropped:
            self._drop.discard(symbol)
            return messages
        flip = self._flip(book, step) if symbol in self._corrupt else None
        for depth, text in updates.items():
            if text is not None:
                messages.append((("book", symbol, depth), text if flip is None else text.replace(*flip, 1)))
        return messages

    def _flip(self, book: Book, step: Step) -> tuple[str, str] | None:
        """Return a level's text and its corruption, if the step names one of the ten best."""
        sides: list[tuple[Ladder, list[tuple[int, int]]]] = [(book.bids, step.bids), (book.asks, step.asks)]
        for ladder, changes in sides:
            for key, lots in changes:
                if lots and key <= ladder.keys[CHECKED - 1]:
                    self._corrupt.discard(step.symbol)
                    wrong = lots + 1 if lots % 10 < 9 else lots - 1
                    return level(book.listing, abs(key), lots), level(book.listing, abs(key), wrong)
        return None


def _stream(params: _Params, symbol: str) -> Stream:
    return params.channel, symbol, params.depth if params.channel == "book" else 0


def _wrong(request: _Request) -> str:
    """Return what is wrong with a request whatever its symbols, or nothing."""
    if request.method not in {"subscribe", "unsubscribe"}:
        return "Unsupported method"
    if request.params.channel not in {"book", "trade"}:
        return "Subscription name invalid"
    if request.params.channel == "book" and request.params.depth not in DEPTHS:
        return "Subscription depth not supported"
    return "" if request.params.symbol else "Symbol(s) not found"


def _refusal(now_ns: int, request: _Request, error: str, symbol: str | None) -> str:
    return answer(now_ns, error=error, method=request.method, req_id=request.req_id, success=False, symbol=symbol)


def frames(market: Market, symbols: Sequence[str], depth: int, n: int) -> Iterator[tuple[int, bytes]]:
    """Yield the first ``n`` frames of a connection that subscribes to the symbols' books and trades.

    Each is ``(ts_ns, payload)`` in simulated time: the greeting, acknowledgements and snapshots, then updates, trades
    and a heartbeat each second. The same market gives the same bytes; it is advanced as frames are taken.
    """
    return islice(_frames(market, symbols, depth), n)


def _frames(market: Market, symbols: Sequence[str], depth: int) -> Iterator[tuple[int, bytes]]:
    engine = Engine(market)
    session = engine.connect()
    yield market.now_ns, session.greeting.encode()
    for params in ({"channel": "book", "symbol": symbols, "depth": depth}, {"channel": "trade", "symbol": symbols}):
        for text in engine.request(session, msgspec.json.encode({"method": "subscribe", "params": params})):
            yield market.now_ns, text.encode()
    beat_ns = market.now_ns + int(HEARTBEAT_S * SECOND_NS)
    while True:
        while beat_ns <= market.next_ns:
            yield beat_ns, HEARTBEAT.encode()
            beat_ns += int(HEARTBEAT_S * SECOND_NS)
        for stream, text in engine.step():
            if stream in session.streams:
                yield market.now_ns, text.encode()
