"""Pictures to files: ``FOLDER/NAME/KIND.png``, which is where the page looks for them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from jobs.pictures.applied import Applied
from jobs.pictures.boundaries import boundaries
from jobs.pictures.calibration import calibration
from jobs.pictures.confusion import confusion
from jobs.pictures.drawing import save
from jobs.pictures.ensembles import AppliedEnsemble, EnsembleStudy, TrainedEnsemble
from jobs.pictures.importance import importance
from jobs.pictures.learning_curve import learning_curve
from jobs.pictures.live import live_score
from jobs.pictures.score import score
from jobs.pictures.study import Study
from quicksilver.errors import InputError
from quicksilver.records import Score

BOUNDARIES, LIVE_SCORE = "boundaries", "live-score"
_NAME = re.compile(r"\w[\w.@-]*", re.ASCII)


def _alone(study: Study) -> Figure:
    if isinstance(study, EnsembleStudy):
        raise InputError(
            f"{study.name} is an ensemble: its inputs are what its members say, and boundaries are those of each member"
        )
    return boundaries([study], f"Decision boundaries: what {study.name} says, and what came")


def _curve(study: Study) -> Figure:
    if isinstance(study, TrainedEnsemble):
        raise InputError(
            f"{study.name} is an ensemble: what more data would do is shown by each member's learning curve"
        )
    if isinstance(study, Applied | AppliedEnsemble):
        raise InputError(f"{study.name}: a learning curve trains anew: plot the TOML file for it")
    return learning_curve(study)


DRAWN: Mapping[str, Callable[[Study], Figure]] = {
    BOUNDARIES: _alone, "learning-curve": _curve, "calibration": calibration, "confusion": confusion,
    "importance": importance, "score": score,
}  # fmt: skip
KINDS = tuple(DRAWN)


def write_picture(folder: Path, name: str, study: Study, kind: str) -> Path:
    """Draw one picture of a predictor; returns the file, ``folder/name/kind.png``.

    Raises:
        InputError: it cannot be drawn, with the reason.
    """
    return save(DRAWN[kind](study), _path(folder, name, kind))


def write_grid(folder: Path, name: str, studies: Sequence[Study]) -> Path:
    """Draw the boundaries of several predictors side by side; returns the file.

    Raises:
        InputError: it cannot be drawn, with the reason.
    """
    return save(
        boundaries(studies, "Decision boundaries: what each says, and what came"), _path(folder, name, BOUNDARIES)
    )


def write_live(folder: Path, name: str, scores: Iterable[Score], roles: Mapping[str, str]) -> Path:
    """Draw how the versions of one model have done live; returns the file.

    Raises:
        InputError: too few outcomes are known.
    """
    return save(live_score(name, scores, roles), _path(folder, name, LIVE_SCORE))


def _path(folder: Path, name: str, kind: str) -> Path:
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} can be no folder's name: use letters, digits, dots, - and _ alone")
    return folder / name / f"{kind}.png"
