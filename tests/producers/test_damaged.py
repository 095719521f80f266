"""Frames that are damaged in one place: what they say is no change of any book, and the book is in doubt."""

import pytest

from producers.exchanges.venue import parser_of
from producers.frames import Direction, Frame
from quicksilver.events import BookSnapshot, Gap
from quicksilver.records import DeadLetter

NOW = 1_790_000_000_000_000_000
TIME = "2026-09-21T13:46:40.000000Z"  # NOW
EXCHANGE_BOOK = '{"type":"snapshot","product_id":"BTC-USD","bids":[["1","1"]],"asks":[["9","1"]]}'
POLONIEX_BOOK = (
    '{"channel":"book_lv2","action":"snapshot","data":[{"symbol":"BTC_USDT","id":100,"lastId":99,'
    '"bids":[["1","1"]],"asks":[["2","1"]]}]}'
)
BITSTAMP_BOOK = f'{{"microtimestamp":"{NOW // 1000}","bids":[["1.00","5"],["0.9","1"]],"asks":[["2","1"]]}}'


class Under:
    """A parser, with what it gave."""

    def __init__(self, venue: str) -> None:
        self.letters: list[DeadLetter] = []
        self.venue = venue
        self.parser = parser_of(venue, self.letters.append)

    def says(self, payload: str | bytes, direction: Direction = "recv", url: str | None = None) -> list[type]:
        """The types of the events of one frame."""
        data = payload if isinstance(payload, bytes) else payload.encode()
        return [type(event) for event in self.parser.parse(Frame(self.venue, "c", direction, NOW, data, url))]


def exchange() -> Under:
    under = Under("coinbaseexchange")
    assert under.says(EXCHANGE_BOOK) == [BookSnapshot]
    return under


def poloniex() -> Under:
    under = Under("poloniex")
    assert under.says(POLONIEX_BOOK) == [BookSnapshot]
    return under


def bitstamp() -> Under:
    under = Under("bitstamp")
    assert under.says(BITSTAMP_BOOK, "rest", "https://x/order_book/btcusd/") == [BookSnapshot]
    return under


def diff(event: str = "data", channel: str = "diff_order_book_btcusd") -> str:
    return (
        f'{{"event":"{event}","channel":"{channel}",'
        f'"data":{{"microtimestamp":"{NOW // 1000 + 1000}","bids":[["1.00","0"]],"asks":[]}}}}'
    )


def change(symbol: str = "BTC_USDT", number: int = 101, last: int = 100) -> str:
    return (
        f'{{"channel":"book_lv2","action":"update","data":[{{"symbol":"{symbol}","createTime":{NOW // 10**6},'
        f'"id":{number},"lastId":{last},"bids":[["1","0"]],"asks":[]}}]}}'
    )


def advanced(number: int, channel: str = "l2_data", key: str = "events") -> str:
    """A message of Coinbase's newer socket; its first is the whole book."""
    kind, size = ("update", 0) if number else ("snapshot", 1)
    bid = f'{{"side":"bid","price_level":"1","new_quantity":"{size}"}}'
    updates = bid + ',{"side":"offer","price_level":"2","new_quantity":"1"}'
    return (
        f'{{"channel":"{channel}","timestamp":"{TIME}","sequence_num":{number},'
        f'"{key}":[{{"type":"{kind}","product_id":"BTC-USD","updates":[{updates}]}}]}}'
    )


def coinbase() -> Under:
    under = Under("coinbase")
    assert under.says(advanced(0)) == [BookSnapshot]
    return under


@pytest.mark.parametrize("level", ['["buy","1_0","1"]', '["buy","1","\N{ARABIC-INDIC DIGIT ONE}"]', '["buy"," 1","1"]'])
def test_numbers_in_other_letters_are_none(level: str) -> None:
    under = exchange()
    update = f'{{"type":"l2update","product_id":"BTC-USD","changes":[{level}],"time":"{TIME}"}}'
    assert under.says(update) == [Gap]
    assert len(under.letters) == 1


def test_a_trade_in_other_letters_is_none() -> None:
    under = exchange()
    match = f'{{"type":"match","product_id":"BTC-USD","price":"1_0","size":"1","side":"buy","time":"{TIME}"}}'
    assert under.says(match) == [Gap]


def test_a_name_in_another_case_is_no_change_of_that_book() -> None:
    assert bitstamp().says(diff(channel="diff_order_book_BTCusd")) == [Gap]
    assert poloniex().says(change("btc_usdt")) == [Gap]
    assert [under.parser.counts.rejected for under in (bitstamp(), poloniex())] == [0, 0]


def test_a_number_that_falls_though_it_follows_is_no_repetition() -> None:
    under = poloniex()
    assert under.says(change(number=100, last=99)) == []
    assert under.parser.instruments["BTC-USDT"].counts.duplicates == 1
    assert under.says(change(number=95, last=100)) == [Gap]


def test_a_book_given_up_for_a_reason_that_is_no_text_is_in_doubt() -> None:
    under = bitstamp()
    assert under.says(b"BTC-USD \xff\xfe", "drop") == [Gap]
    assert len(under.letters) == 1


@pytest.mark.parametrize(
    "changes",
    [
        '["i",{"currencyPair":"USDT_BTC","orderBook":[[],[]]}]',
        '["i",[]]',
        '["i",{"currencyPair":"USDT_BTC","orderBook":[{"1":1' + "0" * 320 + "},{}]}]",
    ],
    ids=lambda text: text[:60],
)
def test_a_push_that_is_no_book_is_a_dead_letter(changes: str) -> None:
    under = Under("poloniex")
    assert under.says(f"[121,1,[{changes}]]") == []
    assert len(under.letters) == 1


def test_a_whole_book_of_too_many_levels_is_refused_until_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    under, url = Under("bitstamp"), "https://x/order_book/btcusd/"
    monkeypatch.setattr("producers.exchanges.instrument.MAX_CAPACITY", 1)
    assert under.says(BITSTAMP_BOOK, "rest", url) == [Gap]
    assert under.letters[0].reason == "a book side of 2 levels: more than the 1 supported"
    assert under.says(BITSTAMP_BOOK, "rest", url) == []
    assert under.parser.unusable == {"BTC-USD"}
    monkeypatch.undo()
    assert under.says(BITSTAMP_BOOK, "rest", url) == [BookSnapshot]


def test_what_nobody_asked_for_is_a_damaged_message_of_ours() -> None:
    """To skip it would leave a change of a book out, and nothing would show it."""
    assert bitstamp().says(diff(event="dat`")) == [Gap]
    assert bitstamp().says(diff(channel="diff_order_boek_btcusd")) == [Gap]
    assert bitstamp().says(f'{{"event":"data","channel":"diff_order_book_btcusd","data":"{NOW}"}}') == [Gap]
    for payload in (advanced(1, channel="l2_datb"), advanced(1, key="evants"), advanced(1, channel="")):
        under = coinbase()
        assert under.says(payload) == [Gap]
        assert len(under.letters) == 1


def test_channels_that_the_venue_has_are_skipped() -> None:
    under = coinbase()
    for number, channel in enumerate(("heartbeats", "ticker", "candles"), 1):
        assert under.says(advanced(number, channel=channel)) == []
    assert under.says(f'{{"channel":"l2_data","timestamp":"{TIME}","sequence_num":4,"events":[]}}') == []
    assert under.parser.counts.skipped == 4
    under = bitstamp()
    assert under.says(diff(channel="detail_order_book_btcusd")) == []
    assert under.says('{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}') == []
    assert under.letters == []
