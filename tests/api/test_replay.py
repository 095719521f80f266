"""``/api/replay``: a recording held up and stepped through over REST, by whom it may be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.server import serving
from api.store_sqlite import SqliteStore
from producers.playback import Playback

HOUR = 3_600_000_000_000
FRESH = {"paused": False, "ended": False, "speed": 2.0, "played": 0, "position_ns": None}


@asynccontextmanager
async def served(folder: Path, playback: Playback | None) -> AsyncIterator[httpx.AsyncClient]:
    hub, store = Hub(SourceInfo("TAPE", "a test")), SqliteStore(folder / "x.sqlite")
    try:
        async with serving(create_app(hub, store, None, playback=playback), "127.0.0.1", 0) as port:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as client:
                yield client
    finally:
        store.close()


async def test_it_is_paused_stepped_and_goes_on(tmp_path: Path) -> None:
    playback = Playback(2.0)
    async with served(tmp_path, playback) as client:
        assert (await client.get("/api/replay")).json() == FRESH
        for order, wanted in (
            ({"action": "pause"}, {"paused": True}),
            ({"action": "speed", "speed": "max"}, {"paused": True, "speed": "max"}),
            ({"action": "resume", "speed": 0.5}, {"speed": 0.5}),
        ):
            answer = await client.post("/api/replay", json=order)
            assert (answer.status_code, answer.json()) == (200, FRESH | wanted)


async def test_a_step_answers_when_it_is_done(tmp_path: Path) -> None:
    playback, taken = Playback(2.0), list[int]()

    async def play() -> None:
        for hour in range(4):
            await playback.wait(hour * HOUR)
            await asyncio.sleep(0.02)  # which it takes to make records of it
            taken.append(hour)
        playback.end()

    async with served(tmp_path, playback) as client:
        await client.post("/api/replay", json={"action": "pause"})
        playing = asyncio.create_task(play())
        for n, played in ((1, 1), (2, 3), (9, 4), (1, 4)):  # beyond the end there is nothing to wait for
            answer = (await client.post("/api/replay", json={"action": "step", "n": n})).json()
            assert (answer["paused"], answer["played"], answer["ended"]) == (True, played, played == 4)
            assert (answer["position_ns"], len(taken)) == ((played - 1) * HOUR, played)
        await playing


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ({"action": "rewind"}, "action: Input should be 'pause', 'resume', 'step' or 'speed'"),
        ({"action": "step", "n": 0}, "n: Input should be greater than or equal to 1"),
        ({"action": "pause", "speed": "fast"}, "speed 'fast': give a positive number such as 0.5, 1 or 50, or max"),
        ({"action": "speed", "speed": "1e308"}, "speed '1e308': from 1e-06 to 1e+09, or max, which waits for nothing"),
        ({"action": "speed", "speed": 1e-320}, "speed '1e-320': from 1e-06 to 1e+09, or max, which waits for nothing"),
        ({"action": "speed"}, "speed: give a positive number such as 0.5, 1 or 50, or max"),
        ({"action": "pause", "x": 1}, "x: Extra inputs are not permitted"),
    ],
)
async def test_what_is_no_order_is_refused_and_changes_nothing(
    tmp_path: Path, order: dict[str, object], why: str
) -> None:
    async with served(tmp_path, Playback(2.0)) as client:
        answer = await client.post("/api/replay", json=order)
        assert (answer.status_code, answer.json()) == (422, {"detail": why})
        assert (await client.get("/api/replay")).json() == FRESH


async def test_what_is_live_cannot_be_paused(tmp_path: Path) -> None:
    why = "this source is no recording: only SOURCE=tape and SOURCE=csv can be paused and stepped through"
    async with served(tmp_path, None) as client:
        for answer in (await client.get("/api/replay"), await client.post("/api/replay", json={"action": "pause"})):
            assert (answer.status_code, answer.json()) == (409, {"detail": why})


async def test_other_sites_may_not_hold_it_up(tmp_path: Path) -> None:
    """A form of any site can be sent here by its visitor's browser; it says whose it is."""
    async with served(tmp_path, Playback(2.0)) as client:
        ours = str(client.base_url).rstrip("/")
        for origin, code in (("http://evil.example", 403), ("null", 403), (ours, 200)):
            answer = await client.post("/api/replay", json={"action": "pause"}, headers={"Origin": origin})
            assert answer.status_code == code
            assert (await client.get("/api/replay", headers={"Origin": origin})).json()["paused"] == (code == 200)
        refused = await client.post("/api/replay", json={"action": "pause"}, headers={"Origin": "http://evil.example"})
        assert refused.json() == {"detail": "pages of 'http://evil.example' may not change anything here"}
