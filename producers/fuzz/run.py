"""One parser under a stream of good and bad frames, and what must hold after each."""

import gc
import math
import time
from collections.abc import Iterator, Sequence
from itertools import count
from random import Random
from types import FunctionType, ModuleType
from typing import get_args

import msgspec
from msgspec.structs import replace

from producers.exchanges.base import Parser
from producers.exchanges.venue import parser_of
from producers.frames import Direction, Frame
from producers.fuzz.mutations import mutated
from producers.fuzz.samples import session
from producers.times import MAX_NS
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Trade
from quicksilver.records import DeadLetter

SLOW_NS = 10_000_000  # that a frame may take; a larger one in proportion, for that is honest work
LARGE = 16 << 10  # bytes
SUSPECT_NS = 1_000_000  # what takes longer, and than all before, is done again: a noisy machine is slow but once
EACH = 5_000  # frames between two looks at whether a good session is read, and at the memory
MOST_OBJECTS = 3_000_000  # that a parser may hold: books that wait keep 10,000 changes of each symbol
FAILURES = 5  # that are told; more are most often the same again
RECOVERY_NS = 1_900_000_000_000_000_000  # of good sessions: no recording is as late
OTHER = "another"  # connection
_DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
_SHARED = (type, ModuleType, FunctionType)


class Failure(msgspec.Struct, frozen=True):
    """What was wrong, and with which frame."""

    what: str
    frame: Frame


class Report(msgspec.Struct):
    """What a run has seen; times in milliseconds, sizes in bytes."""

    venue: str
    seed: int
    frames: int = 0
    events: int = 0
    gaps: int = 0
    snapshots: int = 0
    rejected: int = 0
    recoveries: int = 0
    seconds: float = 0.0
    slowest_ms: float = 0.0
    slowest_bytes: int = 0
    symbols: int = 0
    objects: int = 0
    failures: list[Failure] = []


def stream(rng: Random, sessions: Sequence[Sequence[Frame]], foreign: Sequence[bytes]) -> Iterator[Frame]:
    """Yield frames for ever: sessions again and again, each frame good, changed, left out, repeated or too early."""
    texts = [frame.payload for frames in sessions for frame in frames if frame.payload]
    while True:
        harm = rng.choice((0.0, 0.01, 0.05, 0.3, 0.9))  # a session that is mostly good comes far into a parser
        earlier: list[Frame] = []
        chosen = sessions[-1] if rng.random() < 0.3 else rng.choice(sessions)  # the last is short and has all
        chosen = chosen[: rng.choice((20, 100, len(chosen)))]  # where it begins there are books
        yield Frame(chosen[0].venue, chosen[0].conn, "connect", chosen[0].ts_recv_ns, b"")
        for frame in chosen:
            draw = rng.random()
            if draw >= harm:
                yield frame
            elif draw < 0.8 * harm:
                yield replace(frame, payload=mutated(rng, frame.payload, texts))
            elif draw < 0.85 * harm:
                yield replace(frame, payload=rng.choice(foreign))
            elif draw < 0.9 * harm and earlier:
                yield rng.choice(earlier)
                yield frame
            elif draw < 0.93 * harm:
                payload = rng.choice((frame.payload, mutated(rng, frame.payload, texts)))
                yield replace(frame, direction=rng.choice(_DIRECTIONS), payload=payload)
            elif draw < 0.95 * harm:
                yield replace(frame, url=rng.choice((None, "", "x", "http://[", "https://x/depth?symbol=A&symbol=%00")))
            elif draw < 0.97 * harm:
                yield replace(frame, conn=OTHER)
            earlier = [*earlier[-20:], frame]


