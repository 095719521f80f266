"""What goes wrong between a simulated venue and its readers, the same for all venues.

A fault is written ``KIND[:SYMBOL][@START][+FOR][/EVERY]``, with times in seconds: ``drop:BTC-USD@5s``,
``disconnect@60s/60s``, ``stall@10s+3s``. Without a symbol one is drawn from the seed.
"""

import heapq
import re
from collections import deque
from collections.abc import Iterable, Sequence
from random import Random

import msgspec

from producers.simulator.venues.base import Message
from quicksilver.errors import InputError

KINDS = {
    "drop": "one change of the symbol's book is not sent",
    "duplicate": "one change is sent twice",
    "reorder": "one change is sent after the next one of the same symbol",
    "delay": "the connection says nothing for a while, then everything, in order (FOR: how long)",
    "truncate": "half of one change is sent",
    "corrupt": "a digit of a size in one change is another",
    "stall": "the connection stays open and says nothing more (FOR: for how long)",
    "disconnect": "all connections break without a closing handshake",
    "old-snapshot": "the connections break (after FOR), and the symbol's next snapshot is of before",
    "429": "what is asked over HTTP is refused for a while (FOR)",
    "sequence-reset": "the venue's numbers begin anew",
    "maintenance": "the venue says that it goes into maintenance, as it does so",
}
ON_MESSAGES = {"drop", "duplicate", "reorder", "truncate", "corrupt"}
DEFAULT_FOR_S = {"delay": 0.5, "old-snapshot": 0.5, "429": 1.0, "maintenance": 0.5}
_TIME = r"(\d+(?:\.\d+)?)s?"
_FAULT = re.compile(rf"([a-z0-9-]+)(?::([A-Z0-9_]+-[A-Z0-9_]+))?(?:@{_TIME})?(?:\+{_TIME})?(?:/{_TIME})?")


class Fault(msgspec.Struct, frozen=True):
    """One fault: what, of which symbol, when, for how long, and how often again; times in seconds, 0: once, at once."""

    kind: str
    symbol: str = ""
    at_s: float = 0.0
    for_s: float = 0.0
    every_s: float = 0.0


def parse_fault(text: str) -> Fault:
    """Return the fault that a text describes.

    >>> parse_fault("drop:BTC-USD@5s/60s")
    Fault(kind='drop', symbol='BTC-USD', at_s=5.0, for_s=0.0, every_s=60.0)

    Raises:
        InputError: it describes none.
    """
    match = _FAULT.fullmatch(text.strip())
    if match is None or match[1] not in KINDS:
        raise InputError(
            f"not a fault: {text!r}; write KIND[:SYMBOL][@START][+FOR][/EVERY] with KIND one of {', '.join(KINDS)}"
        )
    at_s, for_s, every_s = (float(part or 0.0) for part in match.groups()[2:])
    return Fault(match[1], match[2] or "", at_s, for_s or DEFAULT_FOR_S.get(match[1], 0.0), every_s)


class Schedule:
    """When which fault is due; faults without a symbol get one of ``symbols``, drawn from the seed."""

    def __init__(self, faults: Iterable[Fault], symbols: Sequence[str], seed: int) -> None:
        self._due = [(fault.at_s, number, fault) for number, fault in enumerate(faults)]
        unknown = [fault.symbol for _, _, fault in self._due if fault.symbol and fault.symbol not in symbols]
        if unknown:
            raise InputError(f"a fault of {unknown[0]}, which is not simulated; there are {', '.join(symbols)}")
        self._symbols = symbols
        self._rng = Random(f"{seed} faults")
        heapq.heapify(self._due)

    def due(self, now_s: float) -> list[Fault]:
        """Return the faults whose time has come since the last call."""
        found: list[Fault] = []
        while self._due and self._due[0][0] <= now_s:
            at_s, number, fault = heapq.heappop(self._due)
            symbol = fault.symbol or self._rng.choice(self._symbols)
            found.append(msgspec.structs.replace(fault, symbol=symbol))
            if fault.every_s:
                heapq.heappush(self._due, (at_s + fault.every_s, number, fault))
        return found


class Line:
    """One connection, and what the faults do to the messages on it."""

    def __init__(self) -> None:
        self.armed: list[Fault] = []
        self.silent_until_s = 0.0
        self.free_at_s = 0.0
        self._held: tuple[Fault, str] | None = None
        self._late: deque[str] = deque()

    def pass_on(self, message: Message, now_s: float) -> list[str]:
        """Return the texts that are sent for a message now: mostly its own."""
        if now_s < self.silent_until_s:
            return []
        texts = self._damaged(message) if message.kind == "update" and (self.armed or self._held) else [message.text]
        if now_s >= self.free_at_s and not self._late:
            return texts
        self._late += texts
        return self.released(now_s)

    def released(self, now_s: float) -> list[str]:
        """Return the texts that were held back until now."""
        if now_s < self.free_at_s or not self._late:
            return []
        texts = list(self._late)
        self._late.clear()
        return texts

    def _damaged(self, message: Message) -> list[str]:
        if self._held is not None and message.symbol == self._held[0].symbol:
            held, self._held = self._held[1], None
            return [message.text, held]
        fault = next((one for one in self.armed if one.symbol == message.symbol and _fits(one, message)), None)
        if fault is None:
            return [message.text]
        self.armed.remove(fault)
        if fault.kind == "reorder":
            self._held = (fault, message.text)
        return _sent_instead(fault.kind, message)


def _sent_instead(kind: str, message: Message) -> list[str]:
    text = message.text
    if kind == "duplicate":
        return [text, text]
    if kind == "truncate":
        return [text[: len(text) // 2]]
    if kind == "corrupt":
        return [text.replace(message.level, with_another_digit(message.level), 1)]
    return []


def _fits(fault: Fault, message: Message) -> bool:
    """Whether a message is one that the fault does something to: some checksums see the best levels alone."""
    return bool(message.level) if fault.kind == "corrupt" else message.vital


def with_another_digit(level: str) -> str:
    """Return a level's text with the last digit of its size one higher, or one lower if it is 9.

    >>> with_another_digit('["64773.34","1.54364721"]'), with_another_digit('{"price":64785.7,"qty":0.00000009}')
    ('["64773.34","1.54364722"]', '{"price":64785.7,"qty":0.00000008}')
    """
    place = next(i for i in range(len(level) - 1, -1, -1) if level[i].isdigit())
    digit = int(level[place])
    return f"{level[:place]}{digit + 1 if digit < 9 else 8}{level[place + 1 :]}"
