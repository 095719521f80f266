"""The losses of single decisions, out of live scores, and the drift among them.

A predictor of directions loses nats, the log-loss of what came. One of returns says no probabilities of its own: it is
there to be acted on where a move covers its costs, and loses what it does not earn, in basis points.

Reference: Bifet, Gavalda, Learning from time-changing data with adaptive windowing, SIAM International Conference on
Data Mining, 2007 (https://riverml.xyz/latest/api/drift/ADWIN/).
"""

from typing import NamedTuple

from river.drift import ADWIN

from quicksilver.learning.config import Target
from quicksilver.learning.live_outcomes import outcome_of
from quicksilver.records import Score

WORST_LOSS = 4.0  # nats: 2 % was given to what came. ADWIN's bound holds for values from 0 to 1, so a loss has an end.
WORST_ERRORS = 4.0  # of a predicted return, as it says of itself: profits and losses beyond so many count as that


class Loss(NamedTuple):
    """What a decision cost, in nats or in basis points, and what it cost who knows nothing: lower is better.

    Of a direction that is the majority's log-loss, of a return what doing nothing costs, 0.
    """

    own: float
    baseline: float


def told_loss(target: Target, loss: float) -> str:
    """Return a mean loss for people.

    >>> told_loss("direction", 0.9), told_loss("return", 0.25)
    ('log-loss 0.9000 nats', 'profit -0.250 bps a decision')
    """
    return f"log-loss {loss:.4f} nats" if target == "direction" else f"profit {-loss:+.3f} bps a decision"


class LiveLosses:
    """Takes scores, which hold running means, and gives the loss of each decision."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, str, str, int], Score] = {}

    def take(self, score: Score, target: Target = "direction") -> Loss | None:
        """Return what the decision that was scored has lost; None where it cannot be told.

        That is so of a score that has come before, and of the first after others were lost: only the mean of all of
        those is known.
        """
        stream = (score.venue, score.symbol, score.model, score.version, score.horizon_ns)
        last = self._last.get(stream)
        if last is not None and (score.ts_event_ns, score.seq) <= (last.ts_event_ns, last.seq):
            return None
        self._last[stream] = score
        outcome = outcome_of(score, last)
        if outcome is None:
            return None
        if target == "direction":
            return Loss(outcome.log_loss, outcome.baseline_log_loss)
        return None if outcome.profit_bps is None else Loss(-outcome.profit_bps, 0.0)


class Drift(NamedTuple):
    """Mean loss of ``n_before`` and ``n_after`` values, before and after a change."""

    before: float
    after: float
    n_before: int
    n_after: int


class LossDrift:
    """ADWIN over the losses of one instrument.

    Outcomes overlap if the horizon is longer than the time between two decisions: ``overlap`` of them in a row hold the
    news of one, and their mean is one value of the test, which is made for independent ones. ``delta`` bounds the
    chance of a false alarm at each look. What is less than ``least`` or more than ``most`` counts as that.
    """

    def __init__(self, delta: float, overlap: int = 1, least: float = 0.0, most: float = WORST_LOSS) -> None:
        self._overlap = overlap
        self._least, self._most = least, most
        self._adwin = ADWIN(delta=delta)
        self._sum, self._n = 0.0, 0

    def take(self, loss: float) -> Drift | None:
        """Take the loss of the next decision; returns the change if it shows now that they have risen.

        A fall is a change too, after which the test begins anew, but no reason to train.
        """
        self._sum, self._n = self._sum + self._share(loss), self._n + 1
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
        before, after = self._loss((total + value - kept_total) / gone), self._loss(kept_total / kept)
        return Drift(before, after, int(gone), int(kept)) if after > before else None

    def _share(self, loss: float) -> float:
        """Where a loss lies between the least and the most, 0 to 1."""
        return (min(max(loss, self._least), self._most) - self._least) / (self._most - self._least)

    def _loss(self, share: float) -> float:
        return self._least + share * (self._most - self._least)


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
