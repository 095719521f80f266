"""The large Monte Carlo: draws and moments against plain numpy, and the same answer however it is shared out."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.estimators import Estimate, Estimators, estimate
from quicksilver.portfolio.history import History, LargeConfig, Study
from quicksilver.portfolio.large import (
    BLOCK,
    CHUNK,
    NOBODY,
    SHAPES,
    Best,
    Sweep,
    merge,
    nobody,
    reduce_chunks,
    weights_of,
)
from quicksilver.portfolio.picks import max_sharpe, min_variance

DAY_NS = 86_400_000_000_000


def walk(n_assets: int, n_times: int = 200, seed: int = 1) -> History:
    rng = np.random.default_rng(seed)
    market = rng.normal(2e-4, 0.01, (n_times, 1))
    returns = market + rng.normal(0, rng.uniform(0.005, 0.03, n_assets), (n_times, n_assets))
    times = DAY_NS * np.arange(1, n_times + 1)
    return History([f"A{i}-USD" for i in range(n_assets)], times, 100 * np.exp(returns.cumsum(axis=0)))


def estimated(history: History) -> Estimate:
    return estimate(np.diff(np.log(history.prices), axis=0), Estimators("oas"))


def sweep_of(n_assets: int, n_portfolios: int, seed: int = 7) -> Sweep:
    return Study(estimated(walk(n_assets)), LargeConfig(n_portfolios=n_portfolios, seed=seed)).sweep


def rows_of(best: Best) -> list[tuple[float, float, int]]:
    return list(zip(best.first.tolist(), best.second.tolist(), best.number.tolist(), strict=True))


def same(one: Best, other: Best) -> bool:
    return rows_of(one) == rows_of(other)


def plain_draws(n_assets: int, n_portfolios: int, seed: int, chunk: int) -> FloatArray:
    """A chunk's weights by textbook xoshiro128++ and double-precision logarithms: ``(n_portfolios, n_assets)``."""
    words = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(chunk,))).random_raw(4 * BLOCK)
    s, low = list((words >> np.uint64(32)).reshape(4, BLOCK)), np.uint64(0xFFFFFFFF)

    def rotated(x: NDArray[np.uint64], k: int) -> NDArray[np.uint64]:
        return (x << np.uint64(k) | x >> np.uint64(32 - k)) & low

    rows = []
    for k in range(-(-n_portfolios // BLOCK)):
        block = np.empty((n_assets, BLOCK))
        for i in range(n_assets):
            bits = (rotated((s[0] + s[3]) & low, 7) + s[0]) & low
            moved = s[1] << np.uint64(9) & low
            s[2] ^= s[0]
            s[3] ^= s[1]
            s[1] ^= s[2]
            s[0] ^= s[3]
            s[2] ^= moved
            s[3] = rotated(s[3], 11)
            uniform = ((bits >> np.uint64(1)).astype(np.float32) + np.float32(0.5)).astype(np.float64) / 2**31
            block[i] = (-np.log(uniform)) ** (0.5, 1.0, 2.0, 4.0, 8.0)[k % SHAPES]
        rows.append((block / block.sum(axis=0)).T)
    return np.concatenate(rows)[:n_portfolios]


@given(n_assets=st.integers(2, 9), n=st.integers(1, 7 * BLOCK), seed=st.integers(0, 2**70), chunk=st.integers(0, 10**9))
@settings(max_examples=20, deadline=None)
def test_draws_are_those_of_plain_numpy(n_assets: int, n: int, seed: int, chunk: int) -> None:
    sweep = Sweep(10**15, seed, np.ones(n_assets, np.float32), np.eye(n_assets, dtype=np.float32), 0.0, 1.0, 3)
    drawn = weights_of(sweep, [chunk * CHUNK + i for i in range(n)])
    assert (drawn >= 0).all()
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(drawn, plain_draws(n_assets, n, seed, chunk), rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize("n_assets", [2, 3, 4, 5, 8, 13])
def test_winners_are_those_of_plain_numpy(n_assets: int) -> None:
    sweep = sweep_of(n_assets, CHUNK + 4_321)
    best = reduce_chunks(sweep, range(sweep.n_chunks))
    drawn = np.concatenate([plain_draws(n_assets, CHUNK, 7, 0), plain_draws(n_assets, 4_321, 7, 1)])
    means = drawn @ sweep.mean.astype(np.float64)
    risks = np.linalg.norm(drawn @ sweep.root.astype(np.float64), axis=1)
    winners = best.number[best.number != NOBODY]
    np.testing.assert_allclose(best.first[:-2][best.number[:-2] != NOBODY], means[winners[:-2]], rtol=1e-4, atol=1e-6)
    assert risks[best.number[-2]] <= risks.min() * (1 + 1e-5)
    assert (means / risks)[best.number[-1]] >= (means / risks).max() - 1e-5
    bins = np.floor((risks - sweep.low) / (sweep.high - sweep.low) * sweep.n_bins).clip(0, sweep.n_bins - 1)
    inside = risks <= sweep.high * (1 - 1e-5)
    for at in range(sweep.n_bins):
        edge = np.abs((risks - sweep.low) / (sweep.high - sweep.low) * sweep.n_bins - np.round(bins)) < 1e-3
        mine = means[inside & (bins == at) & ~edge]
        assert not len(mine) or best.first[at] >= mine.max() - 1e-5


@given(cuts=st.lists(st.integers(1, 6), max_size=4), order=st.randoms(), short=st.integers(0, CHUNK - 1))
@settings(max_examples=15, deadline=None)
def test_the_answer_is_the_same_however_chunks_are_shared_out(
    cuts: list[int], order: random.Random, short: int
) -> None:
    sweep = sweep_of(4, 7 * CHUNK - short)
    assert sweep.n_chunks == 7
    whole = reduce_chunks(sweep, range(7))
    edges = [0, *sorted(set(cuts)), 7]
    parts = [reduce_chunks(sweep, range(a, b)) for a, b in itertools.pairwise(edges)]
    order.shuffle(parts)
    merged = nobody(sweep.n_bins)
    for part in parts:
        merged = merge(merged, part)
    assert same(merged, whole)
    assert same(reduce_chunks(sweep, reversed(range(7))), whole)


few = st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, np.inf])
bests = st.lists(st.tuples(few, few, st.integers(0, 3) | st.just(NOBODY)), min_size=4, max_size=4).map(
    lambda rows: Best(*map(np.array, zip(*rows, strict=True)))
)


@given(a=bests, b=bests, c=bests)
def test_merging_is_associative_commutative_and_idempotent(a: Best, b: Best, c: Best) -> None:
    assert same(merge(merge(a, b), c), merge(a, merge(b, c)))
    assert same(merge(a, b), merge(b, a))
    assert same(merge(a, a), a)


def test_ties_go_to_the_lowest_number_in_any_order() -> None:
    """Two assets that are the same asset: a portfolio's risk and mean do not tell it from its mirror image."""
    sweep = Sweep(3 * CHUNK, 1, np.zeros(2, np.float32), np.zeros((2, 2), np.float32), 0.0, 1.0, 2)
    forward, backward = reduce_chunks(sweep, range(3)), reduce_chunks(sweep, [2, 1, 0])
    assert same(forward, backward)
    assert forward.number.tolist() == [0, NOBODY, 0, NOBODY]  # a risk of nothing has no Sharpe ratio


@given(n_assets=st.integers(2, 8), history=st.integers(0, 200), seed=st.integers(0, 200))
@settings(max_examples=15, deadline=None)
def test_min_variance_beats_every_drawn_portfolio(n_assets: int, history: int, seed: int) -> None:
    given = estimated(walk(n_assets, 60, history))
    study = Study(given, LargeConfig(n_portfolios=30_000, seed=seed))
    of_bins, (calm, sharp) = study.winners(reduce_chunks(study.sweep, [0]))
    best = min_variance(given.covariance)
    assert best @ given.covariance @ best <= calm @ given.covariance @ calm * (1 + 1e-9)
    sharpest = max_sharpe(given.mean, given.covariance)
    if sharpest is not None:
        assert ratio(sharpest, given) >= ratio(sharp, given) * (1 - 1e-6)
    rows = np.vstack([of_bins, calm, sharp, study.shown()])
    assert (rows >= 0).all()
    assert len(study.shown()) >= LargeConfig().n_cloud
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, atol=1e-9)


