"""Books whose subscription ends: by our wish, by the venue's own, and where nobody can know."""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from jobs.parsers import Parsers
from producers.exchanges.base import ignore
from producers.exchanges.endings import UNASKED
from producers.exchanges.feed import Feed
from producers.exchanges.venue import feed_of
from producers.frames import Direction, Frame
from quicksilver.events import SECOND_NS, AnyEvent, Gap

SYMBOL = "BTC-USDT"
START_NS = 1_790_000_000 * SECOND_NS
MICROS = START_NS // 1_000
TIME = "2026-09-21T14:13:20.000000Z"  # the same
CRC = zlib.crc32(b"30101020")


class Words(NamedTuple):
    """How a venue says that a book is there and that it has ended; ``url`` where a book is fetched."""

    book: Sequence[str]
    end: str
    url: str = ""


def subscriptions(number: int, channels: str) -> str:
    head = f'{{"channel":"subscriptions","timestamp":"{TIME}","sequence_num":{number}'
    return f'{head},"events":[{{"subscriptions":{{{channels}}}}}]}}'


WORDS = {
    "kraken": Words(
        ['{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USDT","bids":[{"price":1.0,"qty":2.0}],'
         '"asks":[{"price":3.0,"qty":1.0}],"checksum":' + f"{CRC}}}]}}"],
        '{"method":"unsubscribe","success":true,"result":{"channel":"book","symbol":"BTC/USDT"}}',
    ),
    "coinbase": Words(
        [subscriptions(0, '"heartbeats":["heartbeats"]'),
         f'{{"channel":"l2_data","timestamp":"{TIME}","sequence_num":1,' '"events":[{"type":"snapshot",'
         '"product_id":"BTC-USDT","updates":[{"side":"bid","price_level":"1","new_quantity":"1"}]}]}',
         subscriptions(2, '"heartbeats":["heartbeats"],"level2":["BTC-USDT"]')],
        subscriptions(3, '"heartbeats":["heartbeats"],"market_trades":["BTC-USDT"]'),
    ),
    "coinbaseexchange": Words(
        ['{"type":"subscriptions","channels":[{"name":"level2_batch","product_ids":["BTC-USDT"]}]}',
         '{"type":"snapshot","product_id":"BTC-USDT","bids":[["1","1"]],"asks":[["2","1"]]}'],
        '{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USDT"]}]}',
    ),
    "bitfinex": Words(
        ['{"event":"subscribed","channel":"book","chanId":7,"symbol":"tBTCUST","prec":"P0"}',
         "[7,[[1,1,1],[2,1,-1]]]"],
        '{"event":"unsubscribed","status":"OK","chanId":7}',
    ),
    "bitstamp": Words(
        ['{"event":"data","channel":"diff_order_book_btcusdt","data":{"microtimestamp":'
         f'"{MICROS - 5}","bids":[],"asks":[]}}}}',
         f'{{"microtimestamp":"{MICROS}","bids":[["1","2"]],"asks":[["3","4"]]}}'],
        '{"event":"bts:unsubscription_succeeded","channel":"diff_order_book_btcusdt","data":{}}',
        "https://www.bitstamp.net/api/v2/order_book/btcusdt/",
    ),
    "poloniex": Words(
        ['{"channel":"book_lv2","action":"snapshot","data":[{"symbol":"BTC_USDT","createTime":1,"bids":[["1","2"]],'
         '"asks":[["3","4"]],"lastId":1,"id":2}]}'],
        '{"channel":"book_lv2","event":"unsubscribe","symbols":["BTC_USDT"]}',
    ),
}  # fmt: skip


