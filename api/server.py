"""Serving the application with uvicorn, from within a running event loop."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, TypeAlias

import uvicorn
from fastapi import FastAPI

from api.hub import SourceInfo
from quicksilver.errors import InputError

Listeners: TypeAlias = list[socket.socket]
ABSENT = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}  # containers often have a name of IPv6, and no IPv6


class _Server(uvicorn.Server):
    """A server that leaves signals to the runner, which has more to stop than this."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _bound(host: str, port: int) -> Listeners:
    """Bind every address of a host (``localhost`` has two), all to the same port, or none."""
    listeners: Listeners = []
    absent = None
    with ExitStack() as unless_all:
        for family, kind, protocol, _, address in dict.fromkeys(
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        ):
            same = listeners[0].getsockname()[1] if listeners else port  # port 0: the free one that the first has got
            try:
                listener = _bind(family, kind, protocol, (address[0], same, *address[2:]))
            except OSError as error:
                if error.errno not in ABSENT:
                    raise
                absent = error
            else:
                listeners.append(unless_all.enter_context(listener))
        if absent is not None and not listeners:
            raise absent
        unless_all.pop_all()
    return listeners


def _bind(family: int, kind: int, protocol: int, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has a socket of its own
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


@asynccontextmanager
async def serving(app: FastAPI, host: str, port: int, setting: str = "PORT") -> AsyncIterator[int]:
    """Serve the application while the context lasts; gives the port, a free one for port 0.

    Raises:
        InputError: as ``bound`` does.
    """
    async with bound(host, port, setting) as listeners, serving_on(listeners, app) as found:
        yield found


@asynccontextmanager
async def bound(host: str, port: int, setting: str = "PORT") -> AsyncIterator[Listeners]:
    """Have a port while the context lasts, before anything is done that only makes sense with it.

    ``setting`` is what the user may choose the port by.

    Raises:
        InputError: the port is taken or not allowed, or the host is no address of this machine.
    """
    try:
        listeners = await asyncio.to_thread(_bound, host, port)  # the name may have to be looked up
    except (OSError, UnicodeError) as error:  # UnicodeError: such as no name can be
        why = getattr(error, "strerror", None) or error
        remedy = f"choose another with {setting}= or QUICKSILVER_HOST="
        raise InputError(f"cannot serve on {host} port {port}: {why}; {remedy}") from error
    with ExitStack() as closing:
        for listener in listeners:
            closing.enter_context(listener)
        yield listeners


@asynccontextmanager
async def serving_on(listeners: Listeners, app: FastAPI) -> AsyncIterator[int]:
    """Serve the application on what is bound while the context lasts; gives the port."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        lifespan="off",
        ws="websockets-sansio",
        ws_per_message_deflate=False,  # it would cost each message more time than the bytes that it saves
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(listeners))
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    try:
        yield listeners[0].getsockname()[1]
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await task
        for connection in list(server.server_state.connections):  # of clients that do not read, not even a goodbye
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)  # in which the transports close


def greet(source: SourceInfo, host: str, port: int, say: Callable[[str], None]) -> None:
    """Say what is served, and where."""
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    say(f"Quicksilver [{source.kind}] {source.detail}")
    say(f"page  {url}/    API  {url}/api/docs    Ctrl-C stops")
