"""The large Monte Carlo of portfolios on Spark; ``jobs.frontier_command`` is the command."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
import typer

from jobs.history import Stored
from quicksilver.portfolio.history import History

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# A task costs a tenth of a second of its own, and a core that is slower than the others should take less: slices are
# long first and short last, so much of a core's share each.
SLICES = (1 / 2, 1 / 4, 1 / 8, 1 / 8)
T = TypeVar("T")


class Work(NamedTuple, Generic[T]):
    """Chunks that any worker may reduce, and how two reductions become one; none of it may depend on the order."""

    n_portfolios: int
    n_chunks: int
    reduce: Callable[[Iterable[int]], T]
    merge: Callable[[T, T], T]

    def here(self) -> T:
        """Do all of it in this process."""
        return self.reduce(range(self.n_chunks))


def done_on(spark: "SparkSession", work: Work[T], partitions: int | None = None) -> T:
    """Do all chunks of the work on Spark, in so many partitions of one size, or else in those that suit its cores.

    A worker holds one chunk and the best of those before it, whatever their number.
    """
    context, on_worker = spark.sparkContext, work.reduce
    ranges = slices(work.n_chunks, [1] * partitions if partitions else SLICES * context.defaultParallelism)
    found = context.parallelize(ranges, len(ranges)).map(on_worker)
    return reduce(work.merge, found.collect())


def slices(n_chunks: int, sizes: Sequence[float]) -> list[range]:
    """Share chunks out to slices in proportion to their sizes, the longest first; none is empty.

    >>> slices(20, [1 / 2, 1 / 4, 1 / 4] * 2)
    [range(0, 5), range(5, 10), range(10, 12), range(12, 15), range(15, 18), range(18, 20)]
    """
    ends = np.rint(n_chunks * np.cumsum(sorted(sizes, reverse=True)) / sum(sizes)).astype(int).tolist()
    return [range(start, end) for start, end in pairwise([0, *ends]) if start < end]


def run(
    source: "History | Stored", ask: Callable[[History], Work[T]], master: str | None, partitions: int | None
) -> tuple[T, dict[str, Any]]:
    """Return what comes of the work that ``ask`` makes of the history, and what the run took.

    Raises:
        InputError: the history is too little, or Spark cannot be started.
    """
    work = ask(source) if isinstance(source, History) else None  # before Spark starts, which takes seconds
    from jobs.spark import session

    started, conf = time.perf_counter(), {} if isinstance(source, History) else source.conf
    with session("quicksilver frontier", master, connectors=bool(conf), conf=conf) as spark:
        work = work or ask(source if isinstance(source, History) else source.read(spark))
        ready = time.perf_counter()
        found = done_on(spark, work, partitions)
        seconds = time.perf_counter() - ready
        at = {"master": spark.sparkContext.master, "cores": spark.sparkContext.defaultParallelism}
    rate = round(work.n_portfolios / seconds)
    return found, {
        "start_s": round(ready - started, 2), "seconds": round(seconds, 2), "portfolios_per_s": rate, **at,
    }  # fmt: skip


if __name__ == "__main__":
    from jobs.frontier_command import frontier

    typer.run(frontier)
