"""REST over the store and the hub, the websocket, and the page."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Annotated, TypeAlias

import msgspec
from fastapi import FastAPI, HTTPException, Query, Request, Response, WebSocket
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException as AnyHTTPException

from api.answers import shortened
from api.docs import add_docs
from api.guard import Guard
from api.hub import Hub
from api.metrics import HubCollector, add_metrics
from api.pictures import add_pictures
from api.portfolios import add_portfolios
from api.ports import JsonStore, Playing
from api.replay import add_replay
from api.search import Searches, add_searches
from api.symbols import Symbols, add_symbols
from quicksilver import __version__
from quicksilver.errors import StoreError
from quicksilver.features import FEATURES
from quicksilver.tables import TABLES

NO_PAGE = "<!doctype html><title>Quicksilver</title><p>The page is not built yet: run <code>make setup</code>."
MAX_ROWS = 10_000
Nanoseconds: TypeAlias = Annotated[int | None, Query(ge=-(2**63), le=2**63 - 1)]  # what stores keep times in


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def create_app(
    hub: Hub,
    store: JsonStore,
    page: Path | None,
    hosts: Sequence[str] = (),
    parts: Callable[[], dict[str, object]] = dict,
    symbols: Symbols | None = None,
    playback: Playing | None = None,
    collectors: Sequence[Collector] = (),
    searches: Searches | None = None,
    pictures: Path | None = None,
) -> FastAPI:
    """Return the application; ``page`` is the folder of the built page.

    ``symbols`` are those that can be added and removed, None where this process subscribes to nothing itself.
    ``parts`` gives what ``/api/health`` says of the servers that this process leans on, its ``status`` included.
    ``playback`` is what plays the source, if that is a recording.
    ``hosts`` are the names that it answers to beside ``localhost``, ``127.0.0.1`` and ``[::1]``: the address that it is
    served on. ``0.0.0.0``, ``::`` and ``*`` stand for any name, and give up what protects against DNS rebinding.
    ``searches`` are those that ``/optimize`` shows.
    ``collectors`` are what ``/metrics`` tells beside the hub's numbers and the process's.
    ``pictures`` is the folder of predictors' pictures.
    """
    app = FastAPI(
        title="Quicksilver", version=__version__, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json"
    )
    _add_errors(app)
    _add_state(app, hub, parts)
    add_symbols(app, symbols)
    add_replay(app, playback)
    add_searches(app, searches)
    add_pictures(app, pictures)
    add_portfolios(app, hub, store, symbols)
    add_docs(app)
    _add_tables(app, store)

    @app.websocket("/ws")
    async def websocket(socket: WebSocket) -> None:
        """Stream records; see ``PROTOCOL.md``."""
        await hub.serve(socket)

    add_metrics(app, HubCollector(hub), *collectors)
    _add_page(app, page)
    app.add_middleware(Guard, hosts=hosts)
    return app


def _add_errors(app: FastAPI) -> None:
    """Have what goes wrong said in one sentence of bounded length, as ``detail``."""

    @app.exception_handler(AnyHTTPException)
    async def refuse(request: Request, error: AnyHTTPException) -> Response:
        """Refuse without repeating all that was sent."""
        return await http_exception_handler(
            request, AnyHTTPException(error.status_code, shortened(error.detail), error.headers)
        )

    @app.exception_handler(RequestValidationError)
    async def say(_: Request, error: RequestValidationError) -> Response:
        """Say in a sentence which parameter is wrong."""
        wrong = error.errors()[0]
        if wrong["type"] == "json_invalid":
            said = f"the body is no JSON, from character {wrong['loc'][-1]} on: {wrong['ctx']['error']}"
            return JSONResponse({"detail": said}, 422)
        return JSONResponse({"detail": shortened(f"{wrong['loc'][-1]}: {wrong['msg']}")}, 422)

    @app.exception_handler(StoreError)
    async def away(_: Request, error: StoreError) -> Response:
        """Say that history must wait; what is live goes on."""
        return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "2"})


def _add_state(app: FastAPI, hub: Hub, parts: Callable[[], dict[str, object]]) -> None:
    """Add the routes that say what this process is and holds."""
    started = monotonic()

    @app.get("/api/health")
    async def health() -> Response:
        """Return what this process is and what it has published so far."""
        return _json(
            {
                "status": "ok", "version": __version__, "source": hub.source.kind, "detail": hub.source.detail,
                "uptime_s": round(monotonic() - started, 3), "counts": hub.counts, "slow_clients": hub.n_slow,
                **parts(),
            }
        )  # fmt: skip

    @app.get("/api/instruments")
    async def instruments() -> Response:
        """Return every instrument with its data state."""
        return _json(list(hub.instruments.values()))

    @app.get("/api/feature-specs")
    async def feature_specs() -> Response:
        """Return what each feature is: formula, unit, warm-up, source."""
        return _json(FEATURES)


def _add_tables(app: FastAPI, store: JsonStore) -> None:
    def known(topic: str) -> str:
        """Return the topic if it has a table; else HTTP 404, with those that have."""
        if topic not in TABLES:
            raise HTTPException(404, f"no table {topic!r}; there are {', '.join(TABLES)}")
        return topic

    @app.get("/api/{topic}")
    def keys(topic: str) -> Response:
        """Return the keys that have rows."""
        return _json({"topic": topic, "keys": store.keys(known(topic))})

    @app.get("/api/{topic}/{key}")
    def rows(
        topic: str,
        key: str,
        start_ns: Nanoseconds = None,
        end_ns: Nanoseconds = None,
        limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 500,
    ) -> Response:
        """Return the newest rows of a key within a span of time, oldest first."""
        found = store.read_json(known(topic), key, start_ns=start_ns, end_ns=end_ns, limit=limit)
        head = msgspec.json.encode({"topic": topic, "key": key})
        return Response(head[:-1] + b',"rows":[' + b",".join(found) + b"]}", media_type="application/json")


def _add_page(app: FastAPI, page: Path | None) -> None:
    if page is None or not (page / "index.html").is_file():

        @app.get("/")
        async def no_page() -> HTMLResponse:
            """Say how the page is built."""
            return HTMLResponse(NO_PAGE)

        return

    @app.middleware("http")
    async def cache(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Let browsers keep hashed assets, and ask again for all else."""
        response = await call_next(request)
        hashed = request.url.path.startswith("/assets/")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
        return response

    for other in sorted(set(page.glob("*.html")) - {page / "index.html"}):  # each is /NAME, without its suffix
        _add_other(app, other)
    app.mount("/", StaticFiles(directory=page, html=True))


def _add_other(app: FastAPI, page: Path) -> None:
    @app.get(f"/{page.stem}", include_in_schema=False)
    async def other() -> FileResponse:
        """Return another page than the first."""
        return FileResponse(page)
