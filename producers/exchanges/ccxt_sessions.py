"""The sessions of one exchange of ccxt's, begun again for ever, and their frames in one queue.

All symbols share one session. A symbol whose book is asked for anew gets one of its own, for few venues can be asked
for a book again through ccxt, and the other symbols are not to be disturbed.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from itertools import count
from typing import Any

import msgspec

from producers.exchanges.ccxt_exchange import Trouble, ccxt_sentence, left_alone_s, listed, listings, trouble_of
from producers.exchanges.ccxt_session import Session
from producers.exchanges.ccxt_wire import Refused
from producers.exchanges.listings import Listing, suggestion
from producers.frames import Frame
from quicksilver.errors import InputError

RETRY_S = 1.0  # doubled at each attempt that gives nothing ...
RETRY_MOST_S = 60.0  # ... up to this
DIALS_APART_S = 0.5  # between the beginnings of two sessions: venues count connections by the second
QUEUE_FRAMES = 10_000  # waiting for their reader; more, and the session is ended: ccxt cannot be made to wait
log = logging.getLogger(__name__)


class Sessions:
    """Watches symbols of one venue; ``make`` returns a new exchange object of ccxt's."""

    def __init__(self, venue: str, symbols: Sequence[str], make: Callable[[], Any]) -> None:
        self._venue = venue
        self._symbols = list(symbols)
        self._make = make
        self._listed: Any = None  # an exchange, closed, with the venue's markets: all sessions share them
        self._out: asyncio.Queue[Frame | Exception] = asyncio.Queue()
        self._work: set[asyncio.Task[None]] = set()
        self._of: dict[str, Session | None] = {}  # by symbol; None between two of them
        self._turn_of: dict[str, int] = {}  # by symbol: the number of the work that begins its sessions, and no other
        self._turns = count(1)
        self._begun = 0
        self._refused: set[str] = set()
        self._said: set[str] = set()
        self._served: set[str] = set()
        self._dialling = asyncio.Lock()
        self._read = False  # whether somebody reads the frames

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Yield frames for ever; close the iterator to end it.

        Raises:
            InputError: the venue gives none of the symbols, or bars us from the start.
        """
        self._out = asyncio.Queue()
        self._dialling = asyncio.Lock()
        self._of.clear()
        self._turn_of.clear()
        self._refused.clear()
        self._read = True
        self._watch(self._start, list(self._symbols))
        try:
            while True:
                found = await self._out.get()
                if isinstance(found, Exception):
                    raise found
                yield found
        finally:
            self._read = False
            for task in self._work:
                task.cancel()
            await asyncio.gather(*self._work, return_exceptions=True)

    def add(self, symbol: str) -> None:
        """Watch one more symbol, in a session of its own."""
        if symbol not in self._symbols:
            self._symbols.append(symbol)
            self._refused.discard(symbol)
            if self._read:
                self._watch(self._start, [symbol])

    def remove(self, symbol: str) -> None:
        """Watch a symbol no longer."""
        self._symbols = [one for one in self._symbols if one != symbol]
        self._turn_of.pop(symbol, None)
        session = self._of.pop(symbol, None)
        if session is not None and len(session.symbols) > 1:
            session.drop(symbol)
        elif session is not None:
            session.end(f"{self._venue}: its last symbol was removed")

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
            self._watch(self._run, [symbol])

    async def markets(self) -> list[Listing]:
        """Return all that the venue lists, however long it takes to be told.

        Raises:
            InputError: the venue bars us.
        """
        return list(listings(self._venue, await self._load()))

    def _watch(self, work: Callable[[list[str], int], Awaitable[None]], symbols: list[str]) -> None:
        """Begin work that makes sessions for these symbols; what did so before makes no more, even if it waits now."""
        turn = next(self._turns)
        self._turn_of.update(dict.fromkeys(symbols, turn))
        task = asyncio.create_task(self._guarded_work(work, symbols, turn))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _guarded_work(self, work: Callable[..., Awaitable[None]], *given: Any) -> None:
        """Hand a failure to who reads the frames: a task that ends unseen would look like a quiet market."""
        try:
            await work(*given)
        except Exception as error:
            self._out.put_nowait(error)

    def _wanted(self, symbols: Iterable[str], turn: int) -> list[str]:
        return [one for one in symbols if self._turn_of.get(one) == turn and one not in self._refused]

    async def _start(self, symbols: list[str], turn: int) -> None:
        known = listed(await self._load())
        for symbol in self._wanted(symbols, turn):
            if symbol not in known:
                why = f"{self._venue} lists no {symbol}{suggestion(symbol, known)}"
                self._say(f"{why}; going on without it")
                refused = msgspec.json.encode(Refused(symbol, why))
                self._give(Frame(self._venue, self._venue, "recv", time.time_ns(), refused))
                self._refuse(symbol, why)
        await self._run(symbols, turn)

    async def _load(self) -> Any:
        """Return an exchange that knows its markets, and is used for nothing else."""
        attempt = 0
        while self._listed is None:
            exchange = self._make()
            try:
                await exchange.load_markets()
                self._listed = exchange
            except Exception as error:  # an error of ccxt's tree, or whatever its code stumbles over
                self._heed(error)
                attempt += 1
                await self._wait(attempt, left_alone_s(exchange))
            finally:
                await exchange.close()
        return self._listed

    def _heed(self, error: Exception) -> None:
        """Say what is wrong; raise it if trying again has no sense."""
        why = ccxt_sentence(self._venue, error)
        if trouble_of(error) in {Trouble.REFUSED, Trouble.BARRED}:
            raise InputError(why) from error
        self._say(f"{why}; trying again")

    async def _run(self, symbols: list[str], turn: int) -> None:
        """Begin one session after the other for these symbols, while any of them is wanted, and it is our turn."""
        attempt = 0
        while self._wanted(symbols, turn):
            async with self._dialling:
                await asyncio.sleep(DIALS_APART_S)
            symbols = self._wanted(symbols, turn)
            if not symbols:
                return
            session, after_s = await self._one_session(symbols)
            symbols = list(session.symbols)
            attempt = 0 if session.served else attempt + 1
            if session.mixed:
                for symbol in symbols[1:]:
                    self._watch(self._run, [symbol])
                symbols = symbols[:1]
            await self._wait(attempt, after_s)

    async def _one_session(self, symbols: list[str]) -> tuple[Session, float]:
        """Run a session to its end; returns it, and the seconds for which the venue wants no other."""
        self._begun += 1
        exchange = self._make()
        exchange.set_markets_from_exchange(self._listed)
        names = listed(exchange)
        wanted = {symbol: names[symbol] for symbol in symbols}
        session = Session(exchange, self._venue, f"{self._venue}.{self._begun}", wanted, self._give, self._say)
        self._of.update(dict.fromkeys(symbols, session))
        why = await session.run()
        self._of.update({symbol: None for symbol, one in self._of.items() if one is session})
        self._after(session, why)
        return session, left_alone_s(exchange)

    def _after(self, session: Session, why: str) -> None:
        if session.served:
            self._served |= session.served
            self._said.clear()
        if session.barred and not self._served:
            raise InputError(why)
        for symbol, reason in session.refused.items():
            if symbol not in self._served:  # else it may be a whim of the venue's
                self._refuse(symbol, reason)
        if not self._refused.issuperset(set(session.symbols) & set(self._symbols)):
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
        await asyncio.sleep(max(wait_s, after_s))
