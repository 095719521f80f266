"""Where the embedded runner's events come from, as the settings say."""

import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from queue import Empty, Queue
from typing import Protocol
from urllib.parse import urlsplit

from api.hub import SourceInfo
from jobs.live import FeedSource, SimulatorSource
from jobs.recorded import CsvSource, TapeSource
from jobs.settings import RunSettings
from producers.exchanges.base import Reject
from producers.exchanges.venue import venue_named
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent

PROBE_S = 3.0  # for all venues together: a simulator that starts later than this seems to hang


class Source(Protocol):
    """Batches of events, and a way to ask for a book anew."""

    info: SourceInfo
    config: PipelineConfig
    realtime: bool
    instruments: Sequence[tuple[str, str]]  # venue and symbol of all that is subscribed to, where that is known
    database: str  # name of the file of its rows
    lasting: bool  # whether the rows of earlier runs belong to the same market

    def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Yield ``(ts_recv_ns of the live clock or None, events of one frame)``."""

    async def resync(self, venue: str, symbol: str) -> None:
        """Ask the venue for the symbol's book again."""

    def doubt(self, venue: str, symbol: str) -> None:
        """Take it that the symbol's book, sound as far as the venue's rules tell, was found crossed."""


def choose(settings: RunSettings, say: Callable[[str], None]) -> Source:
    """Return the source that the settings name; ``auto`` takes live feeds, and the simulator where none is reached.

    Raises:
        InputError: the source cannot be used.
    """
    if settings.source in {"tape", "csv"}:
        if settings.tape is None:
            raise InputError(f"SOURCE={settings.source} needs TAPE=path, the file to play")
        return (TapeSource if settings.source == "tape" else CsvSource)(settings.tape, settings.speed)
    names, symbols = _listed(settings.venues), _listed(settings.symbols.upper())
    if settings.source in {"auto", "live"}:
        source = live_source(names, symbols)
        if source is not None:
            return source
        if settings.source == "live":
            raise InputError(f"none of {settings.venues} can be reached; check the network, or run with SOURCE=sim")
        say(f"none of {settings.venues} can be reached from here: playing the built-in exchange simulator instead")
    return SimulatorSource(settings.seed)


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))


def _reachable(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 443), timeout=PROBE_S):
            return True
    except OSError:
        return False


def _any_reachable(urls: list[str]) -> bool:
    """Try all at once; names that take longer to look up than ``PROBE_S`` are not waited for either."""
    answers: Queue[bool] = Queue()
    for url in urls:
        threading.Thread(target=lambda url=url: answers.put(_reachable(url)), daemon=True).start()
    until = time.monotonic() + PROBE_S
    with suppress(Empty):
        return any(answers.get(timeout=max(0.0, until - time.monotonic())) for _ in urls)
    return False


def live_source(names: list[str], symbols: list[str]) -> FeedSource | None:
    """Return the live feeds of all these venues, or None if not one can be reached.

    A venue that is not reached now is taken all the same: its feed tries for ever, as after any lost connection.

    Raises:
        InputError: an unknown venue, or one that has no live books.
    """
    chosen = [venue_named(name) for name in names]
    feeds = [venue.feed(venue.name, symbols) for venue in chosen]
    if not _any_reachable([feed.url for feed in feeds]):
        return None
    return FeedSource(feeds, SourceInfo("LIVE", f"public feeds of {', '.join(names)}"))
