"""A sheet that a newcomer can read: what is seen above, how it was made below, in colours for the colour-blind.

matplotlib's object-oriented API alone (no pyplot), so that sheets can be drawn in any thread of any server.
"""

import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jobs.whole_files import replace_whole
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS

WIDTH, DPI = 12.0, 110  # inches; dots an inch
SUBTITLE, NOTE = 155, 185  # characters of a line
LINE, LEGEND = 0.2, 0.3  # inches from one such line to the next, and of a line of a legend
SHORT_NS = 2 * 3600 * SECOND_NS  # a span in which seconds matter

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
"""Okabe, Ito, Color universal design, 2008."""
GREY, INK, FAINT = "#7a7a7a", "#1d2430", "#5b6470"


class ClassStyle(NamedTuple):
    """How a class is drawn: by shape too, for colour alone does not reach everybody."""

    name: str
    color: str
    marker: str


CLASS_STYLES = (ClassStyle("down", VERMILION, "v"), ClassStyle("flat", GREY, "o"), ClassStyle("up", BLUE, "^"))
"""Of the directions -1, 0 and 1, in this order."""


def sheet(height: float, title: str, subtitle: str, note: str, legend: Sequence[Line2D] = ()) -> Figure:
    """Return an empty sheet ``WIDTH`` by ``height`` inches, with room for axes between subtitle and legend."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    above, below = _lines(subtitle, SUBTITLE), _lines(note, NOTE)
    top, bottom = 0.52 + LINE * len(above), 0.12 + LINE * len(below) + (LEGEND if legend else 0.0)
    figure.set_layout_engine("constrained", rect=(0.008, bottom / height, 0.984, 1.0 - (top + bottom) / height))
    left = 0.12 / WIDTH
    figure.text(left, 1.0 - 0.1 / height, title, fontsize=15, fontweight="bold", color=INK, va="top")
    figure.text(left, 1.0 - 0.42 / height, "\n".join(above), fontsize=9.5, color=INK, va="top")
    figure.text(left, 0.06 / height, "\n".join(below), fontsize=8.5, color=FAINT, va="bottom")
    if legend:
        place = (0.5, (bottom - LEGEND) / height)
        figure.legend(
            handles=legend, loc="lower center", bbox_to_anchor=place, ncols=len(legend), fontsize=9.5, frameon=False,
            borderaxespad=0.1,
        )  # fmt: skip
    return figure


def _lines(text: str, characters: int) -> list[str]:
    return [line for part in text.split("\n") for line in textwrap.wrap(part, characters)]


def plain(ax: Axes) -> None:
    """Leave out of axes what carries nothing: the upper and the right line; the grid becomes faint."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="#e3e6ea", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=9)


def save(figure: Figure, path: Path) -> Path:
    """Write a sheet as PNG, without date or program, as a whole: who reads meanwhile sees the old one or the new one.

    Raises:
        InputError: the folder cannot be written to.
    """
    drawn = BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, drawn.getvalue())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def moment(ns: int, seconds: bool = False) -> str:
    """Return a time for people, in UTC.

    >>> moment(1_509_494_580_000_000_000)
    '2017-11-01 00:03'
    """
    return datetime.fromtimestamp(ns // SECOND_NS, UTC).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def between(start_ns: int, end_ns: int) -> str:
    """Return a span of time for people.

    >>> between(1_509_494_580_000_000_000, 1_510_000_000_000_000_000)
    '2017-11-01 00:03 to 2017-11-06 20:26 UTC'
    """
    seconds = end_ns - start_ns < SHORT_NS
    return f"{moment(start_ns, seconds)} to {moment(end_ns, seconds)} UTC"


def signed(value: float, digits: int) -> str:
    """Return a number with its sign, and a true minus; what rounds to zero has none.

    >>> signed(-6.14, 1), signed(0.0204, 3), signed(-0.001, 2)
    ('−6.1', '+0.020', '0.00')
    """
    text = f"{value:+z.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]
