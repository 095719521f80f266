"""A search computed on a cluster by Spark; results are yielded as they finish."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from pyspark import cloudpickle
from pyspark.sql import SparkSession

from jobs import search_workers
from jobs.search_workers import Work, timed
from quicksilver.learning.search import Candidate, Result

JOBS_PER_CORE = 2  # one runs, and one waits, so that no core waits for the driver

cloudpickle.register_pickle_by_value(search_workers)  # type: ignore[no-untyped-call]  # workers on other machines are sent the core, and this with the task


def on_spark(spark: SparkSession, work: Work, candidates: Sequence[Candidate]) -> Iterator[Result]:
    """Yield results of a Spark cluster: a job of one task for each candidate, which Spark runs side by side.

    A job of all would give nothing before its end, or one partition after another: a driver that is killed would lose
    what has been finished. The histories are sent to each worker once.
    """
    context = spark.sparkContext
    shared = context.broadcast((work.histories, work.inputs))

    def compute(candidate: Candidate) -> Result:
        """Compute one; runs on a worker."""
        return timed(candidate, *shared.value)

    def run(candidate: Candidate) -> Result:
        """Have one computed, and wait for it."""
        (result,) = context.parallelize([candidate], numSlices=1).map(compute).collect()
        return result

    with ThreadPoolExecutor(JOBS_PER_CORE * context.defaultParallelism) as threads:
        running = [threads.submit(run, one) for one in candidates]
        try:
            for future in as_completed(running):
                yield future.result()
        finally:
            for future in running:
                future.cancel()
            context.cancelAllJobs()
