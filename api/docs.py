"""The list of routes as a page of its own: no script and no style sheet of anybody's, so that it is there offline."""

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

_HEAD = (
    "<!doctype html><meta charset=utf-8><title>Quicksilver: API</title>"
    "<style>body{font:15px/1.5 system-ui;margin:2em auto;max-width:60em}td{padding:.3em 1em .3em 0;vertical-align:top}"
    "</style><h1>Quicksilver: API</h1><p>The websocket is at <code>/ws</code>; <code>api/PROTOCOL.md</code> in the"
    " repository has all of it. For programs: <a href=/api/openapi.json>/api/openapi.json</a>.<table>"
)


def add_docs(app: FastAPI) -> None:
    """Add ``/api/docs``: what there is to ask, in the words of the OpenAPI description, which is served beside it."""

    @app.get("/api/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        """Return the list of routes."""
        return HTMLResponse(_HEAD + "".join(_rows(app.openapi()["paths"])))


def _rows(paths: dict[str, dict[str, Any]]) -> Iterator[str]:
    for path, methods in paths.items():
        for method, one in methods.items():
            names = ", ".join(each["name"] for each in one.get("parameters", ()) if each["in"] == "query")
            asked = f"{method.upper()} {path}" + (f" ? {names}" if names else "")
            yield f"<tr><td><code>{escape(asked)}</code><td>{escape(one.get('description', ''))}"
