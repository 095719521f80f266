"""Publish a CSV file of prices: ``python producers/csv_producer.py FILE``.

Each price goes out as one line of JSON (``quicksilver.codec``) on standard output, at the file's own pace times
``--speed``; the counts follow on standard error.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from producers.csv_layout import ColumnChoice
from producers.csv_prices import CsvFile
from producers.exchanges.base import ignore
from producers.pacing import Pacer, parse_speed
from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.events import Price
from quicksilver.records import DeadLetter

SHOWN_LETTERS = 10


class Letters:
    """Says the first dead letters and counts them all."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.count = 0
        self._say = say

    def __call__(self, letter: DeadLetter) -> None:
        """Take in one dead letter."""
        self.count += 1
        if self.count <= SHOWN_LETTERS:
            self._say(f"{letter.source}: {letter.reason}")


async def play(file: CsvFile, pacer: Pacer, reject: Letters, times: int | None, step: bool) -> AsyncIterator[Price]:
    """Yield the file's prices at their pace, ``times`` over (None: for ever); with ``step`` each waits for Enter.

    Each further pass starts where the one before it ended, so that time and numbers only rise.

    Raises:
        InputError: no row could be read.
    """
    shift_ns, numbers, done = 0, dict[str, int](), 0
    while times is None or done < times:
        last: Price | None = None
        first_ns, base = None, dict(numbers)
        for price in file.prices(ignore if done else reject):
            first_ns = price.ts_event_ns if first_ns is None else first_ns
            moment = price.ts_event_ns + shift_ns
            numbers[price.symbol] = base.get(price.symbol, 0) + price.seq
            await pacer.wait(moment)
            if step:
                await asyncio.to_thread(sys.stdin.readline)
            last = price
            yield msgspec.structs.replace(price, ts_event_ns=moment, ts_recv_ns=moment, seq=numbers[price.symbol])
        done += 1
        if last is not None and first_ns is not None:
            shift_ns += last.ts_event_ns - first_ns + file.interval_ns


async def _publish_all(file: CsvFile, pacer: Pacer, letters: Letters, times: int | None, step: bool) -> int:
    published = 0
    async for price in play(file, pacer, letters, times, step):
        sys.stdout.buffer.write(codec.encode(price) + b"\n")
        published += 1
        if pacer.speed is not None or step:
            sys.stdout.buffer.flush()
    sys.stdout.buffer.flush()
    return published


def produce(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file of prices or candles, compressed or not.")],
    speed: Annotated[str, typer.Option(help="Factor of the file's own pace: 0.5, 1, 50 or max.")] = "max",
    loop: Annotated[int, typer.Option(help="How often to play it; 0: for ever.")] = 1,
    step: Annotated[bool, typer.Option("--step", help="Wait for Enter before each row.")] = False,
    symbol: Annotated[str | None, typer.Option(help="BASE-QUOTE; else told from columns or the file's name.")] = None,
    venue: Annotated[str, typer.Option(help="Name of the source in the events.")] = "csv",
    time_column: Annotated[str | None, typer.Option(help="Name or position (from 0) of the time.")] = None,
    price_column: Annotated[str | None, typer.Option(help="Name or position of the price.")] = None,
    volume_column: Annotated[str | None, typer.Option(help="Name or position of the volume.")] = None,
    columns: Annotated[str | None, typer.Option(help="Names of all columns of a file without a header.")] = None,
) -> None:
    """Publish the prices of a CSV file at their own pace, or a multiple of it."""
    letters = Letters(lambda text: typer.echo(text, err=True))
    names = tuple(name.strip() for name in columns.split(",")) if columns else None
    try:
        file = CsvFile(path, ColumnChoice(time_column, price_column, volume_column, names), venue=venue, symbol=symbol)
        published = asyncio.run(_publish_all(file, Pacer(parse_speed(speed)), letters, loop or None, step))
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: nothing left to tell
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if letters.count > SHOWN_LETTERS:
        typer.echo(f"... and {letters.count - SHOWN_LETTERS} more", err=True)
    counts = {"published": published, "duplicates": file.counts.duplicates, "rejected": file.counts.rejected}
    typer.echo(msgspec.json.encode(counts).decode(), err=True)


if __name__ == "__main__":
    typer.run(produce)
