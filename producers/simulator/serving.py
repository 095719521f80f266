"""One local port with a websocket and REST, over TLS if wanted; whose they are is the caller's."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Protocol, TypeVar

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from producers.exchanges.probe import SIMULATOR
from quicksilver.errors import InputError

MAX_REQUEST = 64 << 10  # bytes


class Served(Protocol):
    """What answers on a port: ``url`` and ``rest_url`` are set before the first connection."""

    url: str
    rest_url: str

    @property
    def path(self) -> str:
        """The websocket's, in its address."""

    def answer(self, client: ServerConnection, request: Request) -> Response | None:
        """Answer what is asked over HTTP; None: it is a websocket's handshake, which may go on."""

    async def handle(self, client: ServerConnection) -> None:
        """Serve one websocket until it goes."""

    async def run(self) -> None:
        """Do what is not for one client, for ever."""


S = TypeVar("S", bound=Served)


def response(status: int, body: bytes, headers: dict[str, str] | None = None) -> Response:
    """Return a REST response."""
    kind = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    return Response(status, HTTPStatus(status).phrase, Headers({**kind, **(headers or {})}), body)


def tls_of(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the server's side of TLS with a certificate (chain) and its key, PEM files.

    Raises:
        InputError: they cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # of which ssl.SSLError is one
        raise InputError(f"no TLS with {certificate} and {key}: {error}") from error
    return context


@asynccontextmanager
async def serve_venue(
    server: S, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[S]:
    """Serve while the context lasts, with the server's addresses set; who asks is told that it is a simulator.

    Raises:
        InputError: the port is taken, or may not be had.
    """
    try:
        listening = await listen(
            server.handle, host, port, process_request=server.answer, ssl=tls, compression=None, close_timeout=1,
            max_size=MAX_REQUEST, server_header=SIMULATOR,
        )  # fmt: skip
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error
        raise InputError(f"cannot serve on {host} port {port}: {why}; choose another with --port") from error
    async with listening as listener:
        address = f"{host}:{next(iter(listener.sockets)).getsockname()[1]}"
        server.url = f"{'wss' if tls else 'ws'}://{address}{server.path}"
        server.rest_url = f"{'https' if tls else 'http'}://{address}"
        pacing = asyncio.create_task(server.run())
        try:
            yield server
        finally:
            pacing.cancel()
            await asyncio.wait([pacing])
            if not pacing.cancelled():
                pacing.result()  # it cannot end but by a fault of its own, which must not go unseen
