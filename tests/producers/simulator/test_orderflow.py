"""The market model: deterministic, never crossed, correlated, and with order flow that says something."""

import itertools
from collections import defaultdict

import numpy as np
import pytest

from producers.simulator.listings import LISTINGS, Listing
from producers.simulator.orderflow import Book, Market
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS

START_NS = 1_790_000_000 * SECOND_NS


def spread_ticks(book: Book) -> int:
    return book.asks.keys[0] + book.bids.keys[0]


def mid(book: Book) -> float:
    return (book.asks.keys[0] - book.bids.keys[0]) / 2.0


def test_same_arguments_give_the_same_steps() -> None:
    runs = [list(itertools.islice(Market(11, START_NS).steps(), 3_000)) for _ in range(2)]
    assert runs[0] == runs[1]
    assert list(itertools.islice(Market(12, START_NS).steps(), 3_000)) != runs[0]


def test_time_starts_where_told_and_never_goes_back() -> None:
    market = Market(1, START_NS)
    assert market.now_ns == START_NS
    times = []
    for _ in range(5_000):
        due_ns = market.next_ns
        times.append(market.step().ts_ns)
        assert market.now_ns == times[-1] == due_ns
    assert times[0] > START_NS
    assert times == sorted(times)


@pytest.mark.parametrize("rate", [0.2, 1.0, 20.0])
def test_spread_is_positive_after_every_step_and_the_book_stays_deep(rate: float) -> None:
    market = Market(2, START_NS, rate=rate)
    for _ in range(20_000):
        book = market.books[market.step().symbol]
        assert spread_ticks(book) > 0
    for book in market.books.values():
        for side in (book.bids, book.asks):
            assert len(side.keys) >= 1_000
            assert side.keys == sorted(side.lots)
            assert min(side.lots.values()) > 0
        assert spread_ticks(book) / mid(book) < 0.001


def test_a_step_names_exactly_the_levels_that_differ() -> None:
    market = Market(3, START_NS, ["ADA/USD"], rate=5.0)
    book = market.books["ADA/USD"]
    known = [dict(book.bids.lots), dict(book.asks.lots)]
    for _ in range(3_000):
        step = market.step()
        for side, changes, before in zip((book.bids, book.asks), (step.bids, step.asks), known, strict=True):
            after = dict(side.lots)
            differ = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
            assert differ == {key for key, _ in changes}
            assert all(after.get(key, 0) == lots for key, lots in changes)
        known = [dict(book.bids.lots), dict(book.asks.lots)]


def test_executions_are_numbered_and_happen_at_the_price_that_was_there() -> None:
    market = Market(4, START_NS, ["XRP/USD"])
    book = market.books["XRP/USD"]
    last_id = book.recent[-1].trade_id
    for _ in range(5_000):
        lots = {"buy": dict(book.asks.lots), "sell": dict(book.bids.lots)}
        step = market.step()
        for fill in step.fills:
            last_id += 1
            assert fill.trade_id == last_id
            assert fill.ts_ns == step.ts_ns
            assert 0 < fill.lots <= lots[fill.side][fill.price if fill.side == "buy" else -fill.price]
    assert book.recent[-1].trade_id == last_id


def test_messages_and_executions_come_at_the_rate_of_a_market() -> None:
    seconds, market = 120, Market(5, START_NS)
    changed: defaultdict[str, int] = defaultdict(int)
    fills: defaultdict[str, int] = defaultdict(int)
    while market.next_ns < START_NS + seconds * SECOND_NS:
        step = market.step()
        changed[step.symbol] += bool(step.bids or step.asks)
        fills[step.symbol] += len(step.fills)
    for symbol in LISTINGS:
        assert 20 <= changed[symbol] / seconds <= 45
        assert 1 <= fills[symbol] / seconds <= 12


def test_rate_multiplies_the_number_of_steps() -> None:
    def steps(rate: float) -> int:
        market, count = Market(6, START_NS, rate=rate), 0
        while market.next_ns < START_NS + 20 * SECOND_NS:
            market.step()
            count += 1
        return count

    assert 3.0 < steps(4.0) / steps(1.0) < 5.0


