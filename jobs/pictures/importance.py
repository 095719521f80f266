"""Feature importance: how much worse later data are predicted once an input is shuffled among them.

Breiman, Random forests, Machine Learning 45, 2001. Inputs that say nearly the same share what they are worth.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.inspection import permutation_importance

from jobs.pictures.drawing import BLUE, GREY, INK, plain, sheet
from jobs.pictures.estimators import Scorable
from jobs.pictures.study import Held, Study
from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.datasets import Int64

REPEATS = 8
MOST_ROWS = 2_000  # of a part, the newest: an input's worth does not depend on more, its cost does
MOST_SHOWN = 25


class Importances(NamedTuple):
    """How much worse each input or member, shuffled, makes it: ``(n_names, n_parts, n_repeats)``, in ``unit``."""

    names: tuple[str, ...]
    worse: FloatArray
    unit: str


def importance(study: Study) -> Figure:
    """Return the sheet.

    Raises:
        InputError: there are no later data.
    """
    found = importances_of(study)
    order = np.argsort(found.worse.mean(axis=(1, 2)), kind="stable")[-MOST_SHOWN:]
    _, parts, repeats = found.worse.shape
    figure = sheet(
        3.2 + 0.36 * len(order), f"{study.part.capitalize()} importance: what {study.name} goes by",
        f"{study.about}\n{study.headline}",
        f"{study.shuffled} is shuffled among held-back decisions, {repeats} times in each of {parts}"
        f" part{'s' * (parts > 1)}: by how much are they predicted worse? Square: the mean; line: where nine tenths of"
        f" these trials lie; dots: the mean of each part.\nAt zero the {study.part} is of no use; left of it, it"
        f" misleads. {study.part.capitalize()}s that say nearly the same share what they are worth.{study.frozen}",
    )  # fmt: skip
    ax = figure.subplots()
    _draw(ax, found, order)
    ax.set_yticks(range(len(order)), [study.named(one) for one in order.tolist()])
    left_out = len(found.names) - len(order)
    if left_out:
        ax.set_title(f"the {len(order)} of {len(found.names)} {study.part}s that matter most", fontsize=10, loc="left")
    return figure


def _draw(ax: Axes, found: Importances, order: Int64) -> None:
    for row, which in enumerate(order.tolist()):
        trials = found.worse[which]
        low, high = np.percentile(trials, [5.0, 95.0])
        ax.hlines(row, low, high, color=BLUE, linewidth=2.5, alpha=0.45)
        ax.scatter(trials.mean(axis=1), np.full(len(trials), row), s=16, color=INK, alpha=0.6, zorder=3, linewidth=0)
        ax.scatter(trials.mean(), row, s=46, marker="s", color=BLUE, zorder=4)
    ax.axvline(0.0, color=GREY, linewidth=1.0, linestyle="--")
    ax.set_ylim(-0.6, len(order) - 0.4)
    ax.set_xlabel(f"how much worse without it: {found.unit}")
    plain(ax)


def importances_of(study: Study) -> Importances:
    """Return the importance of each input, of an ensemble's each member, over held-back parts and seeded repeats.

    Raises:
        InputError: there are no later data.
    """
    if any(one.seen for one in study.held):
        raise InputError(f"{study.name}: nothing is later than what it learned from, so no importance can be judged")
    parts = [_of_part(one, study) for one in study.held]
    return Importances(study.held[-1].rows.names, np.stack(parts, axis=1), "rise of log-loss, nats")


def _of_part(held: Held, study: Study) -> FloatArray:
    rows = held.rows.rows(slice(-MOST_ROWS, None))
    found = permutation_importance(
        Scorable(held.says), rows.inputs, rows.directions(study.config.threshold_bps),
        n_repeats=REPEATS, random_state=study.config.seed,
    )  # fmt: skip
    return np.asarray(found.importances)
