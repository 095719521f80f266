"""Reading tapes: the layout is recognised from the first line; a line that cannot be read is rejected, not fatal."""

import re
from collections.abc import Callable, Collection, Iterator
from itertools import count, islice
from pathlib import Path
from typing import BinaryIO, TypeAlias

from producers.exchanges.base import Reject, ignore
from producers.exchanges.venue import parser_of, venues
from producers.files import READ_ERRORS
from producers.frames import Frame
from producers.tapes import lines, own
from producers.tapes.damaged import damage_at, open_tape
from producers.tapes.folders import merged
from producers.times import MAX_NS, WALL_CLOCK_NS
from quicksilver.codec import UNREADABLE
from quicksilver.errors import FrameError, InputError
from quicksilver.records import DeadLetter

ReadLine: TypeAlias = Callable[[bytes, str, str], Frame | None]

MAX_PAYLOAD = 256 << 20  # bytes of one message
FIRST_FRAMES = 500  # that are tried where a tape does not say whose it is
_OWN_VENUE = {"hftbacktest": "binance", "ob-analytics": "bitstamp"}  # of recorders of one venue alone
_CBCAP = b"CBCAP1 "
_SAYING = {"quicksilver", "market-aggregator", "cryptofeed"}  # whose lines say whose they are
LAYOUTS: tuple[tuple[str, re.Pattern[bytes], ReadLine], ...] = (
    ("quicksilver", re.compile(rb'\{"(quicksilver_tape"|ts":-?\d+,"dir":")'), lines.own),
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
    """The first line that can be read; nothing of a tape without any."""
    error: FrameError | None = None
    with open_tape(path) as file:
        for line in _lines_of(file):
            if isinstance(line, FrameError):
                error = error or line
            elif line.strip():
                return line
    if error is not None:
        raise InputError(f"{path}: {error}") from error
    return b""


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

    ``venue`` overrides what the layout or the file's name says where a file holds one venue, but no frame that says
    itself whose it is. A line that cannot be read, and a torn end, go to ``reject``.

    Raises:
        InputError: the file is missing, empty or of no layout that is known; there is no such venue, or the tape is
            another's.
    """
    if venue is not None:
        parser_of(venue, ignore)  # makes sure that there is such a venue
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
        if not files:
            raise InputError(f"{path}: the folder holds no files")
        yield from merged(files, lambda file, refuse, ended: _read_file(file, venue, refuse, ended), reject)
    else:
        yield from _read_file(path, venue, reject, own.unheard)


def _read_file(path: Path, venue: str | None, reject: Reject, ended: own.Ended) -> Iterator[Frame]:
    layout = layout_of(path)
    name = venue or venue_of(path) or _OWN_VENUE.get(layout, "")
    if layout == "cbcap":
        yield from of_venue(_read_cbcap(path, reject), venue, path)
        return
    read = next(read for known, _, read in LAYOUTS if known == layout)
    if layout in _SAYING:
        yield from of_venue(_read_lines(path, read, name, reject, ended), venue, path)
        return
    if not name:
        name = _venue_by_content(path, read)
    elif venue:
        _require_readable(venue, path, read)
    yield from _read_lines(path, read, name, reject)


def of_venue(frames: Iterator[Frame], venue: str | None, what: Path | str) -> Iterator[Frame]:
    """Yield the frames, which say themselves whose they are; of any venue where ``venue`` is None.

    Raises:
        InputError: one is another venue's.
    """
    for frame in frames:
        if venue is not None and frame.venue != venue:
            raise InputError(f"{what}: --venue {venue} contradicts the tape, which says that it is {frame.venue}'s")
        yield frame


def _made_by(name: str, path: Path, read: ReadLine) -> int:
    """How many events a venue's parser makes of a tape's first frames, less those that it cannot read."""
    parser = parser_of(name, ignore)
    frames = islice(_read_lines(path, read, name, ignore), FIRST_FRAMES)
    return sum(len(parser.parse(frame)) for frame in frames) - parser.counts.rejected


def _most_made(path: Path, read: ReadLine) -> tuple[str, int]:
    """The venue whose parser makes the most of a tape's first frames, and how much that is."""
    made = {name: _made_by(name, path, read) for name in venues()}
    best = max(made, key=lambda name: (made[name], -len(name)))  # Coinbase's parser reads its Exchange's, too
    return best, made[best]


def _venue_by_content(path: Path, read: ReadLine) -> str:
    best, most = _most_made(path, read)
    if most <= 0:
        raise InputError(f"{path}: the tape does not say whose it is; name it with --venue")
    return best


def _require_readable(venue: str, path: Path, read: ReadLine) -> None:
    """Make sure that no other venue's parser makes more of a tape of which this one's makes nothing.

    A tape may begin with messages of which no parser makes anything: then whoever names its venue is believed.
    """
    made = _made_by(venue, path, read)
    best, most = _most_made(path, read) if made <= 0 else (venue, made)
    if most > made:
        raise InputError(f"{path}: --venue {venue} contradicts the tape, whose messages are {best}'s")


def venue_of(path: Path) -> str:
    """The venue that a file's path names, or nothing; the file's own name counts before its folders'."""
    parts = [path.name.lower(), *(part.lower() for part in reversed(path.parent.parts[-2:]))]
    found = (venue for part in parts for venue in _VENUES if venue in part)
    if "ob-analytics" in parts:
        return "bitstamp"
    return next(found, "binance" if "hftbacktest" in parts else "")


def _lines_of(file: BinaryIO) -> Iterator[own.Piece]:
    """Yield lines, and a ``FrameError`` in the place of those that are damaged."""
    while True:
        try:
            line = file.readline()
        except READ_ERRORS as error:
            yield FrameError(f"the file is damaged or torn from here on: {error}")
            return
        if not line.endswith(b"\n") and (why := damage_at(file)):
            yield FrameError(f"the file is damaged or torn here: {why}")
        elif line:
            yield line
        else:
            return


def _sound(stream: Iterator[own.Piece]) -> Iterator[bytes]:
    """Yield lines up to the first that are damaged: what other layouts' lines mean may hang on those before."""
    for line in stream:
        if isinstance(line, FrameError):
            raise line
        yield line


def _whole(stream: Iterator[own.Piece], read: ReadLine, ended: own.Ended) -> Iterator[own.Piece]:
    if read is lines.own:
        return own.whole(stream, ended)
    return lines.whole_bodies(_sound(stream)) if read is lines.cryptofeed_legacy else _sound(stream)


def _read_lines(
    path: Path, read: ReadLine, venue: str, reject: Reject, ended: own.Ended = own.unheard
) -> Iterator[Frame]:
    last_ns, number = 0, 0
    known: dict[tuple[str, str], None] = {}  # venue and connection
    with open_tape(path) as file:
        stream = _whole(_lines_of(file), read, ended)
        while True:
            number += 1
            source = f"{path}:{number}"
            line = b""
            try:
                piece = next(stream)
                if isinstance(piece, FrameError):
                    reject(DeadLetter(last_ns, source, venue, None, str(piece), b""))
                    yield from _lost(known, last_ns, b"", source)
                    continue
                line = piece.rstrip(b"\r\n")
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
                if frame.direction == "lost":
                    reject(DeadLetter(frame.ts_recv_ns, source, frame.venue, None, _made_of(frame), frame.payload))
                last_ns = frame.ts_recv_ns
                known[frame.venue, frame.conn] = None
                yield frame


def _made_of(frame: Frame) -> str:
    what = "a line of it could not be read" if frame.payload else "it was torn or damaged here"
    return f"{what}: the recording that this tape was made of"


def _lost(known: Collection[tuple[str, str]], ts_ns: int, line: bytes, source: str) -> Iterator[Frame]:
    """Yield what stands for a line that cannot be read: a message of the connection that it names, or else of any."""
    named = [one for one in known if f'"{one[1]}"'.encode() in line]
    for venue, conn in named or known:
        yield Frame(venue, conn, "lost", ts_ns, line, None, source)


def _read_cbcap(path: Path, reject: Reject) -> Iterator[Frame]:
    """Read ``CBCAP1 venue symbol start_ns`` and then ``ts_ns length`` and as many bytes, each with a line end.

    Where the stamps are of a clock that counts from the machine's start, the first one is the header's start.
    """
    with open_tape(path) as file:
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
        if not line and not (why := damage_at(file)):
            return None
        if not line:
            raise FrameError(f"the file is damaged or torn here: {why}")
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
