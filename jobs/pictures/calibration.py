"""Calibration: of what was said to have 40 %, did 40 % come? Each class by itself."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay, calibration_curve

from jobs.pictures.drawing import CLASS_STYLES, GREY, ClassStyle, plain, sheet
from jobs.pictures.study import Study
from quicksilver.events import FloatArray
from quicksilver.learning.datasets import Bools
from quicksilver.learning.results import MODEL
from quicksilver.models.score import CLASSES

BINS = 10  # of as many decisions each: equal widths would leave most of them all but empty
MARGIN = 0.05


def calibration(study: Study) -> Figure:
    """Return the sheet: for each class a reliability curve, and beneath it how often which probability was said.

    Raises:
        InputError: there are too few data.
    """
    judged = study.walked.judged[MODEL]
    figure = sheet(
        6.9, f"Calibration: do the probabilities of {study.name} come true?", f"{study.about}\n{study.headline}",
        f"{study.origin} Each square is a tenth of the decisions, by rising probability; its bar is where its share"
        " lies with 95 %, were decisions independent: outcomes that overlap make it somewhat too short.\nOn the"
        " dotted line what is said comes true; below it the predictor is too sure of the class. A dashed line: the"
        " share of the class among all decisions, which is all that a predictor without knowledge could say.",
    )  # fmt: skip
    axes = figure.subplots(2, 3, height_ratios=[3, 1], sharex="col")
    for place, (direction, style) in enumerate(zip(CLASSES, CLASS_STYLES, strict=True)):
        _curve(axes[0, place], judged.outcomes == direction, judged.probabilities[:, place], style)
        _counts(axes[1, place], judged.probabilities[:, place], style)
    return figure


def _curve(ax: Axes, came: Bools, said: FloatArray, style: ClassStyle) -> None:
    shares, means = calibration_curve(came, said, n_bins=BINS, strategy="quantile")
    counts = _bin_counts(said)
    name = f"{style.name}: {int(came.sum()):,} of {len(came):,}"
    CalibrationDisplay(shares, means, said).plot(ax=ax, name=name, color=style.color, markersize=5)
    reach = 1.96 * np.sqrt(shares * (1.0 - shares) / counts)
    ax.errorbar(means, shares, yerr=reach, fmt="none", ecolor=style.color, elinewidth=1.2, capsize=2.5)
    base = float(came.mean())
    ax.axhline(base, color=GREY, linewidth=1.0, linestyle="--", label=f"share of all: {base:.1%}")
    low = max(0.0, min(means.min(), (shares - reach).min()) - MARGIN)
    high = min(1.0, max(means.max(), (shares + reach).max()) + MARGIN)
    ax.set(
        xlim=(low, high), ylim=(low, high), xlabel="", ylabel="share that came true" if style is CLASS_STYLES[0] else ""
    )
    ax.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    ax.set_title(style.name, fontsize=11, loc="left", color=style.color, fontweight="bold")
    ax.legend(loc="best", fontsize=8.5, frameon=False)
    plain(ax)


def _counts(ax: Axes, said: FloatArray, style: ClassStyle) -> None:
    ax.hist(said, bins=40, range=ax.get_xlim(), color=style.color, alpha=0.75)
    ax.set(xlabel=f"probability of {style.name} that was said", ylabel="decisions" if style is CLASS_STYLES[0] else "")
    ax.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    plain(ax)


def _bin_counts(said: FloatArray) -> FloatArray:
    """How many decisions each point of the curve stands for: bins as ``calibration_curve`` has them, none empty."""
    edges = np.percentile(said, np.linspace(0.0, 100.0, BINS + 1))
    counts = np.bincount(np.searchsorted(edges[1:-1], said), minlength=BINS)
    return counts[counts > 0].astype(np.float64)
