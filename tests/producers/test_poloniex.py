"""Poloniex's rules, of both its protocols, on real recordings and on messages made for what those do not hold."""

from pathlib import Path

import pytest

from producers.exchanges.poloniex import PoloniexParser
from producers.frames import Frame
from producers.tapes import read_frames
from quicksilver.events import BookDelta, BookSnapshot, Gap, Trade
from quicksilver.records import DeadLetter
from tests.producers.faults import assert_sound, books_of, play

V2 = "2022-08-21.723f776f.POLONIEX.ws.1.0"
PUSH = "2021-04-05.1312c062.POLONIEX-d60751.0"
NOW = 1_661_122_416_000


@pytest.mark.parametrize(
    ("name", "deltas", "trades"), [(V2, 67, 2), (PUSH, 346, 2), ("2021-04-17.3525dc8c.POLONIEX.ws.60.0", 146, 1)]
)
def test_every_tape_of_both_protocols_without_a_gap_or_a_cross(
    tapes: Path, name: str, deltas: int, trades: int
) -> None:
    parser = PoloniexParser()
    events = play(parser, list(read_frames(tapes / f"cryptofeed/legacy/{name}.zst", venue="poloniex")))
    assert_sound(events)
    kinds = [sum(isinstance(event, kind) for event in events) for kind in (BookSnapshot, BookDelta, Trade, Gap)]
    assert kinds == [10, deltas, trades, 0]
    assert all(book.ready for book in books_of(events).values())
    assert parser.counts.rejected == 0


@pytest.mark.parametrize("name", [V2, PUSH])
def test_a_lost_message_is_a_gap_of_its_symbol_alone_and_a_repeated_one_none(tapes: Path, name: str) -> None:
    frames = list(read_frames(tapes / f"cryptofeed/legacy/{name}.zst", venue="poloniex"))
    parser = PoloniexParser()
    changes = [one for one in frames if any(isinstance(event, BookDelta) for event in parser.parse(one))]
    busiest = max((one.counts.frames, symbol) for symbol, one in parser.instruments.items())[1]
    alone = PoloniexParser()
    of_it = [one for one in frames if any(event.symbol == busiest for event in alone.parse(one)) and one in changes]
    frames.insert(frames.index(of_it[2]) + 1, of_it[2])
    frames.remove(of_it[5])
    parser = PoloniexParser()
    events = play(parser, frames)
    assert [event.symbol for event in events if isinstance(event, Gap)] == [busiest]
    assert parser.instruments[busiest].counts.duplicates == 1
    assert_sound(events)


def frame(text: str) -> Frame:
    return Frame("poloniex", "c", "recv", NOW * 10**6, text.encode())


def book(action: str, last: int, number: int, bids: str = '[["9","1"]]', asks: str = '[["10","2"]]') -> Frame:
    entry = f'"symbol":"BTC_USDT","createTime":{NOW},"bids":{bids},"asks":{asks},"lastId":{last},"id":{number}'
    return frame(f'{{"channel":"book_lv2","data":[{{{entry}}}],"action":"{action}"}}')


def test_a_gap_ends_with_the_next_snapshot() -> None:
    frames = [book("snapshot", 1, 2), book("update", 3, 4), book("update", 4, 5), book("snapshot", 5, 6)]
    assert [type(event) for event in play(PoloniexParser(), frames)] == [BookSnapshot, Gap, BookSnapshot]


def test_trades_take_the_takers_side_once() -> None:
    fields = f'"symbol":"BTC_USDT","quantity":"0.5","takerSide":"sell","createTime":{NOW},"price":"10","id":"7"'
    (trade,) = play(PoloniexParser(), [frame(f'{{"channel":"trades","data":[{{{fields}}}]}}')] * 2)
    assert trade == Trade("poloniex", "BTC-USDT", 1, NOW * 10**6, NOW * 10**6, 10.0, 0.5, "sell", "7")


def test_numbers_of_the_push_api_that_begin_anew_are_a_gap() -> None:
    whole, change = '["i",{"currencyPair":"BTC_STR","orderBook":[{"0.2":"1"},{"0.1":"3"}]}]', '["o",1,"0.15","2"]'
    parser = PoloniexParser()
    frames = [frame(f"[89,{n},[{body}]]") for n, body in ((50, whole), (50, change), (51, change), (2, change))]
    assert [type(event) for event in play(parser, frames)] == [BookSnapshot, BookDelta, Gap]
    assert parser.instruments["XLM-BTC"].counts.duplicates == 1


def test_renamed_coins_and_turned_names_of_the_push_api() -> None:
    whole = '["i",{"currencyPair":"BTC_STR","orderBook":[{"0.2":"1"},{"0.1":"3"}]}]'
    change = '["o",1,"0.15","2"],["o",0,"0.2","0"],["t","9",1,"0.2","1",1661122416]'
    parser = PoloniexParser()
    events = play(parser, [frame(f"[89,5,[{whole}]]"), frame(f"[89,6,[{change}]]"), frame("[1010]")])
    assert [(type(event), event.symbol) for event in events] == [
        (BookSnapshot, "XLM-BTC"), (BookDelta, "XLM-BTC"), (Trade, "XLM-BTC"),
    ]  # fmt: skip
    bids, asks = books_of(events)["XLM-BTC"].top(3)
    assert bids[:, :2].tolist() == [[0.15, 2.0], [0.1, 3.0]]
    assert len(asks) == 0


@pytest.mark.parametrize(
    "text",
    [
        "[89,7]]", '[89,6,[["x",1]]]', '[89,6,[["o",1,"-1","2"]]]', '[89,6,[["o",1,"nan","2"]]]', '[89,6,[["t",1]]]',
        '[89,6,[["i",{}]]]', '[89,6,{}]', "[89,6,[],1]", '["x",6,[]]', '{"channel":"trades","data":[]}', "{}",
        '{"channel":"book_lv2","data":[{"symbol":"BTC","id":1}],"action":"update"}', '{"event":"error","message":"no"}',
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_dead_letter(text: str) -> None:
    letters: list[DeadLetter] = []
    parser = PoloniexParser(reject=letters.append)
    whole = '["i",{"currencyPair":"BTC_STR","orderBook":[{"0.2":"1"},{"0.1":"3"}]}]'
    events = play(parser, [frame(f"[89,5,[{whole}]]"), frame(text)])
    assert len(letters) == 1
    assert [type(event) for event in events][1:] in ([], [Gap])
