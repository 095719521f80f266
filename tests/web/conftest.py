"""A browser, the simulator as users run it, and a hub fed by hand: what the tests of the page drive."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.server import serving
from api.store_sqlite import SqliteStore
from jobs.settings import PAGE
from producers.playback import Playback
from quicksilver.memory import MemoryBus
from tests.conftest import ROOT

ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE_MS = 60_000  # a busy machine is slow, not wrong
SERVER_ENDED = "Failed to load resource: net::ERR_CONNECTION_"  # refused, reset or closed
START_S = 200  # the simulator's first start compiles kernels
TEST_S = 300  # of a test, with what it starts


class Visit:
    """A page under test, and all that it did which no page of ours may do."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.problems: list[str] = []
        self._host = urlsplit(url).netloc
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        page.on("request", lambda request: self._on_address(request.url))
        page.on("websocket", lambda websocket: self._on_address(websocket.url))

    def _on_console(self, message: ConsoleMessage) -> None:
        # A server that has ended refuses what its page still asks for; that is no fault of the page.
        if message.type in {"error", "warning"} and not message.text.startswith(SERVER_ENDED):
            self.problems.append(f"console: {message.text}")

    def _on_address(self, url: str) -> None:
        if not url.startswith("data:") and urlsplit(url).netloc != self._host:
            self.problems.append(f"request to another host: {url}")

    async def counters(self) -> dict[str, int]:
        """What ``web/src/protocol.ts`` has counted."""
        counted: dict[str, int] = await self.page.evaluate("({...window.__quicksilver})")
        return counted


Open: TypeAlias = Callable[..., Awaitable[Visit]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium; none is ever downloaded."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine: run `make browser` as root, or `apt-get install chromium`")
    if not (PAGE / "index.html").is_file():
        pytest.fail("the page is not built: run `make setup`")
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as driver:
        launched = await driver.chromium.launch(executable_path=chromium, args=ARGS, timeout=PATIENCE_MS)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="module")
async def visit(browser: Browser) -> AsyncIterator[Open]:
    """Open an address in a window of its own; whatever a test looks at, the page must have behaved at its end."""
    visits: list[Visit] = []

    async def opened(url: str, **window: Any) -> Visit:
        context = await browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **window})
        context.set_default_timeout(PATIENCE_MS)
        made = Visit(await context.new_page(), url)
        visits.append(made)
        await made.page.goto(url)
        return made

    yield opened
    for one in visits:
        await one.page.context.close()
    assert [one.problems for one in visits] == [[] for _ in visits]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of ``quicksilver run --source sim``, as a user starts it; not started where no browser is."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "jobs.cli", "run", "--source", "sim", "--port", "0",
        cwd=ROOT, env={**os.environ, "DATA": str(tmp_path_factory.mktemp("data"))},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield await _address(process)
    finally:
        if process.returncode is None:
            process.terminate()
        said, _ = await process.communicate()
    assert (process.returncode, said.decode()) == (0, "stopped\n")


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(START_S):
        while line := (await process.stdout.readline()).decode():
            said += line
            if line.startswith("page "):
                return line.split()[1]
    pytest.fail(f"the simulator did not start: {said}")


class Site:
    """The real server over a bus that a test publishes to."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.hub = hub = Hub(SourceInfo(kind, "records of a test"))
        self.store = SqliteStore(folder / "x.sqlite")
        self.bus = MemoryBus()
        self.bus.subscribe(hub.on_record)
        self.playback = Playback(1.0)
        self._app = create_app(hub, self.store, PAGE, playback=self.playback, pictures=folder / "pictures")

    def serving(self, port: int = 0) -> AbstractAsyncContextManager[int]:
        """Serve while the context lasts; gives the port."""
        return serving(self._app, "127.0.0.1", port)


@pytest_asyncio.fixture(loop_scope="module")
async def site(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """A tape's server, whose instruments never fall stale by themselves; ``request.param`` is another kind."""
    made = Site(tmp_path, getattr(request, "param", "TAPE"))
    yield made
    made.store.close()
