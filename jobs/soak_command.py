"""The command ``quicksilver soak``: simulated venues read for a long time."""

import asyncio
from typing import Annotated

import msgspec
import typer

from producers.simulator.soak import CALM_S, SIX, run_soak, shares_of
from producers.simulator.soak_venue import Plan
from producers.simulator.venues.registry import engine_of
from setup.exits import UNUSABLE, failing

ENOUGH = 0.9  # of the messages asked for: the markets are drawn, and say a little more or less


def soak(
    minutes: Annotated[float, typer.Option(help="how long", min=0.1)] = 30.0,
    symbols: Annotated[int, typer.Option(help="of each venue", min=1)] = 50,
    messages: Annotated[float, typer.Option(help="a second, of all venues together", min=1)] = 20_000.0,
    reconnect: Annotated[
        float, typer.Option(help="seconds between two breaks of a venue's connections; 0: none")
    ] = 60.0,
    venue: Annotated[str, typer.Option(help="comma separated")] = SIX,
    readers: Annotated[int, typer.Option(help="processes that share the venues", min=1)] = 2,
    seed: Annotated[int, typer.Option(help="the same seed gives the same markets")] = 7,
) -> None:
    """Read simulated venues for a long time; exit code 1 if anything was lost or memory grew."""
    names, seconds = [name.strip() for name in venue.split(",")], 60.0 * minutes
    with failing():
        for name in names:
            engine_of(name)
    shares = shares_of(names, symbols, messages)
    plans = [
        Plan(name, symbols, shares[name], reconnect, reconnect * (1 + place / len(names)), seconds - CALM_S,
             seed + place)
        for place, name in enumerate(names)
    ]  # fmt: skip
    try:
        totals = asyncio.run(run_soak(plans, readers, seconds, typer.echo))
    except (TimeoutError, EOFError) as error:
        typer.echo(f"error: {error or 'a process has ended; what it said is above'}", err=True)
        raise typer.Exit(UNUSABLE) from error
    typer.echo(msgspec.json.encode(totals).decode())
    if totals.messages_s < ENOUGH * messages:
        reached = f"{totals.messages_s:,.0f} of the {messages:,.0f} messages a second that were asked for"
        typer.echo(f"only {reached}: the venues do not say more of so many symbols, or this machine is slow", err=True)
    for complaint in totals.complaints():
        typer.echo(f"FAILED: {complaint}", err=True)
    raise typer.Exit(1 if totals.complaints() else 0)
