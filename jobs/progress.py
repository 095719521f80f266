"""Progress of long work: bars on a terminal, else a line at the start of each but reading."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Step = Callable[[], object]
Bar = Callable[[str, int | None], Step]
"""Begins a bar: what is done, and in how many steps if that is known; what it returns is called after each."""


@contextmanager
def bars() -> Iterator[Bar]:
    """Show bars while the context lasts, gone afterwards; in a file or a pipe a line says what is begun."""
    console = Console(stderr=True)
    what = TextColumn("{task.description}")
    columns = (SpinnerColumn(), what, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def begin(what: str, total: int | None) -> Step:
            """Begin a bar."""
            if total is not None and not console.is_terminal:
                typer.echo(f"{what} ...", err=True)
            return partial(progress.advance, progress.add_task(what, total=total))

        yield begin