def ratio(weights: FloatArray, given: Estimate) -> float:
    return float(weights @ given.mean / np.sqrt(weights @ given.covariance @ weights))


def test_another_seed_is_another_draw() -> None:
    one, other = (reduce_chunks(sweep_of(4, CHUNK, seed), [0]) for seed in (1, 2))
    assert not same(one, other)


@pytest.mark.parametrize("constant", [1.0, 1e-9, 1e9])
def test_assets_that_never_move_or_move_as_one_give_finite_numbers(constant: float) -> None:
    history = walk(3)
    prices = np.column_stack([history.prices, history.prices[:, 0], np.full(200, constant)])
    finite(History([*history.assets, "TWIN-USD", "STILL-USD"], history.times_ns, prices))


def test_a_universe_of_which_nothing_moves_is_drawn_from() -> None:
    finite(walk(2)._replace(prices=np.ones((200, 2))))


def finite(history: History) -> None:
    study = Study(estimated(history), LargeConfig(n_portfolios=1_000))
    best = reduce_chunks(study.sweep, [0])
    assert np.isfinite(best.first[best.number != NOBODY]).all()
    for rows in (*study.winners(best), study.shown()):
        assert np.isfinite(rows).all()


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (LargeConfig(n_portfolios=0), "n_portfolios must be 1 or more, not 0"),
        (LargeConfig(seed=-1), "the seed must be 0 or more, not -1"),
    ],
)
def test_numbers_that_draw_nothing_are_refused(config: LargeConfig, why: str) -> None:
    with pytest.raises(InputError, match=why):
        Study(estimated(walk(2)), config)
