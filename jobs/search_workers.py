"""Where a search is computed: in this process, in several of this machine by joblib, or on a cluster by Spark.

Each yields results as they finish, in whatever order that is, so that each can be kept at once.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits

from quicksilver.errors import InputError
from quicksilver.learning.datasets import FeatureHistory
from quicksilver.learning.search import Candidate, Result, outcome

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MAPPED = "100K"  # larger arrays are shared by a memory map, not sent with each task
WATCH_S = 1.0
JOBS_PER_CORE = 2  # of Spark: one runs, and one waits, so that no core waits for the driver


class Work(NamedTuple):
    """What all candidates have in common; the columns of ``histories`` are ``inputs``."""

    histories: Sequence[FeatureHistory]
    inputs: Sequence[str]


def timed(candidate: Candidate, histories: Sequence[FeatureHistory], inputs: Sequence[str]) -> Result:
    """Return a candidate's result, with the seconds that it took."""
    started = time.perf_counter()
    result = outcome(candidate, histories, inputs)
    return msgspec.structs.replace(result, seconds=round(time.perf_counter() - started, 3))


def on_this_machine(work: Work, candidates: Sequence[Candidate], jobs: int) -> Iterator[Result]:
    """Yield results of so many processes; of one it is this one. Each does its algebra in one thread.

    Raises:
        InputError: a process was ended from outside, as the system does where memory is short.
    """
    if jobs == 1:
        with threadpool_limits(1):
            for one in candidates:
                yield timed(one, work.histories, work.inputs)
        return
    driver = os.getpid()
    with parallel_config(backend="loky", inner_max_num_threads=1):
        # A batch of one: what is finished must not wait for others, for it would be lost with them.
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1, max_nbytes=MAPPED)
        try:
            yield from parallel(delayed(_in_worker)(driver, work, one) for one in candidates)
        except TerminatedWorkerError as error:
            raise InputError(
                f"one of {jobs} processes was ended from outside, perhaps for want of memory: the same command goes on"
                " where this one stopped; give it fewer --jobs"
            ) from error


def _in_worker(driver: int, work: Work, candidate: Candidate) -> Result:
    _end_with(driver)
    return timed(candidate, work.histories, work.inputs)


@cache
def _end_with(driver: int) -> None:
    """Have this process end when its driver has been killed: nobody would take what it computes."""
    Thread(target=_watch, args=(driver,), daemon=True).start()


def _watch(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(WATCH_S)
    os._exit(1)


def on_spark(spark: "SparkSession", work: Work, candidates: Sequence[Candidate]) -> Iterator[Result]:
    """Yield results of a Spark cluster: a job of one task for each candidate, which Spark runs side by side.

    A job of all would give nothing before its end, or one partition after another: a driver that is killed would lose
    what has been finished. The histories are sent to each worker once.
    """
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]  # workers elsewhere have the core alone
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
