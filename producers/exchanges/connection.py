"""One socket's life: opened, subscribed, read, watched, left, and opened again, for ever.

Attempts to open it come ever later, with jitter, up to ``Patience.retry_most_s``; after a ``Retry-After`` not before it
says, and never faster than the venue's limits allow. A connection that did not last counts as a failed attempt: a venue
that lets everybody in and throws them out again must not be stormed either.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from producers.exchanges.limits import MOST_BYTES, pace_of
from producers.exchanges.refused import UNREACHED, sentence
from producers.exchanges.retrying import backoff, retry_after_s

if TYPE_CHECKING:
    from producers.exchanges.feed import Feed

RENEW_AT = 0.95  # of the life that a venue allows: on our own terms, and not all connections together
DEAF_S = 1.0  # subscriptions that have to wait for their turn longer than this are sent while it is read already
Messages: TypeAlias = Callable[[], list[str]]

HEAD = 64  # bytes in which a message says of what kind it is


class Patience(NamedTuple):
    """How long a connection waits for what, in seconds.

    ``apart_s`` between two connections, ``close_s`` for the closing handshake, ``open_s`` for the opening one,
    ``ping_s`` between two pings, ``quiet_s`` for anything at all; ``retry_s`` before the second attempt to connect and
    ``retry_most_s`` before any; a connection that lives for ``steady_s`` was a good one.
    """

    apart_s: float
    close_s: float
    open_s: float
    ping_s: float
    quiet_s: float
    retry_s: float
    retry_most_s: float
    steady_s: float


class Connection:
    """The socket of some of a feed's symbols; ``name`` is a new one each time it is opened."""

    def __init__(self, feed: "Feed", symbols: Sequence[str], patience: Patience, ssl: SSLContext | None) -> None:
        self.symbols = list(symbols)
        self.name = feed.venue
        self.socket: ClientConnection | None = None
        self._feed = feed
        self._patience = patience
        self._tls: dict[str, Any] = {"ssl": ssl} if ssl else {}
        self._fetching: dict[str, asyncio.Task[None]] = {}  # by symbol

    async def run(self) -> None:
        """Keep the socket open, for ever. What connecting again cannot mend is raised."""
        waits = self._waits()
        while True:
            socket = await self._opened()
            opened_s = time.monotonic()
            try:
                await self._live(socket)
            finally:
                await socket.close()
            lived_s = time.monotonic() - opened_s
            if lived_s >= self._patience.steady_s:
                waits = self._waits()
            await asyncio.sleep(next(waits) - lived_s)

    def _waits(self) -> Iterator[float]:
        """Yield how far each connection is to be from the one before: venues ban who comes back at once, for ever."""
        apart_s = self._patience.apart_s
        yield apart_s
        while True:
            apart_s = min(2 * apart_s, max(self._patience.retry_most_s, self._patience.apart_s))
            yield apart_s * random.uniform(0.75, 1.0)

    async def _opened(self) -> ClientConnection:
        url = self._feed.url
        pace = pace_of("connect", url, self._feed.limits.connections)
        for wait_s in backoff(self._patience.retry_s, self._patience.retry_most_s):
            await pace.turn()
            try:
                socket = await connect(
                    url, max_size=MOST_BYTES, compression=None, open_timeout=self._patience.open_s,
                    close_timeout=self._patience.close_s, **self._tls,
                )  # fmt: skip
            except UNREACHED as error:
                if isinstance(error, InvalidStatus):
                    pace.pause(retry_after_s(*error.response.headers.get_all("Retry-After")))
                self._feed.lament(self, sentence(self._feed.venue, url, error))
                await asyncio.sleep(wait_s)
            else:
                self._feed.lament(self, "")
                return socket
        raise AssertionError("backing off never ends")

    async def _live(self, socket: ClientConnection) -> None:
        """Subscribe to everything and read until the connection ends."""
        self.name = f"{self._feed.venue}.{self._feed.next_number()}"
        await self._feed.put(self.name, "connect", b"", self._feed.url)
        self.socket = socket
        messages = [*self._feed.greeting(), *self._feed.subscribe(self.symbols)]
        subscribing = self._feed.spawn(self._send_all, socket, lambda: messages, list(self.symbols))
        pinging = self._feed.spawn(self._ping_for_ever, socket)
        try:
            await asyncio.wait({subscribing}, timeout=DEAF_S)
            why = await self._read(socket)
        finally:
            subscribing.cancel()
            pinging.cancel()
            self._leave()
        await self._feed.put(self.name, "disconnect", why.encode())

    async def _read(self, socket: ClientConnection) -> str:
        """Read until the connection ends; returns why it did."""
        feed, patience, clock = self._feed, self._patience, asyncio.get_running_loop().time
        until_s = clock() + feed.limits.lifetime_s * RENEW_AT * random.uniform(0.9, 1.0)
        try:
            # Not wait_for: in Python 3.11 it can swallow a cancellation that comes together with a message.
            async with asyncio.timeout(patience.quiet_s) as silence:
                while True:
                    data = await socket.recv(decode=False)
                    feed.heed(data)
                    await feed.put(self.name, "recv", data)
                    if feed.farewell and feed.farewell in data[:HEAD]:
                        return "the venue asks to connect anew"
                    now_s = clock()
                    if now_s > until_s:
                        return "renewed before the venue ends it"
                    silence.reschedule(now_s + patience.quiet_s)
        except ConnectionClosed as error:
            return str(error)
        except TimeoutError:
            return f"silent for {self._patience.quiet_s} s"

    async def _ping_for_ever(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while self._feed.ping:
                await asyncio.sleep(self._patience.ping_s)
                await self._send(socket, self._feed.ping)

    async def _send(self, socket: ClientConnection, message: str) -> None:
        await pace_of("send", self._feed.url, self._feed.limits.messages).turn()
        await socket.send(message)
        await self._feed.put(self.name, "send", self._feed.redacted(message).encode())

    async def _send_all(self, socket: ClientConnection, messages: Messages, fetch: list[str]) -> None:
        with suppress(ConnectionClosed):
            for message in messages():
                await self._send(socket, message)
            for symbol in fetch:
                self.fetch(symbol)

    def send_soon(self, messages: Messages, *fetch: str) -> None:
        """Send messages, then fetch these symbols' books; a connection that is not open asks for all when it is.

        What goes wrong with the messages is told who reads the frames, not who asks for them to be sent.
        """
        if self.socket is not None:
            self._feed.spawn(self._send_all, self.socket, messages, list(fetch))

    def fetch(self, symbol: str) -> None:
        """Begin to fetch a book, unless that is being done: a venue in trouble is not to be asked ever more often."""
        url = self._feed.snapshot_url(symbol)
        running = self._fetching.get(symbol)
        if url is None or self.socket is None or symbol not in self.symbols or (running and not running.done()):
            return
        self._fetching[symbol] = self._feed.spawn(self._feed.fetch_book, self, symbol, url)

    def drop(self, symbol: str) -> None:
        """Carry the symbol no longer."""
        self.symbols.remove(symbol)
        fetching = self._fetching.pop(symbol, None)
        if fetching is not None:
            fetching.cancel()

    def _leave(self) -> None:
        """Forget a socket that has ended, and what is being fetched to go with its messages."""
        self.socket = None
        for task in self._fetching.values():
            task.cancel()
        self._fetching.clear()
        self._feed.forget(self.symbols)
