"""Walk-forward splits: models see the past alone, less what overlaps with what they are judged by.

Lopez de Prado, Advances in Financial Machine Learning, 2018, chapter 7: *purged* are examples whose outcome was not
known before the test began, and an *embargo* leaves out a while more before it, for inputs that look back overlap too.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from quicksilver.learning.datasets import Int64, TrainingFrame


class Split(NamedTuple):
    """Numbers of rows to learn from and to be judged by, ``(n_past,)`` and ``(n_test,)``."""

    past: Int64
    test: Int64


def walk_forward(frame: TrainingFrame, folds: int, embargo_ns: int, min_past: int) -> Iterator[Split]:
    """Yield splits: the frame is cut into ``folds + 1`` parts of as many rows, and each but the first is judged once.

    Rows of one time fall into one part: those of several instruments happen together.
    """
    ts_ns = frame.ts_ns
    edges = np.linspace(0, len(ts_ns), folds + 2).astype(np.int64)
    edges = np.searchsorted(ts_ns, ts_ns[np.minimum(edges, len(ts_ns) - 1)], side="left")
    edges[-1] = len(ts_ns)
    for start, end in pairwise(edges[1:].tolist()):
        if start == end:
            continue
        past = np.flatnonzero(frame.known_ns[:start] < ts_ns[start] - embargo_ns)
        if len(past) >= min_past:
            yield Split(past, np.arange(start, end))
