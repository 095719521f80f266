"""Timing two things in turns, so that noise hits both alike."""

import math
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import msgspec

ROUNDS = 9


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


def seconds(*work: Callable[[], Any]) -> list[float]:
    """Return the median time of each, in seconds, taken in turns after one unmeasured round."""
    times: list[list[float]] = [[] for _ in work]
    for _ in range(ROUNDS + 1):
        for one, taken in zip(work, times, strict=True):
            started = time.perf_counter()
            one()
            taken.append(time.perf_counter() - started)
    return [median(taken[1:]) for taken in times]


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
