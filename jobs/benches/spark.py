"""The large frontier on Spark, one core and two, beside the single-process kernel."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from jobs.benches.measure import Row, rate_row
from jobs.spark import session
from jobs.spark_frontier import sweep_on
from quicksilver.portfolio.history import History, LargeConfig, Study
from quicksilver.portfolio.large import reduce_chunks

N, ASSETS = 300_000_000, 20  # some seconds of work: a Spark job has some tenths of a second of its own
ROUNDS = 3


def study() -> Study:
    """Return twenty made-up assets with a common factor."""
    rng = np.random.default_rng(0)
    returns = rng.normal(2e-4, 0.01, (1000, 1)) + rng.normal(0, 0.02, (1000, ASSETS))
    times = 86_400_000_000_000 * np.arange(1, 1001)
    history = History([f"A{i}-USD" for i in range(ASSETS)], times, 100 * np.exp(returns.cumsum(axis=0)))
    return Study(history, LargeConfig(n_portfolios=N))


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
    """Return the large frontier's rows; one partition keeps one core busy."""
    sweep = study().sweep
    with session("quicksilver bench", "local[2]") as spark:
        kernel_s, one_s, two_s = _best_s(
            lambda: reduce_chunks(sweep, range(sweep.n_chunks)),
            lambda: sweep_on(spark, sweep, partitions=1),
            lambda: sweep_on(spark, sweep),
        )
    kernel, one, two = (N / seconds / 1e6 for seconds in (kernel_s, one_s, two_s))
    name, unit = f"large frontier, {N:,} x {ASSETS}", "M portfolios/s"
    return [
        rate_row(f"{name}, Spark, 1 core", unit, one, "single-process kernel", kernel),
        rate_row(f"{name}, Spark, 2 cores", unit, two, "single-process kernel", kernel),
        rate_row(f"{name}, Spark, 2 cores", unit, two, "Spark, 1 core", one),
    ]
