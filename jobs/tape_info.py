"""``quicksilver tape info``: what a tape holds: whose frames, of which symbols and channels, from when to when."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from jobs.parsers import Parsers
from jobs.tape_letters import Letters
from producers.exchanges.base import ignore
from producers.files import READ_ERRORS
from producers.frames import Frame
from producers.tapes import layout_of, read_frames
from producers.tapes.damaged import open_tape
from producers.tapes.own import header_of
from producers.times import WALL_CLOCK_NS
from quicksilver.codec import UNREADABLE
from quicksilver.errors import FrameError, InputError
from quicksilver.events import SECOND_NS

SILENCES = 10  # the longest ones are shown
CHANNELS = 200  # different ones of a venue; a feed of all symbols names a channel for each
OTHER = "(other)"


class _Said(msgspec.Struct):
    """Where the venues' messages say what they are."""

    channel: Any = None
    stream: Any = None
    e: Any = None
    event: Any = None
    type: Any = None
    method: Any = None


_said = msgspec.json.Decoder(_Said).decode


def channel_of(payload: bytes) -> str:
    """Return what a message says that it is, for people; of an array that is ``(array)``.

    >>> channel_of(b'{"channel": "book", "type": "update"}'), channel_of(b"[1, []]"), channel_of(b"?")
    ('book', '(array)', '(other)')
    """
    if payload[:1] == b"[":
        return "(array)"
    try:
        said = _said(payload)
    except UNREADABLE:
        return OTHER
    values = (getattr(said, name) for name in said.__struct_fields__)
    return next((value for value in values if isinstance(value, str) and value), OTHER)


class _Venue:
    """What is known of one venue's frames."""

    def __init__(self) -> None:
        self.frames = self.bytes = 0
        self.directions: Counter[str] = Counter()
        self.channels: Counter[str] = Counter()
        self.connections: set[str] = set()

    def take(self, frame: Frame) -> None:
        """Take in a frame."""
        self.frames += 1
        self.bytes += len(frame.payload)
        self.directions[frame.direction] += 1
        self.connections.add(frame.conn)
        if frame.direction == "recv":
            name = channel_of(frame.payload)
            self.channels[name if name in self.channels or len(self.channels) < CHANNELS else OTHER] += 1


class _Times:
    """First and last receive time, silences, and how often time went back."""

    def __init__(self, quiet_ns: int) -> None:
        self.first_ns: int | None = None
        self.last_ns = 0
        self.backwards = 0
        self.silences: list[tuple[int, int]] = []  # how long, and after which moment
        self._quiet_ns = quiet_ns

    def take(self, ts_ns: int) -> None:
        """Take in a receive time."""
        if self.first_ns is None:
            self.first_ns = self.last_ns = ts_ns
        self.backwards += ts_ns < self.last_ns
        if ts_ns - self.last_ns > self._quiet_ns:
            self.silences.append((ts_ns - self.last_ns, self.last_ns))
        self.last_ns = max(self.last_ns, ts_ns)


def info(tape: Path, venue: str | None, quiet_ns: int) -> tuple[dict[str, Any], Letters]:
    """Return what a tape holds, and the lines that could not be read.

    Raises:
        InputError: the tape cannot be read, or holds no frame.
    """
    letters, parsers = Letters(), Parsers(ignore)
    venues: dict[str, _Venue] = {}
    times, symbols = _Times(quiet_ns), Counter[tuple[str, str]]()
    for frame in read_frames(tape, venue=venue, reject=letters):
        venues.setdefault(frame.venue, _Venue()).take(frame)
        times.take(frame.ts_recv_ns)
        symbols.update((event.venue, event.symbol) for event in parsers.parse(frame))
    if times.first_ns is None:
        raise InputError(": ".join([f"{tape}: the tape holds no frames", *letters.reasons[:1]]))
    files = sorted(one for one in tape.iterdir() if one.is_file()) if tape.is_dir() else [tape]
    found = {
        "tape": str(tape), "layouts": _layouts(files), "files": len(files),
        "file_bytes": sum(one.stat().st_size for one in files), **_timed(times, letters, venues),
        "about": _about(files[0]),
        "venues": {
            name: {
                "frames": one.frames, "bytes": one.bytes, "connections": len(one.connections),
                "directions": dict(one.directions.most_common()), "channels": dict(one.channels.most_common()),
                "symbols": {symbol: n for (of, symbol), n in sorted(symbols.items()) if of == name},
            }
            for name, one in sorted(venues.items())
        },
    }  # fmt: skip
    return found, letters


def _timed(times: _Times, letters: Letters, venues: dict[str, _Venue]) -> dict[str, Any]:
    first_ns = times.first_ns or 0
    longest = sorted(times.silences, reverse=True)[:SILENCES]
    return {
        "frames": sum(one.frames for one in venues.values()), "bytes": sum(one.bytes for one in venues.values()),
        "first": shown(first_ns), "last": shown(times.last_ns), "first_ns": first_ns, "last_ns": times.last_ns,
        "seconds": round((times.last_ns - first_ns) / SECOND_NS, 3),
        "silences": [{"after": shown(after_ns), "seconds": round(long / SECOND_NS, 3)} for long, after_ns in longest],
        "times_backwards": times.backwards, "torn": letters.torn, "unreadable": letters.count,
    }  # fmt: skip


def shown(ts_ns: int) -> str | None:
    """Return a time for people, UTC; None where a tape has ordinals instead of times.

    >>> shown(1786252500123456789), shown(17)
    ('2026-08-09T05:15:00.123456', None)
    """
    if ts_ns < WALL_CLOCK_NS:
        return None
    return f"{datetime.fromtimestamp(ts_ns // SECOND_NS, UTC):%Y-%m-%dT%H:%M:%S}.{ts_ns % SECOND_NS // 1000:06d}"


def _layouts(files: list[Path]) -> list[str]:
    found: dict[str, None] = {}
    for file in files:
        try:
            found[layout_of(file)] = None
        except InputError:  # a file of a recording that was made and never written, which the letters name
            found["unreadable"] = None
    return list(found)


def _about(file: Path) -> dict[str, Any]:
    """What our own tapes say of themselves."""
    try:
        with open_tape(file) as stream:
            return header_of(stream.readline()).about
    except (InputError, FrameError, *READ_ERRORS):
        return {}


def table_of(found: dict[str, Any]) -> Table:
    """Return a tape's venues as a table."""
    table = Table("venue", "symbols", "directions", "channels", box=None, pad_edge=False)
    for name in ("frames", "bytes", "connections"):
        table.add_column(name, justify="right")
    for name, one in found["venues"].items():
        texts = [_list(one["symbols"]), _list(one["directions"]), _list(one["channels"])]
        table.add_row(name, *texts, *(f"{one[what]:,}" for what in ("frames", "bytes", "connections")))
    return table


def _list(counts: dict[str, int], most: int = 12) -> str:
    some = [f"{name} {n:,}" for name, n in list(counts.items())[:most]]
    return ", ".join([*some, f"and {len(counts) - most} more"] if len(counts) > most else some)
