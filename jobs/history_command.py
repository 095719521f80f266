"""The command ``quicksilver models history``."""

from typing import Annotated

import msgspec
import typer

from jobs.options import Folder
from quicksilver.errors import InputError
from setup.exits import failing


def history(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A predictor.")],
    folder: Folder = None,
    only_json: Annotated[bool, typer.Option("--json", help="Print the lines as they are kept.")] = False,
) -> None:
    """Show what retraining has done with a predictor, and why; times are those of the events, in UTC."""
    from jobs.registry import Registry, models_folder
    from jobs.registry_history import History, told

    with failing():
        lines = History(models_folder(folder)).of(name)
        if not lines:
            Registry(models_folder(folder)).roles(name)  # raises, if there is no such predictor
            raise InputError(f"nothing was done with {name} but by hand: `quicksilver retrain` keeps a history")
    for one in lines:
        typer.echo(msgspec.json.encode(one).decode() if only_json else told(one))
