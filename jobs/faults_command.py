"""The command ``quicksilver faults``: the fault matrix of the simulated venues."""

import asyncio
from typing import Annotated

import typer

from producers.simulator.faults import KINDS
from producers.simulator.matrix import run_matrix, table
from producers.simulator.verdicts import VERDICTS, cases
from quicksilver.errors import InputError
from setup.exits import failing


def faults(
    venue: Annotated[str, typer.Option(help="of this venue alone")] = "",
    fault: Annotated[str, typer.Option(help="of this kind alone")] = "",
) -> None:
    """Let every fault happen at every simulated venue, print what came of it; exit code 1 if not all is as expected."""
    with failing():
        chosen = [one for one in cases() if venue in {"", one[0]} and fault in {"", one[1]}]
        if not chosen:
            raise InputError(f"no such case; venues are {', '.join(VERDICTS)}, faults {', '.join(KINDS)}")
    outcomes = asyncio.run(run_matrix(chosen))
    typer.echo(table(outcomes))
    raise typer.Exit(1 if any(one.complaints() for one in outcomes) else 0)
