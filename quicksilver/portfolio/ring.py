"""The last returns of all assets, in a ring."""

from typing import NamedTuple

import numpy as np

from quicksilver.events import FloatArray


class Past(NamedTuple):
    """Rows of returns ``(n_rows, n_assets)`` in order of time, and how many ``periods`` each is over, ``(n_rows,)``."""

    rows: FloatArray
    periods: FloatArray


class Ring:
    """The last ``window`` rows ``(n_assets,)`` of all that were added; the t-th one is in slot t % window."""

    def __init__(self, window: int, n_assets: int) -> None:
        self.window = window
        self.count = 0
        self.rows: FloatArray = np.zeros((window, n_assets))
        self.periods: FloatArray = np.ones(window)

    @property
    def filled(self) -> int:
        """How many rows there are."""
        return min(self.count, self.window)

    @property
    def newest(self) -> int:
        """The slot of the row that was added last."""
        return (self.count - 1) % self.window

    def add(self, row: FloatArray, periods: float = 1.0) -> bool:
        """Add a row of returns over so many periods; whether it took the place of the oldest."""
        slot = self.count % self.window
        self.rows[slot], self.periods[slot] = row, periods
        self.count += 1
        return self.count > self.window

    def spans(self) -> list[tuple[int, int]]:
        """Slots from the oldest row to the newest: spans of first, and last but one."""
        if self.count <= self.window:
            return [(0, self.count)]
        start = self.count % self.window
        return [(start, self.window), (0, start)]

    def in_order(self) -> FloatArray:
        """Return the rows from the oldest to the newest, ``(filled, n_assets)``."""
        return np.concatenate([self.rows[first:last] for first, last in self.spans()])

    def past(self) -> Past:
        """Return the rows from the oldest to the newest, and their periods."""
        return Past(self.in_order(), np.concatenate([self.periods[first:last] for first, last in self.spans()]))

    def restore(self, past: Past, count: int) -> None:
        """Take over rows from the oldest on, of ``count`` that had been added."""
        self.count = count - len(past.rows)
        for row, periods in zip(*past, strict=True):
            self.add(row, periods)
