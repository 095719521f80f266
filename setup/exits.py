"""How every command ends that cannot do its work: in one line of text, and with an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError

from quicksilver.errors import QuicksilverError

UNUSABLE = 2  # nothing could be read, or an option or a setting cannot be used
INTERRUPTED = 130


@contextmanager
def failing() -> Iterator[None]:
    """Say what a user can do about an error, and end with the exit code for it.

    Raises:
        typer.Exit: with that code.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # who reads has had enough
    except (ValidationError, QuicksilverError, OSError) as error:
        why = _why(error)
        if not why:
            raise  # a time limit that nobody foresaw: its traceback says more
        typer.echo(f"error: {why}", err=True)
        raise typer.Exit(UNUSABLE) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):  # of settings: each is the environment variable of its name in capitals
        first = error.errors()[0]
        return f"{str(first['loc'][0]).upper()}={first['input']}: {first['msg']}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
