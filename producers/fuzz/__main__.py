"""``python -m producers.fuzz --venue kraken``: a venue's parser under frames made to hurt; exit code 1 if it fails."""

import os
from pathlib import Path
from random import Random
from typing import Annotated

import msgspec
import typer

from producers.exchanges.venue import venues
from producers.fuzz.corpus import foreign, sessions
from producers.fuzz.run import Fuzz, stream
from quicksilver.errors import InputError

SHOWN = 300  # bytes of a frame that did harm
_TAPES = Path(os.environ.get("QUICKSILVER_TAPES", Path(__file__).resolve().parents[3] / "shared" / "data"))


def main(
    venue: Annotated[str, typer.Option(help="Whose parser; all, one after the other: all.")] = "all",
    frames: Annotated[int, typer.Option(help="How many frames.", min=1)] = 1_000_000,
    seconds: Annotated[float, typer.Option(help="End after so long for a venue.", min=0.0)] = float("inf"),
    seed: Annotated[int, typer.Option(help="Of all draws; the same frames for the same seed and recordings.")] = 1,
    tapes: Annotated[Path | None, typer.Option(help="A recording or a folder of them [QUICKSILVER_TAPES].")] = None,
) -> None:
    """Feed a parser with good and bad frames, see that it goes on, and print what it has done, a line a venue."""
    failed = False
    if tapes is not None and not tapes.exists():
        typer.echo(f"error: {tapes}: no such file or folder", err=True)
        raise typer.Exit(2)
    for name in sorted(venues()) if venue == "all" else [venue]:
        try:
            rng = Random(f"{seed} {name}")
            report = Fuzz(name, seed).run(stream(rng, sessions(name, tapes or _TAPES), foreign(name)), frames, seconds)
        except InputError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from None
        line = {key: getattr(report, key) for key in report.__struct_fields__ if key != "failures"}
        typer.echo(msgspec.json.encode(line).decode())
        for failure in report.failures:
            failed = True
            typer.echo(f"FAILED: {failure.what}\n  {failure.frame.source}: {failure.frame.payload[:SHOWN]!r}", err=True)
    raise typer.Exit(failed)


if __name__ == "__main__":
    typer.run(main)
