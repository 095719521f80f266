"""The learning curve: would more data help? The score of later data by how many examples were learned from."""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.model_selection import LearningCurveDisplay

from jobs.pictures.drawing import BLUE, GREY, ORANGE, plain, sheet
from jobs.pictures.study import HELD, Study
from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import TrainingFrame
from quicksilver.learning.fitting import error_of, fitted, predicted, probabilities
from quicksilver.learning.ranges import unflagged
from quicksilver.learning.results import MAJORITY, MODEL
from quicksilver.learning.scores import accuracy, log_loss
from quicksilver.learning.splits import Split, walk_forward
from quicksilver.learning.usable import FOLDS, MIN_PAST, learned_from
from quicksilver.learning.walking import judged_by
from quicksilver.learning.zoo import kind_of

SIZES = 6
MOST_OWN = 2_000  # of the examples learned from, by which a model is judged beside: the newest show as much as all
MEASURES = (("accuracy (higher is better)", accuracy), ("log-loss, nats (lower is better)", log_loss))


class Curves(NamedTuple):
    """Scores ``(n_measures, n_sizes, n_parts)``: of what was learned from, of later parts, and of the majority."""

    sizes: list[int]
    own: FloatArray
    later: FloatArray
    majority: FloatArray


def learning_curve(study: Study) -> Figure:
    """Return the sheet.

    Raises:
        InputError: there are too few data.
    """
    curves, config = curves_of(study.frame, study.config), study.config
    capped = kind_of(config).most_rows
    most = f" A {config.type} learns from its newest {capped:,} examples at most." if capped <= curves.sizes[-1] else ""
    most += f" It learns from {config.minutes_back:g} minutes at most." if config.minutes_back else ""
    figure = sheet(
        6.4, f"Learning curve: would more data help {study.name}?", f"{study.about}\n{study.headline}",
        "Each point: models of the newest so many examples before a part of the data, judged by that part; mean of"
        f" the last {curves.later.shape[2]} of {FOLDS} parts, which are held back. Band: one standard deviation of the"
        f" parts.{most}\nWhere the two curves meet, more data of the kind would not help; where the later one stays at"
        " the majority's, nothing was learned.",
    )  # fmt: skip
    for place, ax in enumerate(figure.subplots(1, len(MEASURES), squeeze=False)[0]):
        _draw(ax, curves, place, MEASURES[place][0])
    return figure


def _draw(ax: Axes, curves: Curves, place: int, name: str) -> None:
    display = LearningCurveDisplay(
        train_sizes=np.array(curves.sizes), train_scores=curves.own[place], test_scores=curves.later[place],
        score_name=name,
    ).plot(ax=ax, fill_between_kw={"alpha": 0.15, "linewidth": 0.0}, line_kw={"marker": "o"})  # fmt: skip
    labels = ("the examples that it learned from", "later data, not seen")
    for line, band, color, label in zip(display.lines_, display.fill_between_, (ORANGE, BLUE), labels, strict=True):
        line.set(color=color, label=label)
        band.set_facecolor(color)
    majority = curves.majority[place].mean(axis=1)
    ax.plot(curves.sizes, majority, color=GREY, linestyle="--", label="always the majority class, later data")
    ax.set_xscale("log")
    ax.set_xticks(curves.sizes, [f"{size:,}" for size in curves.sizes])
    ax.minorticks_off()
    ax.set_xlabel("examples learned from")
    ax.legend(loc="best", fontsize=9)
    plain(ax)


def curves_of(frame: TrainingFrame, config: PredictorConfig) -> Curves:
    """Return the scores of the last parts of a walk by the number of examples, from ``MIN_PAST`` upwards.

    Raises:
        InputError: there are too few.
    """
    splits = list(walk_forward(frame, FOLDS, config.horizon_ns, MIN_PAST))[-HELD:]
    most = min((learned_from(frame.rows(one.past), config).n for one in splits), default=0)
    if most < 2 * MIN_PAST:
        raise InputError(
            f"{frame.n} examples are too few for a learning curve: {2 * MIN_PAST} are needed before the last"
        )
    n = min(SIZES, 1 + math.floor(math.log2(most / MIN_PAST)) * 2)
    sizes = np.unique(np.geomspace(MIN_PAST, most, n).astype(int)).tolist()
    scores = np.array([[_scores(frame, config, split, size) for split in splits] for size in sizes])
    own, later, majority = np.moveaxis(scores, (2, 3), (0, 1))
    return Curves(sizes, own, later, majority)


def _scores(frame: TrainingFrame, config: PredictorConfig, split: Split, size: int) -> FloatArray:
    """Of a model of some examples, ``(3, n_measures)``: by its own newest, by later data, and the majority by those."""
    past, later = frame.rows(split.past[-size:]), frame.rows(split.test)
    later = unflagged(later, past, config)
    if not later.n:
        raise InputError(f"a part of the data lies far out of the range of the {size:,} examples before it")
    model, own = fitted(past, config), past.rows(slice(-MOST_OWN, None))
    error_bps = error_of(model, past, config)
    frequencies = np.tile(past.frequencies(config.threshold_bps), (later.n, 1))
    judged = (
        (own, MODEL, probabilities(model, own.inputs, config, error_bps)),
        (later, MODEL, predicted(model, later, config, error_bps)),  # last: it may go on learning
        (later, MAJORITY, frequencies),
    )
    return np.array([_measured(rows, who, said, config) for rows, who, said in judged])


def _measured(rows: TrainingFrame, who: str, said: FloatArray, config: PredictorConfig) -> list[float]:
    decisions = judged_by({who: said}, rows, np.zeros(rows.n, np.int64), config, config.confidence)[who]
    mean = decisions.parts().mean(axis=0)
    return [float(measure(mean)) for _, measure in MEASURES]
