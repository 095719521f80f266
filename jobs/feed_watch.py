"""What is watched of live feeds beside their frames: refusals, symbols that have fallen silent, symbols removed."""

import logging
import time
from collections import defaultdict
from collections.abc import Mapping

from jobs.parsers import Parsers
from producers.exchanges.base import Parser
from producers.exchanges.endings import UNASKED
from producers.exchanges.feed import Feed
from producers.exchanges.reading import naming
from producers.exchanges.silence import Silences, StillBooks, Told
from producers.frames import Frame
from quicksilver.errors import InputError

LOOK_S = 1.0
REFUSED_S = 5.0  # after a refusal, before it is taken that nothing else comes: of two channels one may be refused
REMOVED = "removed: it is no longer subscribed to"
log = logging.getLogger(__name__)


class FeedWatch:
    """Watches what comes of some feeds, by venue, and of their parsers."""

    def __init__(self, feeds: Mapping[str, Feed], parsers: Parsers) -> None:
        self._feeds = feeds
        self._parsers = parsers
        self._silences: defaultdict[str, Silences] = defaultdict(Silences)  # by venue
        self._still: defaultdict[str, StillBooks] = defaultdict(StillBooks)  # by venue
        self._removed: set[tuple[str, str]] = set()
        self._refused: dict[tuple[str, str], str] = {}  # by venue and symbol, as long as the symbol's book has not come
        self._lived: set[tuple[str, str]] = set()  # what a venue has given once it gives again: a refusal passes
        self._said: set[tuple[str, str]] = set()
        self._since_s = 0.0  # when the last refusal came
        self._looked_s: dict[str, float] = {}

    def wanted(self, venue: str, symbol: str) -> None:
        """Take note that a symbol was added."""
        self._removed.discard((venue, symbol))

    def unwanted(self, venue: str, symbol: str) -> None:
        """Take note that a symbol was removed."""
        self._removed.add((venue, symbol))
        self._refused.pop((venue, symbol), None)

    def in_vain(self, venue: str, symbol: str) -> bool:
        """Return whether the venue has refused the symbol."""
        return (venue, symbol) in self._refused

    async def after(self, frame: Frame) -> list[Frame]:
        """Look after a frame was parsed; returns frames (``drop``) of books that nobody keeps up any more.

        They go the way of all frames, onto tapes too: a replay must give up the same books.

        Raises:
            InputError: every venue refuses all that it is asked for.
        """
        parser = self._parsers.by_venue.get(frame.venue)
        if parser is None:
            return []
        self._take_refusals(frame.venue, parser)
        await self._ask_the_ended(frame.venue, parser)
        drops = [_drop(frame, parser, symbol, REMOVED) for venue, symbol in self._removed if venue == frame.venue]
        if frame.direction == "disconnect":
            self._silences[frame.venue].forget(one.symbol for one in parser.instruments.values() if not one.conn)
        now_s = time.monotonic()
        if now_s - self._looked_s.get(frame.venue, 0.0) >= LOOK_S:
            self._looked_s[frame.venue] = now_s
            self._give_up(now_s)
            drops += await self._ask_the_silent(frame, parser, now_s)
        return [drop for drop in drops if drop is not None]

    def _take_refusals(self, venue: str, parser: Parser) -> None:
        while parser.refusals:
            why, payload = parser.refusals.popleft()
            symbols = self._meant(venue, payload)
            self._note_live(venue, parser)
            waiting = [one for one in symbols if (venue, one) not in self._lived]
            self._refused |= {(venue, symbol): why for symbol in waiting}
            self._since_s = time.monotonic()
            if (venue, why) not in self._said:
                self._said.add((venue, why))
                named = len(symbols) < len(self._feeds[venue].symbols)
                about = f"nothing comes of {', '.join(symbols)}" if named else "a subscription is missing"
                log.warning("%s: %s; %s, see `quicksilver symbols %s`", venue, why, about, venue)

    def _note_live(self, venue: str, parser: Parser) -> None:
        self._lived |= {(venue, one.symbol) for one in parser.instruments.values() if one.live}

    def _meant(self, venue: str, payload: bytes) -> list[str]:
        """The symbols that a refusal names; where it names none, all of which it may be."""
        feed, has = self._feeds[venue], naming(payload)
        named = [symbol for symbol in feed.symbols if has(feed.native(symbol))]
        return named or list(feed.symbols)

    def _give_up(self, now_s: float) -> None:
        """End it all where everything was refused from the start: to wait for it would look like a quiet market."""
        for venue, parser in self._parsers.by_venue.items():
            self._note_live(venue, parser)
        self._refused = {one: why for one, why in self._refused.items() if one not in self._lived}
        asked = {(venue, symbol) for venue, feed in self._feeds.items() for symbol in feed.symbols}
        if self._refused and not self._lived and asked <= self._refused.keys() and now_s - self._since_s >= REFUSED_S:
            whys = "; ".join(dict.fromkeys(self._refused.values()))
            raise InputError(f"nothing can start: {whys}; check SYMBOLS= and VENUES=")

    async def _ask_the_ended(self, venue: str, parser: Parser) -> None:
        """Subscribe anew where the venue has ended a book by itself; to ask for the book alone may not do that."""
        while parser.ended:
            symbol, feed = parser.ended.pop(), self._feeds[venue]
            log.warning("%s: %s: %s: subscribed to anew", venue, symbol, UNASKED)
            if feed.snapshot_url(symbol) is not None and symbol in feed.symbols:
                await feed.renew(symbol)

    async def _ask_the_silent(self, frame: Frame, parser: Parser, now_s: float) -> list[Frame | None]:
        feed = self._feeds[frame.venue]
        messages = {one: parser.instruments[one].heard for one in feed.symbols if one in parser.instruments}
        whys = {
            symbol: f"nothing for {silent_s:.0f} s, a message each {usual_s:.2g} s before"
            for symbol, silent_s, usual_s in self._silences[frame.venue].look(messages, now_s)
        }
        for symbol, still_s in self._still[frame.venue].look(_told(feed, parser), now_s):
            whys.setdefault(symbol, f"its book has said nothing for {still_s:.0f} s, though it is traded")
        drops: list[Frame | None] = []
        for symbol, reason in whys.items():
            why = f"{reason}: subscribed to anew"
            log.warning("%s: %s: %s", frame.venue, symbol, why)
            if feed.snapshot_url(symbol) is not None:  # else a snapshot comes over the socket, and replaces the book
                drops.append(_drop(frame, parser, symbol, why))
            await feed.renew(symbol)
        return drops


def _told(feed: Feed, parser: Parser) -> dict[str, Told]:
    """What the live books of a feed's symbols have said; what is no trade and no gap is a book's word."""
    live = [one for one in parser.instruments.values() if one.live and one.symbol in feed.symbols]
    return {one.symbol: Told(one.counts.events - one.trades - one.counts.gaps, one.trades) for one in live}


def _drop(after: Frame, parser: Parser, symbol: str, why: str) -> Frame | None:
    """The frame that gives a book up, if it is live: it may come even after its symbol was removed."""
    one = parser.instruments.get(symbol)
    if one is None or not one.live:
        return None
    return Frame(after.venue, one.conn, "drop", after.ts_recv_ns, f"{symbol} {why}".encode())
