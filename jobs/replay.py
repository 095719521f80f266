"""Replay: a tape through the pipeline as fast as it goes, every record to ``DIR/<topic>.jsonl`` in event order."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from jobs.cut import Cut, id_of
from jobs.deploying import Deployer
from jobs.outputs import RecordFiles, RecordSink, marked
from jobs.parsers import Parsers
from jobs.registry import Registry
from producers.frames import Frame
from producers.pacing import Pacer, parse_speed
from producers.tapes import read_frames
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError, StateError
from quicksilver.events import AnyEvent, Gap
from quicksilver.pipeline import Pipeline
from quicksilver.records import DeadLetter, Features, Status


class Replay:
    """One pass over frames: ``run`` gives the summary. Predictors are those in the folder ``models``, if given.

    A replay that starts from a saved state reads the tape from its beginning all the same, for parsers have state
    too, and lets the events go by that the saved state has taken.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        out: RecordSink,
        after: Cut = Cut(),  # noqa: B008 (immutable)
        models: Path | None = None,
    ) -> None:
        self.pipeline = pipeline
        self._deployer = Deployer(models, pipeline, _unusable, _unsaid) if models is not None else None
        if after.events:
            pipeline.load(after.pipeline)
        self.events = 0
        self._skip, self._last = after.events, after.last
        self._doubts = dict(after.doubts)
        self._out = out
        self._features: dict[tuple[str, str], int] = {}
        self._letters = 0
        self._first_reason = ""
        self.parsers = Parsers(self.reject)

    def reject(self, letter: DeadLetter) -> None:
        """Keep a dead letter, unless it belongs to the part before the saved state."""
        self._letters += 1
        self._first_reason = self._first_reason or letter.reason
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
            StateError: the saved state is of another tape.
        """
        for event in self._events(frames):
            self._step(event)
            if self.events == until_event:
                break
        return self.finish()

    def finish(self) -> dict[str, Any]:
        """Return the summary of all frames taken in.

        Raises:
            InputError: not one frame could be read.
            StateError: the saved state is of another tape.
        """
        if self.events < self._skip:
            raise StateError(f"the saved state is of another tape: this one has {self.events:,} events only")
        if not sum(self.parsers.frames.values()) or (self._letters and not self.events):
            why = f": {self._first_reason}" if self._first_reason else ""
            raise InputError(f"nothing could be read: {self._letters} dead letters{why}")
        return self.parsers.summary(self.pipeline, self._features)

    def cut(self) -> Cut:
        """Return the state after the events taken so far."""
        return Cut(self.events, self._last, self._doubts, self.pipeline.dump())

    def _events(self, frames: Iterable[Frame]) -> Iterator[AnyEvent]:
        parse = self.parsers.parse
        for frame in frames:
            events = parse(frame)
            self._write_audits()
            yield from events
        self.parsers.finish()
        self._write_audits()

    def _write_audits(self) -> None:
        for audit in self.parsers.audits():
            if self.events >= self._skip:
                self._out.write(audit)

    def _step(self, event: AnyEvent) -> None:
        self.events += 1
        if self.events <= self._skip:
            if self.events == self._skip and id_of(event) != self._last:
                raise StateError(f"the saved state is of another tape: its event {self.events:,} was {self._last}")
            if self.events in self._doubts:
                self.parsers.doubt(*self._doubts[self.events])
            return
        self._last = id_of(event)
        if self._deployer is not None:
            self._deployer.deploy((event.venue, event.symbol))
        for record in self.pipeline.step(event):
            if type(record) is Features:
                key = (record.venue, record.symbol)
                self._features[key] = self._features.get(key, 0) + 1
            elif type(record) is Status and record.state == "GAP" and type(event) is not Gap:
                self._doubts[self.events] = (record.venue, record.symbol)
                self.parsers.doubt(record.venue, record.symbol)
            self._out.write(record)


def _unusable(name: str, reason: str) -> None:
    """Refuse to replay with other predictors than those that were named."""
    raise InputError(f"predictor {name}: {reason}")


def _unsaid(_: str) -> None:
    """Say nothing: what is at work is in the predictions."""


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
    config: PipelineConfig | None = None,
    models: Path | None = None,
) -> dict[str, Any]:
    """Replay a tape as the command of that name does; returns the summary.

    Raises:
        InputError: the tape cannot be read, or nothing in it, ``out`` holds other records than the state's, or a
            predictor in ``models`` cannot be used, or there is none.
        StateError: the saved state does not fit.
    """
    pacer = Pacer(parse_speed(speed))
    if models is not None and not Registry(models).names():
        raise InputError(f"{models}: holds no predictors; `quicksilver train` makes some")
    after = Cut.load(load_state) if load_state else Cut()
    files = RecordFiles(out, after.written)
    run = Replay(Pipeline(config), files, after, models)
    frames = read_frames(tape, venue=venue, reject=run.reject_line)
    try:
        summary = run.run(frames if pacer.speed is None else _paced(frames, pacer), until_event)
    finally:
        files.close()
    if save_state:
        replace(run.cut(), written=marked(out) if out else {}).save(save_state)
    return summary
