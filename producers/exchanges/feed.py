"""What every live feed shares: its symbols spread over connections, books fetched, symbols that come and go.

A venue's feed says where, what to send, what to fetch and within which limits; it moves bytes and parses nothing. One
socket's life is in ``connection.py``, what goes by REST in ``fetching.py``, the venue's list of symbols in
``listings.py``.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from ssl import SSLContext
from typing import Any, ClassVar

from producers.exchanges.auditing import Auditing
from producers.exchanges.connection import Connection, Patience
from producers.exchanges.fetching import Fetcher
from producers.exchanges.limits import Limits
from producers.exchanges.listings import Listing, Listings, unlisted
from producers.frames import NOT_NEEDED, Direction, Frame

APART_S = 5.0  # between two connections: venues ban who connects again at once, time after time
CLOSE_S = 0.2  # for the closing handshake: nobody waits for a venue that is left
OPEN_S = 10.0
PING_S = 5.0
QUIET_S = 10.0  # all venues send a heartbeat or more each second or so, or answer our pings
QUEUE_FRAMES = 10_000  # a slower reader makes the socket wait, and the venue tells by closing it
CONNECT_RETRY_S = 2.0  # doubled at each attempt ...
CONNECT_RETRY_MOST_S = 60.0  # ... up to this
STEADY_S = 30.0
SNAPSHOT_RETRY_S = 2.0
SNAPSHOT_RETRY_MOST_S = 60.0
log = logging.getLogger(__name__)


class Feed(ABC):
    """One venue's live frames for some symbols (``BASE-QUOTE``)."""

    url: str
    rest_url = ""  # scheme and host of the venue's REST interface; paths are the feed's own
    settle_s = 0.0  # between subscribing and fetching a book
    audit_every_s = 0.0  # how often each symbol's book is fetched to be compared with ours; 0: never
    farewell = b""  # what a message's head says where the venue asks to connect anew
    ping = ""  # sent now and then to a venue that says nothing where nothing happens, or ends such connections
    limits = Limits()
    listings: ClassVar[Listings | None] = None

    def __init__(
        self,
        venue: str,
        symbols: Sequence[str],
        url: str | None = None,
        rest_url: str | None = None,
        ssl: SSLContext | None = None,
    ) -> None:
        self.venue = venue
        self.symbols = list(symbols)
        self.url = url or self.url
        self.rest_url = rest_url or self.rest_url
        self.ssl = ssl  # whom to trust over TLS; None: whom the system trusts
        self.listed: dict[str, Listing] = {}  # by symbol; empty while the venue's list is not known
        self.troubles: dict[Connection, str] = {}  # why a connection cannot be made now
        self.simulated = False  # whether what was reached says that it is a simulator
        self._listing: tuple[bytes, str] | None = None
        self._frames: asyncio.Queue[Frame | Exception] = asyncio.Queue(QUEUE_FRAMES)
        self._fetcher: Fetcher | None = None
        self._connections: list[Connection] = []
        self._running: dict[Connection, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = count(1)

    def greeting(self) -> list[str]:
        """Return what is sent once on each new connection, before all else."""
        return []

    @abstractmethod
    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Return the messages that subscribe to these symbols' books and trades."""

    @abstractmethod
    def unsubscribe_book(self, symbol: str) -> list[str]:
        """Return the messages that end one symbol's book, before it is asked for anew."""

    @abstractmethod
    def subscribe_book(self, symbol: str) -> list[str]:
        """Return the messages that ask for one symbol's book again."""

    def unsubscribe(self, symbol: str) -> list[str]:
        """Return the messages that end one symbol's book and trades."""
        return self.unsubscribe_book(symbol)

    def heed(self, payload: bytes) -> None:  # noqa: B027 (most venues need nothing of what they say to be asked)
        """Take note of what a message says of subscriptions."""

    def forget(self, symbols: Sequence[str]) -> None:  # noqa: B027
        """Forget what was noted of these symbols' subscriptions: their connection has ended."""

    def redacted(self, message: str) -> str:
        """Return a message that was sent as it may be recorded: without secrets."""
        return message

    def snapshot_url(self, symbol: str) -> str | None:  # noqa: ARG002 (most venues send it on the socket)
        """Return where the book is fetched from, where the socket does not send it."""
        return None

    @property
    def book_weight(self) -> float:
        """What fetching a book weighs against the venue's rate."""
        return 1

    def guess(self, symbol: str) -> str:
        """Return what the venue probably calls a symbol, where its list is not known."""
        return symbol

    def native(self, symbol: str) -> str:
        """Return what the venue calls a symbol."""
        listing = self.listed.get(symbol)
        return listing.native if listing else self.guess(symbol)

    @property
    def listings_url(self) -> str | None:
        """Where the venue's list of symbols is fetched from, if it has one."""
        return f"{self.rest_url}{self.listings.path}" if self.listings else None

    def know(self, body: bytes) -> list[str]:
        """Take in the venue's list of symbols, which becomes the first frame too, so that a tape has it.

        Returns a sentence for each symbol that the venue does not list; it is not subscribed to.

        Raises:
            FrameError: the body is no such list.
        """
        if self.listings is None:
            return []
        self.listed = {one.symbol: one for one in self.listings.read(body, self.venue)}
        self._listing = (body, self.listings_url or "")
        unknown = [symbol for symbol in self.symbols if symbol not in self.listed]
        self.symbols = [symbol for symbol in self.symbols if symbol in self.listed]
        return [unlisted(self.venue, symbol, self.listed) for symbol in unknown]

    async def learn(self, body: bytes) -> None:
        """Take in a newer list while frames are read; what is subscribed to stays.

        Raises:
            FrameError: the body is no such list.
        """
        symbols = self.symbols
        self.know(body)
        self.symbols = symbols
        if self._fetcher is not None:
            await self.put(self.venue, "rest", body, self.listings_url)

    def audit_url(self, symbol: str) -> str | None:  # noqa: ARG002 (a venue may have none)
        """Return where a whole book is fetched from now and then, to be compared with ours."""
        return None

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Yield frames for ever; close the iterator to end it. What connecting again cannot mend is raised."""
        self._frames = asyncio.Queue(QUEUE_FRAMES)  # what a reading that failed has left is of no use any more
        self._fetcher = Fetcher(self.venue, self.limits, QUIET_S, self.ssl)
        self._connections = []
        self.troubles.clear()
        if self._listing is not None:
            yield Frame(self.venue, self.venue, "rest", time.time_ns(), *self._listing)
        for symbol in self.symbols:
            self._place(symbol)
        for connection in self._connections:
            self._running[connection] = self.spawn(connection.run)
        if self.audit_every_s:
            get = partial(self._fetcher.get, weight=self.limits.audit_weight)
            symbols, take = (lambda: self.symbols), self._take_audit
            self.spawn(Auditing(self.audit_every_s, symbols, self.audit_url, get, take).run)
        try:
            while True:
                found = await self._frames.get()
                if isinstance(found, Exception):
                    raise found
                yield found
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._running.clear()
            self._connections = []
            await self._fetcher.aclose()
            self._fetcher = None

    def _place(self, symbol: str) -> Connection:
        """Give the symbol to a connection that has room for it, a new one if none has."""
        most = self.limits.symbols
        for connection in self._connections:
            if not most or len(connection.symbols) < most:
                connection.symbols.append(symbol)
                return connection
        patience = Patience(APART_S, CLOSE_S, OPEN_S, PING_S, QUIET_S, CONNECT_RETRY_S, CONNECT_RETRY_MOST_S, STEADY_S)
        self._connections.append(Connection(self, [symbol], patience, self.ssl))
        return self._connections[-1]

    def _of(self, symbol: str) -> Connection | None:
        return next((one for one in self._connections if symbol in one.symbols), None)

    async def resync(self, symbol: str) -> None:
        """Ask for one symbol's book anew; the other symbols go on undisturbed.

        It does not wait until that is done: who reads the frames asks, and has to read on.
        """
        connection = self._of(symbol)
        if connection is not None:
            connection.send_soon(lambda: [*self.unsubscribe_book(symbol), *self.subscribe_book(symbol)], symbol)

    def restate(self, conn: str) -> None:
        """Have said again what one needs who has lost frames of a connection: its books, or the list of symbols.

        Who has lost nothing is not disturbed.
        """
        if conn == self.venue and self._listing is not None:
            self.spawn(self.put, conn, "rest", *self._listing)
        for connection in self._connections:
            for symbol in connection.symbols if connection.name == conn else ():
                self.spawn(self._restate, symbol)

    async def _restate(self, symbol: str) -> None:
        """Have one symbol's book said again, and what else is said once."""
        await self.resync(symbol)

    async def renew(self, symbol: str) -> None:
        """Subscribe anew to all of one symbol, which may have been forgotten by the venue."""
        connection = self._of(symbol)
        if connection is not None:
            connection.send_soon(lambda: [*self.unsubscribe(symbol), *self.subscribe([symbol])], symbol)

    async def add(self, symbol: str) -> None:
        """Subscribe to one more symbol; the others go on undisturbed. Nothing if it is there already."""
        if symbol in self.symbols:
            return
        self.symbols.append(symbol)
        if self._fetcher is None:
            return  # nobody reads the frames yet
        connection = self._place(symbol)
        if connection in self._running:
            connection.send_soon(lambda: self.subscribe([symbol]), symbol)
        else:
            self._running[connection] = self.spawn(connection.run)

    async def remove(self, symbol: str) -> None:
        """Subscribe to a symbol no longer; a connection that carries no other is closed. Nothing if it is not there."""
        connection = self._of(symbol)
        self.symbols = [one for one in self.symbols if one != symbol]
        if connection is None:
            return
        messages = self.unsubscribe(symbol)
        connection.drop(symbol)
        if connection.symbols:
            connection.send_soon(lambda: messages)
            self.forget([symbol])
        else:
            self._connections.remove(connection)
            self.troubles.pop(connection, None)
            self.spawn(self._end, connection)

    async def _end(self, connection: Connection) -> None:
        was_open = connection.socket is not None
        task = self._running.pop(connection)
        task.cancel()
        await asyncio.wait({task})
        if was_open:
            await self.put(connection.name, "disconnect", NOT_NEEDED)

    # What connections ask of their feed.

    async def fetch_book(self, connection: Connection, symbol: str, url: str) -> None:
        """Fetch a book until it is there, and make it a frame of the connection."""

        async def take(body: bytes, url: str) -> None:
            await self.put(connection.name, "rest", body, url)

        if self._fetcher is not None:
            await self._fetcher.book(
                symbol, url, self.book_weight, self.settle_s, SNAPSHOT_RETRY_S, SNAPSHOT_RETRY_MOST_S, take
            )  # fmt: skip

    def next_number(self) -> int:
        """Return the number of the next connection."""
        return next(self._numbers)

    def lament(self, connection: Connection, trouble: str) -> None:
        """Say why a connection cannot be made, once for each reason; an empty one ends its own trouble, no other's."""
        known = set(self.troubles.values())
        before = self.troubles.pop(connection, "")
        if trouble:
            self.troubles[connection] = trouble
            if trouble not in known:
                log.warning("%s; trying again", trouble)
        elif before:
            left = len(self.troubles)
            log.warning("%s: connected again%s", self.venue, f", but for {left} connections" if left else "")

    async def put(self, conn: str, direction: Direction, payload: bytes, url: str | None = None) -> None:
        """Hand a frame to who reads them, when there is room."""
        await self._frames.put(Frame(self.venue, conn, direction, time.time_ns(), payload, url))

    def spawn(self, work: Callable[..., Awaitable[None]], *given: Any) -> asyncio.Task[None]:
        """Start work that ends with the frames, and whose failure their reader is told."""
        task = asyncio.create_task(self._guarded(work, *given))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Callable[..., Awaitable[None]], *given: Any) -> None:
        """Hand a failure to who reads the frames: a task that ends unseen would look like a quiet market."""
        try:
            await work(*given)
        except Exception as error:
            await self._frames.put(error)

    async def _take_audit(self, symbol: str, body: bytes, url: str) -> None:
        connection = self._of(symbol)
        if connection is not None and connection.socket is not None:
            await self.put(connection.name, "audit", body, url)


class FetchedBookFeed(Feed):
    """A feed of a venue whose changes go on while a book is fetched anew: there is nothing to send for one."""

    def unsubscribe_book(self, symbol: str) -> list[str]:  # noqa: ARG002 (the base's signature)
        """Return nothing."""
        return []

    def subscribe_book(self, symbol: str) -> list[str]:  # noqa: ARG002
        """Return nothing."""
        return []
