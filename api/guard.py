"""Refuses what other web sites make a visitor's browser ask of a server on the visitor's machine.

A site can point its own name at 127.0.0.1 (DNS rebinding) and then read REST as if it were its own: so the name that a
request was sent to must be one of ours. And a browser lets any site open a websocket anywhere, and send what changes
something (a form, ``POST``), but says in ``Origin`` who asks: so that must be us. Programs send no ``Origin``, and are
welcome.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})  # what such a request gives, a browser hides from other sites' pages
EVERYWHERE = frozenset({"*", "0.0.0.0", "::"})  # bound to all addresses, a server has names that it cannot know


class Guard:
    """ASGI middleware; ``hosts`` are names allowed beside those of the machine itself, ``*`` or ``0.0.0.0`` all."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = ()) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.lower().strip("[]") for host in hosts}
        self._any = not EVERYWHERE.isdisjoint(self._hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 with a sentence to what is refused, before a websocket is accepted."""
        refusal = self._refusal(scope) if scope["type"] in {"http", "websocket"} else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await JSONResponse({"detail": refusal}, 403)(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._any and _name(f"//{host}") not in self._hosts:
            return f"{host[:100]!r} is not a name of this server; QUICKSILVER_HOST= is the address to serve on"
        if origin is None or _same(origin, host):
            return None
        if scope["type"] == "websocket":
            return f"pages of {origin[:100]!r} may not read from here"
        if scope["method"] not in READING:
            return f"pages of {origin[:100]!r} may not change anything here"
        return None


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # brackets that do not close
        return None


def _same(origin: str, host: str) -> bool:
    """Return whether a page of ``origin`` came from ``host``, port and all."""
    try:
        return urlsplit(origin).netloc == host.lower() != ""
    except ValueError:
        return False
