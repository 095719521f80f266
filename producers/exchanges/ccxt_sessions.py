"""The sessions of one exchange of ccxt's, begun again for ever, and their frames in one queue.

All symbols share one session. A symbol whose book is asked for anew gets one of its own, for few venues can be asked
for a book again through ccxt, and the other symbols are not to be disturbed.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

import msgspec

from producers.exchanges.ccxt_exchange import (
    Market,
    Verdict,
    listed,
    listings,
    retry_after_s,
    sentence,
    suggestion,
    verdict,
)
from producers.exchanges.ccxt_session import Session
from producers.exchanges.ccxt_wire import Refused
from producers.frames import Frame
from quicksilver.errors import InputError

RETRY_S = 1.0  # doubled at each attempt that gives nothing ...
RETRY_MOST_S = 60.0  # ... up to this
RETRY_AFTER_MOST_S = 3600.0  # a wrong header must not end a feed for good
DIALS_APART_S = 0.5  # between the beginnings of two sessions: venues count connections by the second
QUEUE_FRAMES = 10_000  # waiting for their reader; more, and the session is ended: ccxt cannot be made to wait
log = logging.getLogger(__name__)


class Sessions:
    """Watches symbols of one venue; ``make`` returns a new exchange object of ccxt's."""

    def __init__(self, venue: str, symbols: Sequence[str], make: Callable[[], Any]) -> None:
        self._venue = venue
        self._symbols = symbols
        self._make = make
        self._listed: Any = None  # an exchange, closed, with the venue's markets: all sessions share them
        self._out: asyncio.Queue[Frame | Exception] = asyncio.Queue()
        self._work: set[asyncio.Task[None]] = set()
        self._of: dict[str, Session | None] = {}  # by symbol; None between two of them
        self._begun = 0
        self._refused: set[str] = set()
        self._said: set[str] = set()
        self._served = False
        self._dialling = asyncio.Lock()

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Yield frames for ever; close the iterator to end it.

        Raises:
            InputError: the venue gives none of the symbols, or bars us from the start.
        """
        self._out = asyncio.Queue()
        self._dialling = asyncio.Lock()
        self._of.clear()
        self._refused.clear()
        self._begin(self._start)
        try:
            while True:
                found = await self._out.get()
                if isinstance(found, Exception):
                    raise found
                yield found
        finally:
            for task in self._work:
                task.cancel()
            await asyncio.gather(*self._work, return_exceptions=True)

    def resync(self, symbol: str) -> None:
        """Have one symbol's book asked for anew, unless it is on its way already."""
        session = self._of.get(symbol)
        if session is None or session.healing(symbol):
            return
        if len(session.symbols) == 1:
            session.end(f"{self._venue}: the book of {symbol} is asked for anew")
        else:
            session.drop(symbol)
            self._of[symbol] = None
            self._begin(self._run, [symbol])

    async def markets(self) -> list[Market]:
        """Return all that the venue lists, however long it takes to be told.

        Raises:
            InputError: the venue bars us.
        """
        return list(listings(self._venue, await self._load()))

    def _begin(self, work: Callable[..., Awaitable[None]], *given: Any) -> None:
        task = asyncio.create_task(self._guarded_work(work, *given))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _guarded_work(self, work: Callable[..., Awaitable[None]], *given: Any) -> None:
        """Hand a failure to who reads the frames: a task that ends unseen would look like a quiet market."""
        try:
            await work(*given)
        except Exception as error:
            self._out.put_nowait(error)

    async def _start(self) -> None:
        known = listed(await self._load())
        for symbol in self._symbols:
            if symbol not in known:
                why = f"{self._venue} lists no {symbol}{suggestion(symbol, known)}"
                self._say(f"{why}; going on without it")
                refused = msgspec.json.encode(Refused(symbol, why))
                self._give(Frame(self._venue, self._venue, "recv", time.time_ns(), refused))
                self._refuse(symbol, why)
        wanted = [symbol for symbol in self._symbols if symbol in known]
        if wanted:
            await self._run(wanted)

    async def _load(self) -> Any:
        """Return an exchange that knows its markets, and is used for nothing else."""
        attempt = 0
        while self._listed is None:
            exchange = self._make()
            try:
                await exchange.load_markets()
                self._listed = exchange
            except Exception as error:
                self._heed(error)
                attempt += 1
                await self._wait(attempt, retry_after_s(exchange))
            finally:
                await exchange.close()
        return self._listed

    def _heed(self, error: Exception) -> None:
        """Say what is wrong; raise it if trying again has no sense."""
        why = sentence(self._venue, error)
        if verdict(error) is Verdict.BARRED and not self._served:
            raise InputError(why) from error
        self._say(f"{why}; trying again")

    async def _run(self, symbols: list[str]) -> None:
        """Begin one session after the other for these symbols, while any of them is wanted."""
        attempt = 0
        while symbols:
            session, after_s = await self._one_session(symbols)
            symbols = [symbol for symbol in session.symbols if symbol not in self._refused]
            attempt = 0 if session.served else attempt + 1
            if session.mixed:
                for symbol in symbols[1:]:
                    self._begin(self._run, [symbol])
                symbols = symbols[:1]
            if symbols:
                await self._wait(attempt, after_s)

    async def _one_session(self, symbols: list[str]) -> tuple[Session, float]:
        """Run a session to its end; returns it, and the seconds for which the venue wants no other."""
        async with self._dialling:
            await asyncio.sleep(DIALS_APART_S)
        self._begun += 1
        exchange = self._make()
        exchange.set_markets_from_exchange(self._listed)
        names = listed(exchange)
        wanted = {symbol: names[symbol] for symbol in symbols}
        session = Session(exchange, self._venue, f"{self._venue}.{self._begun}", wanted, self._give, self._say)
        self._of.update(dict.fromkeys(symbols, session))
        why = await session.run()
        self._of.update(dict.fromkeys(session.symbols))
        self._after(session, why)
        return session, retry_after_s(exchange)

    def _after(self, session: Session, why: str) -> None:
        if session.served:
            self._served = True
            self._said.clear()
        for symbol, (found, reason) in session.refused.items():
            if found is Verdict.REFUSED or not self._served:
                self._refuse(symbol, reason)
        if not self._refused.issuperset(session.symbols):
            self._say(f"{why}; connecting again")

    def _refuse(self, symbol: str, why: str) -> None:
        """Give a symbol up; the last one ends the feed.

        Raises:
            InputError: it was the last.
        """
        self._refused.add(symbol)
        if self._refused >= set(self._symbols):
            raise InputError(why)

    def _say(self, text: str) -> None:
        """Log a warning once in an outage, not at each attempt."""
        if text not in self._said:
            self._said.add(text)
            log.warning("%s", text)

    def _give(self, frame: Frame) -> None:
        self._out.put_nowait(frame)
        if self._out.qsize() >= QUEUE_FRAMES and frame.direction == "recv":
            for session in {one for one in self._of.values() if one is not None}:
                session.end(f"{self._venue}: {QUEUE_FRAMES:,} frames wait for their reader")

    async def _wait(self, attempt: int, after_s: float) -> None:
        """Wait before another attempt: twice as long each time, and not all feeds together."""
        wait_s = min(RETRY_S * 2.0 ** min(attempt, 10), RETRY_MOST_S) * random.uniform(0.5, 1.0)
        await asyncio.sleep(max(wait_s, min(after_s, RETRY_AFTER_MOST_S)))
