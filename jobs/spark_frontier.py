"""The large Monte Carlo of portfolios on Spark; ``jobs.frontier_command`` is the command."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from jobs.history import Stored
from quicksilver.portfolio.history import History, Study
from quicksilver.portfolio.large import Best, Sweep, merge, nobody, reduce_chunks

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SLICES_PER_CORE = 8  # a core that is slower than the others takes fewer


def sweep_on(spark: "SparkSession", sweep: Sweep, partitions: int | None = None) -> Best:
    """Run all chunks of a sweep on Spark, in so many partitions."""
    context = spark.sparkContext
    slices = partitions or min(sweep.n_chunks, SLICES_PER_CORE * context.defaultParallelism)
    found = context.range(sweep.n_chunks, numSlices=slices).mapPartitions(lambda chunks: [reduce_chunks(sweep, chunks)])
    best = nobody(sweep.n_bins)
    for one in found.collect():
        best = merge(best, one)
    return best


def run(
    source: "History | Stored", ask: Callable[[History], Study], master: str | None, partitions: int | None
) -> tuple[Study, Best, dict[str, Any]]:
    """Return what ``ask`` makes of the history, the best of all that it draws, and what the run took.

    Raises:
        InputError: the history is too little, or Spark cannot be started.
    """
    study = ask(source) if isinstance(source, History) else None  # before Spark starts, which takes seconds
    from jobs.spark import session

    started, conf = time.perf_counter(), {} if isinstance(source, History) else source.conf
    with session("quicksilver frontier", master, connectors=bool(conf), conf=conf) as spark:
        study = study or ask(source if isinstance(source, History) else source.read(spark))
        ready = time.perf_counter()
        best = sweep_on(spark, study.sweep, partitions)
        seconds = time.perf_counter() - ready
        at = {"master": spark.sparkContext.master, "cores": spark.sparkContext.defaultParallelism}
    rate = round(study.sweep.n_portfolios / seconds)
    return study, best, {
        "start_s": round(ready - started, 2), "seconds": round(seconds, 2), "portfolios_per_s": rate, **at,
    }  # fmt: skip


if __name__ == "__main__":
    from jobs.frontier_command import frontier

    typer.run(frontier)