class Stream:
    """A venue's parser, and the feed that talks to the venue."""

    def __init__(self, venue: str) -> None:
        self.feed: Feed = feed_of(venue, [SYMBOL])
        self.parsers = Parsers(ignore)
        self.words = WORDS[venue]

    def take(self, direction: Direction, text: str, url: str | None = None) -> list[AnyEvent]:
        frame = Frame(self.feed.venue, f"{self.feed.venue}.1", direction, START_NS, text.encode(), url)
        return self.parsers.parse(frame)

    def sent(self, *messages: str) -> None:
        for message in messages:
            assert self.take("send", message) == []

    def live(self) -> None:
        *before, book = self.words.book
        for text in before if self.words.url else self.words.book:
            self.take("recv", text)
        if self.words.url:
            self.take("rest", book, self.words.url)
        assert self.parsers.by_venue[self.feed.venue].instruments[SYMBOL].live

    def ended(self) -> list[AnyEvent]:
        return self.take("recv", self.words.end)

    def leave(self) -> list[str]:
        """What asks for the end of the book, in the feed's own words."""
        for text in self.words.book:
            self.feed.heed(text.encode())
        return self.feed.unsubscribe_book(SYMBOL) or self.feed.unsubscribe(SYMBOL)


@pytest.mark.parametrize("venue", WORDS)
def test_a_book_that_the_venue_ends_by_itself_is_lost(venue: str) -> None:
    stream = Stream(venue)
    stream.sent(*stream.feed.subscribe([SYMBOL]))
    stream.live()
    (gap,) = stream.ended()
    assert isinstance(gap, Gap)
    assert (gap.symbol, gap.reason) == (SYMBOL, UNASKED)
    assert stream.parsers.by_venue[venue].ended == {SYMBOL}
    assert stream.ended() == []  # once


@pytest.mark.parametrize("venue", WORDS)
def test_a_book_that_we_end_is_none_and_the_next_end_is(venue: str) -> None:
    stream = Stream(venue)
    stream.sent(*stream.feed.subscribe([SYMBOL]))
    stream.live()
    stream.sent(*stream.leave())
    assert stream.ended() == []
    one = stream.parsers.by_venue[venue].instruments[SYMBOL]
    assert one.live
    assert not one.followed
    one.followed = True  # as from the book's next snapshot on
    if venue == "bitfinex":
        stream.live()  # its channel has a number
    if venue == "coinbase":
        stream.words = Words([], subscriptions(4, '"heartbeats":["heartbeats"]'))
    assert [type(event) for event in stream.ended()] == [Gap]


@pytest.mark.parametrize("venue", WORDS)
def test_where_nobody_knows_what_was_asked_a_book_that_ends_becomes_old(venue: str) -> None:
    stream = Stream(venue)
    stream.live()
    assert stream.ended() == []
    one = stream.parsers.by_venue[venue].instruments[SYMBOL]
    assert one.live
    assert not one.followed


def test_what_kraken_says_of_its_system_ends_no_book_and_an_end_of_nothing_is_no_refusal() -> None:
    stream = Stream("kraken")
    stream.sent(*stream.feed.subscribe([SYMBOL]))
    stream.live()
    status = '{"channel":"status","type":"update","data":[{"system":"online","api_version":"v2","connection_id":1}]}'
    assert stream.take("recv", status) == []
    parser = stream.parsers.by_venue["kraken"]
    assert parser.instruments[SYMBOL].followed
    stream.sent(*stream.leave())
    refused = '{"error":"Subscription Not Found","method":"unsubscribe","success":false,"symbol":"BTC/USDT"}'
    assert stream.take("recv", refused) == []
    assert not parser.refusals
    assert [type(event) for event in stream.ended()] == [Gap]


def test_bitfinex_leaves_no_channel_that_has_ended() -> None:
    stream = Stream("bitfinex")
    assert stream.leave()
    for text in (*stream.words.book, stream.words.end):
        stream.feed.heed(text.encode())
    assert stream.feed.unsubscribe_book(SYMBOL) == []


def test_a_live_book_that_is_not_followed_is_compared_with_what_we_fetch_for_that() -> None:
    stream = Stream("kraken")
    stream.live()
    stream.ended()
    seen = list[str]()
    stream.parsers.by_venue["kraken"].observers.append(lambda one: seen.append(one.frame.direction))
    body = '{"error":[],"result":{"XBTUSDT":{"bids":[["1.0","2.0",1]],"asks":[["3.0","1.0",1]]}}}'
    for direction in ("rest", "audit"):
        stream.take(direction, body, stream.feed.audit_url(SYMBOL))
    assert seen == ["audit"]
