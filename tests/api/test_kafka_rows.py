"""Kafka's messages to rows, without Kafka."""

from typing import Any

from api.kafka_rows import RowReader
from quicksilver import codec
from quicksilver.records import DeadLetter, FullBook
from quicksilver.topics import key_of


class Raw:
    """A message as ``confluent_kafka`` gives it."""

    def __init__(self, topic: str, key: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        self._given: dict[str, Any] = {"topic": topic, "key": key.encode(), "value": value, "headers": headers}

    def __getattr__(self, name: str) -> Any:
        found = {**self._given, "partition": 0, "offset": 5, "timestamp": (1, 1_700_000_000_000)}
        return lambda: found[name]


def test_a_letter_of_a_message_whose_session_was_no_text_is_shown() -> None:
    letter = DeadLetter(1, "books[0]@7", "kraken", "BTC-USD", "no", b"?")
    headers = [("s", "�".encode()), ("n", b"1")]
    reader = RowReader()
    row = reader.row(Raw("dead-letters", key_of(letter), codec.encode(letter), headers), fresh=True)
    assert row is not None
    assert row.record == letter
    assert reader.rejected == 0


def test_full_books_have_no_numbers_and_each_is_shown_once_all_the_same() -> None:
    reader, shown = RowReader(), []
    for session, seq in (("a", 3), ("a", 9), ("a", 3), ("a", 9), ("a", 10), ("b", 3), ("a", 11), ("b", 3)):
        book = FullBook("v", "A-B", seq, seq, seq, [], [], 0, 0, 0, 0, 0.0, 0.0)
        raw = Raw("full-books", key_of(book), codec.encode(book), [("s", session.encode())])
        shown += [(session, seq)] if reader.row(raw, fresh=True) else []
    assert shown == [("a", 3), ("a", 9), ("a", 10), ("b", 3)]
    assert (reader.duplicates, reader.rejected) == (4, 0)
