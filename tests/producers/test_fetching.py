"""What is fetched from a venue that answers slowly, or without end."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from producers.exchanges import fetching
from producers.exchanges.fetching import Fetcher, fetched
from producers.exchanges.limits import Limits


@asynccontextmanager
async def trickle(part: bytes, every_s: float, head: bytes = b"Content-Length: 100000000") -> AsyncIterator[str]:
    """An HTTP server whose answers do not end; gives its address."""

    answering: set[asyncio.Task[None] | None] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.add(asyncio.current_task())
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % head)
            while not writer.is_closing():
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(every_s)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await asyncio.gather(*filter(None, answering))  # a socket left open would be found in another test


async def test_an_answer_that_drips_is_given_up() -> None:
    async with trickle(b" ", 0.02) as url, asyncio.timeout(60):
        started = time.monotonic()
        fetcher = Fetcher("v", Limits(), 5.0, whole_s=0.3)
        with pytest.raises(httpx.HTTPError, match=r"not all of it came in 0\.3 s"):
            await fetcher.get(url)
        await fetcher.aclose()
        assert time.monotonic() - started >= 0.3
        with pytest.raises(httpx.HTTPError, match=r"not all of it came in 0\.4 s"):
            await fetched("v", url, Limits(), 0.4)


async def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MOST_BYTES", 3 << 20)
    part = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    async with trickle(part, 0.0, b"Transfer-Encoding: chunked") as url, asyncio.timeout(60):
        fetcher = Fetcher("v", Limits(), 5.0)
        with pytest.raises(httpx.HTTPError, match="more than 3 MB"):
            await fetcher.get(url)
        await fetcher.aclose()
