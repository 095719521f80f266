"""Last prices, the two clocks, and constraints on machines that read prices alone."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quicksilver.errors import InputError
from quicksilver.portfolio.clock import MAX_SILENT_PERIODS, ReturnClock
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.expectations import require_prices_suffice
from quicksilver.portfolio.prices import Prices, Quote, spoken

SECOND = 1_000_000_000


def told(prices: Prices) -> dict[str, tuple[str, float]]:
    return {asset: (quote.source, quote.price) for asset, quote in prices.quotes().items()}


def test_the_first_venue_counts_until_its_price_is_in_doubt_or_old() -> None:
    prices = Prices()
    for venue, symbol, price, ts in (("x", "A", 1.0, 1), ("y", "A", 2.0, 2), ("x", "B", 3.0, 3), ("y", "A", 2.5, 9)):
        prices.take(venue, symbol, price, ts)
    assert told(prices) == {"A": ("x:A", 1.0), "B": ("x:B", 3.0)}
    prices.expire(2)
    assert told(prices) == {"A": ("y:A", 2.5), "B": ("x:B", 3.0)}
    prices.take("x", "A", 1.5, 10)
    assert told(prices)["A"] == ("y:A", 2.5)  # no hopping back
    prices.forget("y", "A")
    assert told(prices)["A"] == ("x:A", 1.5)
    assert (prices.members, prices.last_ns("A")) == (["A", "B"], 10)


def test_a_universe_names_its_assets_and_venues() -> None:
    prices = Prices(("B", "x:A", "NONE"), ("x", "y"))
    for venue, symbol in (("x", "A"), ("y", "A"), ("z", "B"), ("y", "B"), ("x", "C")):
        prices.take(venue, symbol, 1.0, 5)
    assert told(prices) == {"B": ("y:B", 1.0), "x:A": ("x:A", 1.0)}
    assert prices.members == ["B", "NONE", "x:A"]
    assert prices.missing("NONE", 9) == "no price yet"


@pytest.mark.parametrize(("venues", "doubted", "sources"), [(("y", "x"), "y", "xyyxy"), ((), "x", "xxxyy")])
def test_venues_that_are_named_come_in_that_order_others_by_how_long_they_have_had_a_price(
    venues: tuple[str, ...], doubted: str, sources: str
) -> None:
    prices, seen = Prices(("A",), venues), ""
    for venue in ("x", "y", "x", "", "y"):
        if venue:
            prices.take(venue, "A", 1.0, SECOND)
        else:
            prices.forget(doubted, "A")
        seen += prices.quotes()["A"].source[0]
    assert seen == sources


@pytest.mark.parametrize("price", [-1.0, 0.0, math.inf, -math.inf, 1e19, 1e-19])
def test_what_cannot_be_a_price_is_counted_as_none(price: float) -> None:
    prices = Prices()
    prices.take("x", "A", 5.0, SECOND)
    prices.take("x", "A", price, 2 * SECOND)
    assert prices.quotes() == {}
    assert prices.missing("x:A", 62 * SECOND) == f"no price for 61 s; what came once was none, such as {price:g}"
    prices.take("x", "A", math.nan, 3 * SECOND)  # a book without a side
    prices.take("x", "A", price, 3 * SECOND)
    assert prices.missing("x:A", 62 * SECOND).endswith(f"2 that came were none, such as {price:g}")


@pytest.mark.parametrize(
    ("span_s", "text"), [(0.25, "0.25 s"), (61, "61 s"), (3_600, "60 min"), (7_300, "2.03 h"), (86_400 * 61, "61 d")]
)
def test_spans_are_told_in_the_unit_that_fits(span_s: float, text: str) -> None:
    assert spoken(round(span_s * SECOND)) == text


def quotes_of(row: dict[str, tuple[float, int]]) -> dict[str, Quote]:
    return {asset: Quote(f"v:{asset}", price, number, 0) for asset, (price, number) in row.items()}


def refreshed(paths: Any, new: Any) -> list[tuple[int, int, list[float]]]:
    """The reference, from all prices at once: ends of periods, spans and returns."""
    out, last = list[tuple[int, int, list[float]]](), 0
    for tick in range(1, len(paths)):
        if new[last + 1 : tick + 1].any(axis=0).all():
            out.append((tick, tick - last, (np.log(paths[tick]) - np.log(paths[last])).tolist()))
            last = tick
    return out


@given(seed=st.integers(0, 10_000), n_assets=st.integers(1, 5), share=st.floats(0.05, 1.0))
@settings(max_examples=60, deadline=None)
def test_refresh_time_equals_a_slow_reference(seed: int, n_assets: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    new = rng.random((40, n_assets)) < share
    new[0] = True
    moves = np.where(new, rng.normal(0, 0.01, new.shape), 0.0)
    paths = 100.0 * np.exp(np.cumsum(moves, axis=0))
    numbers = np.cumsum(new, axis=0)
    clock, found = ReturnClock("refresh-time"), []
    for tick in range(40):
        row = {str(i): (float(paths[tick, i]), int(numbers[tick, i])) for i in range(n_assets)}
        sampled = clock.sample(tick, 0, quotes_of(row))
        if sampled is not None:
            assert sampled.still == 0
            found.append((tick, sampled.span, [sampled.returns[str(i)] for i in range(n_assets)]))
    expected = refreshed(paths, new)
    assert [one[:2] for one in found] == [one[:2] for one in expected]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("clock", ["previous-tick", "refresh-time"])
def test_across_a_doubt_or_two_venues_nothing_is_known(clock: Any) -> None:
    one = ReturnClock(clock)
    both = quotes_of({"A": (1.0, 1), "B": (1.0, 1)})
    assert one.sample(1, 0, both) is None
    one.sample(2, 0, {"A": both["A"]})
    sampled = one.sample(3, 0, quotes_of({"A": (2.0, 2), "B": (2.0, 2)}))
    assert sampled is not None
    assert math.isnan(sampled.returns["B"])
    assert sampled.returns["A"] == pytest.approx(math.log(2.0))
    elsewhere = {"A": Quote("w:A", 9.0, 1, 0), "B": Quote("v:B", 4.0, 3, 0)}
    sampled = one.sample(4, 0, elsewhere)
    assert sampled is not None
    assert math.isnan(sampled.returns["A"])
    assert sampled.returns["B"] == pytest.approx(math.log(2.0))


def test_silence_is_still_until_it_is_a_break() -> None:
    clock = ReturnClock("previous-tick")
    clock.sample(1, 0, quotes_of({"A": (1.0, 1)}))
    sampled = clock.sample(9, 7, quotes_of({"A": (1.5, 2)}))
    assert sampled is not None
    assert (sampled.span, sampled.still) == (1, 7)
    assert clock.sample(9_000, MAX_SILENT_PERIODS + 1, quotes_of({"A": (2.0, 3)})) is None
    sampled = clock.sample(9_001, 0, quotes_of({"A": (2.0, 3)}))
    assert sampled is not None
    assert sampled.returns["A"] == 0.0


def test_predictions_as_a_mean_are_refused_where_there_are_prices_alone() -> None:
    require_prices_suffice(PortfolioConfig())
    with pytest.raises(InputError, match="universe mine: the mean 'predictions' needs the predictions beside"):
        require_prices_suffice(PortfolioConfig("mine", mean="predictions"))


def periods(prices: Prices, n: int) -> int:
    """End so many periods, in which something else came; after how many of them there is a price of A yet."""
    left = 0
    for _ in range(n):
        prices.end_period()
        left += "A" in prices.quotes()
    return left


def fed(stale: int, pauses: list[int]) -> Prices:
    """Prices of A after so many periods each, of B in all."""
    prices = Prices(("A", "B"), stale=stale)
    for pause in [0, *pauses]:
        for _ in range(pause):
            prices.end_period()
        prices.take("x", "A", 1.0, SECOND)
    return prices


@pytest.mark.parametrize(("stale", "pauses", "left"), [
    (10, [], 10), (3, [1] * 30, 3), (10, [4] * 30, 40), (10, [1] * 30 + [500], 14), (10, [25, 25, 25], 200),
    (0, [], 999),
])  # fmt: skip
def test_a_price_is_old_after_some_of_its_own_usual_pauses(stale: int, pauses: list[int], left: int) -> None:
    """One long silence hardly counts among many short ones, and of few ones it does."""
    assert periods(fed(stale, pauses), 999) == left


def test_where_a_price_is_old_another_venues_stands_in_and_it_comes_back_behind_that() -> None:
    prices = fed(2, [1] * 5)
    for _ in range(3):
        prices.end_period()
        prices.take("y", "A", 3.0, 2 * SECOND)
    assert told(prices) == {"A": ("y:A", 3.0)}
    prices.take("x", "A", 1.0, 3 * SECOND)
    assert told(prices) == {"A": ("y:A", 3.0)}
