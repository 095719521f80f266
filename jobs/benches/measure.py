"""Timing two things in turns, so that noise hits both alike."""

import math
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import msgspec

ROUNDS = 9
MOST = 1000  # calls in a turn


class Row(msgspec.Struct, frozen=True):
    """One line of the table: a rate or time, its peer's, and their ratio (above 1: better than the peer)."""

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float
    ratio: float


def quiet(_: str) -> None:
    """Say nothing: what is measured is told, and no more."""


def seconds(*work: Callable[[], Any], turn_s: float = 0.0) -> list[float]:
    """Return the median time of each, in seconds, taken in turns after one unmeasured round.

    What is shorter than ``turn_s`` is done so often in its turn that it lasts as long: one call alone would be one of
    cold caches. One more unmeasured call tells how often.
    """
    for one in work:
        one()
    counts = [max(1, int(turn_s / max(_taken(one, 1), turn_s / MOST))) if turn_s else 1 for one in work]
    times: list[list[float]] = [[] for _ in work]
    for _ in range(ROUNDS):
        for one, count, taken in zip(work, counts, times, strict=True):
            taken.append(_taken(one, count))
    return [median(taken) for taken in times]


def _taken(work: Callable[[], Any], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        work()
    return (time.perf_counter() - started) / count


def best_seconds(*work: Callable[[], Any], rounds: int) -> list[float]:
    """Return the shortest time of each, in seconds, taken in turns after an unmeasured round, in which workers start.

    For works of many seconds, that others on the machine can only make longer.
    """
    best = [math.inf] * len(work)
    for count in range(rounds + 1):
        for i, one in enumerate(work):
            taken = _taken(one, 1)
            best[i] = min(best[i], taken) if count else best[i]
    return best


def rate_row(name: str, unit: str, ours: float, peer: str, theirs: float) -> Row:
    """Return a row of two rates."""
    return Row(name, rounded(ours), unit, peer, rounded(theirs), rounded(ours / theirs))


def time_row(name: str, unit: str, ours: float, peer: str, theirs: float) -> Row:
    """Return a row of two times, of which the shorter is the better."""
    return Row(name, rounded(ours), unit, peer, rounded(theirs), rounded(theirs / ours))


def rounded(number: float) -> float:
    """Return a number to three decimals, and one that is small to three digits: nothing that takes time takes none.

    >>> rounded(1234.56789), rounded(0.000123456)
    (1234.568, 0.000123)
    """
    return round(number, max(3, 2 - math.floor(math.log10(number)))) if number > 0.0 else number
