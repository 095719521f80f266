"""The command ``quicksilver check-leaks``: what predictors find where there is nothing to be found."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from jobs.choices import Span
from jobs.options import ConfigFile, Only, Since, Sources, Until, Venue
from jobs.predictor_choice import chosen_with_members
from quicksilver.errors import InputError
from quicksilver.learning.config_file import read_predictors
from setup.exits import failing

if TYPE_CHECKING:
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
    """Train predictors and ensembles on shuffled outcomes and on a random walk as long as the data.

    They must find nothing, an ensemble's stacking no more than its members.

    Each measure is held against what the same predictions would score without any knowledge. The intervals are wide
    enough that all of them together give a false alarm in one of twenty checks; the table says how large a difference
    of each measure would have shown. Exit code 0: nothing was found; 1: a
    measure shows more or less than chance explains, so there is a leak; 2: the data or the file cannot be used. The
    last line printed is one JSON object.
    """
    with failing():
        from jobs.gathering import gathered
        from jobs.progress import bars
        from jobs.tape_letters import Letters
        from jobs.training import naming
        from quicksilver.learning.leaks import checked, checked_ensemble
        from quicksilver.learning.material import features_of, material_of

        span, letters = Span.of(since, until), Letters()
        configs, ensembles = chosen_with_members(read_predictors(config.read_bytes(), str(config)), only or [])
        with bars() as bar:
            bar(f"reading {', '.join(sources)}", None)
            data = gathered(sources, configs.values(), letters, venue)
            n = len(configs) + len(ensembles)
            found = {}
            for name, one in configs.items():
                step = bar(f"checking {name}", 1)
                with naming(name), _alone():
                    found[name] = checked(data.of(one, span), one, seed, n)
                step()
            for name, ensemble in ensembles.items():
                step = bar(f"checking {name}", 1)
                with naming(name, "ensemble"), _alone():
                    histories = data.within(span, features_of(ensemble, configs))
                    material = material_of(name, ensemble, configs, histories, code="")
                    found[name] = checked_ensemble(material, histories, seed, n)
                step()
    for line in letters.shown():
        typer.echo(line, err=True)
    leaks = sum(one.leaks for some in found.values() for one in some)
    _print(found, {name: "ensemble" if name in ensembles else "predictor" for name in found}, leaks)
    told: dict[str, Any] = {
        name: [{**one._asdict(), "least": one.least, "leaks": one.leaks} for one in some]
        for name, some in found.items()
    }
    typer.echo(msgspec.json.encode({"checked": told, "leaks": leaks}).decode())
    if leaks:
        raise typer.Exit(LEAKS)


@contextmanager
def _alone() -> Iterator[None]:
    """Check on one thread, without the warnings of libraries, of which `train` tells; what they refuse is said."""
    import warnings

    from threadpoolctl import threadpool_limits

    try:
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            yield
    except ValueError as error:
        raise InputError(str(error)) from error


def _print(found: "dict[str, list[Finding]]", kinds: dict[str, str], leaks: int) -> None:
    from rich import box
    from rich.table import Table

    from jobs.reports import number, show, titled

    table = Table(
        "", "", "data", "measure", "it scored", "without knowledge", "difference lies in", "shows from", "",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for column in table.columns[4:8]:
        column.justify = "right"
    for name, some in found.items():
        for one in some:
            low, high = (number(one.measure, value, "+") for value in (one.low, one.high))
            table.add_row(
                kinds[name], name, one.data, titled(one.measure), number(one.measure, one.value),
                number(one.measure, one.expected), f"{low} to {high}",
                number(one.measure, one.least), "LEAK" if one.leaks else "nothing",
            )  # fmt: skip
        table.add_section()
    total = sum(map(len, found.values()))
    end = f"{leaks} of {total} intervals do not hold 0: there is a leak" if leaks else f"all {total} intervals hold 0"
    show(table, f"{end}.\n")
