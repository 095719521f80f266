"""Portfolios drawn on Spark, one core and two: the long-only kernel, and inside of constraints.

Workers have one thread each (``jobs.spark`` pins what BLAS and numba would take), so that one partition is one core's
work; the session and its workers have started before the clock does. Two virtual cores may share one real one, or a
host with others: what two bare processes reach in the same minutes is the most that Spark could.
"""

from functools import partial
from typing import Any

import numpy as np
from joblib import Parallel, delayed, parallel_config
from threadpoolctl import threadpool_limits

from jobs.benches.measure import Row, best_seconds, rate_row
from jobs.search_workers import ONE_THREAD
from jobs.spark import session
from jobs.spark_frontier import Work, done_on
from quicksilver.portfolio.constraints import Constraints, Group
from quicksilver.portfolio.history import History, LargeConfig, Study
from quicksilver.portfolio.inside import Winners, merge_winners
from quicksilver.portfolio.large import Best, merge, reduce_chunks
from quicksilver.portfolio.research import Question, Research

N, ASSETS = 1_000_000_000, 20  # many seconds of work: a Spark job has some tenths of a second of its own
N_INSIDE = 4_000_000  # under constraints, as many seconds
ROUNDS = 2


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


def without_spark(work: Work[Any]) -> None:
    """Do half of the work in each of two processes: what the machine gives two cores of this very work."""
    halves = (range(i, work.n_chunks, 2) for i in range(2))
    with parallel_config(**ONE_THREAD):
        Parallel(n_jobs=2)(delayed(work.reduce)(half) for half in halves)


def rows() -> list[Row]:
    """Return the rows of both; one partition keeps one core busy."""
    found: list[Row] = []
    with session("quicksilver bench", "local[2]") as spark, threadpool_limits(1):
        parts: list[tuple[str, Work[Any]]] = [
            ("large frontier", over_all()),
            ("frontier in caps and a group", inside()),
        ]
        for what, work in parts:
            on_one, on_two = partial(done_on, spark, work, 1), partial(done_on, spark, work)
            times = best_seconds(work.here, partial(without_spark, work), on_one, on_two, rounds=ROUNDS)
            here, bare, one, two = (work.n_portfolios / seconds / 1e6 for seconds in times)
            name, unit = f"{what}, {work.n_portfolios:,} x {ASSETS}", "M portfolios/s"
            found += [
                rate_row(f"{name}, Spark, 1 core", unit, one, "a single process", here),
                rate_row(f"{name}, two processes without Spark", unit, bare, "a single process", here),
                rate_row(f"{name}, Spark, 2 cores", unit, two, "two processes without Spark", bare),
                rate_row(f"{name}, Spark, 2 cores", unit, two, "Spark, 1 core", one),
            ]
    return found
