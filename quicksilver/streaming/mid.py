"""What the portfolio job needs of an instrument: its mid."""

from quicksilver.book import Book
from quicksilver.errors import FrameError, StateError
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Price, Trade
from quicksilver.features import FeatureEngine


class Mid:
    """One instrument's mid, as its features have it, without the features."""

    def __init__(self) -> None:
        self._engine = FeatureEngine()

    def step(self, event: AnyEvent) -> float | None:
        """Return the mid after an event (NaN if a side is empty); None if the event says nothing of it.

        Raises:
            FrameError: the price is in doubt from here on.
        """
        try:
            return self._step(event)
        except StateError as error:
            self._engine.gap()
            raise FrameError(str(error)) from error

    def _step(self, event: AnyEvent) -> float | None:
        if isinstance(event, Trade) or (isinstance(event, BookDelta) and not self._engine.book.ready):
            return None
        if isinstance(event, Gap):
            self._engine.gap()
            raise FrameError(event.reason)
        if isinstance(event, Price):
            self._engine.price(event)
        elif not (self._engine.snapshot(event) if isinstance(event, BookSnapshot) else self._engine.delta(event)):
            raise FrameError("the book is crossed")
        return float(self._engine.vector[0])

    def dump(self) -> bytes:
        """Return the state: the book alone, for the mid has no memory."""
        return self._engine.book.block.tobytes()

    def load(self, data: bytes) -> None:
        """Take over a dumped state."""
        self._engine.book = Book.load(data)
