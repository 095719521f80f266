"""Score over time: was it better than doing without it all along, or by one lucky week?"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from jobs.pictures.drawing import BLUE, GREY, ORANGE, plain, sheet
from jobs.pictures.study import Study
from quicksilver.events import FloatArray
from quicksilver.learning.datasets import Int64
from quicksilver.learning.results import LAST_MOVE, MAJORITY, MODEL
from quicksilver.learning.scores import Measure, accuracy, intervals, log_loss, profit_bps

MOST_WINDOWS, LEAST_ROWS = 24, 50
LEAST_BLOCKS = 8  # of a window: of fewer that are resampled no interval comes that means anything


class Course(NamedTuple):
    """A measure over time, ``n`` windows: the middle of each, the value, and its interval, 95 % of the mean."""

    at_ns: Int64
    value: FloatArray
    low: FloatArray
    high: FloatArray


class Row(NamedTuple):
    """A row of axes: which measure, and what it is called."""

    measure: Measure
    name: str
    rivals: tuple[str, ...]


ROWS = (
    Row(accuracy, "accuracy", (MAJORITY, LAST_MOVE)),
    Row(log_loss, "log-loss, nats (lower is better)", (MAJORITY,)),
    Row(profit_bps, "profit a decision\nafter costs, bps", (LAST_MOVE,)),
)
RIVALS = {
    MAJORITY: {"color": GREY, "linestyle": "--", "label": "always the majority class"},
    LAST_MOVE: {"color": ORANGE, "linestyle": ":", "label": "same as the last move"},
}


def score(study: Study) -> Figure:
    """Return the sheet: accuracy, log-loss and profit in windows of the data that it had not seen.

    Raises:
        InputError: there are too few data.
    """
    walked, validation = study.walked, study.validation
    windows = windows_of(walked.judged[MODEL].fold, validation.block)
    figure = sheet(
        2.2 + 2.2 * len(ROWS), f"Score over time: was {study.name} better than doing without it?",
        f"{study.about}\n{study.headline}",
        f"{study.origin} {len(windows)} windows of about {len(walked.ts_ns) // len(windows):,} decisions each; bars:"
        f" 95 % intervals of each window's mean, by resampled blocks of {validation.block}. No bar: too few of them."
        " Thin lines: where a new part begins.",
    )  # fmt: skip
    axes = figure.subplots(len(ROWS), 1, sharex=True, squeeze=False)[:, 0]
    starts = walked.ts_ns[np.flatnonzero(np.diff(walked.judged[MODEL].fold, prepend=-1))]
    measures, parts = [row.measure for row in ROWS], walked.judged[MODEL].parts()
    courses = courses_of(walked.ts_ns, parts, windows, measures, validation.block, study.config.seed)
    for ax, row, course in zip(axes, ROWS, courses, strict=True):
        for start in starts:
            ax.axvline(dates(start), color="#d5d9df", linewidth=0.8)
        for who in row.rivals:
            others = walked.judged[who].parts()
            at, values = zip(
                *[(middle(walked.ts_ns[w]), row.measure(others[w].mean(axis=0))) for w in windows], strict=True
            )
            ax.plot(dates(np.array(at)), values, linewidth=1.5, **RIVALS[who])
        if row.measure is profit_bps:
            ax.axhline(0.0, color=GREY, linewidth=1.2, linestyle="--", label="do nothing")
        draw(ax, course, study.name)
        ax.set_ylabel(row.name, fontsize=9.5)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8.5, frameon=False)
    on_time(axes[-1])
    return figure


def windows_of(fold: Int64, block: int) -> list[slice]:
    """Return windows of about as many rows, none across two parts of a walk; ``fold`` ``(n,)`` counts the parts.

    Each has some blocks of ``block`` rows, as far as a part does.

    >>> windows_of(np.repeat([0, 1], 150), 5)[1:3]
    [slice(50, 100, None), slice(100, 150, None)]
    """
    found = []
    edges = [0, *(np.flatnonzero(np.diff(fold)) + 1).tolist(), len(fold)]
    each = max(1, min(MOST_WINDOWS // (len(edges) - 1), min(np.diff(edges)) // max(LEAST_ROWS, LEAST_BLOCKS * block)))
    for start, end in pairwise(edges):
        cuts = np.linspace(start, end, each + 1).astype(int).tolist()
        found += [slice(a, b) for a, b in pairwise(cuts)]
    return found


def courses_of(
    ts_ns: Int64, parts: FloatArray, windows: Sequence[slice], measures: Sequence[Measure], block: int, seed: int
) -> list[Course]:
    """Return each measure over windows of rows; ``parts`` ``(n, m)`` is what each row adds to the means.

    ``block`` rows stay together when they are resampled for the intervals.
    """
    found = [intervals(parts[one], np.zeros(one.stop - one.start, np.int64), measures, block, seed) for one in windows]
    at = np.array([middle(ts_ns[one]) for one in windows])
    numbers = np.array([[(one.value, one.mean_low, one.mean_high) for one in some] for some in found])
    return [Course(at, *numbers[:, place].T) for place in range(len(measures))]


def middle(ts_ns: Int64) -> int:
    """Return the time of the row in the middle."""
    return int(ts_ns[len(ts_ns) // 2])


def dates(ts_ns: Int64 | int) -> FloatArray:
    """Return times as matplotlib has them, days since 1970."""
    return np.asarray(ts_ns) / 86_400e9


def draw(ax: Axes, course: Course, label: str, color: str = BLUE, marker: str = "o") -> None:
    """Draw a measure over time with its intervals."""
    reach = np.maximum(0.0, [course.value - course.low, course.high - course.value])
    ax.errorbar(
        dates(course.at_ns), course.value, yerr=reach, color=color, marker=marker, markersize=4.5, linewidth=1.8,
        elinewidth=1.2, capsize=2.5, label=label, zorder=3,
    )  # fmt: skip
    plain(ax)


def on_time(ax: Axes) -> None:
    """Have the x axis show dates, in UTC."""
    locator = AutoDateLocator(minticks=4, maxticks=10)  # type: ignore[no-untyped-call]  # matplotlib has types in part
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    ax.set_xlabel("time of the decision, UTC")
