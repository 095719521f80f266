"""A recording held up, stepped through and sped up; recorded moments lie so far apart that none comes by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from producers.playback import Playback
from quicksilver.errors import InputError

HOUR = 3_600_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


class Player:
    """Plays moments an hour apart, the first at once."""

    def __init__(self, playback: Playback) -> None:
        self.playback = playback
        self.seen: list[int] = []

    async def run(self) -> None:
        for hour in range(1_000):
            await self.playback.wait(hour * HOUR)
            self.seen.append(hour)

    async def rest(self) -> int:
        """Let everything happen that can; returns how many moments were let through so far."""
        n = -1
        while n != len(self.seen):
            n = len(self.seen)
            for _ in range(20):
                await asyncio.sleep(0)
        return n


@asynccontextmanager
async def playing(speed: float | None = 1.0) -> AsyncIterator[tuple[Player, Playback, Clock]]:
    clock = Clock()
    player = Player(Playback(speed, clock))
    task = asyncio.create_task(player.run())
    try:
        yield player, player.playback, clock
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_steps_let_so_many_through() -> None:
    async with playing() as (player, playback, _):
        assert await player.rest() == 1
        playback.step(1)
        assert await player.rest() == 2
        playback.step(3)
        assert await player.rest() == 5
        assert playback.state() == {
            "paused": True, "ended": False, "speed": 1.0, "played": 5, "position_ns": 4 * HOUR,
        }  # fmt: skip


async def test_a_pause_ends_steps_that_are_left_and_resume_goes_on_from_there() -> None:
    async with playing() as (player, playback, clock):
        await player.rest()
        playback.step(2)
        playback.pause()
        assert await player.rest() == 1
        clock.now += 10 * 3600
        assert await player.rest() == 1
        playback.step(2)
        assert await player.rest() == 3
        playback.resume()
        assert await player.rest() == 3  # the next is an hour after what was stepped to
        assert playback.due_in_s(3 * HOUR) == 3600


async def test_a_pause_in_the_midst_of_a_wait_is_not_made_up_for() -> None:
    async with playing() as (player, playback, clock):
        await player.rest()
        clock.now += 1800
        playback.pause()
        clock.now += 86_400
        playback.resume()
        assert await player.rest() == 1
        assert playback.due_in_s(HOUR) == 1800


async def test_another_speed_counts_from_now() -> None:
    async with playing() as (player, playback, clock):
        await player.rest()
        clock.now += 900
        playback.set_speed("3")
        assert playback.due_in_s(HOUR) == 900
        playback.set_speed("max")
        assert await player.rest() == 1000
        assert playback.state()["speed"] == "max"


async def test_a_speed_set_while_paused_is_for_later() -> None:
    async with playing() as (player, playback, _):
        await player.rest()
        playback.pause()
        playback.set_speed("max")
        assert await player.rest() == 1
        playback.resume()
        assert await player.rest() == 1000


async def test_what_is_paused_before_it_begins_waits() -> None:
    async with playing(None) as (player, playback, _):
        playback.pause()
        assert await player.rest() == 0
        playback.step(1)
        assert await player.rest() == 1
        playback.resume()
        assert await player.rest() == 1000


def test_a_speed_that_is_none_changes_nothing() -> None:
    playback = Playback(2.0)
    with pytest.raises(InputError, match="give a positive number"):
        playback.set_speed("fast")
    assert playback.speed == 2.0
