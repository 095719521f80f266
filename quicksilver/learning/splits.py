"""Walk-forward splits: models see the past alone, less what overlaps with what they are judged by.

Lopez de Prado, Advances in Financial Machine Learning, 2018, chapter 7: *purged* are examples whose outcome was not
known before the test began, and an *embargo* leaves out a while more before it, for inputs that look back overlap too.
``Stretches`` purges where a model's own examples are all there is: what it says of each stretch is learned from those
before and after.
"""

from collections.abc import Iterator, Sequence, Sized
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import KFold

from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import Int64, TrainingFrame

STRETCHES = 3


class Split(NamedTuple):
    """Numbers of rows to learn from and to be judged by, ``(n_past,)`` and ``(n_test,)``."""

    past: Int64
    test: Int64


def walk_forward(
    frame: TrainingFrame, folds: int, embargo_ns: int, min_past: int, starts_ns: Sequence[int] = ()
) -> Iterator[Split]:
    """Yield splits: the frame is cut into ``folds + 1`` parts of as many rows, and each but the first is judged once.

    Rows of one time fall into one part: those of several instruments happen together. The parts that are judged begin
    at ``starts_ns`` instead, where these are given, for frames that are to be judged by the same periods.
    """
    ts_ns = frame.ts_ns
    starts = np.searchsorted(ts_ns, np.array(starts_ns or starts_of(ts_ns, folds), np.int64), side="left")
    for start, end in pairwise([*starts.tolist(), len(ts_ns)]):
        if start == end:
            continue
        past = np.flatnonzero(frame.known_ns[:start] < ts_ns[start] - embargo_ns)
        if len(past) >= min_past:
            yield Split(past, np.arange(start, end))


def starts_of(ts_ns: Int64, folds: int) -> tuple[int, ...]:
    """Return when the later ``folds`` of ``folds + 1`` parts of as many rows begin; ``ts_ns`` ``(n,)`` rises."""
    rows = np.linspace(0, len(ts_ns), folds + 2).astype(np.int64)[1:-1]
    return tuple(ts_ns[np.minimum(rows, len(ts_ns) - 1)].tolist())


def overlap_of(frame: TrainingFrame, config: PredictorConfig) -> int:
    """Return how many decisions in a row have outcomes that share a span of time."""
    return len(frame.instruments) * config.overlap


class Stretches:
    """Examples in order of time, each stretch predicted by a model of the others: a ``cv`` of scikit-learn.

    ``apart`` examples on either side of a stretch are left out: they have outcomes that overlap with its own, which a
    model that has learned them half knows.
    """

    def __init__(self, apart: int) -> None:
        self.apart = apart

    def split(self, examples: Sized, *_: object, **__: object) -> Iterator[tuple[Int64, Int64]]:
        """Yield what to learn from, ``(n_others,)``, and the stretch to be predicted, ``(n_stretch,)``, as numbers.

        Raises:
            InputError: nothing is left to learn from.
        """
        n = len(examples)
        for _, stretch in KFold(STRETCHES).split(np.empty((n, 1))):
            others = np.r_[0 : max(0, int(stretch[0]) - self.apart), min(n, int(stretch[-1]) + 1 + self.apart) : n]
            if not len(others):
                raise InputError(
                    f"{n} examples are too few for outcomes that reach over {self.apart} of them: none is left to learn"
                    " from beside those that overlap; take a coarser granularity, a shorter horizon, or more data"
                )
            yield others, stretch

    def get_n_splits(self, *_: object, **__: object) -> int:
        """Return how many stretches there are."""
        return STRETCHES
