"""The large frontier on Spark, one core and two, beside the single-process kernel."""

import time

import numpy as np

from jobs.benches.measure import Row, rate_row
from jobs.spark import session
from jobs.spark_frontier import sweep_on
from quicksilver.portfolio.history import History, LargeConfig, Study
from quicksilver.portfolio.large import Sweep, reduce_chunks

ASSETS = 20
N_KERNEL, N_SPARK = 100_000_000, 1_000_000_000  # a Spark job has some tenths of a second of its own
SAMPLES = 5  # of the kernel, between which the machine may do something else: the best counts, for Spark too


def study() -> Study:
    """Return twenty made-up assets with a common factor."""
    rng = np.random.default_rng(0)
    returns = rng.normal(2e-4, 0.01, (1000, 1)) + rng.normal(0, 0.02, (1000, ASSETS))
    times = 86_400_000_000_000 * np.arange(1, 1001)
    history = History([f"A{i}-USD" for i in range(ASSETS)], times, 100 * np.exp(returns.cumsum(axis=0)))
    return Study(history, LargeConfig(n_portfolios=N_SPARK))


def _kernel_s(sweep: Sweep) -> float:
    reduce_chunks(sweep, [0])
    taken = []
    for _ in range(SAMPLES):
        started = time.perf_counter()
        reduce_chunks(sweep, range(sweep.n_chunks * N_KERNEL // N_SPARK))
        taken.append(time.perf_counter() - started)
    return min(taken)


def _spark_s(sweep: Sweep, cores: int) -> float:
    """Seconds of a sweep once the workers are there; they start in one that is not counted."""
    with session("bench", f"local[{cores}]") as spark:
        taken = []
        for count in range(3):
            started = time.perf_counter()
            sweep_on(spark, sweep)
            if count:
                taken.append(time.perf_counter() - started)
    return min(taken)


def rows() -> list[Row]:
    """Return the large frontier's rows."""
    sweep = study().sweep
    kernel = N_KERNEL / _kernel_s(sweep) / 1e6
    one, two = (N_SPARK / _spark_s(sweep, cores) / 1e6 for cores in (1, 2))
    name, unit = f"large frontier, {N_SPARK:.0e} x {ASSETS}", "M portfolios/s"
    return [
        rate_row(f"{name}, Spark, 1 core", unit, one, "single-process kernel", kernel),
        rate_row(f"{name}, Spark, 2 cores", unit, two, "single-process kernel", kernel),
        rate_row(f"{name}, Spark, 2 cores", unit, two, "Spark, 1 core", one),
    ]


if __name__ == "__main__":
    for row in rows():
        print(row)  # noqa: T201
