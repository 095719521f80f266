"""Venues' limits: turns within a rate, and what each venue's feed says of its own."""

import asyncio
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.exchanges.limits import UNLIMITED, Limits, Pace, Rate, pace_of
from producers.exchanges.venue import venues


@given(
    rate=st.builds(Rate, st.integers(1, 20), st.floats(0.1, 10.0)),
    asked=st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 25)), min_size=1, max_size=60),
)
@settings(max_examples=200, deadline=None)
def test_no_window_holds_more_than_the_rate_and_turns_keep_their_order(
    rate: Rate, asked: list[tuple[float, int]]
) -> None:
    pace, now_s, turns = Pace(rate), 100.0, list[tuple[float, float]]()
    for later_s, weight in asked:
        now_s += later_s
        wait_s = pace.reserve(weight, now_s)
        assert wait_s >= 0.0
        turns.append((now_s + wait_s, min(weight, rate.n)))
    times = [at_s for at_s, _ in turns]
    assert times == sorted(times)
    for end_s in times:
        within = sum(weight for at_s, weight in turns if end_s - rate.per_s + 1e-9 < at_s <= end_s)
        assert within <= rate.n


def test_turns_are_as_early_as_the_rate_allows() -> None:
    pace = Pace(Rate(2, 1.0))
    assert [pace.reserve(1, 10.0) for _ in range(5)] == [0.0, 0.0, 1.0, 1.0, 2.0]
    assert pace.reserve(1, 20.0) == 0.0


def test_what_is_not_limited_does_not_wait() -> None:
    pace = Pace(UNLIMITED)
    assert {pace.reserve(1e9, 1.0) for _ in range(100)} == {0.0}


async def test_a_pause_that_the_venue_asks_for_holds_up_every_turn() -> None:
    pace = Pace(UNLIMITED)
    started = time.monotonic()
    pace.pause(0.2)
    pace.pause(0.05)  # the longer one holds
    await asyncio.gather(pace.turn(), pace.turn())
    assert time.monotonic() - started >= 0.2


def test_all_that_do_the_same_at_a_host_share_a_pace() -> None:
    one = pace_of("rest", "https://api.a.test/x", Rate(1, 1))
    assert one is pace_of("rest", "https://api.a.test/y?z=1", Rate(1, 1))
    assert one is not pace_of("connect", "https://api.a.test/x", Rate(1, 1))
    assert one is not pace_of("rest", "https://api.b.test/x", Rate(1, 1))


@pytest.mark.parametrize(
    ("given_", "symbols"), [({}, 0), ({"channels": 25}, 12), ({"channels": 1}, 1), ({"channels": 1024}, 512)]
)
def test_the_channels_of_a_connection_carry_so_many_symbols(given_: dict[str, Any], symbols: int) -> None:
    assert Limits(**given_).symbols == symbols


@pytest.mark.parametrize("name", sorted(venues()))
def test_every_venue_says_its_limits_and_where_they_are_written(name: str) -> None:
    feed = venues()[name].feed(name, ["BTC-USD"])
    limits = feed.limits
    assert limits.source.startswith("https://")
    assert limits.rest != UNLIMITED
    assert 0 < feed.book_weight <= limits.rest.n
    assert 0 < limits.listings_weight <= limits.rest.n
    assert 0 < limits.lifetime_s <= math.inf
