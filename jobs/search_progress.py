"""How far a search is and how long it will still take, on a terminal, in a log, and in its folder."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Lock, Thread

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from jobs.search_folder import Progress, SearchFolder
from quicksilver.learning.datasets import MINUTE_NS, FeatureHistory
from quicksilver.learning.search import Candidate, Result
from quicksilver.learning.zoo import kind_of

NOTE_S = 1.0  # between two notes of how far it is, which the page shows
LINE_S = 10.0  # between two lines in a log
INTERVALS_S = 0.6  # of each candidate, whatever its model
# Seconds of a fold, and of 10,000 examples in each fold, of one core of 2026; what is not here is as quick as a line.
WEIGHTS = {
    "rbf-svm": (0.0, 5.0), "gradient-boosting": (0.0, 2.0), "random-forest": (0.3, 1.0), "adaboost": (0.3, 0.5),
    "neural-net": (0.5, 0.2), "nearest-neighbours": (0.1, 0.1),
}  # fmt: skip
QUICK = (0.0, 0.02)


def cost_of(candidate: Candidate, histories: Sequence[FeatureHistory]) -> float:
    """Return about how many seconds a candidate will take, by its type and how many decisions there will be."""
    config = candidate.config
    rows = 0.0
    for one in histories:
        if config.wants(one.venue, one.symbol):
            span_ns = int(one.ts_ns[-1] - one.ts_ns[0])
            if config.minutes_back:
                span_ns = min(span_ns, round(config.minutes_back * MINUTE_NS))
            rows += min(len(one.ts_ns), span_ns / config.every_ns)
    learned = min(rows, kind_of(config).most_rows)
    start_s, growth_s = WEIGHTS.get(config.type, QUICK)
    return INTERVALS_S + candidate.folds * (start_s + growth_s * learned / 10_000)


class Estimate:
    """The time that is left for ``jobs`` workers, by what each type took beside what was expected of it."""

    def __init__(self, candidates: Sequence[Candidate], histories: Sequence[FeatureHistory], jobs: int) -> None:
        self._jobs = jobs
        self._costs = {one.id: cost_of(one, histories) for one in candidates}
        self._left = {one.id: one.config.type for one in candidates}
        self._expected: Counter[str] = Counter()
        self._measured: Counter[str] = Counter()

    def longest_first(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return candidates in the order in which none is left to one worker while all others are done."""
        return sorted(candidates, key=lambda one: -self._costs[one.id])

    def take(self, result: Result) -> None:
        """Learn from a result what its type takes."""
        key, kind = result.candidate.id, result.candidate.config.type
        self._left.pop(key, None)
        if not result.why:  # what fails does so at once
            self._expected[kind] += self._costs[key]  # type: ignore[assignment]  # counters count seconds too
            self._measured[kind] += result.seconds  # type: ignore[assignment]

    def seconds(self) -> float | None:
        """Return how many seconds are left; None where nothing was measured."""
        if not self._left:
            return 0.0
        if not self._expected:
            return None
        usual = self._measured.total() / self._expected.total()
        left = 0.0
        for key, kind in self._left.items():
            known = self._expected[kind]
            left += self._costs[key] * (self._measured[kind] / known if known else usual)
        return left / self._jobs


class Teller:
    """Tells how far a search is while others compute: on a terminal as a bar, else as a line now and then."""

    def __init__(self, folder: SearchFolder, estimate: Estimate, total: int) -> None:
        self._folder, self._estimate, self._total = folder, estimate, total
        self._done = self._failed = 0
        self._lock = Lock()

    def take(self, result: Result) -> None:
        """Take in a result."""
        with self._lock:
            self._estimate.take(result)
            self._done += 1
            self._failed += bool(result.why)

    def progress(self, ended: bool = False) -> Progress:
        """Return how far it is."""
        with self._lock:
            eta_s = self._estimate.seconds()
            rounded = None if eta_s is None else round(eta_s, 1)
            return Progress(self._done, self._total, self._failed, rounded, ended, time.time_ns())

    @contextmanager
    def telling(self) -> Iterator["Teller"]:
        """Tell while the context lasts."""
        console, stopping = Console(stderr=True), Event()
        columns = (TextColumn("{task.completed:,}/{task.total:,}"), BarColumn(None), TextColumn("{task.description}"))
        with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            thread = Thread(target=self._tell, args=(stopping, None if bar.disable else bar), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                stopping.set()
                thread.join()
                self._folder.note(self.progress(ended=True))

    def _tell(self, stopping: Event, bar: Bar | None) -> None:
        task = None if bar is None else bar.add_task("", total=self._total)
        told = time.monotonic()
        while True:
            now = self.progress()
            self._folder.note(now)
            if bar is not None and task is not None:
                bar.update(task, completed=now.done, description=_left(now))
            elif time.monotonic() - told >= LINE_S:
                told = time.monotonic()
                print(f"{now.done:,} of {now.total:,}, {_left(now)}", file=sys.stderr, flush=True)  # noqa: T201
            if stopping.wait(NOTE_S):
                return


def _left(progress: Progress) -> str:
    failed = f"{progress.failed:,} without scores, " if progress.failed else ""
    eta_s = progress.eta_s
    return f"{failed}ETA {'not known yet' if eta_s is None else timedelta(seconds=round(eta_s))}"
