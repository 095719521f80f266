"""Ctrl-C: asks a run to end, and is anybody's again once that has ended."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from producers.publishing import stop_on_signals


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_asks_for_the_end_and_a_second_ends_at_once(number: int) -> None:
    stop = stop_on_signals()
    signal.raise_signal(number)
    await asyncio.wait_for(stop.wait(), 5.0)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_after_a_run_a_program_that_goes_on_is_stopped_as_any_other() -> None:
    async def run() -> asyncio.Event:
        return stop_on_signals()

    asyncio.run(run())
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
