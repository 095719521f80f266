"""Where the embedded runner's events come from, as the settings say."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from api.hub import SourceInfo
from jobs.addresses import Address, addresses
from jobs.live import ElsewhereSource, FeedSource, SimulatorSource
from jobs.recorded import CsvSource, TapeSource
from jobs.settings import RunSettings
from jobs.starting_feeds import started
from producers.exchanges.base import Reject
from producers.exchanges.feed import Feed
from producers.exchanges.venue import feed_of
from producers.metrics import Meter
from producers.simulator.listings import listing_of
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent
from quicksilver.records import Audit

NOWHERE_ELSE: Mapping[str, Address] = {}


class Source(Protocol):
    """Batches of events, and a way to ask for a book anew."""

    info: SourceInfo
    config: PipelineConfig
    realtime: bool
    instruments: Sequence[tuple[str, str]]  # venue and symbol of all that is subscribed to, where that is known
    database: str  # name of the file of its rows
    lasting: bool  # whether the rows of earlier runs belong to the same market
    meter: Meter  # counts what comes of its feeds

    def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        """Yield ``(ts_recv_ns of the live clock or None, events of one frame)``."""

    async def resync(self, venue: str, symbol: str) -> None:
        """Ask the venue for the symbol's book again."""

    def doubt(self, venue: str, symbol: str) -> None:
        """Take it that the symbol's book, sound as far as the venue's rules tell, was found crossed."""

    def audits(self) -> Sequence[Audit]:
        """Return the audits made since this was last asked."""


@runtime_checkable
class Adjustable(Protocol):
    """A source whose symbols can be added and removed while it runs."""

    feeds: dict[str, Feed]

    async def add(self, venue: str, symbol: str) -> str:
        """Subscribe to one more symbol; returns the venue's own name."""

    async def remove(self, venue: str, symbol: str) -> None:
        """Subscribe to a symbol no longer."""


def choose(settings: RunSettings, say: Callable[[str], None]) -> Source:
    """Return the source that the settings name; ``auto`` takes live feeds, and the simulator where none is reached.

    Raises:
        InputError: the source cannot be used.
    """
    settings.require_meant()
    if settings.source in {"tape", "csv"}:
        if settings.tape is None:
            raise InputError(f"SOURCE={settings.source} needs TAPE=path, the file to play")
        return (TapeSource if settings.source == "tape" else CsvSource)(settings.tape, settings.speed)
    names, symbols = _listed(settings.venues), _listed(settings.symbols.upper())
    if settings.source in {"auto", "live"}:
        for setting, given, example in (("VENUES", names, "kraken,bitstamp"), ("SYMBOLS", symbols, "BTC-USD,ETH-USD")):
            if not given:
                raise InputError(f"{setting}= names none: say which, as in {setting}={example}, or run with SOURCE=sim")
        places = addresses(settings.venue_urls, names)
        source, troubles = live_source(names, symbols, say, settings.audit_every_s, places)
        if source is not None:
            return source
        why = "\n  ".join([f"none of {settings.venues} can be reached:", *troubles])
        if settings.source == "live":
            raise InputError(f"{why}\ncheck the network, or run with SOURCE=sim")
        say(f"{why}\nplaying the built-in exchange simulator instead")
    simulated = [listing_of(one).symbol for one in symbols] if "symbols" in settings.model_fields_set else None
    return SimulatorSource(settings.seed, simulated, settings.audit_every_s)


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))


def live_source(
    names: list[str],
    symbols: list[str],
    say: Callable[[str], None],
    audit_every_s: float = 0.0,
    places: Mapping[str, Address] = NOWHERE_ELSE,
) -> tuple[FeedSource | None, list[str]]:
    """Return the live feeds of all these venues, or None and why not one of them can be reached.

    Each symbol's book is compared with one fetched each ``audit_every_s``, unless that is 0. Venues in ``places``
    are read there.

    Raises:
        InputError: an unknown venue, one named twice or without live books, or no venue lists any of the symbols.
    """
    found = [feed_of(name, symbols, *places.get(name, Address())) for name in names]
    twice = [feed.venue for i, feed in enumerate(found) if feed.venue in {other.venue for other in found[:i]}]
    if twice:
        raise InputError(f"{twice[0]} is named twice: a symbol has one book, of levels or of orders")
    feeds, troubles = started(found, say)
    if not feeds:
        return None, troubles
    for feed in feeds:
        feed.audit_every_s = audit_every_s
    elsewhere = {feed.venue: places[name] for name, feed in zip(names, found, strict=True) if name in places}
    return (ElsewhereSource if elsewhere else FeedSource)(feeds, _info(feeds, elsewhere)), []


def _info(feeds: Sequence[Feed], elsewhere: Mapping[str, Address]) -> SourceInfo:
    """What the page says: whose feeds they are and where, and that one is simulated, if what is there says so."""
    places = {venue: f" at {place.url or place.rest_url}" for venue, place in elsewhere.items()}
    kind = "SIMULATED" if any(feed.simulated for feed in feeds) else "LIVE"
    return SourceInfo(kind, f"public feeds of {', '.join(feed.venue + places.get(feed.venue, '') for feed in feeds)}")
