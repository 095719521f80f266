"""OKX's public protocol on this machine, as far as ccxt speaks it: instruments by REST, books and trades by websocket.

https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from ssl import SSLContext
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Rows = list[list[str]]
ASKS: Rows = [["101.5", "1", "0", "1"], ["102", "2", "0", "1"]]
BIDS: Rows = [["100", "1.5", "0", "1"]]


class Okx:
    """The exchange: what it lists, whom it lets in, and what it sends when a channel is subscribed to."""

    def __init__(self, names: list[str]) -> None:
        self.url = self.rest_url = ""
        self.now_ms = time.time_ns() // 1_000_000
        self.names = names
        self.refusals: Iterator[HTTPStatus] = iter(())  # of handshakes
        self.rest_refusals: Iterator[tuple[int, str]] = iter(())  # status and headers
        self.asked_s: list[float] = []  # when spot instruments were asked for
        self.requests: list[tuple[int, str, str, str]] = []  # connection, op, channel, instrument
        self.delisted: set[str] = set()
        self.clients: list[ServerConnection] = []
        self.then: Callable[[ServerConnection, str, str], Awaitable[None]] = self.nothing_more
        self.snapshot = BIDS, ASKS
        self.subscribed: dict[str, ServerConnection] = {}

    async def nothing_more(self, client: ServerConnection, channel: str, name: str) -> None:
        """Send nothing but the book."""

    def greet(self, client: ServerConnection, request: Request) -> Response | None:
        status = next(self.refusals, None)
        return client.respond(status, "not here\n") if status else None

    async def handle(self, client: ServerConnection) -> None:
        self.clients.append(client)
        try:
            async for text in client:
                if text == "ping":
                    await client.send("pong")
                    continue
                request = msgspec.json.decode(text)
                for arg in request["args"]:
                    await self._answer(client, request["op"], arg["channel"], arg["instId"])
        except ConnectionClosed:
            return

    async def _answer(self, client: ServerConnection, op: str, channel: str, name: str) -> None:
        self.requests.append((self.clients.index(client), op, channel, name))
        if name in self.delisted:
            await self.send(client, event="error", code="60018", msg=f"{channel},{name} doesn't exist", connId="a")
            return
        await self.send(client, event=op, arg={"channel": channel, "instId": name}, connId="a")
        if op == "subscribe" and channel == "books":
            self.subscribed[name] = client
            await self.book(name, "snapshot", *self.snapshot, 10, -1)
        if op == "subscribe":
            await self.then(client, channel, name)

    async def book(self, name: str, action: str, bids: Rows, asks: Rows, number: int, after: int) -> None:
        """Send a book message to whom has subscribed to it last."""
        entry = {"asks": asks, "bids": bids, "ts": f"{self.now_ms}", "seqId": number, "prevSeqId": after}
        arg = {"channel": "books", "instId": name}
        await self.send(self.subscribed[name], arg=arg, action=action, data=[entry])

    async def trade(self, client: ServerConnection, name: str, number: int, ms: int) -> None:
        entry = {"instId": name, "tradeId": f"{number}", "px": "101.5", "sz": "0.25", "side": "buy", "ts": f"{ms}"}
        await self.send(client, arg={"channel": "trades", "instId": name}, data=[entry])

    async def send(self, client: ServerConnection, **message: Any) -> None:
        await client.send(msgspec.json.encode(message).decode())

    async def rest(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a request for instruments."""
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        if "instType=SPOT" in path:
            self.asked_s.append(time.monotonic())
        status, headers = next(self.rest_refusals, (200, ""))
        listed = [_instrument(name) for name in self.names] if "instType=SPOT" in path else []
        body = msgspec.json.encode({"code": "0", "msg": "", "data": listed})
        head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def _instrument(name: str) -> dict[str, str]:
    base, quote = name.split("-")
    return {
        "instType": "SPOT", "instId": name, "baseCcy": base, "quoteCcy": quote, "tickSz": "0.1", "lotSz": "0.00001",
        "minSz": "0.0001", "state": "live", "listTime": "1548133413000", "uly": "", "settleCcy": "", "ctVal": "",
        "ctMult": "", "category": "1",
    }  # fmt: skip


@asynccontextmanager
async def okx(*names: str, ssl: SSLContext | None = None) -> AsyncIterator[Okx]:
    """Serve both on free ports."""
    site = Okx(list(names))
    async with (
        listen(site.handle, "127.0.0.1", 0, process_request=site.greet, close_timeout=0.2, ssl=ssl) as sockets,
        await asyncio.start_server(site.rest, "127.0.0.1", 0, ssl=ssl) as rest,
    ):
        s = "s" if ssl else ""
        site.url = f"ws{s}://127.0.0.1:{next(iter(sockets.sockets)).getsockname()[1]}"
        site.rest_url = f"http{s}://127.0.0.1:{rest.sockets[0].getsockname()[1]}"
        yield site
