"""The simulated exchange on a local websocket, paced to real time."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed

from producers.simulator.engine import HEARTBEAT_S, Engine, Session
from producers.simulator.orderflow import Market
from producers.simulator.wire import HEARTBEAT
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS

PACE_S = 0.005  # events are sent in batches of this length
SLICE_S = 0.02  # how long a burst may keep the event loop
MAX_LATE_S = 1.0  # after a pause (a laptop's sleep) the market goes on, it does not replay the pause
MAX_BACKLOG = 8 << 20  # bytes a client may leave unread before it is dropped; a burst of deep snapshots is 1 MB
MAX_REQUEST = 64 << 10  # bytes
Clock: TypeAlias = Callable[[], int]


class ExchangeServer:
    """A running exchange: ``url`` is where Kraken's v2 protocol is spoken."""

    def __init__(self, engine: Engine, speed: float, max_backlog: int, clock: Clock | None = None) -> None:
        self.url = ""
        self.dropped = 0  # clients that read too slowly
        self._engine = engine
        self._speed = speed
        self._max_backlog = max_backlog
        self._clock = clock
        self._sessions: dict[ServerConnection, Session] = {}

    def corrupt_next(self, symbol: str) -> None:
        """Change one digit of the symbol's next book update within the ten best levels, and not its checksum."""
        self._engine.corrupt_next(symbol)

    def drop_next(self, symbol: str) -> None:
        """Do not send the symbol's next book update within the ten best levels."""
        self._engine.drop_next(symbol)

    def disconnect_all(self) -> None:
        """Break every connection, as a network does: without a closing handshake."""
        for client in self._sessions:
            client.transport.abort()

    async def handle(self, client: ServerConnection) -> None:
        """Serve one client until it goes."""
        session = self._sessions[client] = self._engine.connect()
        try:
            self._send([client], session.greeting)
            while True:
                # Answers are written at once, so that no update can come between a snapshot and its subscription.
                for text in self._engine.request(session, await client.recv()):
                    self._send([client], text)
        except ConnectionClosed:
            return
        finally:
            del self._sessions[client]
            self._engine.disconnect(session)

    def _send(self, clients: list[ServerConnection], text: str) -> None:
        open_clients = [client for client in clients if not client.transport.is_closing()]
        for client in open_clients:
            if client.transport.get_write_buffer_size() > self._max_backlog:
                self.dropped += 1
                client.transport.abort()
        broadcast([client for client in open_clients if not client.transport.is_closing()], text)

    def _step(self) -> None:
        for stream, text in self._engine.step():
            self._send([client for client, session in self._sessions.items() if stream in session.streams], text)

    def _keep_up(self) -> None:
        """Let the time pass that the market slept through."""
        if self._clock is not None:
            self._engine.market.rest(max(0, self._clock() - self._engine.market.now_ns))

    async def run(self) -> None:
        """Advance the market with the clock, for ever."""
        market, time = self._engine.market, asyncio.get_running_loop().time
        self._keep_up()
        since, since_ns = time(), market.now_ns
        beat = since + HEARTBEAT_S
        while True:
            now = time()
            target_ns = since_ns + int((now - since) * self._speed * SECOND_NS)
            if target_ns - market.next_ns > MAX_LATE_S * self._speed * SECOND_NS:
                self._keep_up()
                since, since_ns = now, market.now_ns
                continue
            while market.next_ns <= target_ns and time() - now < SLICE_S:
                self._step()
            if now >= beat:
                beat = now + HEARTBEAT_S
                self._send([client for client, session in self._sessions.items() if session.streams], HEARTBEAT)
            await asyncio.sleep(PACE_S if market.next_ns > target_ns else 0)


@asynccontextmanager
async def serve(
    market: Market,
    host: str = "127.0.0.1",
    port: int = 0,
    speed: float = 1.0,
    max_backlog: int = MAX_BACKLOG,
    clock: Clock | None = None,
) -> AsyncIterator[ExchangeServer]:
    """Serve the market while the context lasts; its time runs ``speed`` times as fast as ours.

    With ``clock`` (nanoseconds since 1970) the market's time is brought up to it at the start and after each pause. A
    client that leaves more than ``max_backlog`` bytes unread is dropped.

    Raises:
        InputError: the speed is not above 0.
        OSError: the port is taken.
    """
    if not 0.0 < speed < math.inf:
        raise InputError(f"the simulator's speed must be above 0, not {speed}")
    server = ExchangeServer(Engine(market), speed, max_backlog, clock)
    async with listen(server.handle, host, port, compression=None, close_timeout=1, max_size=MAX_REQUEST) as listener:
        server.url = f"ws://{host}:{next(iter(listener.sockets)).getsockname()[1]}"
        pacing = asyncio.create_task(server.run())
        try:
            yield server
        finally:
            pacing.cancel()
            await asyncio.wait([pacing])
            if not pacing.cancelled():
                pacing.result()  # it cannot end but by a fault, which must not go unseen
