"""One side of a simulated book: sorted price levels that remember what a step has changed."""

from bisect import bisect_left, insort


class Ladder:
    """Price levels of one side, best first.

    ``keys`` are ``sign * price`` in ticks, ascending, so that the best level is ``keys[0]`` on both sides (``sign`` is
    -1 for bids, 1 for asks); ``lots`` holds each key's size in units of the last decimal place, never 0.
    """

    __slots__ = ("_before", "keys", "lots", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.lots: dict[int, int] = {}
        self._before: dict[int, int] = {}

    def put(self, key: int, lots: int) -> None:
        """Set the size of a level; 0 removes it."""
        before = self.lots.get(key, 0)
        self._before.setdefault(key, before)
        if lots:
            self.lots[key] = lots
            if not before:
                insort(self.keys, key)
        elif before:
            del self.lots[key]
            del self.keys[bisect_left(self.keys, key)]

    def commit(self) -> list[tuple[int, int]]:
        """Return ``(key, lots)`` of each level that differs from the last call, 0 for a removed one, and start anew."""
        get = self.lots.get
        changes = [(key, get(key, 0)) for key, before in self._before.items() if get(key, 0) != before]
        self._before.clear()
        return changes
