"""``quicksilver tape``: what is on a tape, whether it is sound, a part of it, another layout."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.choices import LEAST, MOST, Span, seconds_ns, time_ns
from jobs.tape_letters import Letters
from producers.csv_producer import SERVERS
from quicksilver.errors import InputError
from setup.exits import failing

FAULTS = 1  # exit code of a tape that shows faults
PIPED_WIDTH = 160  # columns of a table that no terminal bounds

tape = typer.Typer(help="Tapes: info, verify, cut, convert.", no_args_is_help=True)
Tape = Annotated[Path, typer.Argument(metavar="TAPE", help="A recording, or a folder of recordings of one session.")]
Whose = Annotated[str | None, typer.Option("--venue", help="Whose frames they are, where the tape does not say.")]
Json = Annotated[bool, typer.Option("--json", help="Print nothing but the JSON.")]


@tape.command()
def info(
    path: Tape,
    venue: Whose = None,
    quiet: Annotated[float, typer.Option(help="Seconds without a frame that are a silence.")] = 10.0,
    only_json: Json = False,
) -> None:
    """Say what a tape holds; the last line is one JSON object."""
    from jobs import tape_info

    with failing():
        found, letters = tape_info.info(path, venue, seconds_ns("--quiet", quiet))
    if not only_json:
        _print(tape_info.table_of(found), letters.shown())
    _answer(found)


@tape.command()
def verify(
    path: Tape,
    venue: Whose = None,
    skip: Annotated[float, typer.Option(help="Seconds from the start whose books are not compared.", min=0.0)] = 0.0,
    only_json: Json = False,
) -> None:
    """Check all sequence numbers, checksums and books; the last line is one JSON object.

    Exit code 0: nothing is wrong with the tape; 1: it shows a gap, a failed checksum, a crossed book, a frame that
    cannot be read, a tear, or an instrument whose best prices are mostly not those of the whole books on it; 2: nothing
    could be read. Where the tape holds no whole book to begin with, that is said, and ``checked`` is false.
    """
    from jobs import tape_verify

    with failing():
        found, letters = tape_verify.verify(path, venue, seconds_ns("--skip", skip) if skip else 0)
    if not only_json:
        _print(tape_verify.table_of(found), letters.shown())
    _answer(found)
    if not found["checked"]:
        typer.echo(f"{path}: {tape_verify.UNCHECKED}", err=True)
    if tape_verify.has_faults(found):
        raise typer.Exit(FAULTS)


@tape.command()
def cut(
    path: Tape,
    out: Annotated[Path, typer.Argument(help="The new tape, such as cut.tape.zst.")],
    start: Annotated[str | None, typer.Option(help="From here: seconds from the first frame, or a time (ISO).")] = None,
    end: Annotated[str | None, typer.Option(help="To before here: seconds from the first frame, or a time.")] = None,
    venue: Annotated[list[str] | None, typer.Option(help="Only this venue's frames; may be repeated.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Only this symbol, BASE-QUOTE; may be repeated.")] = None,
    run_up: Annotated[bool, typer.Option(help="Keep what the books at the start are made of.")] = True,
    tape_venue: Annotated[str | None, typer.Option(help="Whose frames they are, where the tape does not say.")] = None,
) -> None:
    """Cut a part out of a tape, with the frames before it that its books are made of; prints one JSON object.

    Exit code 1: the tape is torn or damaged before that end; what can be read is written, with marks where it cannot.
    """
    from jobs import tape_cut
    from producers.tapes import read_frames

    with failing():
        first = next(iter(read_frames(path, venue=tape_venue)), None)
        if first is None:
            raise InputError(f"{path}: the tape holds no frames")
        span = Span(_time("--start", start, first.ts_recv_ns, LEAST), _time("--end", end, first.ts_recv_ns, MOST))
        if span.since_ns >= span.until_ns:
            raise InputError(f"--start {start} is not before --end {end}")
        wanted = tape_cut.Wanted(*span, frozenset(venue or ()), frozenset(one.upper() for one in symbol or ()))
        about = {"source": "TAPE", "detail": f"cut from {path}", "start_ns": span.since_ns, "end_ns": span.until_ns}
        found, letters = tape_cut.cut(
            lambda reject: read_frames(path, venue=tape_venue, reject=reject), out, wanted, about, run_up
        )
    _made(found, letters)


@tape.command()
def convert(
    source: Annotated[str, typer.Argument(help="A recording of any layout, a folder of them, or kafka:raw.")],
    out: Annotated[Path, typer.Argument(help="The new tape, such as mine.tape.zst.")],
    venue: Whose = None,
    start: Annotated[str | None, typer.Option(help="Frames received from here on, a time (ISO).")] = None,
    end: Annotated[str | None, typer.Option(help="Frames received before here, a time (ISO).")] = None,
    kafka_servers: Annotated[
        str, typer.Option("--servers", envvar="KAFKA_SERVERS", help="Kafka's addresses, for kafka:raw.")
    ] = SERVERS,
) -> None:
    """Write all frames of a recording, or of topic raw, to a tape of our own layout; prints one JSON object.

    Exit code 1: it is torn or damaged; what can be read is written, with marks where it cannot.
    """
    from jobs import tape_convert

    with failing():
        span = Span.of(start, end, ("--start", "--end"))
        found, letters = tape_convert.convert(source, out, venue, kafka_servers, span)
    _made(found, letters)


def _made(found: dict[str, Any], letters: Letters) -> None:
    """Say what a new tape holds, and what could not be read of that which it is made of."""
    for line in letters.shown():
        typer.echo(line, err=True)
    _answer(found)
    if letters.count:
        raise typer.Exit(FAULTS)


def _time(option: str, text: str | None, first_ns: int, otherwise: int) -> int:
    """Return the time that a user wrote: seconds from the first frame, or a date."""
    if text is None:
        return otherwise
    try:
        seconds = float(text)
    except ValueError:
        return time_ns(option, text)
    return first_ns + (0 if seconds == 0.0 else seconds_ns(option, seconds))


def _print(table: Any, lines: list[str]) -> None:
    from rich.console import Console

    console = Console()
    Console(width=None if console.is_terminal else PIPED_WIDTH).print(table)
    for line in lines:
        typer.echo(line, err=True)


def _answer(found: dict[str, Any]) -> None:
    from jobs.tape_verify import encoded

    typer.echo(encoded(found))
