"""What the simulated venues share: sessions, messages, numbering of time, and books as they were.

An engine has no clock and no socket. The market's steps drive it; what it says is a list of ``Post``: a session and a
message. Between it and the sockets lies what goes wrong on a line (``producers/simulator/faults.py``).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from random import Random
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import parse_qs, urlsplit

import msgspec

from producers.simulator.ladder import Ladder
from producers.simulator.orderflow import Book, Market, Step
from producers.simulator.venues.text import price, size
from quicksilver.events import SECOND_NS

TRUTH_LEVELS = 10  # a side: what a reader's book is compared with after each message
Changes: TypeAlias = list[tuple[int, int]]
"""Levels of one side as ``(key, lots)``, see ``Ladder``; lots of 0: the level is gone."""


class Truth(NamedTuple):
    """The best levels of a book, as ``(price, size)``, best first: what who has heard all must have."""

    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]


class Message(NamedTuple):
    """One message of a venue.

    ``symbol`` is ``BASE-QUOTE``, empty where it carries no market data. ``truth``, ``vital`` and ``level`` are there
    for symbols that are watched: the book after the message, whether it changes one of its best levels, and the text of
    such a level (with its size last), which a fault may damage.
    """

    text: str
    kind: Literal["snapshot", "update", "trade", "other"] = "other"
    symbol: str = ""
    truth: Truth | None = None
    vital: bool = False
    level: str = ""


class Answer(NamedTuple):
    """A REST response; ``symbol`` and ``truth`` where it is a book."""

    status: int
    body: bytes
    symbol: str = ""
    truth: Truth | None = None


class Notice(NamedTuple):
    """How a venue goes into maintenance: what it says, whether it then closes, and what it says when it is back."""

    before: list[str]
    closes: bool
    after: list[str]


class Saved(NamedTuple):
    """A book as it was: levels best first as ``(key, lots)``, the market's time, and the venue's number of it."""

    ts_ns: int
    number: int
    bids: Changes
    asks: Changes


class Session:
    """One connection: what it is greeted with, what it has subscribed to, and the number of its last message."""

    def __init__(self) -> None:
        self.greeting: list[Message] = []
        self.streams: dict[tuple[str, str], int] = {}  # channel and symbol; the value is the venue's own
        self.number = -1


Post: TypeAlias = tuple[Session, Message]
NO_BOOK = Answer(404, b'{"error":"not found"}')


class VenueEngine(ABC):
    """One venue's public protocol over a simulated market; a file of this package holds each."""

    path = ""  # of the websocket's address
    batch_ns = 0  # changes of so long go together; 0: each step is told at once
    beat_ns = SECOND_NS
    rest_books = False  # whether a reader needs REST to have a book
    listings_path = ""  # of REST's list of symbols

    def __init__(self, market: Market) -> None:
        self.market = market
        self.books: dict[str, Book] = {name.replace("/", "-"): book for name, book in market.books.items()}
        self.sessions: list[Session] = []
        self.watched: set[str] = set()
        self.numbers = dict.fromkeys(self.books, 1_000_000)  # of the last change of each symbol
        self.rng = Random(f"{market.seed} venue")
        self._ours = {name: name.replace("/", "-") for name in market.books}
        self._aged: dict[str, Saved] = {}
        self._pending: dict[str, tuple[set[int], set[int]]] = {}
        self._at_ns = market.now_ns
        self._flush_ns = market.now_ns + self.batch_ns
        self._beat_ns = market.now_ns + self.beat_ns

    @property
    def now_ns(self) -> int:
        """The venue's time, nanoseconds since 1970 UTC: that of the last thing that happened."""
        return max(self.market.now_ns, self._at_ns)

    @property
    def next_ns(self) -> int:
        """The market's time of the next thing that happens: a step, a batch that is due, a heartbeat."""
        return min(self.market.next_ns, self._beat_ns, *([self._flush_ns] if self._pending else []))

    def connect(self) -> Session:
        """Open a connection."""
        session = self.new_session()
        self.sessions.append(session)
        self.greet(session)
        return session

    def new_session(self) -> Session:
        """Return what is known of a new connection."""
        return Session()

    def disconnect(self, session: Session) -> None:
        """Close a connection and forget its subscriptions."""
        self.sessions.remove(session)

    def step(self) -> list[Post]:
        """Let the next thing happen and return what is said of it."""
        now_ns = self._at_ns = self.next_ns
        if now_ns == self._beat_ns:
            self._beat_ns += self.beat_ns
            return self.beat()
        if self._pending and now_ns == self._flush_ns:
            return self.flush()
        step = self.market.step()
        symbol = self._ours[step.symbol]
        posts = self.traded(symbol, step) if step.fills else []
        if step.bids or step.asks:
            self.numbers[symbol] += len(step.bids) + len(step.asks)
            if self.batch_ns:
                self._collect(symbol, step)
            else:
                posts += self.changed(symbol, step.bids, step.asks)
        return posts

    def skip_to(self, now_ns: int) -> None:
        """Let time pass in which the venue was not there: neither beats nor batches are made up for."""
        self._beat_ns = max(self._beat_ns, now_ns)
        self._flush_ns = max(self._flush_ns, now_ns)

    def _collect(self, symbol: str, step: Step) -> None:
        if not self._pending:
            self._flush_ns = step.ts_ns - step.ts_ns % self.batch_ns + self.batch_ns
        bids, asks = self._pending.setdefault(symbol, (set(), set()))
        bids.update(key for key, _ in step.bids)
        asks.update(key for key, _ in step.asks)

    def flush(self) -> list[Post]:
        """Tell of what has been collected."""
        pending, self._pending = self._pending, {}
        posts: list[Post] = []
        for symbol, sides in pending.items():
            book = self.books[symbol]
            bids, asks = (
                [(key, ladder.lots.get(key, 0)) for key in sorted(keys)]
                for ladder, keys in zip((book.bids, book.asks), sides, strict=True)
            )
            posts += self.changed(symbol, bids, asks)
        return posts

    def readers(self, channel: str, symbol: str) -> list[Session]:
        """Return the sessions that have subscribed to a channel of a symbol."""
        stream = (channel, symbol)
        return [session for session in self.sessions if stream in session.streams]

    def saved(self, symbol: str) -> Saved:
        """Return the book to be told now: as it is, or once as it was when ``age`` was called."""
        return self._aged.pop(symbol, None) or self._now(symbol)

    def _now(self, symbol: str) -> Saved:
        book = self.books[symbol]
        bids, asks = ([(key, side.lots[key]) for key in side.keys] for side in (book.bids, book.asks))
        return Saved(self.now_ns, self.number(symbol), bids, asks)

    def number(self, symbol: str) -> int:
        """Return the number of a symbol's book as it is now."""
        return self.numbers[symbol]

    def age(self, symbol: str) -> None:
        """Give the symbol's next snapshot, on a socket or by REST, as the book is now."""
        self._aged[symbol] = self._now(symbol)

    def reset(self, symbol: str) -> None:
        """Begin the venue's numbers of a symbol anew, and those of all connections."""
        self.numbers[symbol] = 1
        for session in self.sessions:
            session.number = -1

    def notice(self) -> Notice:
        """Return how the venue goes into maintenance; most say nothing and close."""
        return Notice([], True, [])

    def truth(self, symbol: str) -> Truth | None:
        """Return the best levels of a symbol that is watched."""
        if symbol not in self.watched:
            return None
        book = self.books[symbol]
        return truth_of(book, book.bids, book.asks)

    def vital(self, symbol: str, bids: Changes, asks: Changes) -> tuple[int, int] | None:
        """Return a change among the best levels, one that is not a removal if there is one; None: none, or unwatched.

        The first number is negative for a bid.
        """
        if symbol not in self.watched:
            return None
        book, found = self.books[symbol], None
        for ladder, changes in ((book.bids, bids), (book.asks, asks)):
            last = ladder.keys[min(TRUTH_LEVELS, len(ladder.keys)) - 1]
            for key, lots in changes:
                if key <= last and (found is None or lots):
                    found = (key, lots)
        return found

    def told(self, text: str, symbol: str, bids: Changes, asks: Changes) -> Message:
        """Return the message that tells of these changes, with what is known of it where the symbol is watched."""
        if symbol not in self.watched:
            return Message(text, "update", symbol)
        found = self.vital(symbol, bids, asks)
        level = self.level(symbol, *found) if found and found[1] else ""
        return Message(text, "update", symbol, self.truth(symbol), found is not None, level)

    def level(self, symbol: str, key: int, lots: int) -> str:
        """Return how a level ends in this venue's messages, its size last."""
        book = self.books[symbol]
        return f'"{price(book, key)}","{size(book, lots)}"]'

    @abstractmethod
    def greet(self, session: Session) -> None:
        """Set what a new connection is greeted with."""

    @abstractmethod
    def request(self, session: Session, text: str | bytes) -> list[Message]:
        """Return the answers to a message of the client's, and the snapshots it asked for."""

    @abstractmethod
    def changed(self, symbol: str, bids: Changes, asks: Changes) -> list[Post]:
        """Return what is said of levels that changed."""

    @abstractmethod
    def traded(self, symbol: str, step: Step) -> list[Post]:
        """Return what is said of executions."""

    def rest(self, target: str) -> Answer:
        """Return the answer to a GET of a path with its query."""
        if asked(target, self.listings_path) is not None:
            return Answer(200, self.listings())
        return self.book_at(target)

    @abstractmethod
    def listings(self) -> bytes:
        """Return the venue's list of symbols, with its steps of prices and sizes."""

    @abstractmethod
    def book_at(self, target: str) -> Answer:
        """Return the book that a path with its query asks for."""

    def beat(self) -> list[Post]:
        """Return what is said each second."""
        return []


def truth_of(book: Book, bids: Ladder, asks: Ladder) -> Truth:
    """Return the best levels of two sides of a book."""
    ticks, lots = 10**book.listing.price_decimals, 10**book.listing.qty_decimals
    return Truth(
        *(tuple((abs(key) / ticks, side.lots[key] / lots) for key in side.keys[:TRUTH_LEVELS]) for side in (bids, asks))
    )


def asked(target: str, path: str) -> dict[str, str] | None:
    """Return the query of a request for ``path``, None if it is for another."""
    parts = urlsplit(target)
    if parts.path.rstrip("/") != path:
        return None
    return {name: values[0] for name, values in parse_qs(parts.query).items()}


def json(value: object) -> bytes:
    """Return a value as JSON."""
    return msgspec.json.encode(value)


def newest_first(book: Book, most: int) -> list[tuple[int, int, str, int, int]]:
    """Return the newest executions as number, time, taker's side, ticks and lots."""
    return [
        (fill.trade_id, fill.ts_ns, fill.side, fill.price, fill.lots) for fill in list(book.recent)[: -most - 1 : -1]
    ]


def listed(items: Iterable[str]) -> str:
    """Return texts as the elements of a JSON list."""
    return "[" + ",".join(items) + "]"
