"""``python -m producers.simulator``: a simulated venue, for any program that reads that venue's public interface."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from producers.exchanges.venue import venues
from producers.simulator.faults import parse_fault
from producers.simulator.listings import LISTINGS, listing_of
from producers.simulator.orderflow import Market
from producers.simulator.server import serve
from producers.simulator.serving import Served, serve_venue, tls_of
from producers.simulator.tape_server import TapeServer
from producers.simulator.venue_server import VenueServer
from producers.simulator.venues.registry import engine_of
from quicksilver.errors import InputError

KRAKEN = "kraken"


def _stopping() -> asyncio.Event:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


async def _serve_until_stopped(market: Market, port: int, speed: float) -> None:
    stopped = _stopping()
    async with serve(market, port=port, speed=speed) as server:
        typer.echo(f"simulated exchange (Kraken v2): {server.url}  symbols: {', '.join(market.books)}")
        await stopped.wait()
    typer.echo("stopped")


async def _serve_venue_until_stopped(server: Served, what: str, port: int, tls: tuple[Path, Path] | None) -> None:
    stopped = _stopping()
    async with serve_venue(server, port=port, tls=tls_of(*tls) if tls else None):
        typer.echo(f"simulated {what}: {server.url}  REST: {server.rest_url}")
        await stopped.wait()
    typer.echo("stopped")


async def _run(
    venue: str, tape: Path | None, market: Market | None, faults: list[str], port: int, speed: float,
    tls: tuple[Path, Path] | None,
) -> None:  # fmt: skip
    if tape is not None:
        await _serve_venue_until_stopped(TapeServer(tape, venue, speed), f"{venue} from {tape}", port, tls)
    elif market is not None and venue:
        engine = engine_of(venue)(market)
        clock = time.time_ns if speed == 1.0 else None
        server = VenueServer(engine, speed, [parse_fault(one) for one in faults], clock)
        await _serve_venue_until_stopped(server, f"{venue}, symbols: {', '.join(engine.books)}", port, tls)
    elif market is not None:
        await _serve_until_stopped(market, port, speed)


def main(
    venue: Annotated[str, typer.Option(help="whose protocol; without it Kraken's, websocket alone")] = "",
    port: Annotated[int, typer.Option(help="port on 127.0.0.1; 0 takes a free one")] = 0,
    seed: Annotated[int, typer.Option(help="the same seed gives the same market")] = 7,
    speed: Annotated[float, typer.Option(help="simulated seconds in a second")] = 1.0,
    rate: Annotated[float, typer.Option(help="times the usual number of messages")] = 1.0,
    symbols: Annotated[str, typer.Option(help="comma separated")] = ",".join(LISTINGS),
    tls: Annotated[tuple[Path, Path] | None, typer.Option(help="certificate and key, PEM files")] = None,
    fault: Annotated[
        list[str] | None, typer.Option(help="KIND, and if wanted :SYMBOL @START +FOR /EVERY; may be given again")
    ] = None,
    tape: Annotated[Path | None, typer.Option(help="play this recording instead of a simulated market")] = None,
) -> None:
    """Serve a simulated venue until Ctrl-C."""
    names = [name.strip() for name in symbols.split(",")]
    try:
        if (fault or tls or tape) and not venue:
            raise InputError(f"--fault, --tls and --tape need --venue, one of {', '.join(sorted(venues()))}")
        listings = [listing_of(name) for name in names] if venue else names
        market = None if tape else Market(seed, time.time_ns(), listings, rate)
        asyncio.run(_run(venue, tape, market, fault or [], port, speed, tls))
    except (InputError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
