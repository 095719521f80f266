"""A bot and a page at a run's websocket, in a process of their own: when picks come, and how long a ping takes.

``python -m jobs.benches.picks_client URL LAST`` prints ``ready`` once both have subscribed, and when the picks of
``LAST`` (the end of a period, in nanoseconds) have come, a line of JSON with what it has noted.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from websockets.asyncio.client import ClientConnection, connect


class Noted(msgspec.Struct):
    """When the picks of each period's end came, by the clock of ``time.perf_counter_ns``, and times of pings in ns."""

    ends: dict[int, int] = {}
    pings: list[int] = []


PING = '{"op":"ping","id":1}'


class _Row(msgspec.Struct):
    ts_event_ns: int = 0


class _Message(msgspec.Struct):
    type: str
    rows: list[_Row] = []


_DECODER = msgspec.json.Decoder(_Message)


@asynccontextmanager
async def _subscribed(url: str, *channels: str) -> AsyncIterator[ClientConnection]:
    """Subscribe, and wait until a ping after that is answered: then it is at work."""
    async with connect(url, max_size=None, compression=None) as socket:
        request = {"op": "subscribe", "channels": channels, "history": 0, "threshold": 0.0}
        await socket.send(msgspec.json.encode(request).decode())
        await socket.send(PING)
        while isinstance(message := await socket.recv(), bytes) or _DECODER.decode(message).type != "pong":
            pass  # a cloud, or a snapshot
        yield socket


async def _follow(socket: ClientConnection, last_ns: int) -> Noted:
    """Note the picks of each period until those of the last, and how long a ping takes after each."""
    asked, noted = 0, Noted()
    async for text in socket:
        now_ns = time.perf_counter_ns()
        message = _DECODER.decode(text)
        if message.type == "pong":
            noted.pings.append(now_ns - asked)
            if last_ns in noted.ends:
                break
        elif message.type == "delta":
            for row in message.rows:
                noted.ends[row.ts_event_ns] = now_ns
            asked = time.perf_counter_ns()
            await socket.send(PING)
    return noted


async def _look(socket: ClientConnection) -> None:
    """Take in everything, as a page does."""
    async for _ in socket:
        pass


async def noted(url: str, last_ns: int) -> Noted:
    """Follow picks as a bot does, beside a page that takes frontiers and clouds."""
    async with _subscribed(url, "picks") as bot, _subscribed(url, "frontiers", "clouds") as page:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        looking = asyncio.create_task(_look(page))
        try:
            return await _follow(bot, last_ns)
        finally:
            looking.cancel()


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(asyncio.run(noted(sys.argv[1], int(sys.argv[2])))).decode() + "\n")
