"""Replay: a tape through the pipeline as fast as it goes, every record to ``DIR/<topic>.jsonl`` in event order."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from producers.exchanges.base import Counts, Parser
from producers.exchanges.venue import parser_of
from producers.frames import Frame
from producers.pacing import Pacer, parse_speed
from producers.tapes import read_frames
from quicksilver import codec
from quicksilver.errors import InputError, StateError
from quicksilver.events import AnyEvent
from quicksilver.pipeline import Pipeline
from quicksilver.records import AnyRecord, DeadLetter, Features
from quicksilver.topics import TOPIC_OF

SUMMARY = (
    "frames", "events", "gaps", "resyncs", "checksums_passed", "checksums_failed", "crossed", "features", "rejected",
    "duplicates", "skipped",
)  # fmt: skip


class RecordFiles:
    """Writes records to one file a topic; files appear with their first record."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files: dict[type, BinaryIO] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for topic in TOPIC_OF.values():  # what an earlier replay left would pass for this one's
                (folder / f"{topic.name}.jsonl").unlink(missing_ok=True)

    def write(self, record: AnyRecord) -> None:
        """Append one record as a line of JSON."""
        if self._folder is None:
            return
        file = self._files.get(type(record))
        if file is None:
            path = self._folder / f"{TOPIC_OF[type(record)].name}.jsonl"
            file = self._files[type(record)] = path.open("wb", buffering=1 << 20)
        file.write(codec.encode(record))
        file.write(b"\n")

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            file.close()


class Parsers:
    """Frames of any venue to events, each venue with its own parser, and the counts of them all."""

    def __init__(self, reject: Callable[[DeadLetter], None]) -> None:
        self._reject = reject
        self.by_venue: dict[str, Parser] = {}
        self.frames: dict[str, int] = {}
        self.unreadable = 0  # lines of the tape, and frames of venues without a parser

    def parse(self, frame: Frame) -> list[AnyEvent]:
        """Return the frame's events; a venue that is not known is a dead letter."""
        self.frames[frame.venue] = self.frames.get(frame.venue, 0) + (frame.direction in {"recv", "rest"})
        parser = self.by_venue.get(frame.venue)
        if parser is None:
            try:
                parser = self.by_venue[frame.venue] = parser_of(frame.venue, self._reject)
            except InputError as error:
                self.unreadable += 1
                self._reject(DeadLetter(frame.ts_recv_ns, frame.source, frame.venue, None, str(error), frame.payload))
                return []
        return parser.parse(frame)

    def summary(self, pipeline: Pipeline, features: dict[tuple[str, str], int]) -> dict[str, Any]:
        """Return the run's counts, whole and by venue and symbol."""
        total, venues = Counts(rejected=self.unreadable), {}
        for name, parser in sorted(self.by_venue.items()):
            counts, symbols = Counts(), {}
            counts.add(parser.counts)
            for symbol, one in sorted(parser.instruments.items()):
                state = pipeline.instruments.get((name, symbol))
                one.counts.crossed = state.engine.book.crossed if state else 0
                one.counts.features = features.get((name, symbol), 0)
                counts.add(one.counts)
                symbols[symbol] = _as_dict(one.counts)
            counts.frames = self.frames[name]
            total.add(counts)
            venues[name] = {**_as_dict(counts), "symbols": symbols}
        total.frames = sum(self.frames.values())
        return {**_as_dict(total), "venues": venues}


def _as_dict(counts: Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in SUMMARY}


class _Cut(msgspec.Struct):
    """A saved state: how many events had been taken, and the pipeline after them."""

    events: int
    pipeline: bytes


def load_cut(path: Path, pipeline: Pipeline) -> int:
    """Load a state saved by ``save_cut``; returns the number of events that it has taken.

    Raises:
        InputError: the file cannot be read.
        StateError: it is not a saved state of this version and configuration.
    """
    try:
        cut = msgspec.msgpack.decode(path.read_bytes(), type=_Cut)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise StateError(f"{path}: not a saved state: {error}") from error
    pipeline.load(cut.pipeline)
    return cut.events


def save_cut(path: Path, pipeline: Pipeline, events: int) -> None:
    """Save the state after that many events."""
    path.write_bytes(msgspec.msgpack.encode(_Cut(events, pipeline.dump())))


class Replay:
    """One pass over frames: ``run`` gives the summary.

    A replay that starts from a saved state reads the tape from its beginning all the same, for parsers have state
    too, and lets the events go by that the saved state has taken.
    """

    def __init__(self, pipeline: Pipeline, out: RecordFiles, *, skip_events: int = 0) -> None:
        self.pipeline = pipeline
        self.events = 0
        self._skip = skip_events
        self._out = out
        self._features: dict[tuple[str, str], int] = {}
        self._letters = 0
        self.parsers = Parsers(self.reject)

    def reject(self, letter: DeadLetter) -> None:
        """Keep a dead letter, unless it belongs to the part before the saved state."""
        self._letters += 1
        if self.events >= self._skip:
            self._out.write(letter)

    def reject_line(self, letter: DeadLetter) -> None:
        """Keep a line of the tape that holds no frame."""
        self.parsers.unreadable += 1
        self.reject(letter)

    def run(self, frames: Iterable[Frame], until_event: int | None = None) -> dict[str, Any]:
        """Take in frames until they end or ``until_event`` events are taken; returns the summary.

        Raises:
            InputError: not one frame could be read.
        """
        for event in self._events(frames):
            self._step(event)
            if self.events == until_event:
                break
        if not sum(self.parsers.frames.values()) or (self._letters and not self.events):
            raise InputError(f"nothing could be read: {self._letters} dead letters")
        return self.parsers.summary(self.pipeline, self._features)

    def _events(self, frames: Iterable[Frame]) -> Iterator[AnyEvent]:
        parse = self.parsers.parse
        for frame in frames:
            yield from parse(frame)

    def _step(self, event: AnyEvent) -> None:
        self.events += 1
        if self.events <= self._skip:
            return
        for record in self.pipeline.step(event):
            if type(record) is Features:
                key = (record.venue, record.symbol)
                self._features[key] = self._features.get(key, 0) + 1
            self._out.write(record)


def _paced(frames: Iterable[Frame], pacer: Pacer) -> Iterator[Frame]:
    """Yield frames when they are due; a replay has nothing else to do meanwhile."""
    for frame in frames:
        wait_s = pacer.due_in_s(frame.ts_recv_ns)
        if wait_s > 0.0:
            time.sleep(wait_s)
        yield frame


def replay_tape(
    tape: Path,
    *,
    venue: str | None = None,
    speed: str = "max",
    out: Path | None = None,
    until_event: int | None = None,
    save_state: Path | None = None,
    load_state: Path | None = None,
) -> dict[str, Any]:
    """Replay a tape as the command of that name does; returns the summary.

    Raises:
        InputError: the tape cannot be read, or nothing in it.
        StateError: the saved state does not fit.
    """
    pacer = Pacer(parse_speed(speed))
    pipeline = Pipeline()
    skip = load_cut(load_state, pipeline) if load_state else 0
    files = RecordFiles(out)
    run = Replay(pipeline, files, skip_events=skip)
    frames = read_frames(tape, venue=venue, reject=run.reject_line)
    try:
        summary = run.run(frames if pacer.speed is None else _paced(frames, pacer), until_event)
    finally:
        files.close()
    if save_state:
        save_cut(save_state, pipeline, run.events)
    return summary