class Fuzz:
    """Feeds one parser and checks what it says; ``report`` holds what was found."""

    def __init__(self, venue: str, seed: int) -> None:
        self.report = Report(venue, seed)
        self._letters = 0
        self._parser = parser_of(venue, self._reject)
        self._parser.observers.append(lambda _: None)  # some messages are read for them alone
        self._seqs: dict[str, int] = {}
        self._live: set[str] = set()
        self._again = count(1)
        for frame in session(venue, RECOVERY_NS):  # compiles what is not yet
            self._take(frame)
        self.report.slowest_ms = self.report.slowest_bytes = 0

    def _reject(self, letter: DeadLetter) -> None:
        self._letters += 1
        if not letter.reason:
            raise ValueError("a dead letter without a reason")

    def run(self, frames: Iterator[Frame], n: int, seconds: float = math.inf) -> Report:
        """Take in ``n`` frames, or what comes within ``seconds``, and return the report."""
        report, started = self.report, time.monotonic()
        was_on = gc.isenabled()
        gc.disable()  # its pauses are no parser's
        try:
            for frame in frames:
                report.seconds = time.monotonic() - started
                if report.frames >= n or report.seconds > seconds or len(report.failures) >= FAILURES:
                    break
                self._take(frame)
                if report.frames % EACH == 0:
                    self._look()
            self._look()
        finally:
            if was_on:
                gc.enable()
        report.rejected = self._letters
        return report

    def _look(self) -> None:
        """Look whether a good session makes its books live, and at what the parser holds."""
        gc.collect()
        self.report.objects, self.report.symbols = held(self._parser), len(self._parser.instruments)
        if self.report.objects > MOST_OBJECTS:
            self._failed(f"the parser holds {self.report.objects:,} objects", Frame("", "", "send", 0, b""))
        at_ns = RECOVERY_NS + next(self._again) * 10**9
        self._take(Frame(self.report.venue, OTHER, "disconnect", at_ns - 10**9, b""))  # a live book asks for none
        frames = session(self.report.venue, at_ns)
        wanted = set()
        for frame in frames:
            wanted |= {event.symbol for event in self._take(frame) if isinstance(event, BookSnapshot)}
        fresh = parser_of(self.report.venue, lambda _: None)
        expected = {event.symbol for frame in frames for event in fresh.parse(frame) if isinstance(event, BookSnapshot)}
        self.report.recoveries += 1
        if not expected <= wanted & self._live:
            missing = ", ".join(sorted(expected - (wanted & self._live)))
            self._failed(f"after garbage a good session leaves {missing} without a book", frames[-1])

    def _failed(self, what: str, frame: Frame) -> None:
        self.report.failures.append(Failure(what, frame))

    def _take(self, frame: Frame) -> list[AnyEvent]:
        report, parse = self.report, self._parser.parse
        report.frames += 1
        started = time.thread_time_ns()  # of this thread alone: another's turn is no parser's slowness
        try:
            events = parse(frame)
        except Exception as error:  # a process boundary: whatever comes out of a parser is a finding
            self._failed(f"{type(error).__name__}: {error}", frame)
            return []
        took_ns = time.thread_time_ns() - started
        for event in events:
            self._check(event, frame)
        if took_ns > max(SUSPECT_NS, report.slowest_ms * 1e6):
            took_ns = min(took_ns, *(self._again_ns(frame) for _ in range(3)))
        if took_ns > report.slowest_ms * 1e6:
            report.slowest_ms, report.slowest_bytes = took_ns / 1e6, len(frame.payload)
            if took_ns > SLOW_NS * max(1.0, len(frame.payload) / LARGE):
                self._failed(f"a frame of {len(frame.payload):,} bytes took {took_ns / 1e6:.1f} ms", frame)
        return events

    def _again_ns(self, frame: Frame) -> int:
        """What a slow frame takes once more."""
        started = time.thread_time_ns()
        events = self._parser.parse(frame)
        took_ns = time.thread_time_ns() - started
        for event in events:
            self._check(event, frame)
        return took_ns

    def _check(self, event: AnyEvent, frame: Frame) -> None:
        self.report.events += 1
        last = self._seqs.get(event.symbol, 0)
        self._seqs[event.symbol] = event.seq
        wrong = unsound(event, event.symbol in self._live)
        if wrong or event.seq != last + 1:
            self._failed(wrong or f"event {event.seq} after {last}", frame)
        if isinstance(event, BookSnapshot):
            self.report.snapshots += 1
            self._live.add(event.symbol)
        elif isinstance(event, Gap):
            self.report.gaps += 1
            self._live.discard(event.symbol)


def unsound(event: AnyEvent, live: bool) -> str:
    """Return what is wrong with an event of a book that is live or not; nothing if it is sound."""
    if not 0 < event.ts_event_ns < MAX_NS:
        return f"a time of {event.ts_event_ns}"
    if isinstance(event, Trade):
        if not (0 < event.price < math.inf and 0 < event.size < math.inf):
            return f"a trade of {event.size} at {event.price}"
        return "" if event.side in {"buy", "sell", None} else f"a trade's side is {event.side!r}"
    if isinstance(event, BookDelta) and not live:
        return "a change of a book that is not live"
    if isinstance(event, BookSnapshot | BookDelta):
        for levels in (event.bids, event.asks):
            prices, sizes = levels.array[:, 0], levels.array[:, 1]
            if not (((prices > 0) & (prices < math.inf)).all() and ((sizes >= 0) & (sizes < math.inf)).all()):
                return f"levels {levels!r:.200}"
    return ""


def held(parser: Parser) -> int:
    """Return how many objects a parser holds."""
    seen: set[int] = set()
    left: list[object] = [parser]
    while left:
        found = [one for one in gc.get_referents(*left) if not isinstance(one, _SHARED)]
        left = []
        for one in found:
            if id(one) not in seen:
                seen.add(id(one))
                left.append(one)
    return len(seen)
