"""A search computed on this machine: in this process, or in several by joblib.

Results are yielded as they finish, in whatever order that is, so that each can be kept at once.
"""

import os
import time
from collections.abc import Iterator, Sequence
from functools import cache
from threading import Thread
from typing import Any, NamedTuple

import msgspec
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits

from quicksilver.errors import InputError
from quicksilver.learning.datasets import FeatureHistory
from quicksilver.learning.search import Candidate, Result, outcome

MAPPED = "100K"  # larger arrays are shared by a memory map, not sent with each task
WATCH_S = 1.0
ONE_THREAD: dict[str, Any] = {"backend": "loky", "inner_max_num_threads": 1}  # alike everywhere: processes are kept


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
    with parallel_config(**ONE_THREAD):
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
