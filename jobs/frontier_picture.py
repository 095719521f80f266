"""A picture of a history's efficient portfolios: cloud, frontier and picks, and the picks' weights."""

import io

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from quicksilver.portfolio.research import Drawn, Point, Research

BPS = 1e4
INCHES, DPI = (13.0, 6.0), 110
MARKERS = "oDs^vPX<"
SMALL = 0.004  # of the money: less is too thin for a bar


def draw(research: Research, picks: dict[str, Point], frontier: list[Point], drawn: Drawn) -> bytes:
    """Return the picture as PNG, the same bytes for the same answer."""
    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _cloud(left, research, picks, frontier, drawn)
    _weights(right, research, picks)
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _cloud(axes: Axes, research: Research, picks: dict[str, Point], frontier: list[Point], drawn: Drawn) -> None:
    shown = np.array([(one.risk, one.mean) for one in drawn.shown]) * BPS
    axes.scatter(shown[:, 0], shown[:, 1], s=6, color="#9db4c8", linewidths=0, label="drawn")
    line = np.array([(one.risk, one.mean) for one in frontier]) * BPS
    axes.plot(line[:, 0], line[:, 1], color="#c2410c", linewidth=1.8, label="frontier")
    for i, (name, one) in enumerate(picks.items()):
        axes.plot(
            one.risk * BPS, one.mean * BPS, MARKERS[i % len(MARKERS)], markersize=9, linestyle="none",
            markeredgecolor="white", label=name.replace("_", " "), zorder=3,
        )  # fmt: skip
    question = research.question
    risk = "standard deviation" if question.risk == "variance" else question.risk
    axes.set_xlabel(f"risk of one period: {risk}, bps")
    axes.set_ylabel("expected log return of one period, bps")
    axes.set_title(
        f"{drawn.n_portfolios:,} portfolios of {len(research.assets)} assets,"
        f" {research.estimate.n_observations:,} returns, {question.estimators.covariance}",
        fontsize=10,
    )
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)


def _weights(axes: Axes, research: Research, picks: dict[str, Point]) -> None:
    colours = colormaps["tab20"]
    places = np.arange(len(picks))
    weights = np.array([one.weights for one in picks.values()])
    above, below = np.zeros(len(picks)), np.zeros(len(picks))
    for i, asset in enumerate(research.assets):
        row = weights[:, i]
        if np.all(np.abs(row) < SMALL):
            continue
        start = np.where(row >= 0.0, above, below)
        axes.bar(places, row, 0.7, bottom=start, color=colours(i % 20), label=asset, edgecolor="white", linewidth=0.3)
        above, below = above + np.maximum(row, 0.0), below + np.minimum(row, 0.0)
    axes.set_xticks(places, [name.replace("_", "\n") for name in picks], fontsize=8)
    axes.set_ylabel("share of the money")
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
