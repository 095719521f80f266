"""The command ``quicksilver check-leaks``: what predictors find where there is nothing to be found."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from jobs.choices import Span
from jobs.options import ConfigFile, Only, Since, Sources, Until, Venue
from jobs.train_command import chosen_of
from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.config_file import read_predictors
from setup.exits import failing

if TYPE_CHECKING:
    from jobs.gathering import Gathered
    from quicksilver.learning.leaks import Finding

LEAKS = 1  # exit code


def check_leaks(
    config: ConfigFile,
    sources: Sources,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    only: Only = None,
    seed: Annotated[int, typer.Option(help="Of the shuffling and of the walk.")] = 0,
) -> None:
    """Train predictors on shuffled outcomes and on a random walk as long as the data: they must find nothing.

    Each measure is held against what the same predictions would score without any knowledge. The intervals are wide
    enough that all of them together give a false alarm in one of twenty checks. Exit code 0: nothing was found; 1: a
    measure shows more or less than chance explains, so there is a leak; 2: the data or the file cannot be used. The
    last line printed is one JSON object.
    """
    with failing():
        from jobs.gathering import gathered
        from jobs.progress import bars
        from jobs.tape_letters import Letters

        span, letters = Span.of(since, until), Letters()
        configs, _ = chosen_of(read_predictors(config.read_bytes(), str(config)), only or [])
        with bars() as bar:
            bar(f"reading {', '.join(sources)}", None)
            data = gathered(sources, configs.values(), letters, venue)
            step = bar("checking", len(configs))
            found = {}
            for name, one in configs.items():
                found[name] = _checked(name, one, data, span, seed, len(configs))
                step()
    for line in letters.shown():
        typer.echo(line, err=True)
    leaks = sum(one.leaks for some in found.values() for one in some)
    _print(found, leaks)
    told: dict[str, Any] = {
        name: [{**one._asdict(), "leaks": one.leaks} for one in some] for name, some in found.items()
    }
    typer.echo(msgspec.json.encode({"checked": told, "leaks": leaks}).decode())
    if leaks:
        raise typer.Exit(LEAKS)


def _checked(
    name: str, config: PredictorConfig, data: "Gathered", span: Span, seed: int, predictors: int
) -> "list[Finding]":
    import warnings

    from threadpoolctl import threadpool_limits

    from quicksilver.learning.leaks import checked

    try:
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")  # `train` tells of them, of the real data
            return checked(data.of(config, span), config, seed, predictors)
    except (InputError, ValueError) as error:
        raise InputError(f"predictor {name}: {error}") from error


def _print(found: "dict[str, list[Finding]]", leaks: int) -> None:
    from rich import box
    from rich.table import Table

    from jobs.reports import number, show
    from quicksilver.learning.verdict import TITLES

    heads = ("predictor", "data", "measure", "it scored", "without knowledge", "interval of the difference", "")
    table = Table(*heads, box=box.SIMPLE_HEAD)
    for column in table.columns[3:6]:
        column.justify = "right"
    for name, some in found.items():
        for one in some:
            low, high = (number(one.measure, value, "+") for value in (one.low, one.high))
            table.add_row(
                name, one.data, TITLES[one.measure], number(one.measure, one.value),
                number(one.measure, one.expected), f"{low} to {high}", "LEAK" if one.leaks else "nothing",
            )  # fmt: skip
        table.add_section()
    total = sum(map(len, found.values()))
    end = f"{leaks} of {total} intervals do not hold 0: there is a leak" if leaks else f"all {total} intervals hold 0"
    show(table, f"{end}.\n")
