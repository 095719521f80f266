"""Timing two things in turns, so that noise hits both alike."""

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
    return Row(name, round(ours, 3), unit, peer, round(theirs, 3), round(ours / theirs, 3))
