"""Scores over the websocket of a running process: none is missed, whatever becomes of the connection."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.server import serving
from jobs import score_feed
from jobs.score_feed import live_scores, websocket_of
from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.memory import MemoryStore
from quicksilver.records import Score
from quicksilver.topics import SCORES
from tests.ports import own_port
from tests.quicksilver.learning.live_scores import Stream


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_feed, "FIRST_S", 0.02)


def publish(hub: Hub, scores: list[Score]) -> None:
    for score in scores:
        hub.on_record(SCORES.name, f"{score.venue}:{score.symbol}", score)


@asynccontextmanager
async def api(hub: Hub, tmp_path: Path, port: int = 0) -> AsyncIterator[int]:
    app = create_app(hub, MemoryStore(), tmp_path, ["127.0.0.1"])  # type: ignore[arg-type]  # REST is not asked
    async with serving(app, "127.0.0.1", port) as found:
        yield found


class Following:
    """Who follows an address, and what came."""

    def __init__(self, address: str) -> None:
        self.said: list[str] = []
        self.scores: list[Score] = []
        self.task = asyncio.create_task(self._follow(address))

    async def _follow(self, address: str) -> None:
        async with aclosing(live_scores(address, self.said.append)) as batches:  # type: ignore[type-var]
            async for scores in batches:
                self.scores += scores

    async def until(self, n: int) -> None:
        async with asyncio.timeout(60):
            while len(self.scores) < n:
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.01)

    async def __aenter__(self) -> "Following":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_what_was_and_what_comes_and_a_server_that_is_away(tmp_path: Path) -> None:
    first, second = Stream("a"), Stream("a", symbol="ETH-USD")
    hub = Hub(SourceInfo("SIMULATED", "a test"))
    before = list(first.scores([0.5] * 30))
    publish(hub, before)
    async with api(hub, tmp_path) as port, Following(f"http://127.0.0.1:{port}") as one:
        await one.until(30)
        after = [*first.scores([0.7] * 5), *second.scores([0.2] * 3)]
        publish(hub, after)
        await one.until(38)
        assert one.scores == before + after
        assert one.said == [f"following the scores of ws://127.0.0.1:{port}/ws"]


async def test_a_server_that_is_away_is_waited_for(tmp_path: Path) -> None:
    stream, hub = Stream("a"), Hub(SourceInfo("SIMULATED", "a test"))
    publish(hub, list(stream.scores([0.5] * 3)))
    port = own_port()
    async with Following(f"ws://127.0.0.1:{port}") as one:
        async with asyncio.timeout(60):
            while not one.said:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # it tries again and again
        assert len(one.said) == 1
        assert one.said[0].startswith(f"ws://127.0.0.1:{port}/ws: ")
        assert one.said[0].endswith("; waiting for it")
        for n in (3, 6):
            async with api(hub, tmp_path, port):
                await one.until(n)
        assert one.scores[:3] == one.scores[3:]  # who reads them drops what it has had


async def test_after_a_loss_all_is_asked_for_again() -> None:
    scores = [json.loads(codec.encode(one)) for one in Stream("a").scores([0.1, 0.2, 0.3, 0.4])]
    asked: list[Any] = []

    def message(kind: str, seq: int, rows: list[Any]) -> str:
        return json.dumps({"type": kind, "channel": "scores", "key": "kraken:BTC-USD", "seq": seq, "rows": rows})

    async def handle(socket: ServerConnection) -> None:
        await socket.send(json.dumps({"type": "welcome", "version": "0.1.0", "rows": 1}))
        asked.append(json.loads(await socket.recv()))
        await socket.send(message("snapshot", 1, scores[:1]))
        await socket.send(message("delta", 3, scores[2:3]))  # the second is missing
        asked.append(json.loads(await socket.recv()))
        await socket.send(message("snapshot", 3, scores[:3]))
        await socket.send(message("delta", 4, scores[3:]))
        await socket.wait_closed()

    async with serve(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Following(f"http://127.0.0.1:{port}") as one:
            await one.until(6)
            assert [score.seq for score in one.scores] == [1, 3, 1, 2, 3, 4]
    assert asked == [{"op": "subscribe", "channels": ["scores"], "history": 1000}] * 2


@pytest.mark.parametrize("text", ["hello", '{"type": "delta", "rows": []}', '{"type": "snapshot", "rows": 5}'])
async def test_what_is_no_api_of_ours_is_told(text: str) -> None:
    async def handle(socket: ServerConnection) -> None:
        await socket.send(text)
        await socket.wait_closed()

    async with serve(handle, "127.0.0.1", 0) as server:
        async with Following(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as one:
            with pytest.raises(InputError, match="no API of this version of Quicksilver: "):
                await one.until(1)


async def test_an_address_that_refuses_is_not_asked_for_ever(tmp_path: Path) -> None:
    hub = Hub(SourceInfo("SIMULATED", "a test"))
    async with api(hub, tmp_path) as port, Following(f"http://127.0.0.1:{port}/elsewhere") as one:
        with pytest.raises(InputError, match=f"ws://127.0.0.1:{port}/elsewhere/ws: server rejected .*: HTTP 403"):
            await one.until(1)


@pytest.mark.parametrize("text", ["", "127.0.0.1:8000", "ftp://127.0.0.1", "http://"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no address of an API such as http"):
        websocket_of(text)
