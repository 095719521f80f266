"""What of a tape cannot be read: counted, the first reasons kept, and whether the tape is torn."""

from collections.abc import Iterator

from producers.frames import Frame
from quicksilver.records import DeadLetter

KEPT = 10


class Letters:
    """Takes dead letters; ``reasons`` are the first ones, with where they are."""

    def __init__(self) -> None:
        self.count = 0
        self.reasons: list[str] = []
        self.tears = 0

    @property
    def torn(self) -> bool:
        """Whether what a tape held has ended, or was broken off, before its end."""
        return self.tears > 0

    def __call__(self, letter: DeadLetter) -> None:
        """Take in one letter."""
        self.count += 1
        self.tears += not letter.payload and "torn" in letter.reason
        if len(self.reasons) < KEPT:
            self.reasons.append(f"{letter.source}: {letter.reason}"[:500])

    def shown(self) -> list[str]:
        """Return what to tell a person, a line each."""
        more = self.count - len(self.reasons)
        return [*self.reasons, f"... and {more:,} more"] if more else self.reasons


def marked(frames: Iterator[Frame], letters: Letters) -> Iterator[Frame]:
    """Yield the frames, and where ``letters`` has been told of a tear a ``lost`` one for each connection so far.

    For tapes that are made of others: what is lost there must not be missing here without a word.
    """
    known: dict[tuple[str, str], None] = {}
    last_ns = tears = 0
    for frame in frames:
        if letters.tears > tears and frame.direction != "lost":
            yield from _marks(known, last_ns)
        tears, last_ns = letters.tears, frame.ts_recv_ns
        known[frame.venue, frame.conn] = None
        yield frame
    if letters.tears > tears:
        yield from _marks(known, last_ns)


def _marks(known: dict[tuple[str, str], None], ts_ns: int) -> Iterator[Frame]:
    for venue, conn in known:
        yield Frame(venue, conn, "lost", ts_ns, b"")
