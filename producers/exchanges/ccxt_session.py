"""One ccxt exchange object, from its first connection to the first that breaks; it is not used again.

Books are taken where ccxt resolves them, at each message: who waits for ``watch_order_book`` alone gets the book as it
is when its turn comes, which may be several messages later, the last of them one that ccxt rejects. Nothing is taken
from ccxt's memory after a connection broke: each connection has an exchange object of its own.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from producers.exchanges.ccxt_book import BookTeller
from producers.exchanges.ccxt_exchange import Trouble, also, ccxt_sentence, trouble_of
from producers.exchanges.ccxt_wire import AnyMessage, Execution, Refused, Trades
from producers.frames import Direction, Frame

QUIET_S = 60.0  # without any book or trade; a venue that has died behind its proxy still answers pings
HEALING_S = 10.0  # ccxt subscribes again by itself after a number or checksum that differs
AGAIN_S = 1.0  # between attempts to watch what ccxt gave up
Put: TypeAlias = Callable[[Frame], None]


class Session:
    """Watches books and trades through one exchange object, and writes down what it says.

    ``symbols`` are ccxt's names by ours. ``served`` are those of which something came, ``refused`` those whose book the
    venue will not give, and why; ``barred`` is whether it will not talk to us at all. The session is ``mixed`` if
    something was refused, and ccxt could not tell of which symbol.
    """

    def __init__(
        self, exchange: Any, venue: str, conn: str, symbols: Mapping[str, str], put: Put, say: Callable[[str], None]
    ) -> None:
        self.symbols = dict(symbols)
        self.served: set[str] = set()
        self.refused: dict[str, str] = {}
        self.barred = False
        self.mixed = False
        self._exchange = exchange
        self._venue = venue
        self._conn = conn
        self._put = put
        self._say = say
        self._ours = {unified: symbol for symbol, unified in symbols.items()}
        self._tellers = {symbol: BookTeller(symbol) for symbol in symbols}
        self._asked_s = dict.fromkeys(symbols, time.monotonic())  # when the book was begun to be asked for
        self._heard_s = time.monotonic()
        self._hashes: dict[str, str] = {}  # ccxt's names for what it resolves, to our symbols
        self._last_trade: dict[str, Any] = {}
        self._told_to_all: Any = None  # the last error that ccxt gave to all who wait
        self._connected = False
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(self) -> str:
        """Watch until a connection breaks or ``end`` is called; returns why."""
        self.listen()
        kinds = ["book", "trades"] if self._exchange.has.get("watchTrades") else ["book"]
        tasks = [asyncio.create_task(self._watch(symbol, kind)) for symbol in self.symbols for kind in kinds]
        try:
            return await self._until_over()
        finally:
            self.end(f"{self._venue}: closed here")
            closing = asyncio.create_task(self._close(tasks))
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError:  # who ends all sessions may come while one ends by itself
                await closing
                raise

    async def _close(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._connected:
            self._frame("disconnect", self._over.result().encode())
        await self._exchange.close()

    def listen(self) -> None:
        """Take what the exchange says from now on."""
        exchange = self._exchange
        also(exchange, "on_connected", lambda client, *_: self._on_connected(client.url))
        also(exchange, "on_error", lambda _client, error: self.end(ccxt_sentence(self._venue, error)))
        also(exchange, "on_close", lambda _client, code: self.end(f"{self._venue} closed the connection ({code})"))
        make, handle = exchange.client, exchange.handle_message
        exchange.handle_message = lambda client, message: self._handle(handle, client, message)
        exchange.client = lambda url: self._tapped(make(url))

    def end(self, why: str) -> None:
        """End the session; what ccxt says from now on is not taken."""
        if not self._over.done():
            self._over.set_result(why)

    def drop(self, symbol: str) -> None:
        """Take no more of a symbol; the others go on undisturbed."""
        self._ours.pop(self.symbols.pop(symbol), None)

    def healing(self, symbol: str) -> bool:
        """Whether the symbol's book is on its way, or ccxt has just begun to ask for it again."""
        return not self._tellers[symbol].told and time.monotonic() - self._asked_s[symbol] < HEALING_S

    def _tapped(self, client: Any) -> Any:
        if "resolve" not in vars(client):
            also(client, "resolve", self._on_resolve)
            also(client, "reject", self._on_reject)
        return client

    def _handle(self, handle: Callable[[Any, Any], None], client: Any, message: Any) -> None:
        try:
            handle(client, message)
        except Exception as error:  # ccxt's loop would end here, and its socket fall silent
            self.end(f"{self._venue}: ccxt cannot read a message: {error!r}")

    def _on_connected(self, url: str) -> None:
        if not self._connected and not self._over.done():
            self._connected = True
            self._frame("connect", b"", url)

    def _on_resolve(self, result: Any, message_hash: str | None = None) -> None:
        if self._over.done():
            return
        if isinstance(result, dict) and "bids" in result and hasattr(result, "limit"):
            self._take_book(result, message_hash)
        elif hasattr(result, "getLimit"):
            self._take_trades(result)

    def _take_book(self, book: Any, message_hash: str | None) -> None:
        found = book.get("symbol") or next((one for one, kept in self._exchange.orderbooks.items() if kept is book), "")
        symbol = self._ours.get(found)
        if symbol is None:
            return
        if message_hash is not None:
            self._hashes[message_hash] = symbol
        book.limit()  # as ``watch_order_book`` does, though not at each message
        self._send(self._tellers[symbol].tell(book, time.time_ns()))

    def _take_trades(self, trades: Any) -> None:
        """Take what the cache, oldest first, has after the last trade that was taken from it."""
        newest = trades[-1] if len(trades) else None
        symbol = self._ours.get(newest["symbol"]) if newest else None
        if newest is None or symbol is None or "amount" not in newest:
            return
        last, new = self._last_trade.get(symbol), []
        for trade in reversed(trades):
            if trade is last:
                break
            if self._ours.get(trade["symbol"]) == symbol:
                new.append(trade)
        self._last_trade[symbol] = newest
        if new:
            self._send([Trades(symbol, [_execution(trade) for trade in reversed(new)])])

    def _on_reject(self, error: Any, message_hash: str | None = None) -> None:
        """Say at once that a book is in doubt: ccxt has put changes into it that it does not trust."""
        to_all = message_hash is None or error is self._told_to_all  # ccxt goes on to tell one after the other
        if message_hash is None:
            self._told_to_all = error
        if self._over.done() or (to_all and trouble_of(error) is not Trouble.DOUBT):
            return
        concerned = [symbol for name, symbol in self._hashes.items() if message_hash in {None, name}]
        for symbol in dict.fromkeys(concerned):
            self._doubt(symbol, error)

    def _doubt(self, symbol: str, error: BaseException) -> None:
        if symbol in self.symbols:
            self._asked_s[symbol] = time.monotonic()
            self._send(self._tellers[symbol].lose(ccxt_sentence(self._venue, error)))

    async def _watch(self, symbol: str, kind: str) -> None:
        """Keep one subscription: what it gives is taken elsewhere."""
        exchange, unified = self._exchange, self.symbols[symbol]
        watch = exchange.watch_order_book if kind == "book" else exchange.watch_trades
        while symbol in self.symbols and not self._over.done():
            try:
                await watch(unified)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self.end(f"{self._venue}: ccxt has closed its connection")  # it cancels who waits for it
            except Exception as error:  # an error of ccxt's tree, or whatever its code stumbles over
                if not self._goes_on(symbol, kind, error):
                    return
                await asyncio.sleep(AGAIN_S)

    def _goes_on(self, symbol: str, kind: str, error: Exception) -> bool:
        """Do what an error asks for; False if there is nothing more to watch."""
        found, why = trouble_of(error), ccxt_sentence(self._venue, error)
        if found is Trouble.DOUBT:
            self._doubt(symbol, error)
            return True
        self.mixed = found is Trouble.REFUSED and error is self._told_to_all and len(self.symbols) > 1
        self.barred = found is Trouble.BARRED
        if found is Trouble.REFUSED and not self.mixed:
            self._refuse(symbol, kind, why)
        else:
            self.end(why)
        return False

    def _refuse(self, symbol: str, kind: str, why: str) -> None:
        """Go on without what the venue will not give, while there is anything left."""
        why = f"no {kind} of {symbol}: {why}"
        self._say(why)
        self._send([Refused(symbol, why)])
        if kind == "book":
            self.refused[symbol] = why
        if set(self.symbols) <= set(self.refused):
            self.end(why)

    async def _until_over(self) -> str:
        while True:
            wait_s = self._heard_s + QUIET_S - time.monotonic()
            await asyncio.wait({self._over}, timeout=max(0.0, wait_s))
            if not self._over.done() and time.monotonic() >= self._heard_s + QUIET_S:
                self.end(f"{self._venue} has been silent for {QUIET_S:g} s")
            if self._over.done():
                return self._over.result()

    def _send(self, messages: Iterable[AnyMessage]) -> None:
        for message in messages:
            if not isinstance(message, Refused):
                self.served.add(message.symbol)
            self._frame("recv", msgspec.json.encode(message))
        self._heard_s = time.monotonic()

    def _frame(self, direction: Direction, payload: bytes, url: str | None = None) -> None:
        self._put(Frame(self._venue, self._conn, direction, time.time_ns(), payload, url))


def _execution(trade: Mapping[str, Any]) -> Execution:
    number = trade["id"]
    return Execution(
        None if number is None else str(number), trade["timestamp"], trade["price"], trade["amount"], trade["side"]
    )
