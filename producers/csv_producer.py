"""Publish a CSV file of prices: ``python producers/csv_producer.py FILE``.

Each price goes to topic ``price`` of Kafka, or with ``--out -`` as one line of JSON (``quicksilver.codec``) to standard
output, at the file's own pace times ``--speed``; the counts follow on standard error.
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
from producers.exchanges.base import Reject, ignore
from producers.pacing import Pacer, parse_speed
from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.events import Price
from quicksilver.records import DeadLetter

SERVERS = "127.0.0.1:9092"
SHOWN_LETTERS = 10
UNDELIVERED, INTERRUPTED = 1, 130  # exit codes


class Letters:
    """Says the first dead letters, counts them all and hands them on."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.count = 0
        self.send: Reject = ignore
        self.say = say

    def __call__(self, letter: DeadLetter) -> None:
        """Take in one dead letter."""
        self.count += 1
        if self.count <= SHOWN_LETTERS:
            self.say(f"{letter.source}: {letter.reason}")
        self.send(letter)

    def end(self) -> None:
        """Say how many were not said."""
        if self.count > SHOWN_LETTERS:
            self.say(f"... and {self.count - SHOWN_LETTERS} more")


async def play(file: CsvFile, pacer: Pacer, reject: Reject, times: int | None, step: bool) -> AsyncIterator[Price]:
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


async def _print_all(prices: AsyncIterator[Price], flush: bool) -> int:
    published = 0
    async for price in prices:
        sys.stdout.buffer.write(codec.encode(price) + b"\n")
        published += 1
        if flush:
            sys.stdout.buffer.flush()
    sys.stdout.buffer.flush()
    return published


async def _publish_all(
    file: CsvFile, prices: AsyncIterator[Price], letters: Letters, servers: str, session: str
) -> int:
    """Publish to Kafka and say the counts; returns the exit code."""
    from producers.kafka import KafkaPublisher
    from producers.publishing import publish_all, stop_on_signals, summary
    from quicksilver.config import PipelineConfig
    from quicksilver.topics import DEAD_LETTERS, PRICE

    config, say = PipelineConfig.for_rows(file.interval_ns), letters.say
    publisher = KafkaPublisher(servers, session, say, universe=config.universe, interval_ns=file.interval_ns)
    letters.send = publisher.letter
    stop = stop_on_signals()

    async def work() -> None:
        """Connect and publish each price, in order."""
        await publisher.connect([PRICE.name, DEAD_LETTERS.name])
        async for price in prices:
            await publisher.event(price)

    left = await publish_all(publisher, work(), stop, say)
    letters.end()
    say(summary(publisher, left, duplicates=file.counts.duplicates, rejected=file.counts.rejected))
    return UNDELIVERED if left else INTERRUPTED if stop.is_set() else 0


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
    out: Annotated[str | None, typer.Option(help="-: print events on standard output, without Kafka.")] = None,
    servers: Annotated[str, typer.Option(envvar="KAFKA_SERVERS", help="Kafka's addresses, with commas.")] = SERVERS,
    session: Annotated[str, typer.Option(help="Name of this run, to play a file anew; else told from the file.")] = "",
) -> None:
    """Publish the prices of a CSV file to Kafka's topic price, at their own pace or a multiple of it."""
    letters = Letters(lambda text: typer.echo(text, err=True))
    names = tuple(name.strip() for name in columns.split(",")) if columns else None
    code = 0
    try:
        if out not in {None, "-"}:
            raise InputError(f"--out {out}: only - is known, standard output")
        file = CsvFile(path, ColumnChoice(time_column, price_column, volume_column, names), venue=venue, symbol=symbol)
        pacer = Pacer(parse_speed(speed))
        prices = play(file, pacer, letters, loop or None, step)
        if out is None:
            from producers.sessions import checked, csv_session

            name = checked(session) if session else csv_session(file, loop or None)
            code = asyncio.run(_publish_all(file, prices, letters, servers, name))
        else:
            published = asyncio.run(_print_all(prices, pacer.speed is not None or step))
            letters.end()
            counts = {"published": published, "duplicates": file.counts.duplicates, "rejected": file.counts.rejected}
            typer.echo(msgspec.json.encode(counts).decode(), err=True)
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: nothing left to tell
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if code:
        raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(produce)
