"""Events as they happened: a tape or a CSV file, at its own pace or another."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from api.hub import SourceInfo
from jobs.databases import name_of
from jobs.parsers import Parsers
from producers.csv_prices import CsvFile
from producers.exchanges.base import Reject, ignore
from producers.metrics import Meter
from producers.pacing import parse_speed
from producers.playback import Playback
from producers.tapes import layout_of, read_frames
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent
from quicksilver.records import Audit, DeadLetter

BREATHE_S = 0.01  # how long a tape at full speed may keep the event loop
CSV_ROWS_PER_S = 20.0


class Recorded:
    """What tapes and CSV files share: their own pace, which ``playback`` may change, and nobody to ask again."""

    realtime = False
    lasting = True
    instruments: Sequence[tuple[str, str]] = ()  # not known before they are read
    info: SourceInfo
    playback: Playback

    async def _paced(self, batches: Iterator[tuple[int, list[AnyEvent]]]) -> AsyncIterator[list[AnyEvent]]:
        breathed = time.monotonic()
        for ts_ns, events in batches:
            if events:
                await self.playback.wait(ts_ns)
            if time.monotonic() - breathed > BREATHE_S:
                await asyncio.sleep(0)
                breathed = time.monotonic()
            yield events
        self.playback.end()

    async def resync(self, venue: str, symbol: str) -> None:
        """Do nothing: a recording says no more than it says."""

    def doubt(self, venue: str, symbol: str) -> None:
        """Do nothing: there is no book."""

    def audits(self) -> Sequence[Audit]:
        """Return nothing: there is no book."""
        return ()


class TapeSource(Recorded):
    """A recording of raw frames, at its own pace or another.

    Raises:
        InputError: the tape cannot be read, or the speed is none.
    """

    config = PipelineConfig()

    def __init__(self, path: Path, speed: str) -> None:
        self._path = path
        self.meter = Meter()
        self._parsers = Parsers(ignore)
        self.playback = Playback(parse_speed(speed or "1"))
        layout = "folder" if path.is_dir() else layout_of(path)
        self.database = name_of("tape", path)
        self.info = SourceInfo("TAPE", f"{path.name} ({layout})")  # not the speed, which may change while it plays

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Yield each frame's events."""
        reasons: list[str] = []  # of the first letters: who plays a tape of nothing but them wants to know why

        def refuse(letter: DeadLetter) -> None:
            """Pass a dead letter on, and remember the first one's reason."""
            if not reasons:
                reasons.append(letter.reason)
            reject(letter)

        parsers = self._parsers = Parsers(refuse, self.meter)
        frames = read_frames(self._path, reject=refuse)
        found = False
        async for events in self._paced((frame.ts_recv_ns, parsers.parse(frame)) for frame in frames):
            found = found or bool(events)
            yield None, events
        parsers.finish()
        if not found:
            raise InputError(": ".join([f"{self._path}: nothing could be read", *reasons]))

    def doubt(self, venue: str, symbol: str) -> None:
        """Tell the parser that the book it sees nothing wrong with is crossed."""
        self._parsers.doubt(venue, symbol)

    def audits(self) -> Sequence[Audit]:
        """Return the audits made since this was last asked."""
        return self._parsers.audits()


class CsvSource(Recorded):
    """A CSV file of prices.

    Raises:
        InputError: the file cannot be read, or the speed is none.
    """

    def __init__(self, path: Path, speed: str) -> None:
        self._file = CsvFile(path)
        self.meter = Meter()  # of no use here: rows of a file are no feed
        interval_ns = self._file.interval_ns
        self.config = PipelineConfig.for_rows(interval_ns)
        self.playback = Playback(parse_speed(speed) if speed else CSV_ROWS_PER_S * interval_ns / 1e9)
        self.database = name_of("csv", path)
        self.info = SourceInfo("CSV", f"{path.name}, a row each {interval_ns / 1e9:g} s")

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Yield each row's events."""
        rows = self._file.prices(reject)
        async for events in self._paced((price.ts_event_ns, [price]) for price in rows):
            yield None, events
