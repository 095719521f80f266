"""Frames that go wrong, for tests of parsers."""

from msgspec.structs import replace

from producers.exchanges.base import Parser
from producers.frames import Frame
from quicksilver.book import Book
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap


def play(parser: Parser, frames: list[Frame]) -> list[AnyEvent]:
    return [event for frame in frames for event in parser.parse(frame)]


def with_payload(frame: Frame, payload: bytes) -> Frame:
    return replace(frame, payload=payload)


def assert_sound(events: list[AnyEvent]) -> None:
    """Numbers without a hole, one gap at a time, and no change to a book between a gap and the next snapshot."""
    seqs: dict[tuple[str, str], int] = {}
    live: dict[tuple[str, str], bool] = {}
    for event in events:
        key = (event.venue, event.symbol)
        assert event.seq == seqs.get(key, 0) + 1
        seqs[key] = event.seq
        if isinstance(event, BookSnapshot):
            live[key] = True
        elif isinstance(event, Gap):
            assert live.get(key)
            live[key] = False
        elif isinstance(event, BookDelta):
            assert live.get(key)


def books_of(events: list[AnyEvent]) -> dict[str, Book]:
    """Each symbol's book after all events; none was ever crossed."""
    books: dict[str, Book] = {}
    for event in events:
        book = books.setdefault(event.symbol, Book())
        if isinstance(event, BookSnapshot):
            book.snapshot(event.bids, event.asks, event.depth)
        elif isinstance(event, BookDelta):
            assert not book.apply(event.bids, event.asks)
        elif isinstance(event, Gap):
            book.gap()
    return books
