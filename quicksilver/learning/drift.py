"""The losses of single decisions, out of live scores, and the drift among them.

Reference: Bifet, Gavalda, Learning from time-changing data with adaptive windowing, SIAM International Conference on
Data Mining, 2007 (https://riverml.xyz/latest/api/drift/ADWIN/).
"""

from typing import NamedTuple

from river.drift import ADWIN

from quicksilver.records import Score

WORST_LOSS = 4.0  # nats: 2 % was given to what came. ADWIN's bound holds for values from 0 to 1, so a loss has an end.


class LiveLosses:
    """Takes scores, which hold running means, and gives the log-loss of each decision."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, str, str, int], Score] = {}

    def take(self, score: Score) -> float | None:
        """Return the log-loss in nats of the decision that was scored; None where it cannot be told.

        That is so of a score that has come before, and of the first after others were lost: only the mean of all of
        those is known.
        """
        stream = (score.venue, score.symbol, score.model, score.version, score.horizon_ns)
        last = self._last.get(stream)
        if last is not None and (score.ts_event_ns, score.seq) <= (last.ts_event_ns, last.seq):
            return None
        self._last[stream] = score
        if score.n == 1:
            return score.log_loss
        if last is None or score.n != last.n + 1:
            return None
        return max(0.0, score.n * score.log_loss - last.n * last.log_loss)


class Drift(NamedTuple):
    """Mean log-loss in nats of ``n_before`` and ``n_after`` values, before and after a change."""

    before: float
    after: float
    n_before: int
    n_after: int


class LossDrift:
    """ADWIN over the losses of one instrument.

    Outcomes overlap if the horizon is longer than the time between two decisions: ``overlap`` of them in a row hold the
    news of one, and their mean is one value of the test, which is made for independent ones. ``delta`` bounds the
    chance of a false alarm at each look.
    """

    def __init__(self, delta: float, overlap: int = 1) -> None:
        self._overlap = overlap
        self._adwin = ADWIN(delta=delta)
        self._sum, self._n = 0.0, 0

    def take(self, loss: float) -> Drift | None:
        """Take the loss of the next decision, in nats; returns the change if it shows now that they have risen.

        A fall is a change too, after which the test begins anew, but no reason to train.
        """
        self._sum, self._n = self._sum + min(loss, WORST_LOSS) / WORST_LOSS, self._n + 1
        if self._n < self._overlap:
            return None
        value = self._sum / self._n
        self._sum, self._n = 0.0, 0
        n, total = self._adwin.width, self._adwin.total
        self._adwin.update(value)
        if not self._adwin.drift_detected:
            return None
        kept, kept_total = self._adwin.width, self._adwin.total
        gone = n + 1 - kept
        drift = Drift(
            (total + value - kept_total) / gone * WORST_LOSS, kept_total / kept * WORST_LOSS, int(gone), int(kept)
        )
        return drift if drift.after > drift.before else None


class Silence:
    """Notices that a version says nothing more of an instrument whose other models go on.

    Inputs out of its range are not predicted on, and what is not predicted has no loss: the worst drift would be
    missed. Time counts while others are heard, in steps of ``step_ns`` at most, so that a break of the feed is none.
    ``since_ns`` is from when on the version could be heard, for one that is missed though it never was.
    """

    def __init__(self, patience_ns: int, step_ns: int, since_ns: int | None = None) -> None:
        self._patience_ns, self._step_ns = patience_ns, step_ns
        self._last_ns = since_ns
        self._silent_ns = 0

    def heard(self, ts_ns: int) -> None:
        """Take a score of the version itself."""
        self._last_ns, self._silent_ns = max(self._last_ns or 0, ts_ns), 0

    def passed(self, ts_ns: int) -> int | None:
        """Take a score of another; returns for how long the version has been silent once that is too long.

        One that was never heard is not missed, unless it is known since when it could be.
        """
        if self._last_ns is None:
            return None
        self._silent_ns += min(max(0, ts_ns - self._last_ns), self._step_ns)
        self._last_ns = max(self._last_ns, ts_ns)
        return self._silent_ns if self._silent_ns > self._patience_ns else None
