"""Feature vectors in, the inputs of decisions out: what ``learning/datasets.py`` makes of a history, row by row."""

import math
from collections import deque
from collections.abc import Sequence
from itertools import chain
from operator import attrgetter

import msgspec
import numpy as np

from quicksilver.events import FloatArray
from quicksilver.grid import DecisionGrid
from quicksilver.labels import BPS
from quicksilver.learning.config import MAX_SILENT, PredictorConfig
from quicksilver.records import Features


def fell_silent(last_ns: int, now_ns: int, every_ns: int) -> bool:
    """Return whether so long nothing came that the next move would not be one of a granularity's length."""
    return now_ns // every_ns - last_ns // every_ns > MAX_SILENT


class InputState(msgspec.Struct):
    """What inputs are made of: the last decisions, newest first, and where the next one is due."""

    next_ns: int
    last_ns: int
    last_mid: float | None
    moves: list[float]
    rows: list[list[float]]


class InputRows:
    """The inputs of one instrument's decisions, on the first row in each cell of a predictor's granularity."""

    def __init__(self, config: PredictorConfig) -> None:
        self._config = config
        self._grid = DecisionGrid(config.every_ns)
        self._values = [attrgetter(name) for name in config.features]
        self._moves: deque[float] = deque(maxlen=config.datasetinputs)
        self._rows: deque[list[float]] = deque(maxlen=config.sequence)
        self._last_ns, self._last_mid = 0, math.nan

    def breaks(self, now_ns: int) -> bool:
        """Whether a row of that time has nothing to do with those before it: what waits for it is to be forgotten."""
        return fell_silent(self._last_ns, now_ns, self._grid.every_ns)

    def take(self, row: Features) -> FloatArray | None:
        """Take in a row; return the inputs ``(n_inputs,)``, NaN where not known, if this is a time to decide."""
        config, mid, now_ns = self._config, row.mid, row.ts_event_ns
        if mid is None:
            return None
        if self.breaks(now_ns):
            self.gap()
        self._last_ns = now_ns
        if not self._grid.due(now_ns):
            return None
        if not math.isnan(self._last_mid):
            self._moves.appendleft(math.log(mid / self._last_mid) * BPS)
        self._last_mid = mid
        values = [value_of(row) for value_of in self._values]
        self._rows.appendleft([math.nan if value is None else value for value in values])
        if len(self._moves) < config.datasetinputs or len(self._rows) < config.sequence:
            return None
        return np.array([*self._moves, *chain.from_iterable(self._rows)])

    def gap(self) -> None:
        """Forget what no longer belongs together."""
        self._grid.reset()
        self._moves.clear()
        self._rows.clear()
        self._last_ns, self._last_mid = 0, math.nan

    def state(self) -> InputState:
        """Return the state as plain data."""
        mid = None if math.isnan(self._last_mid) else self._last_mid
        return InputState(self._grid.next_ns, self._last_ns, mid, list(self._moves), list(self._rows))

    def restore(self, state: InputState) -> None:
        """Take over a state."""
        self._grid.next_ns, self._last_ns = state.next_ns, state.last_ns
        self._last_mid = math.nan if state.last_mid is None else state.last_mid
        self._moves = deque(state.moves, self._config.datasetinputs)
        self._rows = deque(state.rows, self._config.sequence)


class SharedRows:
    """The inputs of several predictors on one instrument: what several take alike is made once."""

    def __init__(self, configs: Sequence[PredictorConfig]) -> None:
        forms = [(one.every_ns, one.datasetinputs, one.features, one.sequence) for one in configs]
        different = list(dict.fromkeys(forms))
        self._rows = [InputRows(configs[forms.index(form)]) for form in different]
        self._which = [different.index(form) for form in forms]

    def breaks(self, now_ns: int) -> list[bool]:
        """Return of each predictor whether a row of that time has nothing to do with those before it."""
        found = [one.breaks(now_ns) for one in self._rows]
        return [found[which] for which in self._which]

    def take(self, row: Features) -> list[FloatArray | None]:
        """Take in a row; return the inputs ``(n_inputs,)`` of each predictor that decides now; to be left unchanged."""
        found = [one.take(row) for one in self._rows]
        return [found[which] for which in self._which]

    def gap(self) -> None:
        """Forget what no longer belongs together."""
        for one in self._rows:
            one.gap()

    def state(self) -> list[InputState]:
        """Return the state as plain data."""
        return [one.state() for one in self._rows]

    def restore(self, states: Sequence[InputState]) -> None:
        """Take over a state."""
        for one, state in zip(self._rows, states, strict=True):
            one.restore(state)
