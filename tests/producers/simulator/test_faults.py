"""Faults on a line: what is written is what happens, at its time, to the message that it is meant for."""

import pytest

from producers.simulator.faults import KINDS, Fault, Line, Schedule, parse_fault, with_another_digit
from producers.simulator.venues.base import Message
from quicksilver.errors import InputError

A, B = "BTC-USD", "ETH-USD"


def update(text: str, symbol: str = A, level: str = "", vital: bool = True) -> Message:
    return Message(text, "update", symbol, None, vital, level)


def sent(line: Line, messages: list[Message], now_s: float = 0.0) -> list[str]:
    return [text for message in messages for text in line.pass_on(message, now_s)]


def armed(kind: str, symbol: str = A) -> Line:
    line = Line()
    line.armed.append(Fault(kind, symbol))
    return line


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("drop:BTC-USD@5s", Fault("drop", A, 5.0)),
        ("disconnect@60s/60s", Fault("disconnect", "", 60.0, 0.0, 60.0)),
        ("stall:BTC-USD@10+3.5s", Fault("stall", A, 10.0, 3.5)),
        (" 429 ", Fault("429", "", 0.0, 1.0)),
        ("old-snapshot:BTC-USDT_270326", Fault("old-snapshot", "BTC-USDT_270326", 0.0, 0.5)),
    ],
)
def test_a_fault_is_read_as_it_is_written(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize("text", ["", "flood", "drop:btc", "drop@soon", "drop:BTC-USD@5m", "drop BTC-USD"])
def test_what_is_no_fault_is_refused_with_all_that_there_are(text: str) -> None:
    with pytest.raises(InputError, match="not a fault") as caught:
        parse_fault(text)
    assert all(kind in str(caught.value) for kind in KINDS)


def test_a_schedule_gives_each_fault_at_its_time_and_again() -> None:
    schedule = Schedule([parse_fault("drop:BTC-USD@2s/3s"), parse_fault("stall:ETH-USD@1s")], [A, B], 1)
    given = {now: [(fault.kind, fault.symbol) for fault in schedule.due(now)] for now in (0.5, 1.0, 2.0, 4.9, 8.0)}
    assert given == {0.5: [], 1.0: [("stall", B)], 2.0: [("drop", A)], 4.9: [], 8.0: [("drop", A), ("drop", A)]}


def test_a_symbol_that_is_not_named_is_drawn_from_the_seed() -> None:
    symbols = [f"S{i}-USD" for i in range(100)]
    draws = [[Schedule([Fault("drop")], symbols, seed).due(0.0)[0].symbol for seed in (1, 2, 1)]]
    assert draws[0][0] == draws[0][2] != draws[0][1]
    with pytest.raises(InputError, match="XXX-USD, which is not simulated"):
        Schedule([Fault("drop", "XXX-USD")], symbols, 1)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("drop", ["b1", "a2", "b2", "a3"]),
        ("duplicate", ["b1", "a1....", "a1....", "a2", "b2", "a3"]),
        ("reorder", ["b1", "a2", "a1....", "b2", "a3"]),
        ("truncate", ["b1", "a1.", "a2", "b2", "a3"]),
    ],
)
def test_a_fault_happens_once_to_the_symbol_that_is_named(kind: str, expected: list[str]) -> None:
    messages = [update("b1", B), update("a1...."), update("a2"), update("b2", B), update("a3")]
    assert sent(armed(kind), messages) == expected


def test_a_fault_waits_for_a_change_that_somebody_can_miss() -> None:
    messages = [
        update("far", vital=False),
        Message("trade", "trade", A),
        Message("book", "snapshot", A),
        update("near"),
    ]
    assert sent(armed("drop"), messages) == ["far", "trade", "book"]


def test_a_digit_of_a_level_is_another_and_nothing_else() -> None:
    level = '["64773.34","1.54364729"]'
    messages = [update("none"), update(f'{{"bids":[["1","2"],{level}]}}', level=level)]
    assert sent(armed("corrupt"), messages) == ["none", '{"bids":[["1","2"],["64773.34","1.54364728"]]}']
    assert with_another_digit('{"price":1.0,"qty":0.5}') == '{"price":1.0,"qty":0.6}'


def test_a_silent_line_loses_what_is_said_and_a_late_one_does_not() -> None:
    silent, late = Line(), Line()
    silent.silent_until_s = late.free_at_s = 2.0
    assert [sent(silent, [update("1")], 1.0), sent(silent, [update("2")], 2.0)] == [[], ["2"]]
    assert [sent(late, [update("1"), update("2")], 1.0), late.released(1.9), late.released(2.0)] == [[], [], ["1", "2"]]
    assert sent(late, [update("3")], 2.1) == ["3"]
