"""``python -m producers.simulator``: the simulated exchange, for any program that reads Kraken's websocket v2."""

import asyncio
import signal
import time
from typing import Annotated

import typer

from producers.simulator.listings import LISTINGS
from producers.simulator.orderflow import Market
from producers.simulator.server import serve
from quicksilver.errors import InputError


async def _serve_until_stopped(market: Market, port: int, speed: float) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serve(market, port=port, speed=speed) as server:
        typer.echo(f"simulated exchange (Kraken v2): {server.url}  symbols: {', '.join(market.books)}")
        await stopped.wait()
    typer.echo("stopped")


def main(
    port: Annotated[int, typer.Option(help="port on 127.0.0.1; 0 takes a free one")] = 0,
    seed: Annotated[int, typer.Option(help="the same seed gives the same market")] = 7,
    speed: Annotated[float, typer.Option(help="simulated seconds in a second")] = 1.0,
    rate: Annotated[float, typer.Option(help="times the usual number of messages")] = 1.0,
    symbols: Annotated[str, typer.Option(help="comma separated")] = ",".join(LISTINGS),
) -> None:
    """Serve the simulated market until Ctrl-C."""
    names = [name.strip() for name in symbols.split(",")]
    try:
        asyncio.run(_serve_until_stopped(Market(seed, time.time_ns(), names, rate), port, speed))
    except (InputError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
