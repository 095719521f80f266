"""The command ``quicksilver plot``."""

import os
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.choices import Span
from jobs.options import Folder, Since, Until, Venue
from quicksilver.errors import InputError
from setup.exits import failing

if TYPE_CHECKING:
    from jobs.plotting import Drawing

TOML = ".toml"


class Kind(StrEnum):
    """The kinds of pictures, as ``jobs/pictures/write.py`` has them, which takes a while to import."""

    BOUNDARIES = "boundaries"
    LEARNING_CURVE = "learning-curve"
    CALIBRATION = "calibration"
    CONFUSION = "confusion"
    IMPORTANCE = "importance"
    SCORE = "score"


def plot(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="CONFIG.toml: what it names, trained here; NAME or NAME@VERSION: of the registry.",
        ),
    ],
    source: Annotated[
        list[str], typer.Argument(metavar="FROM...", help="Tape, folder, CSV, SQLite file of a run, or cassandra.")
    ],
    only: Annotated[list[str] | None, typer.Option(help="Only this of the file; again for more.")] = None,
    kind: Annotated[list[Kind] | None, typer.Option(help="Only this kind; again for more.")] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Each version's live scores over time, which a run has stored in FROM.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the pictures [DATA/pictures], which the page shows.")
    ] = None,
    models: Folder = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Draw predictors as PNG, OUT/NAME/KIND.png: boundaries, learning curve, calibration, confusion, importance, score.

    Of CONFIG.toml also the boundaries of all side by side, OUT/CONFIG/boundaries.png.

    \b
    quicksilver plot predictors.toml prices.csv                trained walk-forward, judged by what came after
    quicksilver plot near@1f2e3d4c5b6a later.csv               a version as it is, judged by data after its own
    quicksilver plot near data/live.sqlite --live              how each version has done live
    """  # noqa: D301 (typer's mark of lines that are not to be wrapped)
    from jobs.plotting import Drawing
    from jobs.settings import PICTURES

    data = Path(os.environ.get("DATA") or "data")
    with failing():
        kinds = [one.value for one in Kind if not kind or one in kind]
        drawing = Drawing(out or data / PICTURES, kinds, typer.echo, partial(typer.echo, err=True))
        span = Span.of(since, until)
        if live and span != Span():
            raise InputError("--live draws all scores that are stored: no --since, no --until")
        _draw(what, source, only or [], live, models or data / "models", venue, span, drawing)
        if not drawing.drawn:
            raise InputError(f"nothing could be drawn of {what}, for the reasons above")


def _draw(
    what: str, sources: list[str], only: list[str], live: bool, models: Path, venue: str | None, span: Span,
    drawing: "Drawing",
) -> None:  # fmt: skip
    from jobs.plotting import Data, plot_config, plot_live, plot_version
    from jobs.predictor_choice import chosen
    from jobs.registry import Registry
    from jobs.tape_letters import Letters
    from jobs.tries import TriesFile
    from quicksilver.learning.config_file import read_predictors

    registry, letters = Registry(models), Letters()
    file = read_predictors(Path(what).read_bytes(), what) if what.endswith(TOML) else None
    name, _, version = what.partition("@")
    if only and file is None:
        raise InputError(f"--only chooses from a TOML file, and {what} is one predictor already")
    if live:
        names = [name] if file is None else [one for kind in chosen(file, only) for one in kind]
        plot_live(names, "" if file else version, registry, sources, drawing)
        return
    data = Data(sources, venue, letters, span)
    if file is not None:
        plot_config(file, Path(what), only, data, drawing, TriesFile(models))
    else:
        plot_version(name, version, registry, data, drawing)
    for line in letters.shown():
        typer.echo(f"not read: {line}", err=True)
