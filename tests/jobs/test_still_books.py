"""Books that their venue has forgotten while heartbeats go on: what shows it, and that one at rest is left."""

import logging
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from jobs import feed_watch
from jobs.parsers import Parsers
from producers.exchanges.base import ignore
from producers.exchanges.silence import LEAST_S
from producers.exchanges.venue import venues
from producers.frames import Frame
from quicksilver.events import SECOND_NS, AnyEvent, BookSnapshot, Gap
from tests.jobs.test_feed_watch import Watched

EXCHANGE = "coinbaseexchange"


def of_exchange(kind: str, product: str, n: int = 0) -> bytes:
    moment = datetime.fromtimestamp(time.time(), UTC).isoformat().replace("+00:00", "Z")
    bodies: dict[str, dict[str, Any]] = {
        "snapshot": {"bids": [["1", "2"]], "asks": [["3", "4"]]},
        "l2update": {"changes": [["buy", "1", str(n + 1)]]},
        "match": {"trade_id": n, "side": "buy", "price": "3", "size": "1", "sequence": n},
        "heartbeat": {"sequence": n, "last_trade_id": n},
    }
    return msgspec.json.encode({"type": kind, "product_id": product, "time": moment, **bodies[kind]})


async def test_a_book_that_heartbeats_hide_is_asked_anew_where_its_symbol_is_traded_and_else_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    feed = venues()[EXCHANGE].feed(EXCHANGE, ["AAA-USD", "BBB-USD", "CCC-USD"], "ws://127.0.0.1:1", "http://x")
    renewed: list[tuple[str, float]] = []

    async def renew(symbol: str) -> None:
        renewed.append((symbol, now_s))

    monkeypatch.setattr(feed, "renew", renew)
    watched = Watched(feed)
    for symbol in feed.symbols:
        await watched.take(EXCHANGE, of_exchange("snapshot", symbol))
    with caplog.at_level(logging.WARNING, logger=feed_watch.log.name):
        for second in range(100):
            now_s += 1.0
            for symbol in feed.symbols:
                await watched.take(EXCHANGE, of_exchange("heartbeat", symbol, second))
                forgotten = second >= 20 and symbol != "CCC-USD"
                if not forgotten:
                    await watched.take(EXCHANGE, of_exchange("l2update", symbol, second))
                if symbol != "BBB-USD" and second % 10 == 5:  # BBB-USD is not traded any more, and rests
                    await watched.take(EXCHANGE, of_exchange("match", symbol, second))
    assert [symbol for symbol, _ in renewed] == ["AAA-USD"]
    assert 1020 + LEAST_S <= renewed[0][1] <= 1020 + LEAST_S + 2
    why = "coinbaseexchange: AAA-USD: its book has said nothing for 30 s, though it is traded: subscribed to anew"
    assert caplog.messages == [why]


async def test_a_forgotten_book_that_is_not_traded_is_in_doubt_when_audits_show_that_it_moves() -> None:
    feed = venues()[EXCHANGE].feed(EXCHANGE, ["AAA-USD"], "ws://127.0.0.1:1", "http://x")
    parsers, start_ns = Parsers(ignore), time.time_ns()
    events, url = list[AnyEvent](), feed.audit_url("AAA-USD")
    for second in range(250):
        said = of_exchange("heartbeat" if second else "snapshot", "AAA-USD", second)
        ts_ns = start_ns + second * SECOND_NS
        events += parsers.parse(Frame(EXCHANGE, "c", "recv", ts_ns, said))
        if second % 60 == 30:
            body = msgspec.json.encode({"bids": [[str(1 + second / 1e3), "2", 1]], "asks": [["3", "4", 1]]})
            events += parsers.parse(Frame(EXCHANGE, "c", "audit", ts_ns, body, url))
    assert [type(event) for event in events] == [BookSnapshot, Gap]
    assert isinstance(gap := events[1], Gap)
    assert gap.reason.startswith("3 audits in a row differ: ")
