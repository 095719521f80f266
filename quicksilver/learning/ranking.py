"""A search's results as one table: what each configuration scored, and what that is worth after so many tries."""

from collections.abc import Iterable, Sequence

import msgspec

from quicksilver.learning.deflated import LEAST, deflated_tracks
from quicksilver.learning.results import MAJORITY, MODEL, Interval, Track, Validation
from quicksilver.learning.scores import LEVEL
from quicksilver.learning.search import Result
from quicksilver.learning.verdict import after

BELIEVED = 0.95  # a deflated score from which on the best is called better than luck


class Row(msgspec.Struct, frozen=True):
    """One configuration of the table; numbers are None where it could not be judged, and ``why`` says why.

    Shares of right predictions are in percent, profits in basis points a decision, after fees and ``spread_bps``, the
    mean spread at its decisions (None where the data have none, and fees alone are paid); intervals are those of 95 %.
    ``folds`` of the ``of_folds`` periods of its search have judged it, all before which it had enough to learn from, by
    ``n`` decisions from ``start_ns`` to ``end_ns``.
    ``percent_better`` is how much better than the majority class it is. ``sharpe_daily`` is the Sharpe ratio of its
    profits, 0 where it never trades, and ``deflated`` the probability that this is more than the best of all that
    were tried would have by luck, None where it never trades or too few decisions have judged it. ``few`` is true of
    one that is not to be ranked among the others, for how it was judged says too little.
    """

    id: str
    type: str
    granularity: str
    horizon: str
    datasetinputs: int
    features: tuple[str, ...]
    minutes_back: float
    instruments: tuple[str, ...]
    of_folds: int
    seconds: float
    why: str = ""
    warned: tuple[str, ...] = ()
    n: int = 0
    folds: int = 0
    start_ns: int | None = None
    end_ns: int | None = None
    percent_correct: Interval | None = None
    percent_majority: Interval | None = None
    percent_better: Interval | None = None
    profit_bps: Interval | None = None
    balanced_accuracy: Interval | None = None
    matthews: Interval | None = None
    log_loss: Interval | None = None
    brier: Interval | None = None
    sharpe_daily: float | None = None
    deflated: float | None = None
    track: Track | None = None
    spread_bps: float | None = None
    few: bool = False

    @property
    def trades(self) -> bool:
        """Whether it ever said anything but flat."""
        return self.track is not None


def row_of(result: Result) -> Row:
    """Return a result as a row, which does not know yet how many were tried."""
    one, config, found = result.candidate, result.candidate.config, result.validation
    row = Row(
        one.id, config.type, config.granularity, config.horizon or config.granularity, config.datasetinputs,
        config.features, config.minutes_back, one.instruments, one.folds, result.seconds, result.why, result.warned,
    )  # fmt: skip
    if found is None:
        return row
    model = found.scores[MODEL]
    return msgspec.structs.replace(
        row, n=found.n, folds=found.folds, start_ns=found.start_ns, end_ns=found.end_ns,
        percent_correct=_percent(model["accuracy"]),
        percent_majority=_percent(found.scores[MAJORITY]["accuracy"]),
        percent_better=_percent(found.better_by["accuracy"]), profit_bps=model["profit_bps"],
        balanced_accuracy=model["balanced_accuracy"], matthews=model["matthews"], log_loss=model["log_loss"],
        brier=model["brier"], track=found.track, spread_bps=found.spread_bps,
        sharpe_daily=found.track.daily if found.track is not None else 0.0, few=_independent(found) < LEAST,
    )  # fmt: skip


def _independent(found: Validation) -> int:
    """How many decisions, or blocks of them, do not depend on one another."""
    return found.track.n if found.track is not None else found.n // found.block


def _percent(share: Interval) -> Interval:
    return Interval(*(100.0 * number for number in msgspec.structs.astuple(share)))


def ranked(rows: Iterable[Row], tried: int) -> list[Row]:
    """Return the rows with their deflated scores, the best daily Sharpe ratio first, those without any last.

    Before those without any stand the ``few``, whose ratio three lucky decisions may have made: who was judged by less
    than ``LEAST`` decisions that do not depend on one another, or by less than half of the periods that others were.
    ``tried`` is how many configurations were tried, those of no result among them.
    """
    rows = list(rows)
    most = max((row.folds for row in rows), default=0)
    marked = [msgspec.structs.replace(row, few=row.few or 0 < 2 * row.folds < most) for row in rows]
    ordered = sorted(marked, key=lambda row: (row.sharpe_daily is None, row.few, -(row.sharpe_daily or 0.0), row.id))
    scores = deflated_tracks([row.track for row in ordered], tried)
    return [msgspec.structs.replace(row, deflated=score) for row, score in zip(ordered, scores, strict=True)]


def verdict(rows: Sequence[Row], tried: int) -> str:
    """Return in plain words what ranked rows come to."""
    judged = [row for row in rows if row.sharpe_daily is not None]
    if not judged:
        return f"None of {len(rows):,} configurations could be judged." if rows else "There is no result yet."
    return f"{_on_profit(judged, tried)} {_on_hits(judged)}{_on_periods(judged)}"


def _on_profit(judged: Sequence[Row], tried: int) -> str:
    trading = [row for row in judged if row.trades]
    if not trading:
        return f"None of {len(judged):,} judged here ever trades: doing nothing is best."
    best = trading[0]
    if best.few:
        return f"None of {len(trading):,} that trade was judged by enough to say what it earns."
    assert best.profit_bps is not None
    assert best.deflated is not None
    earned = f"{best.profit_bps.value:+z.2f} bps a decision {after(best.spread_bps)}"
    if best.profit_bps.value <= 0.0:
        enough = sum(not row.few for row in judged)
        where = "judged here" if enough == len(judged) else "judged by enough"
        return (
            f"None of {enough:,} {where} earns its costs: the best that trades makes {earned}; doing nothing is better."
        )
    sure = f"after {tried:,} tries, the probability that this is more than luck is {100 * best.deflated:.0f} %"
    if best.deflated >= BELIEVED and best.profit_bps.mean_low > 0.0:
        return f"The best makes {earned}: {sure}. A later period has still to show it."
    return f"The best makes {earned}, but do not trade on it: {sure}."


def _on_hits(judged: Sequence[Row]) -> str:
    better = sum(row.percent_better is not None and row.percent_better.mean_low > 0.0 for row in judged)
    lucky = (1.0 - LEVEL) / 2.0 * len(judged)
    return (
        f"{better:,} of {len(judged):,} are right more often than the majority class by more than their interval;"
        f" {lucky:.1f} would be by chance."
    )


def _on_periods(judged: Sequence[Row]) -> str:
    most = max(row.folds for row in judged)
    fewer, few = sum(row.folds < most for row in judged), sum(row.few for row in judged)
    said = ""
    if fewer:
        said += (
            f" {fewer:,} had too little to learn from before the first periods: judged by fewer than the {most} of the"
            " others, to be compared with care."
        )
    if few:
        said += (
            f" {few:,} stand last whatever they earned: judged by fewer than {LEAST} decisions that do not depend on"
            " one another, or by less than half of the periods."
        )
    return said
