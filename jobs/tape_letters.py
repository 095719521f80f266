"""What of a tape cannot be read: counted, the first reasons kept, and whether the tape is torn."""

from quicksilver.records import DeadLetter

KEPT = 10


class Letters:
    """Takes dead letters; ``reasons`` are the first ones, with where they are."""

    def __init__(self) -> None:
        self.count = 0
        self.reasons: list[str] = []
        self.torn = False

    def __call__(self, letter: DeadLetter) -> None:
        """Take in one letter."""
        self.count += 1
        self.torn = self.torn or (not letter.payload and "torn" in letter.reason)
        if len(self.reasons) < KEPT:
            self.reasons.append(f"{letter.source}: {letter.reason}"[:500])

    def shown(self) -> list[str]:
        """Return what to tell a person, a line each."""
        more = self.count - len(self.reasons)
        return [*self.reasons, f"... and {more:,} more"] if more else self.reasons
