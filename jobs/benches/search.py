"""A search on two processes beside the same on one.

Two virtual cores may share one real one: what two processes reach that share nothing is the most that a search could.
"""

from collections import deque
from functools import partial

import numpy as np
from joblib import Parallel, delayed, parallel_config

from jobs.benches.measure import Row, best_seconds, rate_row
from jobs.search_progress import Estimate
from jobs.search_workers import MAPPED, ONE_THREAD, Work, on_this_machine, timed
from quicksilver.events import SECOND_NS
from quicksilver.learning.datasets import FeatureHistory
from quicksilver.learning.search import Candidate, SearchConfig, candidates

N = 20_000  # rows of a minute: 0.3 s of work for a candidate, and many, so that both end together
CONFIG = SearchConfig(
    types=("logistic", "lda", "decision-tree", "naive-bayes"), datasetinputs=tuple(range(1, 9)), fee_bps=1.0, folds=4
)
ROUNDS = 2


def history() -> FeatureHistory:
    """Return a random walk."""
    moves = np.random.default_rng(0).normal(0.0, 8e-4, N)
    times = np.arange(N) * 60 * SECOND_NS
    return FeatureHistory(
        "bench", "A-USD", times, 100.0 * np.exp(np.cumsum(moves)), np.empty((N, 0)), np.zeros(N, bool),
        np.full(N, np.nan),
    )  # fmt: skip


def rows() -> list[Row]:
    """Return the search's rows."""
    work = Work([history()], ())
    everything = candidates(CONFIG, work.histories, "bench")

    def searched(jobs: int) -> None:
        ordered = Estimate(everything, work.histories, jobs).longest_first(everything)
        deque(on_this_machine(work, ordered, jobs), maxlen=0)

    def by_halves() -> None:
        """What the machine gives two cores of this very work: half of it, told in advance, to each process."""
        with parallel_config(**ONE_THREAD):
            # As a search asks for them: processes asked for otherwise would be started anew, in the time of both.
            Parallel(n_jobs=2, max_nbytes=MAPPED)(delayed(_all_of)(work, everything[i::2]) for i in range(2))

    times = best_seconds(partial(searched, 1), partial(searched, 2), by_halves, rounds=ROUNDS)
    one, two, bare = (60.0 * len(everything) / taken for taken in times)
    name, unit = f"search, {len(everything)} configurations of {N:,} rows", "configurations/min"
    return [
        rate_row(f"{name}, 2 processes", unit, two, "1 process", one),
        rate_row(f"{name}, 2 processes", unit, two, "two processes with half each", bare),
        rate_row(f"{name}, two processes with half each", unit, bare, "1 process", one),
    ]


def _all_of(work: Work, some: list[Candidate]) -> None:
    for one in some:
        timed(one, work.histories, work.inputs)
