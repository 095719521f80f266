"""Kraken v2: the engine that ``make run`` shows (``producers/simulator/engine.py``), among the other venues; and REST.

https://docs.kraken.com/api/docs/websocket-v2/status and https://docs.kraken.com/api/docs/rest-api/get-order-book
(2026-11).
"""

from producers.exchanges.kraken_v1 import DEPTHS
from producers.simulator import engine as kraken
from producers.simulator.orderflow import Market, Step
from producers.simulator.venues.base import (
    NO_BOOK,
    Answer,
    Changes,
    Message,
    Notice,
    Post,
    Session,
    VenueEngine,
    asked,
    json,
)
from producers.simulator.venues.text import price, size
from producers.simulator.wire import HEARTBEAT, DepthView, level, status

_OLD_NAMES = {"BTC": "XBT", "DOGE": "XDG"}  # of REST


class KrakenSession(Session):
    """One connection, as the Kraken engine knows it."""

    def __init__(self, inner: kraken.Session) -> None:
        super().__init__()
        self.inner = inner


class KrakenEngine(VenueEngine):
    """Kraken's public book and trade channels over a simulated market."""

    path = "/v2"

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self._engine = kraken.Engine(market)
        self._old: dict[str, dict[int, str]] = {}  # snapshots of earlier, by symbol and depth
        self._rest_names = {
            "".join(_OLD_NAMES.get(coin, coin) for coin in symbol.split("-")): symbol for symbol in self.books
        }

    def new_session(self) -> Session:
        """Return a connection of the Kraken engine's."""
        return KrakenSession(self._engine.connect())

    def greet(self, session: Session) -> None:
        """Say the system's status."""
        assert isinstance(session, KrakenSession)
        session.greeting.append(Message(session.inner.greeting))

    def disconnect(self, session: Session) -> None:
        """Close a connection and forget its subscriptions."""
        assert isinstance(session, KrakenSession)
        super().disconnect(session)
        self._engine.disconnect(session.inner)

    def request(self, session: Session, text: str | bytes) -> list[Message]:
        """Return the answers to a message of the client's, and the snapshots it asked for."""
        assert isinstance(session, KrakenSession)
        before = set(session.inner.streams)
        answers = self._engine.request(session.inner, text)
        fresh = [stream for stream in session.inner.streams if stream not in before and stream[0] == "book"]
        depths = {symbol: depth for _, symbol, depth in fresh}
        return [self._answer(answer, depths) for answer in answers]

    def _answer(self, text: str, depths: dict[str, int]) -> Message:
        """Return an answer as a message; a book that was aged is told as it was."""
        for native, depth in depths.items():
            if text.startswith(f'{{"channel":"book","type":"snapshot","data":[{{"symbol":"{native}",'):
                symbol = self._ours[native]
                text = self._old.pop(symbol, {}).get(depth, text)
                return Message(text, "snapshot", symbol, self.truth(symbol))
        return Message(text)

    def age(self, symbol: str) -> None:
        """Give the symbol's next snapshot as the book is now."""
        book = self.books[symbol]
        self._old[symbol] = {depth: DepthView(book, depth).snapshot(self.now_ns) for depth in DEPTHS}

    def step(self) -> list[Post]:
        """Let the next thing happen and return what is said of it."""
        if self._beat_ns <= self.market.next_ns:
            return super().step()
        posts: list[Post] = []
        said, step = self._engine.step_with()
        symbol = self._ours[step.symbol]
        pattern = self.told("", symbol, step.bids, step.asks)
        for stream, text in said:
            if stream[0] == "book":
                message = pattern._replace(text=text, level=pattern.level if pattern.level in text else "")
            else:
                message = Message(text, "trade", symbol)
            posts += [
                (session, message)
                for session in self.sessions
                if isinstance(session, KrakenSession) and stream in session.inner.streams
            ]
        return posts

    def level(self, symbol: str, key: int, lots: int) -> str:
        """Return how a level is written, its size last."""
        return level(self.books[symbol].listing, abs(key), lots)

    def changed(self, symbol: str, bids: Changes, asks: Changes) -> list[Post]:  # noqa: ARG002
        """Return nothing: the Kraken engine tells of its own steps."""
        return []

    def traded(self, symbol: str, step: Step) -> list[Post]:  # noqa: ARG002
        """Return nothing, as ``changed``."""
        return []

    def beat(self) -> list[Post]:
        """Send a heartbeat to who has subscribed to something."""
        return [
            (session, Message(HEARTBEAT))
            for session in self.sessions
            if isinstance(session, KrakenSession) and session.inner.streams
        ]

    def notice(self) -> Notice:
        """Say that the system is in maintenance, then close."""
        return Notice([status(self.rng.getrandbits(63)).replace('"online"', '"maintenance"')], True, [])

    def rest(self, target: str) -> Answer:
        """Return the book of ``/0/public/Depth?pair=XBTUSD``."""
        query = asked(target, "/0/public/Depth")
        if query is None:
            return NO_BOOK
        symbol = self._rest_names.get(query.get("pair", "").replace("/", ""))
        if symbol is None:
            return Answer(200, b'{"error":["EQuery:Unknown asset pair"]}')
        truth, saved, book = self.truth(symbol), self._now(symbol), self.books[symbol]
        most, seconds = int(query.get("count", "100")), saved.ts_ns // 1_000_000_000
        asks, bids = (
            [[price(book, key), size(book, lots), seconds] for key, lots in side[:most]]
            for side in (saved.asks, saved.bids)
        )
        return Answer(200, json({"error": [], "result": {query["pair"]: {"asks": asks, "bids": bids}}}), symbol, truth)


ENGINE = KrakenEngine
