"""Portfolios drawn on Spark, one core and two: the long-only kernel, and inside of constraints.

Workers have one thread each (``jobs.spark`` pins what BLAS and numba would take), so that one partition is one core's
work; the session and its workers have started before the clock does.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from jobs.benches.measure import Row, rate_row
from jobs.spark import session
from jobs.spark_frontier import Work, done_on
from quicksilver.portfolio.constraints import Constraints, Group
from quicksilver.portfolio.history import History, LargeConfig, Study
from quicksilver.portfolio.inside import Winners, merge_winners
from quicksilver.portfolio.large import Best, merge, reduce_chunks
from quicksilver.portfolio.research import Question, Research

N, ASSETS = 1_000_000_000, 20  # many seconds of work: a Spark job has some tenths of a second of its own
N_INSIDE = 4_000_000  # under constraints, as many seconds
ROUNDS = 3


def history() -> History:
    """Return twenty made-up assets with a common factor."""
    rng = np.random.default_rng(0)
    returns = rng.normal(2e-4, 0.01, (1000, 1)) + rng.normal(0, 0.02, (1000, ASSETS))
    times = 86_400_000_000_000 * np.arange(1, 1001)
    return History([f"A{i}-USD" for i in range(ASSETS)], times, 100 * np.exp(returns.cumsum(axis=0)))


def over_all(n: int = N) -> Work[Best]:
    """Return the work of drawing from all long-only portfolios."""
    sweep = Study(Research(history(), Question()).estimate, LargeConfig(n_portfolios=n)).sweep
    return Work(n, sweep.n_chunks, partial(reduce_chunks, sweep), merge)


def inside(n: int = N_INSIDE) -> Work[Winners]:
    """Return the work of drawing inside of caps and a group."""
    assets = history().assets
    limits = Constraints(cap=0.15, groups={"first": Group(tuple(assets[:5]), 0.1, 0.4)})
    work = Research(history(), Question(constraints=limits)).inside(n)
    return Work(n, work.n_chunks, work.reduce, merge_winners)


def _best_s(*work: Callable[[], Any]) -> list[float]:
    """The shortest time of each, taken in turns after one uncounted round, in which workers start."""
    best = [float("inf")] * len(work)
    for count in range(ROUNDS + 1):
        for i, one in enumerate(work):
            started = time.perf_counter()
            one()
            if count:
                best[i] = min(best[i], time.perf_counter() - started)
    return best


def rows() -> list[Row]:
    """Return the rows of both; one partition keeps one core busy."""
    found: list[Row] = []
    with session("quicksilver bench", "local[2]") as spark, threadpool_limits(1):
        parts: list[tuple[str, Work[Any]]] = [
            ("large frontier", over_all()),
            ("frontier in caps and a group", inside()),
        ]
        for what, work in parts:
            times = _best_s(work.here, partial(done_on, spark, work, 1), partial(done_on, spark, work))
            here, one, two = (work.n_portfolios / seconds / 1e6 for seconds in times)
            name, unit = f"{what}, {work.n_portfolios:,} x {ASSETS}", "M portfolios/s"
            found += [
                rate_row(f"{name}, Spark, 1 core", unit, one, "a single process", here),
                rate_row(f"{name}, Spark, 2 cores", unit, two, "a single process", here),
                rate_row(f"{name}, Spark, 2 cores", unit, two, "Spark, 1 core", one),
            ]
    return found
