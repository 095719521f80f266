"""Reading tapes: the layout is recognised from the first line; a line that cannot be read is rejected, not fatal."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from itertools import count, islice
from pathlib import Path
from typing import BinaryIO, TypeAlias

from producers.exchanges.base import MAX_NS, WALL_CLOCK_NS, Reject, ignore
from producers.exchanges.venue import parser_of, venues
from producers.files import READ_ERRORS, open_binary
from producers.frames import Frame
from producers.tapes import lines, own
from producers.tapes.folders import merged
from quicksilver.codec import UNREADABLE
from quicksilver.errors import FrameError, InputError
from quicksilver.records import DeadLetter

ReadLine: TypeAlias = Callable[[bytes, str, str], Frame | None]

MAX_PAYLOAD = 256 << 20  # bytes of one message
FIRST_FRAMES = 500  # that are tried where a tape does not say whose it is
_OWN_VENUE = {"hftbacktest": "binance", "ob-analytics": "bitstamp"}  # of recorders of one venue alone
_CBCAP = b"CBCAP1 "
LAYOUTS: tuple[tuple[str, re.Pattern[bytes], ReadLine], ...] = (
    ("quicksilver", re.compile(rb'\{"quicksilver_tape"'), lines.own),
    ("market-aggregator", re.compile(rb'\{.*"recorded_wall_unix_nanos"'), lines.market_aggregator),
    ("cryptofeed", re.compile(rb'\{"t":\s*"'), lines.cryptofeed),
    ("cryptofeed-legacy", lines.LEGACY_START, lines.cryptofeed_legacy),
    ("hftbacktest", re.compile(rb"\d{18,19} \{"), lines.hftbacktest),
    ("ob-analytics", re.compile(rb"\d{13} [a-z_]+ "), lines.ob_analytics),
    ("bare", re.compile(rb"[\[{]"), lines.bare),
)
ACCEPTED = ", ".join(["cbcap", *(name for name, _, _ in LAYOUTS)])
_VENUES = ("kraken", "coinbase", "bitstamp", "bitfinex", "binance", "poloniex")


def _recognise(first: bytes) -> tuple[str, ReadLine] | None:
    for name, pattern, read in LAYOUTS:
        if pattern.match(first):
            return name, read
    return None


def _first_line(path: Path) -> bytes:
    with open_binary(path) as file:
        try:
            return next((line for line in _lines_of(file) if line.strip()), b"")
        except FrameError as error:
            raise InputError(f"{path}: {error}") from error


def layout_of(path: Path) -> str:
    """Return the name of a tape's layout.

    Raises:
        InputError: the file is missing, empty or of no layout that is known.
    """
    first = _first_line(path)
    if first.startswith(_CBCAP):
        return "cbcap"
    known = _recognise(first)
    if known is None:
        raise InputError(f"{path}: not a tape; layouts read are {ACCEPTED}")
    return known[0]


def read_frames(path: Path, *, venue: str | None = None, reject: Reject = ignore) -> Iterator[Frame]:
    """Yield the frames of a tape, or of all tapes of a folder merged in the order of their receive times.

    ``venue`` overrides what the layout or the file's name says where a file holds one venue. A line that cannot be
    read, and a torn end, go to ``reject``.

    Raises:
        InputError: the file is missing, empty or of no layout that is known.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
        if not files:
            raise InputError(f"{path}: the folder holds no files")
        yield from merged(files, lambda file, refuse: read_frames(file, venue=venue, reject=refuse), reject)
        return
    layout = layout_of(path)
    name = venue or venue_of(path) or _OWN_VENUE.get(layout, "")
    if layout == "cbcap":
        yield from _read_cbcap(path, reject)
        return
    read = next(read for known, _, read in LAYOUTS if known == layout)
    if layout not in {"quicksilver", "market-aggregator", "cryptofeed"} and not name:
        name = _venue_by_content(path, read)
    yield from _read_lines(path, read, name, reject)


def _venue_by_content(path: Path, read: ReadLine) -> str:
    """The venue whose parser makes the most of a tape's first frames.

    Raises:
        InputError: none makes anything of them.
    """
    made: Counter[str] = Counter()
    for name in venues():
        parser = parser_of(name, ignore)
        frames = islice(_read_lines(path, read, name, ignore), FIRST_FRAMES)
        made[name] = sum(len(parser.parse(frame)) for frame in frames)
        made[name] -= parser.counts.rejected
    best = max(made, key=lambda name: (made[name], -len(name)))  # Coinbase's parser reads its Exchange's, too
    if made[best] <= 0:
        raise InputError(f"{path}: the tape does not say whose it is; name it with --venue")
    return best


