"""The pacer: deadlines from the first moment, no drift, no real waiting in the tests."""

import pytest

from producers.pacing import Pacer, parse_speed
from quicksilver.errors import InputError

SECOND = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


async def test_original_spacing_divided_by_speed() -> None:
    clock = Clock()
    pacer = Pacer(2.0, clock, clock.sleep)
    for ts in (5, 7, 7, 13):
        await pacer.wait(ts * SECOND)
    assert clock.slept == pytest.approx([1.0, 3.0])


async def test_delays_do_not_add_up() -> None:
    clock = Clock()
    pacer = Pacer(1.0, clock, clock.sleep)
    for i in range(100):
        await pacer.wait(i * SECOND)
        clock.now += 0.25  # the reader's own work
    assert clock.now == pytest.approx(100.0 + 99 + 0.25)


async def test_at_full_speed_nothing_waits() -> None:
    clock = Clock()
    await Pacer(None, clock, clock.sleep).wait(10**30)
    assert clock.slept == []


def test_speeds() -> None:
    assert parse_speed("max") is None
    assert parse_speed("0.5") == 0.5
    for text in ("0", "-1", "nan", "inf", "fast", ""):
        with pytest.raises(InputError, match="give a positive number"):
            parse_speed(text)
