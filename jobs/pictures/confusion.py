"""Confusion: what was said beside what came, counts and shares."""

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

from jobs.pictures.drawing import CLASS_STYLES, INK, sheet
from jobs.pictures.study import Study
from quicksilver.learning.results import MODEL
from quicksilver.models.score import CLASSES

DARK = 0.55  # a share whose blue is too dark for dark text
VIEWS = (
    ("Of what came: how much of it was foreseen", 1, "of each row"),
    ("Of what was said: how much of it came true", 0, "of each column"),
)


def confusion(study: Study) -> Figure:
    """Return the sheet: the same counts twice, shaded by their share of a row and of a column.

    Raises:
        InputError: there are too few data.
    """
    judged = study.walked.judged[MODEL]
    counts = confusion_matrix(judged.outcomes, judged.directions, labels=CLASSES)
    figure = sheet(
        6.6, f"Confusion: what {study.name} said, and what came", f"{study.about}\n{study.headline}",
        f"{study.origin} Right is what lies on the diagonal. A predictor that always says one class fills one column.",
    )  # fmt: skip
    for ax, (title, axis, share_of) in zip(figure.subplots(1, 2), VIEWS, strict=True):
        total = counts.sum(axis=axis, keepdims=True)
        shares = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
        display = ConfusionMatrixDisplay(shares, display_labels=[one.name for one in CLASS_STYLES])
        display.plot(ax=ax, cmap="Blues", colorbar=False, im_kw={"vmin": 0.0, "vmax": 1.0}, text_kw={"fontsize": 11})
        for place, text in np.ndenumerate(display.text_):
            share = f"{shares[place]:.1%}" if np.broadcast_to(total, counts.shape)[place] else "–"
            text.set(text=f"{counts[place]:,}\n{share}", color="white" if shares[place] > DARK else INK)
        ax.set_title(title, fontsize=11, loc="left")
        ax.set(xlabel="what was said", ylabel="what came")
        bar = figure.colorbar(display.im_, ax=ax, fraction=0.046, pad=0.03, format=lambda share, _: f"{share:.0%}")
        bar.set_label(f"share {share_of}", fontsize=9)
    return figure
