"""Which books are sound, told from the events alone."""

from dataclasses import dataclass, field

from quicksilver.book import Book
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Trade
from quicksilver.records import AnyRecord, DataState, Status
from quicksilver.topics import key_of


@dataclass(slots=True)
class _Known:
    book: Book = field(default_factory=Book)
    state: DataState = "SYNCING"


class BookWatch:
    """Keeps every instrument's book for no more than the statuses that the pipeline tells of it elsewhere.

    A cluster computes where nobody can speak with the venue: who publishes has to see for himself that a book is
    crossed, to ask for it again.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def step(self, event: AnyEvent) -> list[AnyRecord]:
        """Return the status that this event causes, if it is another than before."""
        if isinstance(event, Trade):
            return []
        one = self._known.setdefault(key_of(event), _Known())
        state: DataState = "LIVE"
        reason = ""
        if isinstance(event, Gap):
            state, reason = "GAP", event.reason
        elif isinstance(event, BookSnapshot | BookDelta):
            if isinstance(event, BookDelta) and not one.book.ready:
                return []
            reason = one.book.take(event)
            state = "GAP" if reason else "LIVE"
        if state == "GAP":
            one.book.gap()
        if state == one.state:
            return []
        one.state = state
        return [Status(event.venue, event.symbol, event.seq, event.ts_event_ns, event.ts_recv_ns, state, reason)]
