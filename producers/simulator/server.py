"""The simulated market on a local websocket, paced to real time, with faults on demand."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from producers.exchanges.kraken import DEPTHS
from producers.simulator.market import Market, Step
from producers.simulator.protocol import HEARTBEAT, STATUS, Trades, View, acknowledgement, refusal

PACE_S = 0.01
HEARTBEAT_S = 1.0
MAX_BUFFER = 8 << 20  # bytes a client may lag behind before it is dropped
MAX_CATCH_UP_S = 1.0  # a longer pause (a laptop's sleep) is skipped, not replayed


class SimulatorServer:
    """A running simulator: ``url`` is where Kraken's protocol is spoken."""

    def __init__(self, market: Market, speed: float) -> None:
        self.url = ""
        self._market = market
        self._speed = speed
        self._views: dict[tuple[str, int], View] = {}
        self._trades = {name: Trades(book) for name, book in market.books.items()}
        self._subscribers: defaultdict[tuple[str, str, int], set[ServerConnection]] = defaultdict(set)
        self._clients: set[ServerConnection] = set()
        self._corrupt: set[str] = set()
        self._drop: set[str] = set()

    def corrupt_next(self, symbol: str) -> None:
        """Flip one digit of a size in the symbol's next book update, and leave its checksum."""
        self._corrupt.add(symbol)

    def drop_next(self, symbol: str) -> None:
        """Do not send the symbol's next book update."""
        self._drop.add(symbol)

    async def disconnect_all(self) -> None:
        """Close every connection, as a venue's restart does."""
        for client in list(self._clients):
            await client.close(1012, "restart")

    async def handle(self, client: ServerConnection) -> None:
        """Serve one client."""
        self._clients.add(client)
        try:
            await client.send(STATUS)
            async for message in client:
                for answer in self._answer(client, message):
                    await client.send(answer)
        except ConnectionClosed:
            pass
        finally:
            self._clients.discard(client)
            for subscribers in self._subscribers.values():
                subscribers.discard(client)

    def _answer(self, client: ServerConnection, message: str | bytes) -> list[str]:
        now_ns = self._market.now_ns
        try:
            request: dict[str, Any] = msgspec.json.decode(message, type=dict[str, Any])
            method, params = str(request.get("method")), request.get("params") or {}
            if method == "ping":
                return ['{"method":"pong"}']
            channel, symbols = str(params.get("channel")), list(params.get("symbol") or [])
            depth = int(params.get("depth", DEPTHS[0]))
        except (msgspec.DecodeError, TypeError, ValueError, AttributeError):
            return [refusal("", "", "Malformed request", now_ns)]
        if method not in {"subscribe", "unsubscribe"} or channel not in {"book", "trade"} or depth not in DEPTHS:
            return [refusal(method, "", "Unsupported request", now_ns)]
        answers: list[str] = []
        for symbol in symbols:
            if symbol not in self._market.books:
                answers.append(refusal(method, str(symbol), f"Currency pair not supported {symbol}", now_ns))
            elif channel == "book":
                answers.append(acknowledgement(method, channel, symbol, depth, now_ns))
                answers += self._subscribe_book(client, method, symbol, depth)
            else:
                answers.append(acknowledgement(method, channel, symbol, None, now_ns))
                self._mark(client, method, ("trade", symbol, 0))
                answers += [self._trades[symbol].snapshot()] if method == "subscribe" else []
        return answers

    def _mark(self, client: ServerConnection, method: str, stream: tuple[str, str, int]) -> None:
        (self._subscribers[stream].add if method == "subscribe" else self._subscribers[stream].discard)(client)

    def _subscribe_book(self, client: ServerConnection, method: str, symbol: str, depth: int) -> list[str]:
        self._mark(client, method, ("book", symbol, depth))
        if method == "unsubscribe":
            return []
        view = self._views.get((symbol, depth))
        if view is None:
            view = self._views[symbol, depth] = View(self._market.books[symbol], depth)
        return [view.snapshot(self._market.now_ns)]

    def _publish(self, step: Step) -> None:
        message = self._trades[step.symbol].update(step)
        if message is not None:
            self._broadcast(("trade", step.symbol, 0), message)
        for (symbol, depth), view in self._views.items():
            update = view.update(step.ts_ns) if symbol == step.symbol else None
            if update is not None:
                self._broadcast(("book", symbol, depth), self._faulty(symbol, update))

    def _faulty(self, symbol: str, update: str) -> str:
        if symbol in self._drop:
            self._drop.discard(symbol)
            return ""
        if symbol in self._corrupt:
            self._corrupt.discard(symbol)
            at = update.index('"qty":') + 6
            return update[:at] + str((int(update[at]) + 1) % 10) + update[at + 1 :]
        return update

    def _broadcast(self, stream: tuple[str, str, int], message: str) -> None:
        if not message:
            return
        for client in list(self._subscribers[stream]):
            if client.transport.get_write_buffer_size() > MAX_BUFFER:
                client.transport.abort()
            else:
                broadcast([client], message)

    async def run(self) -> None:
        """Advance the market with the clock, for ever."""
        steps = self._market.steps()
        behind_s, last = 0.0, time.monotonic()
        next_heartbeat = last
        while True:
            await asyncio.sleep(PACE_S)
            now = time.monotonic()
            behind_s, last = behind_s + (now - last) * self._speed, now
            paused_s = max(0.0, behind_s - MAX_CATCH_UP_S * self._speed)
            self._market.now_ns += int(paused_s * 1e9)
            behind_s -= paused_s
            until_ns = self._market.now_ns + int(behind_s * 1e9)
            started_ns = self._market.now_ns
            while self._market.now_ns < until_ns:
                self._publish(next(steps))
            behind_s -= (self._market.now_ns - started_ns) / 1e9
            if now >= next_heartbeat:
                next_heartbeat = now + HEARTBEAT_S
                broadcast(self._clients, HEARTBEAT)


@asynccontextmanager
async def serving(
    market: Market, host: str = "127.0.0.1", port: int = 0, speed: float = 1.0
) -> AsyncIterator[SimulatorServer]:
    """Serve the market while the context lasts; its time runs ``speed`` times as fast as ours."""
    simulator = SimulatorServer(market, speed)
    server: Server
    async with serve(simulator.handle, host, port, compression=None, close_timeout=1) as server:
        simulator.url = f"ws://{host}:{server.sockets[0].getsockname()[1]}/v2"
        pacing = asyncio.create_task(simulator.run())
        try:
            yield simulator
        finally:
            pacing.cancel()
            await asyncio.gather(pacing, return_exceptions=True)