def venue_of(path: Path) -> str:
    """The venue that a file's path names, or nothing; the file's own name counts before its folders'."""
    parts = [path.name.lower(), *(part.lower() for part in reversed(path.parent.parts[-2:]))]
    found = (venue for part in parts for venue in _VENUES if venue in part)
    if "ob-analytics" in parts:
        return "bitstamp"
    return next(found, "binance" if "hftbacktest" in parts else "")


def _lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines; a damaged compressed stream ends with a ``FrameError``."""
    while True:
        try:
            line = file.readline()
        except READ_ERRORS as error:
            raise FrameError(f"the file is damaged or torn from here on: {error}") from error
        if not line:
            return
        yield line


_WHOLE: dict[ReadLine, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    lines.cryptofeed_legacy: lines.whole_bodies,
    lines.own: own.whole,
}


def _read_lines(path: Path, read: ReadLine, venue: str, reject: Reject) -> Iterator[Frame]:
    last_ns, number = 0, 0
    known: dict[tuple[str, str], None] = {}  # venue and connection
    with open_binary(path) as file:
        stream = _WHOLE.get(read, iter)(_lines_of(file))
        while True:
            number += 1
            source = f"{path}:{number}"
            line = b""
            try:
                line = next(stream).rstrip(b"\r\n")
                number += line.count(b"\n")
                frame = read(line, venue, source) if line.strip() else None
            except StopIteration:
                return
            except (FrameError, *UNREADABLE, ValueError, ArithmeticError) as error:
                why = f"not a line of this tape: {error}" if line else str(error)
                reject(DeadLetter(last_ns, source, venue, None, why, line))
                if not line:
                    return
                yield from _lost(known, last_ns, line, source)
                continue
            if frame is not None and not -MAX_NS < frame.ts_recv_ns < MAX_NS:
                reject(DeadLetter(last_ns, source, venue, None, "a receive time of no year that there is", line))
                yield from _lost(known, last_ns, line, source)
            elif frame is not None:
                last_ns = frame.ts_recv_ns
                known[frame.venue, frame.conn] = None
                yield frame


def _lost(known: Collection[tuple[str, str]], ts_ns: int, line: bytes, source: str) -> Iterator[Frame]:
    """Yield what stands for a line that cannot be read: a message of the connection that it names, or else of any."""
    named = [one for one in known if f'"{one[1]}"'.encode() in line]
    for venue, conn in named or known:
        yield Frame(venue, conn, "lost", ts_ns, line, None, source)


def _read_cbcap(path: Path, reject: Reject) -> Iterator[Frame]:
    """Read ``CBCAP1 venue symbol start_ns`` and then ``ts_ns length`` and as many bytes, each with a line end.

    Where the stamps are of a clock that counts from the machine's start, the first one is the header's start.
    """
    with open_binary(path) as file:
        try:
            _, name, _, start = file.readline().split()
            venue, start_ns = name.decode(), int(start)
        except (*READ_ERRORS, ValueError) as error:
            raise InputError(f"{path}: the header is not `CBCAP1 venue symbol start_ns`: {error}") from error
        offset: int | None = None
        for number in count(2):
            source = f"{path}:{number}"
            try:
                found = _next_cbcap(file)
            except FrameError as error:
                reject(DeadLetter(start_ns, source, venue, None, f"{error}: the rest cannot be read", b""))
                return
            if found is None:
                return
            stamp, payload = found
            if offset is None:
                offset = 0 if stamp > WALL_CLOCK_NS else start_ns - stamp
            yield Frame(venue, venue, "recv", stamp + offset, payload, None, source)


def _next_cbcap(file: BinaryIO) -> tuple[int, bytes] | None:
    """The next stamp and payload, or None at the end.

    Raises:
        FrameError: the tape is torn or damaged here.
    """
    try:
        line = file.readline()
        if not line:
            return None
        stamp, length = map(int, line.split())
        if not 0 <= length <= MAX_PAYLOAD or not -MAX_NS < stamp < MAX_NS:
            raise FrameError(f"not a time and a length: {line[:60]!r}")
        payload = file.read(length)
        whole = len(payload) == length and file.read(1) in {b"\n", b""}
    except (*READ_ERRORS, ValueError) as error:
        raise FrameError(f"not `ts_ns length`: {error}") from error
    if not whole:
        raise FrameError("the tape is torn here")
    return stamp, payload
