"""Which symbols are taken to be forgotten by their venue: those that break a rhythm of their own."""

import random
from bisect import bisect_right
from itertools import pairwise

from producers.exchanges.silence import APART_S, KNOWN, LEAST_S, Overdue, Silences, StillBooks, Told


def watch(
    silences: Silences, spoken: dict[str, list[float]], until_s: int, from_s: int = 0
) -> dict[int, list[Overdue]]:
    """Look each second at symbols that speak at these times; returns what was overdue, by second."""
    found = {}
    for now_s in range(from_s, until_s):
        messages = {symbol: bisect_right(times, now_s) for symbol, times in spoken.items()}
        overdue = silences.look(messages, float(now_s))
        if overdue:
            found[now_s] = overdue
    return found


def each(every_s: float, until_s: float) -> list[float]:
    return [every_s * i for i in range(int(until_s / every_s))]


def test_a_busy_symbol_that_falls_silent_is_overdue_soon_and_the_others_are_not() -> None:
    found = watch(Silences(), {"BTC-USD": each(0.1, 100), "ETH-USD": each(0.1, 140)}, 140)
    (at_s,) = found
    assert found == {at_s: [Overdue("BTC-USD", at_s - 100.0, found[at_s][0].usual_s)]}
    assert 100 + LEAST_S < at_s <= 100 + LEAST_S + 2
    assert 0.09 < found[at_s][0].usual_s < 0.11


def test_a_quiet_symbol_is_given_as_long_as_its_rhythm_asks() -> None:
    spoken = {"RARE-USD": each(60.0, 6_000)}
    found = watch(Silences(), spoken, 9_000)
    assert min(found) > 6_000 - 60 + 20 * 60


def test_one_of_an_uneven_rhythm_is_not_asked_each_time_that_it_rests() -> None:
    """Bursts of messages, and then nothing for as long as two minutes, again and again."""
    generator, at_s, times = random.Random(1), 0.0, []
    while at_s < 20_000:
        times += [at_s + generator.random() for _ in range(20)]
        at_s += generator.uniform(20.0, 120.0)
    times.sort()
    found = watch(Silences(), {"A-B": times}, 20_000)
    assert len(found) <= 3
    assert all(second < 2_000 for second in found)  # while its rhythm is not known well


def test_asking_in_vain_is_done_ever_more_seldom() -> None:
    found = sorted(watch(Silences(), {"A-B": each(1.0, 100)}, 4_000))
    waits = [later - earlier for earlier, later in zip(found, found[1:], strict=False)]
    assert len(waits) >= 4
    assert all(later >= 2 * earlier - 2 for earlier, later in zip(waits, waits[1:], strict=False))


def test_who_speaks_after_it_was_asked_anew_is_watched_as_before() -> None:
    silences = Silences()
    first = watch(silences, {"A-B": each(0.5, 100)}, 140)
    again = [*each(0.5, 100), *(140.0 + at_s for at_s in each(0.5, 100))]
    assert watch(silences, {"A-B": again}, 240, 140) == {}
    found = watch(silences, {"A-B": again}, 400, 240)
    assert first
    assert min(found) <= 240 + 2 * LEAST_S + 2  # once in vain, for all that was known


def test_who_has_said_little_or_nothing_has_no_rhythm() -> None:
    assert watch(Silences(), {"A-B": [], "C-D": each(1.0, KNOWN - 2)}, 3_000) == {}


def test_a_symbol_that_was_forgotten_begins_anew() -> None:
    silences = Silences()
    watch(silences, {"A-B": each(0.1, 100)}, 100)
    silences.forget(["A-B", "C-D"])
    assert watch(silences, {"A-B": each(0.1, 100)}, 1_000, 100) == {}


def still(words: list[float], trades: list[float], until_s: int) -> list[int]:
    """The seconds in which a book is asked anew that speaks, and is traded, at these times; each ask is answered."""
    books, asked = StillBooks(), list[int]()
    for now_s in range(until_s):
        told = Told(bisect_right(words, now_s) + sum(at < now_s for at in asked), bisect_right(trades, now_s))
        asked += [now_s for _ in books.look({"BTC-USD": told}, float(now_s))]
    return asked


def test_a_book_that_is_traded_and_says_nothing_is_asked_anew_and_one_that_rests_is_not() -> None:
    assert still(each(0.1, 100), [], 4_000) == []
    assert still(each(0.1, 100), [99.999, 100 + APART_S - 1], 4_000) == []  # they belong to its last words
    (asked,) = still(each(0.1, 100), [110], 4_000)
    assert 99 + LEAST_S <= asked <= 100 + LEAST_S
    (later,) = still(each(0.1, 100), [200], 4_000)
    assert later == 200 + APART_S


def test_a_book_that_shows_nothing_of_its_trades_is_asked_ever_more_seldom() -> None:
    asked = still([1.0], each(3.0, 4_000), 4_000)
    apart = [after - before for before, after in pairwise(asked)]
    assert len(asked) == 7
    assert all(after > 1.8 * before for before, after in pairwise(apart))
