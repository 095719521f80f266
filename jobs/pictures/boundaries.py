"""Decision boundaries: what a model says for each pair of its first two inputs, and what really came."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from sklearn.inspection import DecisionBoundaryDisplay

from jobs.pictures.drawing import CLASS_STYLES, INK, between, sheet
from jobs.pictures.estimators import Slice
from jobs.pictures.study import Held, Study
from quicksilver.errors import InputError
from quicksilver.learning.datasets import TrainingFrame
from quicksilver.models.score import CLASSES

RESOLUTION = 120  # cells a side: a cell of a panel is three dots wide
REACH_PERCENT = 1.0  # of the decisions lie beyond each edge: a few wild moves would leave all others in one spot
EVEN, LEAST_TOP = 1.0 / 3.0, 0.5  # confidence of white; the deepest colour is for this at least, lest chance look sure
ALONE, EACH = (500, 24.0), (180, 13.0)  # points of a panel, and their size
COLUMNS = 3


class Panel(NamedTuple):
    """A drawn panel, and what it is of."""

    display: DecisionBoundaryDisplay
    held: Held


def boundaries(studies: Sequence[Study], title: str) -> Figure:
    """Return a sheet with a panel for each predictor.

    Raises:
        InputError: one has fewer than two inputs, or too few data.
    """
    for one in studies:
        if len(one.config.inputs) < 2:
            raise InputError(f"{one.name} has one input: boundaries need two, so give it datasetinputs = 2 or more")
    alone, n = len(studies) == 1, len(studies)
    columns = 1 if alone else 2 if n in {2, 4} else COLUMNS
    rows = math.ceil(n / columns)
    height = 8.8 if alone else 2.3 + 3.7 * rows
    figure = sheet(height, title, _subtitle(studies), _note(studies), _handles(studies))
    grid = figure.add_gridspec(rows + 1, 6, height_ratios=[*[1.0] * rows, 0.035 if rows < 3 else 0.05])
    panels = []
    for place, study in enumerate(studies):
        row, column = divmod(place, columns)
        span = 6 // columns
        ax = figure.add_subplot(grid[row, column * span : (column + 1) * span])
        panels.append(_panel(ax, study, ALONE if alone else EACH))
        if not alone:
            ax.set_title(f"{study.name}\n{_scores(panels[-1].held, study)}", fontsize=9.5, color=INK, loc="left")
    _bars(figure, grid, panels)
    return figure


def _bars(figure: Figure, grid: GridSpec, panels: Sequence[Panel]) -> None:
    """Give all panels the same shades, and say below what they mean."""
    top = max(LEAST_TOP, *(float(one.display.response.max()) for one in panels))
    for place, style in enumerate(CLASS_STYLES):
        for panel in panels:
            panel.display.surface_[place].set_clim(EVEN, top)
        bar = figure.colorbar(
            panels[0].display.surface_[place], cax=figure.add_subplot(grid[-1, place * 2 : place * 2 + 2]),
            orientation="horizontal", format=lambda share, _: f"{share:.0%}",
        )  # fmt: skip
        bar.set_label(f"confidence, where it says {style.name}", fontsize=9)
        bar.ax.tick_params(labelsize=8.5)


def _panel(ax: Axes, study: Study, points: tuple[int, float]) -> Panel:
    held = study.held[-1]
    inputs = held.rows.inputs
    pairs = inputs[:, :2]
    edges = np.nanpercentile(pairs, [REACH_PERCENT, 100.0 - REACH_PERCENT], axis=0)
    if (edges[0] == edges[1]).any():
        still = held.rows.names[int(np.argmax(edges[0] == edges[1]))]
        raise InputError(
            f"{study.name}: input {still} hardly ever differs from {edges[0].max():g}: there is no picture"
        )
    display = DecisionBoundaryDisplay.from_estimator(
        Slice(held.says, np.nanmedian(inputs, axis=0)), edges, grid_resolution=RESOLUTION, eps=0.0,
        plot_method="pcolormesh", response_method="predict_proba", ax=ax, vmin=EVEN, vmax=1.0, rasterized=True,
        multiclass_colors=[one.color for one in CLASS_STYLES], xlabel=study.label(0), ylabel=study.label(1),
    )  # fmt: skip
    within = np.flatnonzero(((pairs >= edges[0]) & (pairs <= edges[1])).all(axis=1))
    chosen = held.rows.rows(within[:: max(1, math.ceil(len(within) / points[0]))])
    _points(ax, chosen, study.config.threshold_bps, points[1])
    _fees(ax, study)
    ax.set(xlim=edges[:, 0], ylim=edges[:, 1])
    ax.tick_params(labelsize=8.5)
    return Panel(display, held)


def _points(ax: Axes, rows: TrainingFrame, threshold_bps: float, size: float) -> None:
    directions = rows.directions(threshold_bps)
    for direction, style in zip(CLASSES, CLASS_STYLES, strict=True):
        some = rows.inputs[directions == direction]
        ax.scatter(
            some[:, 0], some[:, 1], s=size, marker=style.marker, color=style.color, edgecolor=INK, linewidth=0.6,
            label=style.name, zorder=3,
        )  # fmt: skip


def _fees(ax: Axes, study: Study) -> None:
    """Draw where a move covers its fees, along inputs that are moves."""
    for edge in (-study.config.threshold_bps, study.config.threshold_bps):
        if study.config.datasetinputs >= 1:
            ax.axvline(edge, color=INK, linewidth=0.9, linestyle=":")
        if study.config.datasetinputs >= 2:
            ax.axhline(edge, color=INK, linewidth=0.9, linestyle=":")


def _handles(studies: Sequence[Study]) -> list[Line2D]:
    handles = [
        Line2D([], [], linestyle="", marker=style.marker, color=style.color, markersize=7, markeredgecolor=INK,
               label=f"then it {word}")
        for style, word in zip(CLASS_STYLES, ("went down", "stayed flat", "went up"), strict=True)
    ]  # fmt: skip
    fees = sorted({one.config.threshold_bps for one in studies})
    if any(one.config.datasetinputs for one in studies):
        label = "fees of going in and out: " + ", ".join(f"±{fee:g}" for fee in fees) + " bps"
        handles.append(Line2D([], [], color=INK, linestyle=":", label=label))
    return handles


def _scores(held: Held, study: Study) -> str:
    return "points: learned from, not judged" if held.seen else study.brief


def _subtitle(studies: Sequence[Study]) -> str:
    if len(studies) == 1:
        return f"{studies[0].about}\n{_points_are(studies[0])}"
    instruments = sorted({name for one in studies for name in one.frame.instruments})
    times = np.concatenate([one.held[-1].rows.ts_ns[[0, -1]] for one in studies])
    return (
        f"{len(studies)} predictors of {', '.join(instruments)}. Above each: its accuracy in the walk-forward run,"
        " beside that of always the majority class, and its profit a decision after costs.\nPoints: decisions of"
        f" {between(int(times.min()), int(times.max()))}, later than those that the models learned from."
    )


def _points_are(study: Study) -> str:
    held = study.held[-1]
    span = between(int(held.rows.ts_ns[0]), int(held.rows.ts_ns[-1]))
    if held.seen:
        return (
            f"Points: decisions that it has LEARNED FROM, {span}; nothing later was given, so nothing is judged here."
        )
    return f"Points: decisions of {span}, later than the {held.n_train:,} that it learned from.\n{study.headline}"


def _note(studies: Sequence[Study]) -> str:
    others = sorted({len(one.config.inputs) - 2 for one in studies} - {0})
    more = " or ".join(map(str, others))
    still = f" Inputs beyond these two ({more} more) are held at their medians; the points' own differ."
    moves = any(one.config.target == "return" for one in studies)
    acts = " A predicted move is acted on where that is more than half, and flat elsewhere." if moves else ""
    return (
        "Colour: the likeliest class; its depth: how likely that class is taken to be, white where all are equally"
        f" likely.{acts} Points: some of the decisions, evenly over time, coloured by what came of"
        f" them.{still if others else ''} The axes leave out {REACH_PERCENT:g} % at each end."
        + next((one.frozen for one in studies if one.frozen), "")
    )
