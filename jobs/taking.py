"""Taking in a source while others watch: whichever fails ends all."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


async def take_and_watch(
    take: Coroutine[Any, Any, None], report: Callable[[], None], *watches: Coroutine[Any, Any, None]
) -> None:
    """Return when all is taken, with a last report; what went wrong is raised."""
    taking, watching = asyncio.create_task(take), [asyncio.create_task(watch) for watch in watches]
    try:
        done, _ = await asyncio.wait({taking, *watching}, return_when=asyncio.FIRST_COMPLETED)
        (taking if taking.done() else done.pop()).result()  # raises what went wrong
    finally:
        for task in (taking, *watching):
            task.cancel()
        ended = await asyncio.gather(taking, *watching, return_exceptions=True)
        if not any(isinstance(one, Exception) for one in ended):  # else its own error could hide theirs
            report()
