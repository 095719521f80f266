"""The single outcomes behind live scores, which hold running means."""

from typing import NamedTuple

from quicksilver.records import Score


class LiveOutcome(NamedTuple):
    """What one prediction was: hits are 0 or 1, log-losses in nats, and the profit in bps, None where it is unknown."""

    hit: float
    log_loss: float
    baseline_hit: float
    baseline_log_loss: float
    profit_bps: float | None


def outcome_of(score: Score, before: Score | None) -> LiveOutcome | None:
    """Return the outcome that a score has over the one before it of the same version, horizon and instrument.

    A mean over ``n`` and the one over ``n - 1`` give the one outcome between; a version that begins anew counts from
    one again. It is None where the one before is missing: only the mean of all since is known then.
    """
    if score.n == 1:
        return LiveOutcome(
            score.accuracy, score.log_loss, score.baseline_accuracy, score.baseline_log_loss, score.profit_bps
        )
    if before is None or score.n != before.n + 1:
        return None
    profit_bps = None
    if score.profit_bps is not None and before.profit_bps is not None:
        profit_bps = score.n * score.profit_bps - before.n * before.profit_bps
    return LiveOutcome(
        round(score.n * score.accuracy - before.n * before.accuracy),
        max(0.0, score.n * score.log_loss - before.n * before.log_loss),
        round(score.n * score.baseline_accuracy - before.n * before.baseline_accuracy),
        max(0.0, score.n * score.baseline_log_loss - before.n * before.baseline_log_loss),
        profit_bps,
    )
