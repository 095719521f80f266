"""The last returns of all assets, in a ring."""

import numpy as np

from quicksilver.events import FloatArray


class Ring:
    """The last ``window`` rows ``(n_assets,)`` of all that were added; the t-th one is in slot t % window."""

    def __init__(self, window: int, n_assets: int) -> None:
        self.window = window
        self.count = 0
        self.rows: FloatArray = np.zeros((window, n_assets))

    @property
    def filled(self) -> int:
        """How many rows there are."""
        return min(self.count, self.window)

    @property
    def newest(self) -> int:
        """The slot of the row that was added last."""
        return (self.count - 1) % self.window

    def add(self, row: FloatArray) -> bool:
        """Add a row; whether it took the place of the oldest."""
        self.rows[self.count % self.window] = row
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

    def restore(self, rows: FloatArray, count: int) -> None:
        """Take over rows from the oldest on, of ``count`` that had been added."""
        self.count = count - len(rows)
        for row in rows:
            self.add(row)
