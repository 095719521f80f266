"""What ``run``, ``serve`` and ``publish`` share: options that are settings, and a start that can be stopped."""

import asyncio
import os
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from pydantic_settings import BaseSettings

from jobs.settings import FullBookSettings, RunSettings

T = TypeVar("T")


def setting(name: str, *options: str, of: type[BaseSettings] = RunSettings) -> typer.models.OptionInfo:
    """Return the option of a setting; all that its help says is said in the settings alone."""
    field = of.model_fields[name]
    return typer.Option(*options, help=f"{field.description} [{name.upper()}={field.default or ''}]")


FullBooksPerS = Annotated[float | None, setting("full_books_per_s")]
FullBookLevels = Annotated[int | None, setting("full_book_levels")]


def full_books(per_s: float | None, levels: int | None) -> FullBookSettings:
    """Return the settings of these options; of one that is not given the environment's."""
    given: dict[str, Any] = {"full_books_per_s": per_s, "full_book_levels": levels}
    return FullBookSettings(**{name: value for name, value in given.items() if value is not None})


async def prepared(work: Callable[[], T], stop: asyncio.Event, say: Callable[[str], None]) -> T:
    """Return what ``work`` does in seconds, in a thread; told to ``stop`` before, end the program at once."""
    preparing, stopping = asyncio.create_task(asyncio.to_thread(work)), asyncio.create_task(stop.wait())
    await asyncio.wait({preparing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not preparing.done():
        say("stopped")
        os._exit(0)  # a thread that compiles or reads cannot be stopped, and an orderly end would wait for it
    return preparing.result()
