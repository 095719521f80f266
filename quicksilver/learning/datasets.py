"""Training frames: what was known at each decision, and what became of the price; joined by time, never beyond it.

An instrument's feature rows are its history. Decisions fall on the first row in each cell of ``granularity``, as
``DecisionGrid`` has it, so that what is trained on is what will be predicted from. A break (a gap of the feed, a new
session, a silence of more than ``MAX_SILENT`` cells) ends a stretch: no move and no outcome reaches across one.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.labels import BPS
from quicksilver.learning.config import MAX_SILENT, PredictorConfig

MINUTE_NS = 60_000_000_000
NEVER_NS = np.iinfo(np.int64).max  # when an outcome is known that is none: a gap or the end of the data came before

Int64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
Columns = tuple[FloatArray, Int64, Int64, FloatArray, Int64, FloatArray, FloatArray, Int64]
"""Those of a frame, and last which rows of the history they are of."""


class FeatureHistory(NamedTuple):
    """Feature rows of one instrument in order of ``seq``: ``n`` of them.

    ``ts_ns`` ``(n,)`` are their event times and ``mid`` ``(n,)`` the price, which is known in all; ``values``
    ``(n, n_features)`` the features that were asked for, NaN where not known; ``fresh`` ``(n,)`` is true where a row
    has nothing to do with those before it: the first after a gap. ``spread_bps`` ``(n,)`` is the quoted spread over the
    mid, in basis points, NaN in a series of prices, which has none.
    """

    venue: str
    symbol: str
    ts_ns: Int64
    mid: FloatArray
    values: FloatArray
    fresh: Bools
    spread_bps: FloatArray


class TrainingFrame(NamedTuple):
    """Decisions and their outcomes, ``n`` in order of time.

    ``inputs`` ``(n, n_inputs)``, NaN where not known; ``ts_ns`` and ``known_ns`` ``(n,)``, when the decision was and
    when its outcome was known; ``move_bps`` ``(n,)`` the log return of the mid over the horizon; ``instrument``
    ``(n,)`` which of ``instruments`` it is of; ``spread_bps`` ``(n,)`` the spread at the decision, NaN where there is
    none; ``last_bps`` ``(n,)`` the log return of the mid since the decision before, whether that is an input or not,
    NaN at the first after a gap.
    """

    names: tuple[str, ...]
    instruments: tuple[str, ...]
    inputs: FloatArray
    ts_ns: Int64
    known_ns: Int64
    move_bps: FloatArray
    instrument: Int64
    spread_bps: FloatArray
    last_bps: FloatArray

    @property
    def n(self) -> int:
        """How many decisions there are."""
        return len(self.ts_ns)

    def rows(self, which: Any) -> "TrainingFrame":
        """Return some of the rows, by a slice, a mask or numbers."""
        return self._replace(**{name: getattr(self, name)[which] for name in self._fields[2:]})

    def directions(self, threshold_bps: float) -> Int64:
        """Return -1, 0 or 1 for each outcome."""
        return directions_of(self.move_bps, threshold_bps)

    def last_directions(self, threshold_bps: float) -> Int64:
        """Return -1, 0 or 1 for the last move before each decision; 0 where there was none."""
        return directions_of(np.nan_to_num(self.last_bps), threshold_bps)

    def frequencies(self, threshold_bps: float) -> FloatArray:
        """Return the shares of down, flat and up among the outcomes, ``(3,)``, none of them 0 (Laplace's)."""
        counts = np.bincount(self.directions(threshold_bps) + 1, minlength=3) + 1
        return np.asarray(counts / counts.sum())


def directions_of(move_bps: FloatArray, threshold_bps: float) -> Int64:
    """Return -1, 0 or 1 for each move: flat within the threshold that covers the fees."""
    return np.sign(move_bps).astype(np.int64) * (np.abs(move_bps) > threshold_bps)


def stretches(history: FeatureHistory, every_ns: int) -> list[slice]:
    """Return the parts of a history within which moves and outcomes may be taken."""
    silent = np.diff(history.ts_ns // every_ns, prepend=history.ts_ns[:1] // every_ns) > MAX_SILENT
    starts = np.flatnonzero(history.fresh | silent)
    edges = [0, *starts[starts > 0].tolist(), len(history.ts_ns)]
    return [slice(a, b) for a, b in pairwise(edges) if a < b]


def decisions(ts_ns: Int64, every_ns: int) -> Int64:
    """Return the numbers of the rows that decide: the first in each later cell, as ``DecisionGrid`` says."""
    cell = ts_ns // every_ns
    latest = np.maximum.accumulate(cell)
    return np.flatnonzero(np.diff(latest, prepend=latest[:1] - 1) > 0)


def frame_of(histories: Sequence[FeatureHistory], config: PredictorConfig) -> TrainingFrame:
    """Return the training frame of some instruments together, in order of time: of all the time there is.

    How much of it a predictor learns from, ``minutes_back`` among that, is ``usable.learned_from``'s to say: a walk
    trims what is before each of its parts, not the data.

    Raises:
        InputError: no decision has all its moves and an outcome.
    """
    return placed_frame_of(histories, config)[0]


def newest(frame: TrainingFrame, minutes_back: float) -> TrainingFrame:
    """Return the last minutes of a frame, 0: all of it."""
    if not minutes_back or not frame.n:
        return frame
    return frame.rows(frame.ts_ns >= frame.ts_ns[-1] - round(minutes_back * MINUTE_NS))


def placed_frame_of(histories: Sequence[FeatureHistory], config: PredictorConfig) -> tuple[TrainingFrame, Int64]:
    """Return the same frame, and which row of its history each decision is of, ``(n,)``.

    Raises:
        InputError: no decision has all its moves and an outcome.
    """
    parts = [
        part
        for number, history in enumerate(histories)
        for stretch in stretches(history, config.every_ns)
        if (part := _of_stretch(history, stretch, number, config)) is not None
    ]
    if not parts:
        n = config.datasetinputs
        raise InputError(
            f"no decision of {config.granularity} with {n} move{'s' * (n != 1)} before it and an outcome"
            f" {config.horizon or config.granularity} later: the data are too short, too coarse or full of gaps"
        )
    *columns, rows = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[1], kind="stable")
    names = tuple(f"{one.venue}:{one.symbol}" for one in histories)
    return TrainingFrame(config.inputs, names, *(column[order] for column in columns)), rows[order]


def decided(history: FeatureHistory, stretch: slice, config: PredictorConfig) -> tuple[Int64, FloatArray, FloatArray]:
    """Return the decisions of a stretch that have all their moves: rows of the history, inputs, and the last move.

    These are ``(n,)``, ``(n, n_inputs)`` and ``(n,)``, the last as ``TrainingFrame.last_bps``. Outcomes need not be
    known: a runner decides without knowing them.
    """
    at = stretch.start + decisions(np.maximum.accumulate(history.ts_ns[stretch]), config.every_ns)
    moves = np.diff(np.log(history.mid[at]), prepend=np.nan) * BPS  # up to each decision
    first, last = max(config.datasetinputs, config.sequence - 1), len(at)
    if first >= last:
        return at[:0], np.empty((0, len(config.inputs))), moves[:0]
    past = [moves[first - ago : last - ago] for ago in range(config.datasetinputs)]
    features = [history.values[at[first - ago : last - ago]] for ago in range(config.sequence)]
    return at[first:], np.column_stack([*past, *features]), moves[first:]


def _of_stretch(history: FeatureHistory, stretch: slice, number: int, config: PredictorConfig) -> Columns | None:
    """The columns of a training frame, of one stretch, and its rows; None if it is too short."""
    inputs, ts_ns, known_ns, move, instrument, spread, last, rows = all_of_stretch(history, stretch, number, config)
    n = int(np.count_nonzero(known_ns < NEVER_NS))  # rows rise in time, so those whose outcome is known come first
    if not n:
        return None
    return inputs[:n], ts_ns[:n], known_ns[:n], move[:n], instrument[:n], spread[:n], last[:n], rows[:n]


def all_of_stretch(history: FeatureHistory, stretch: slice, number: int, config: PredictorConfig) -> Columns:
    """Return the columns of a training frame, of all decisions of a stretch, and which rows of the history they are of.

    ``number`` is the instrument's. A move that is not known is 0, and known at ``NEVER_NS``.
    """
    ts_ns, mid = np.maximum.accumulate(history.ts_ns[stretch]), history.mid[stretch]
    rows, inputs, last_bps = decided(history, stretch, config)
    at = rows - stretch.start
    later = np.searchsorted(ts_ns, ts_ns[at] + config.horizon_ns, side="right")
    n = int(np.count_nonzero(later < len(ts_ns)))
    known_ns, move_bps = np.full(len(at), NEVER_NS), np.zeros(len(at))
    known_ns[:n] = ts_ns[later[:n]]
    move_bps[:n] = np.log(mid[later[:n] - 1] / mid[at[:n]]) * BPS
    instrument = np.full(len(at), number)
    return inputs, ts_ns[at], known_ns, move_bps, instrument, history.spread_bps[rows], last_bps, rows
