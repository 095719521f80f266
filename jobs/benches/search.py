"""A search on two processes beside the same on one."""

import time
from collections import deque

import numpy as np

from jobs.benches.measure import Row, rate_row
from jobs.search_progress import Estimate
from jobs.search_workers import Work, on_this_machine
from quicksilver.events import SECOND_NS
from quicksilver.learning.datasets import FeatureHistory
from quicksilver.learning.search import SearchConfig, candidates

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
    """Return the search's row: the shorter time of each, taken in turns after a round in which processes start."""
    work = Work([history()], ())
    everything = candidates(CONFIG, work.histories, "bench")
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS + 1):
        for jobs, taken in seconds.items():
            ordered = Estimate(everything, work.histories, jobs).longest_first(everything)
            started = time.perf_counter()
            deque(on_this_machine(work, ordered, jobs), maxlen=0)
            taken.append(time.perf_counter() - started)
    one, two = (60.0 * len(everything) / min(taken[1:]) for taken in seconds.values())
    name = f"search, {len(everything)} configurations of {N:,} rows, 2 processes"
    return [rate_row(name, "configurations/min", two, "1 process", one)]
