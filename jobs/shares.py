"""A share of a replay: one tape's instruments divided among several tasks, the same rows as one replay's.

Each task reads the whole tape, for parsers have state, and computes the records of its own instruments. Of the others
it keeps the books alone: a parser must be told of each that is found crossed (``Parsers.doubt``), and that must come
at the same event in every task, so that all count the same events in the same order.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from jobs.parsers import SUMMARY
from jobs.replay import Replay
from producers.tapes import read_frames
from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.errors import QuicksilverError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Price, Trade
from quicksilver.instrument import InstrumentStage
from quicksilver.labels import LabelConfig
from quicksilver.pipeline import Pipeline
from quicksilver.records import AnyRecord, DeadLetter, Published, Record
from quicksilver.tables import TABLES
from quicksilver.topics import TOPIC_OF, key_of

CONFIG = PipelineConfig(portfolios=())  # a frontier is of a whole universe: no share has it
BOOKS_ONLY = replace(CONFIG, candle_intervals_ns=(), labels=LabelConfig(horizons_ns=()))
BATCH = 2_000  # rows handed over at once
FAILED, COUNTED = "(failed)", "(counted)"  # in place of a topic: why a tape could not be read, and its counts


class Unit(NamedTuple):
    """The work of one task: share ``share`` of ``shares`` of a tape, ``tape`` its place among all tapes.

    ``name`` is the tape as the user named it, ``path`` the same for workers, which run elsewhere.
    """

    tape: int
    name: str
    path: str
    venue: str | None
    share: int
    shares: int
    trades: bool


class Line(NamedTuple):
    """One record as JSON, and where it stands: the tape, the number of its event there, and a number within the task.

    ``key`` is the topic key; ``row_key`` what makes the row unique there.
    """

    tape: int
    n: int
    i: int
    topic: str
    key: str
    row_key: str
    day: int
    line: bytes


class _Book(InstrumentStage):
    """Another task's instrument: its book and data state."""

    def _derive(self, event: BookSnapshot | BookDelta | Price) -> list[AnyRecord]:  # noqa: ARG002 (nothing is made of it)
        return []


class SharedPipeline(Pipeline):
    """A pipeline of every ``shares``-th instrument, in the order in which the tape names them."""

    def __init__(self, share: int, shares: int) -> None:
        super().__init__(CONFIG)
        self._share, self._shares = share, shares
        self._mine: dict[tuple[str, str], bool] = {}
        self._books: dict[tuple[str, str], _Book] = {}

    def owns(self, venue: str, symbol: str) -> bool:
        """Whether the instrument is of this share."""
        key = (venue, symbol)
        mine = self._mine.get(key)
        if mine is None:
            mine = self._mine[key] = len(self._mine) % self._shares == self._share
            if not mine:
                self._books[key] = _Book(venue, symbol, BOOKS_ONLY)
        return mine

    def step(self, event: AnyEvent) -> list[AnyRecord]:
        """Return the event's records; of another share's instrument those of its data state alone."""
        if self.owns(event.venue, event.symbol):
            return super().step(event)
        return self._books[event.venue, event.symbol].step(event)


class _Lines:
    """Takes the place of a replay's files: keeps the share's records until they are handed over."""

    def __init__(self, unit: Unit, pipeline: SharedPipeline) -> None:
        self._unit, self._pipeline = unit, pipeline
        self.lines: list[Line] = []
        self.n = self._count = 0

    def write(self, record: Published) -> None:
        """Keep one record, if it is of this share; dead letters are the first's."""
        if isinstance(record, Record | Trade):
            mine = self._pipeline.owns(record.venue, record.symbol)
        else:
            mine = self._unit.share == 0
        if mine:
            topic = TOPIC_OF[type(record)].name
            table = TABLES[topic]
            self.add(topic, key_of(record), table.row_key(record), table.bucket_of(record), codec.encode(record))

    def add(self, topic: str, key: str, row_key: str, day: int, line: bytes) -> None:
        """Keep one line."""
        self._count += 1
        self.lines.append(Line(self._unit.tape, self.n, self._count, topic, key, row_key, day, line))

    def drain(self) -> list[Line]:
        """Return what is kept, and begin anew."""
        lines, self.lines = self.lines, []
        return lines


class _Share(Replay):
    """A replay that hands over lines instead of writing files."""

    def __init__(self, unit: Unit) -> None:
        pipeline = SharedPipeline(unit.share, unit.shares)
        self._lines = _Lines(unit, pipeline)
        super().__init__(pipeline, self._lines)
        self._unit = unit

    def reject(self, letter: DeadLetter) -> None:
        """Keep a dead letter, under the tape's name."""
        super().reject(replace(letter, source=self._named(letter.source)))

    def _named(self, text: str) -> str:
        return text.replace(self._unit.path, self._unit.name, 1)

    def _step(self, event: AnyEvent) -> None:
        self._lines.n = self.events + 1
        super()._step(event)
        if self._unit.trades and isinstance(event, Trade):
            self._lines.write(event)

    def lines(self) -> Iterator[list[Line]]:
        """Yield the share's lines, and last the tape's counts or why it cannot be read (further)."""
        path = Path(self._unit.path)
        try:
            for event in self._events(read_frames(path, venue=self._unit.venue, reject=self.reject_line)):
                self._step(event)
                if len(self._lines.lines) >= BATCH:
                    yield self._lines.drain()
            summary = self.finish()
            self._lines.add(COUNTED, "", "", 0, msgspec.json.encode({name: summary[name] for name in SUMMARY}))
        except QuicksilverError as error:
            self._lines.add(FAILED, "", "", 0, self._named(str(error)).encode())
        except OSError as error:
            self._lines.add(FAILED, "", "", 0, self._named(f"{error.filename or path}: {error.strerror}").encode())
        yield self._lines.drain()


def lines_of(unit: Unit) -> Iterator[list[Line]]:
    """Do a unit's work; yields its lines in order, some at a time."""
    return _Share(unit).lines()
