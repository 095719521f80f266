"""``python -m producers.simulator``: a simulated venue, for any program that reads that venue's public interface."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from producers.simulator.faults import parse_fault
from producers.simulator.listings import LISTINGS, listing_of
from producers.simulator.orderflow import Market
from producers.simulator.serving import Served, serve_venue, tls_of
from producers.simulator.tape_server import TapeServer
from producers.simulator.venue_server import VenueServer
from producers.simulator.venues.registry import engine_of
from quicksilver.errors import InputError


async def _serve_until_stopped(server: Served, what: str, port: int, tls: tuple[Path, Path] | None) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serve_venue(server, port=port, tls=tls_of(*tls) if tls else None):
        typer.echo(f"simulated {what}: {server.url}  REST: {server.rest_url}")
        await stopped.wait()
    typer.echo("stopped")


async def _run(
    venue: str, played: Path | Market, faults: list[str], port: int, speed: float, tls: tuple[Path, Path] | None
) -> None:
    if isinstance(played, Path):
        await _serve_until_stopped(TapeServer(played, venue, speed), f"{venue} from {played}", port, tls)
        return
    engine = engine_of(venue)(played)
    clock = time.time_ns if speed == 1.0 else None
    server = VenueServer(engine, speed, [parse_fault(one) for one in faults], clock)
    await _serve_until_stopped(server, f"{venue}, symbols: {', '.join(engine.books)}", port, tls)


def main(
    venue: Annotated[str, typer.Option(help="whose protocol")] = "kraken",
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
    try:
        listings = [listing_of(name) for name in symbols.split(",")]
        played = tape or Market(seed, time.time_ns(), listings, rate)
        asyncio.run(_run(venue, played, fault or [], port, speed, tls))
    except (InputError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
