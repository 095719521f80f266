"""Trades sent again count once, late ones and those of new ids are taken: the rule, and every venue that has ids."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.exchanges.base import Parser
from producers.exchanges.binance import BinanceParser
from producers.exchanges.bitfinex import BitfinexParser
from producers.exchanges.coinbase import CoinbaseParser
from producers.exchanges.instrument import Instrument
from producers.exchanges.kraken import KrakenParser
from producers.exchanges.poloniex import PoloniexParser
from producers.exchanges.trade_ids import KEPT, TradeIds
from producers.frames import Frame
from quicksilver.events import Trade

START_MS = 1_790_000_000_000
SEQUENCE = count(1)
Steps = list[tuple[int, int]]


def iso(ms: int) -> str:
    return datetime.fromtimestamp((START_MS + ms) / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def kraken(number: int, ms: int) -> str:
    fields = f'"symbol":"BTC/USD","side":"buy","price":10,"qty":1,"trade_id":{number},"timestamp":"{iso(ms)}"'
    return f'{{"channel":"trade","type":"update","data":[{{{fields}}}]}}'


def binance(number: int, ms: int) -> str:
    fields = f'"e":"aggTrade","E":3,"s":"BTCUSDT","a":{number},"p":"10.5","q":"2","T":{START_MS + ms},"m":true'
    return f'{{"stream":"btcusdt@aggTrade","data":{{{fields}}}}}'


def coinbase(number: int, ms: int) -> str:
    fields = f'"product_id":"BTC-USD","price":"10","size":"1","side":"BUY","trade_id":"{number}","time":"{iso(ms)}"'
    return (
        f'{{"channel":"market_trades","timestamp":"{iso(ms)}","sequence_num":{next(SEQUENCE)},'
        f'"events":[{{"type":"update","trades":[{{{fields}}}]}}]}}'
    )


def exchange(number: int, ms: int) -> str:
    fields = f'"product_id":"BTC-USD","price":"10","size":"1","side":"buy","trade_id":{number},"time":"{iso(ms)}"'
    return f'{{"type":"match","sequence":9,{fields}}}'


def poloniex(number: int, ms: int) -> str:
    fields = f'"symbol":"BTC_USDT","quantity":"1","takerSide":"sell","createTime":{START_MS + ms},"price":"10"'
    return f'{{"channel":"trades","data":[{{{fields},"id":"{number}"}}]}}'


def bitfinex(number: int, ms: int) -> str:
    return f'[8,"te",[{number},{START_MS + ms},1,10]]'


VENUES: dict[str, tuple[type[Parser], Callable[[int, int], str]]] = {
    "kraken": (KrakenParser, kraken), "binance": (BinanceParser, binance), "coinbase": (CoinbaseParser, coinbase),
    "coinbaseexchange": (CoinbaseParser, exchange), "poloniex": (PoloniexParser, poloniex),
    "bitfinex": (BitfinexParser, bitfinex),
}  # fmt: skip


@pytest.mark.parametrize("venue", VENUES)
def test_of_no_venue_is_a_trade_doubled_or_lost_when_it_is_sent_again_late_or_with_new_ids(
    venue: str, caplog: pytest.LogCaptureFixture
) -> None:
    steps = [
        (1_000, 10), (1_001, 20), (1_001, 20), (1_003, 30), (1_002, 25), (1_002, 25),  # again; late; late and again
        (7, 40), (8, 40), (1_003, 30), (8, 40), (9, 50), (1_001, 20),  # new ids, and the old ones sent again
    ]  # fmt: skip
    kind, said = VENUES[venue]
    parser = kind(venue)
    opening = '{"event":"subscribed","channel":"trades","chanId":8,"symbol":"tBTCUSD"}'
    texts = [*([opening] if venue == "bitfinex" else []), *(said(*step) for step in steps)]
    with caplog.at_level(logging.WARNING):
        events = [
            event for i, text in enumerate(texts) for event in parser.parse(Frame(venue, "c", "recv", i, text.encode()))
        ]
    taken = [(int(e.trade_id or 0), e.ts_event_ns // 10**6 - START_MS) for e in events if isinstance(e, Trade)]
    assert taken == [(1_000, 10), (1_001, 20), (1_003, 30), (1_002, 25), (7, 40), (8, 40), (9, 50)]
    (one,) = parser.instruments.values()
    assert (one.counts.duplicates, one.counts.renumbered, parser.counts.rejected) == (5, 1, 0)
    assert caplog.messages == [f"{venue}: {one.symbol}: trade ids began anew: 7 after 1003"]


def taken(steps: Steps) -> Steps:
    ids, one = TradeIds(), Instrument("v", "A-B", set())
    return [step for step in steps if ids.new(one, *step)]


def test_one_damaged_id_silences_nothing_and_doubles_nothing() -> None:
    steps = [(100, 1), (101, 2), (10_100, 3), (102, 4), (103, 5), (3, 6), (104, 7), (103, 5), (104, 7), (102, 4)]
    assert taken(steps) == steps[:-3]


def test_a_near_id_is_a_repetition_whatever_its_time_and_one_from_before_the_first_is_history() -> None:
    assert taken([(100, 5), (100, 6), (99, 7), (50, 4), (101, 8)]) == [(100, 5), (101, 8)]


def test_ids_may_begin_anew_more_than_once_and_pass_the_old_ones() -> None:
    steps = [(100, 1), (5, 2), *((number, number) for number in range(6, 130)), (20, 200), (21, 200)]
    assert taken(steps) == steps


def test_what_is_kept_of_missing_ids_is_bounded() -> None:
    ids, one = TradeIds(), Instrument("v", "A-B", set())
    for number in range(0, 20 * KEPT, 2):
        assert ids.new(one, number, number)
    assert len(ids._now["A-B"].missing) == KEPT
    assert [ids.new(one, number, 0) for number in (1, 20 * KEPT - 3)] == [False, True]


@given(st.lists(st.integers(0, 60), unique=True, min_size=1), st.randoms(use_true_random=False))
def test_in_any_order_with_any_repetitions_each_is_taken_once_and_none_from_after_the_first_is_lost(
    numbers: list[int], random: Random
) -> None:
    again = [*numbers, *numbers[::3]]
    random.shuffle(again)
    steps = [(number, 1_000 + number) for number in again]
    found = taken(steps)
    assert len(found) == len(set(found))
    assert {number for number, _ in found} == {number for number in numbers if number >= again[0]}
