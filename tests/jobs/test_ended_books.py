"""Who subscribes anew to a book that the venue has ended by itself."""

import logging

import pytest

from jobs import feed_watch
from jobs.feed_watch import FeedWatch
from producers.exchanges.endings import UNASKED
from producers.frames import Frame
from tests.producers.test_endings import START_NS, SYMBOL, Stream


@pytest.mark.parametrize(("venue", "renewed"), [("bitstamp", [SYMBOL]), ("kraken", [])])
async def test_a_fetched_book_is_subscribed_to_anew_others_are_when_the_gap_is_answered(
    venue: str, renewed: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stream, asked = Stream(venue), list[str]()

    async def renew(symbol: str) -> None:
        asked.append(symbol)

    monkeypatch.setattr(stream.feed, "renew", renew)
    watch = FeedWatch({venue: stream.feed}, stream.parsers)
    stream.sent(*stream.feed.subscribe([SYMBOL]))
    stream.live()
    stream.ended()
    with caplog.at_level(logging.WARNING, logger=feed_watch.log.name):
        for _ in range(2):
            await watch.after(Frame(venue, f"{venue}.1", "recv", START_NS, b""))
    assert asked == renewed
    assert [one.getMessage() for one in caplog.records] == [f"{venue}: {SYMBOL}: {UNASKED}: subscribed to anew"]