def seconds_of(market: Market, seconds: int) -> tuple[dict[str, list[float]], dict[str, list[list[float]]]]:
    """Mids at each second, and ``[sign of the executions, imbalance of five levels]`` of the second before."""
    mids: defaultdict[str, list[float]] = defaultdict(list)
    flow: defaultdict[str, list[list[float]]] = defaultdict(list)
    signs: defaultdict[str, int] = defaultdict(int)
    for second in range(seconds):
        while market.next_ns < START_NS + second * SECOND_NS:
            step = market.step()
            signs[step.symbol] += sum(1 if fill.side == "buy" else -1 for fill in step.fills)
        for name, book in market.books.items():
            bid, ask = (sum(side.lots[key] for key in side.keys[:5]) for side in (book.bids, book.asks))
            mids[name].append(mid(book))
            flow[name].append([float(np.sign(signs[name])), (bid - ask) / (bid + ask)])
            signs[name] = 0
    return mids, flow


def test_returns_correlate_and_flow_tells_of_the_next_second() -> None:
    mids, flow = seconds_of(Market(7, START_NS), 1_500)
    returns = {name: np.diff(np.log(values)) for name, values in mids.items()}
    correlation = np.corrcoef(list(returns.values()))
    assert correlation[np.triu_indices_from(correlation, 1)].min() > 0.2
    assert correlation[0, 1] > 0.5  # bitcoin and ether, the two with the most of the common factor
    for column in (0, 1):  # within one symbol the effect is small, as in a market: all six together show it
        x = np.concatenate([np.array(flow[name])[:-1, column] for name in returns])
        y = np.concatenate([values / values.std() for values in returns.values()])
        assert np.corrcoef(x, y)[0, 1] > 0.03


def test_signs_of_executions_are_autocorrelated_and_sizes_heavy_tailed() -> None:
    market = Market(8, START_NS, ["BTC/USD"])
    takers = [fills for step in itertools.islice(market.steps(), 40_000) if (fills := step.fills)]
    signs = np.array([1.0 if fills[0].side == "buy" else -1.0 for fills in takers])
    assert np.corrcoef(signs[:-1], signs[1:])[0, 1] > 0.05
    sizes = np.array([sum(fill.lots for fill in fills) for fills in takers])
    assert sizes.mean() > 1.5 * np.median(sizes)


def test_volatility_is_about_what_the_listing_says() -> None:
    mids, _ = seconds_of(Market(9, START_NS, ["BTC/USD"], rate=0.5), 3_000)
    yearly = np.diff(np.log(mids["BTC/USD"])[::10]).std() * np.sqrt(365 * 86_400 / 10)
    assert 0.5 < yearly / LISTINGS["BTC/USD"].volatility < 2.0


@pytest.mark.parametrize("symbols", [["BTC/EUR"], [], ["BTC/USD", "BTC/USD"]])
def test_symbols_that_make_no_market_are_refused(symbols: list[str]) -> None:
    with pytest.raises(InputError, match="simulator"):
        Market(1, START_NS, symbols)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="rate"):
        Market(1, START_NS, rate=rate)


def test_a_listing_of_the_users_own_works_and_a_senseless_one_is_refused() -> None:
    own = Listing("ABC/USD", 7.5, 3, 0, 1.2, 0.0, 300.0)
    market = Market(1, START_NS, [own, "BTC/USD"])
    assert {step.symbol for step in itertools.islice(market.steps(), 200)} == {"ABC/USD", "BTC/USD"}
    with pytest.raises(InputError, match="ticks"):
        Listing("ABC/USD", 7.5, 1, 0, 1.2, 0.0, 300.0)
    with pytest.raises(InputError, match="beta"):
        Listing("ABC/USD", 7.5, 3, 0, 1.2, 1.5, 300.0)


def test_a_rest_moves_time_and_nothing_else() -> None:
    rested, other = Market(1, START_NS), Market(1, START_NS)
    rested.rest(5 * SECOND_NS)
    for _ in range(500):
        after, before = rested.step(), other.step()
        fills = [fill._replace(ts_ns=fill.ts_ns - 5 * SECOND_NS) for fill in after.fills]
        assert after._replace(ts_ns=after.ts_ns - 5 * SECOND_NS, fills=fills) == before
