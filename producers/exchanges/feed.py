"""What every live feed shares: one websocket that is opened again for ever, a watchdog, and REST snapshots.

A venue's feed says where, what to send and what to fetch; it moves bytes and parses nothing. Back-off is exponential,
with jitter: between attempts to connect that of ``websockets.connect``, between fetches ``_backoff``.
"""

import asyncio
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import chain, count
from ssl import SSLContext
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from producers.frames import Direction, Frame

APART_S = 5.0  # between two connections: venues ban who connects again at once, time after time
CLOSE_S = 0.2  # for the closing handshake: nobody waits for a venue that is left
PING_S = 5.0
QUIET_S = 10.0  # all venues here send a heartbeat or more each second or so
MAX_FRAME = 64 << 20  # bytes; a full Coinbase book is 5 MB
QUEUE_FRAMES = 10_000  # a slower reader makes the socket wait, and the venue tells by closing it
SNAPSHOT_RETRY_S = 2.0  # doubled at each attempt ...
SNAPSHOT_RETRY_MOST_S = 60.0  # ... up to this
RETRY_AFTER_MOST_S = 3600.0  # a wrong header must not end a book for good
NO_SUCH_BOOK = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}  # asking once more would not help
log = logging.getLogger(__name__)


class Feed(ABC):
    """One venue's live frames for some symbols (``BASE-QUOTE``)."""

    url: str
    rest_url = ""  # scheme and host of the venue's REST interface; paths are the feed's own
    settle_s = 0.0  # between subscribing and fetching a book
    ping = ""  # sent now and then to a venue that closes a connection on which nothing is said

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
        self._ssl = ssl  # whom to trust over TLS; None: whom the system trusts
        self._tls: dict[str, Any] = {"ssl": ssl} if ssl else {}
        self._frames: asyncio.Queue[Frame | Exception] = asyncio.Queue(QUEUE_FRAMES)
        self._socket: ClientConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._fetching: dict[str, asyncio.Task[None]] = {}  # by symbol
        self._fetch_after_s = 0.0  # ``time.monotonic``: the venue wants no request before
        self._numbers = count(1)
        self._conn = venue

    @abstractmethod
    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Return the messages that subscribe to these symbols' books and trades."""

    @abstractmethod
    def unsubscribe_book(self, symbol: str) -> list[str]:
        """Return the messages that end one symbol's book, before it is asked for anew."""

    @abstractmethod
    def subscribe_book(self, symbol: str) -> list[str]:
        """Return the messages that ask for one symbol's book again."""

    def heed(self, payload: bytes) -> None:  # noqa: B027 (most venues need nothing of what they say to be asked)
        """Take note of what a message says of subscriptions."""

    def redacted(self, message: str) -> str:
        """Return a message that was sent as it may be recorded: without secrets."""
        return message

    def snapshot_url(self, symbol: str) -> str | None:  # noqa: ARG002 (most venues send it on the socket)
        """Return where the book is fetched from, where the socket does not send it."""
        return None

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Yield frames for ever; close the iterator to end it. What connecting again cannot mend is raised."""
        self._frames = asyncio.Queue(QUEUE_FRAMES)  # what a reading that failed has left is of no use any more
        self._spawn(self._read_for_ever)
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

    async def resync(self, symbol: str) -> None:
        """Ask for one symbol's book anew; the other symbols go on undisturbed.

        It does not wait until that is done: who reads the frames asks, and has to read on.
        """
        if self._socket is not None:  # else the next connection asks for everything
            self._spawn(self._ask_anew, self._socket, symbol)

    async def _ask_anew(self, socket: ClientConnection, symbol: str) -> None:
        with suppress(ConnectionClosed):
            for message in (*self.unsubscribe_book(symbol), *self.subscribe_book(symbol)):
                await self._send(socket, message)
            self._fetch(socket, symbol)

    def _spawn(self, work: Callable[..., Awaitable[None]], *given: Any) -> asyncio.Task[None]:
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

    async def _put(self, direction: Direction, payload: bytes, url: str | None = None) -> None:
        await self._frames.put(Frame(self.venue, self._conn, direction, time.time_ns(), payload, url))

    async def _send(self, socket: ClientConnection, message: str) -> None:
        await socket.send(message)
        await self._put("send", self.redacted(message).encode())

    async def _read_for_ever(self) -> None:
        sockets = aiter(
            connect(
                self.url, max_size=MAX_FRAME, compression=None, close_timeout=CLOSE_S,
                process_exception=self._connect_again, **self._tls,
            )
        )  # fmt: skip
        async with aclosing(sockets):  # type: ignore[type-var]
            async for socket in sockets:
                opened = time.monotonic()
                self._conn = f"{self.venue}.{next(self._numbers)}"
                await self._put("connect", b"", self.url)
                self._socket = socket
                pinging = self._spawn(self._ping_for_ever, socket)
                try:
                    why = await self._read(socket)
                finally:
                    pinging.cancel()
                    self._leave()
                await self._put("disconnect", why.encode())
                await socket.close()
                await asyncio.sleep(opened + APART_S - time.monotonic())

    async def _ping_for_ever(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while self.ping:
                await asyncio.sleep(PING_S)
                await self._send(socket, self.ping)

    def _connect_again(self, error: Exception) -> Exception | None:
        """Return None for what may pass: no network, a venue that is down or refuses us for now."""
        if isinstance(error, (OSError, EOFError, WebSocketException)):
            log.warning("%s: cannot connect to %s (%s); trying again", self.venue, self.url, error)
            return None
        return error

    async def _read(self, socket: ClientConnection) -> str:
        """Subscribe to everything and read until the connection ends; returns why it did."""
        try:
            for message in self.subscribe(self.symbols):
                await self._send(socket, message)
            for symbol in self.symbols:
                self._fetch(socket, symbol)
            while True:
                # Not wait_for: in Python 3.11 it can swallow a cancellation that comes together with a message.
                async with asyncio.timeout(QUIET_S):
                    data = await socket.recv(decode=False)
                self.heed(data)
                await self._put("recv", data)
        except ConnectionClosed as error:
            return str(error)
        except TimeoutError:
            return f"silent for {QUIET_S} s"

    def _leave(self) -> None:
        """Forget a connection that has ended, and what is being fetched to go with its messages."""
        self._socket = None
        for task in self._fetching.values():
            task.cancel()
        self._fetching.clear()

    def _fetch(self, socket: ClientConnection, symbol: str) -> None:
        """Begin to fetch a book, unless that is being done: a venue in trouble is not to be asked ever more often."""
        url = self.snapshot_url(symbol)
        running = self._fetching.get(symbol)
        if url is None or socket is not self._socket or (running is not None and not running.done()):
            return
        self._fetching[symbol] = self._spawn(self._fetch_until_there, symbol, url)

    async def _fetch_until_there(self, symbol: str, url: str) -> None:
        async with httpx.AsyncClient(timeout=QUIET_S, verify=self._ssl or True) as client:
            for wait_s in chain((self.settle_s,), _backoff()):
                await asyncio.sleep(max(0.0, self._fetch_after_s - time.monotonic()) + wait_s)
                try:
                    response = await client.get(url)
                except httpx.HTTPError as error:
                    log.warning("%s: no book of %s from %s (%r); trying again", self.venue, symbol, url, error)
                    continue
                if response.is_success:
                    await self._put("rest", response.content, url)
                    return
                status = response.status_code
                if status in NO_SUCH_BOOK:
                    log.warning("%s: no book of %s at %s (HTTP %d)", self.venue, symbol, url, status)
                    return
                log.warning("%s: no book of %s from %s (HTTP %d); trying again", self.venue, symbol, url, status)
                after_s = _retry_after_s(response.headers.get("Retry-After", ""))
                self._fetch_after_s = max(self._fetch_after_s, time.monotonic() + after_s)


def _backoff() -> Iterator[float]:
    """Yield how long to wait before each further attempt: twice as long each time, and not all feeds together."""
    wait_s = SNAPSHOT_RETRY_S
    while True:
        yield wait_s * random.uniform(0.5, 1.0)
        wait_s = min(2 * wait_s, SNAPSHOT_RETRY_MOST_S)


def _retry_after_s(header: str) -> float:
    """Return the seconds that ``Retry-After`` asks for, a number or a date (RFC 9110, 10.2.3); 0 if it is neither."""
    try:
        wait_s = float(header) if header.isdigit() else parsedate_to_datetime(header).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(wait_s, 0.0), RETRY_AFTER_MOST_S)
