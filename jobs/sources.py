"""Where the embedded runner's events come from, as the settings say."""

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from api.hub import SourceInfo
from jobs.live import SimulatorSource, live_source
from jobs.recorded import CsvSource, TapeSource
from jobs.settings import RunSettings
from producers.exchanges.base import Reject
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent


class Source(Protocol):
    """Batches of events, and a way to ask for a book anew."""

    info: SourceInfo
    config: PipelineConfig
    realtime: bool

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
    return [one.strip() for one in text.split(",") if one.strip()]
