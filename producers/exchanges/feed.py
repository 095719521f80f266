"""What every live feed shares: one websocket that is opened again for ever, a watchdog, and REST snapshots.

A venue's feed says where, what to send and what to fetch; it moves bytes and parses nothing. Back-off between
attempts is that of ``websockets.connect`` (exponential, with jitter).
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Coroutine, Sequence
from itertools import count
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from producers.frames import Direction, Frame

QUIET_S = 10.0  # all venues here send a heartbeat or more each second or so
MAX_FRAME = 64 << 20  # bytes; a full Coinbase book is 5 MB
QUEUE_FRAMES = 10_000  # a slower reader makes the socket wait, and the venue tells by closing it
SNAPSHOT_RETRY_S = 2.0
log = logging.getLogger(__name__)


class Feed(ABC):
    """One venue's live frames for some symbols (``BASE-QUOTE``)."""

    url: str

    def __init__(self, venue: str, symbols: Sequence[str], url: str | None = None) -> None:
        self.venue = venue
        self.symbols = list(symbols)
        self.url = url or self.url
        self._frames: asyncio.Queue[Frame | Exception] = asyncio.Queue(QUEUE_FRAMES)
        self._socket: ClientConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()
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

    def snapshot_url(self, symbol: str) -> str | None:  # noqa: ARG002 (most venues send it on the socket)
        """Return where the book is fetched from, where the socket does not send it."""
        return None

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Yield frames for ever; close the iterator to end it. What connecting again cannot mend is raised."""
        self._spawn(self._read_for_ever())
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
        """Ask for one symbol's book anew; the other symbols go on undisturbed."""
        try:
            if self._socket is not None:
                for message in (*self.unsubscribe_book(symbol), *self.subscribe_book(symbol)):
                    await self._send(self._socket, message)
        except ConnectionClosed:
            return  # the new connection subscribes to everything
        self._fetch(symbol)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Hand a failure to who reads the frames: a task that ends unseen would look like a quiet market."""
        try:
            await work
        except Exception as error:
            await self._frames.put(error)

    async def _put(self, direction: Direction, payload: bytes, url: str | None = None) -> None:
        await self._frames.put(Frame(self.venue, self._conn, direction, time.time_ns(), payload, url))

    async def _send(self, socket: ClientConnection, message: str) -> None:
        await socket.send(message)
        await self._put("send", message.encode())

    async def _read_for_ever(self) -> None:
        numbers = count(1)
        async for socket in connect(
            self.url, max_size=MAX_FRAME, compression=None, process_exception=self._connect_again
        ):
            self._conn, self._socket = f"{self.venue}.{next(numbers)}", socket
            await self._put("connect", b"", self.url)
            try:
                for message in self.subscribe(self.symbols):
                    await self._send(socket, message)
                for symbol in self.symbols:
                    self._fetch(symbol)
                await self._read(socket)
            except ConnectionClosed as error:
                await self._put("disconnect", str(error).encode())
            except TimeoutError:
                await self._put("disconnect", f"silent for {QUIET_S} s".encode())
                await socket.close()
            finally:
                self._socket = None

    def _connect_again(self, error: Exception) -> Exception | None:
        """Return None for what may pass: no network, a venue that is down or refuses us for now."""
        if isinstance(error, (OSError, EOFError, WebSocketException)):
            log.warning("%s: cannot connect to %s (%s); trying again", self.venue, self.url, error)
            return None
        return error

    async def _read(self, socket: ClientConnection) -> None:
        while True:
            # Not wait_for: in Python 3.11 it can swallow a cancellation that comes together with a message.
            async with asyncio.timeout(QUIET_S):
                message = await socket.recv(decode=False)
            await self._put("recv", message)

    def _fetch(self, symbol: str) -> None:
        url = self.snapshot_url(symbol)
        if url is not None:
            self._spawn(self._fetch_until_there(url))

    async def _fetch_until_there(self, url: str) -> None:
        async with httpx.AsyncClient(timeout=QUIET_S) as client:
            while True:
                try:
                    response = await client.get(url)
                    response.raise_for_status()
                except httpx.HTTPError as error:
                    log.warning("%s: no book from %s (%r); trying again", self.venue, url, error)
                    await asyncio.sleep(SNAPSHOT_RETRY_S)
                else:
                    await self._put("rest", response.content, url)
                    return
