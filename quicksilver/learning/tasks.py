"""What there is to train, each a task that any worker can do: a predictor or an ensemble, trained and judged."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from threadpoolctl import threadpool_limits

from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import FeatureHistory, TrainingFrame
from quicksilver.learning.ensemble_config import EnsembleConfig
from quicksilver.learning.ensembles import trained_material, walk_material
from quicksilver.learning.material import Material, material_of
from quicksilver.learning.results import Validation
from quicksilver.learning.training import trained
from quicksilver.learning.usable import FOLDS
from quicksilver.learning.validation import validated
from quicksilver.learning.walking import walk
from quicksilver.models.card import AnyCard

STEPS = FOLDS + 1  # of a task, as its progress counts them: the folds, and the model of all examples
Step: TypeAlias = Callable[[], object]


class Task(NamedTuple):
    """One predictor to train; ``code`` tells the program from all others."""

    name: str
    config: PredictorConfig
    frame: TrainingFrame
    code: str


class EnsembleTask(NamedTuple):
    """One ensemble to train; the columns of ``histories`` are ``material.features_of(config, predictors)``."""

    name: str
    config: EnsembleConfig
    predictors: Mapping[str, PredictorConfig]
    histories: tuple[FeatureHistory, ...]
    code: str

    def material(self) -> Material:
        """Return what the ensemble is made of.

        Raises:
            InputError: the members cannot be together, or never decide.
        """
        return material_of(self.name, self.config, self.predictors, self.histories, self.code)


AnyTask: TypeAlias = Task | EnsembleTask


class Trained(NamedTuple):
    """A card, and how it did in the walk-forward run.

    ``instruments`` are those that it has learned from, ``venue:symbol``; ``notes`` the libraries' warnings, each once;
    ``n_examples`` how many decisions there were to learn from, of which a predictor may take the newest alone.
    """

    card: AnyCard
    validation: Validation
    instruments: tuple[str, ...]
    notes: tuple[str, ...]
    n_examples: int


def _nothing() -> None:
    pass


def trained_and_judged(task: AnyTask, step: Step = _nothing) -> Trained:
    """Train and judge walk-forward; the same task gives the same bytes on any machine and any runner.

    Libraries of linear algebra sum in another order with more threads, so that there is one. ``step`` is called up to
    ``STEPS`` times.

    Raises:
        InputError: the data cannot be learned from, or a parameter has a value that its type does not take.
    """
    with warnings.catch_warnings(record=True) as warned, threadpool_limits(1):
        warnings.simplefilter("always")
        try:
            card, validation, frame = _predictor(task, step) if isinstance(task, Task) else _ensemble(task, step)
        except (InputError, ValueError) as error:  # scikit-learn says which value of which parameter it does not take
            kind = "predictor" if isinstance(task, Task) else "ensemble"
            raise InputError(f"{kind} {task.name}: {str(error).removeprefix(f'{kind} {task.name}: ')}") from error
    step()
    counts = Counter(str(one.message).strip().splitlines()[0] for one in warned)
    notes = [f"{text} ({count} times)" if count > 1 else text for text, count in counts.items()]
    return Trained(card, validation, frame.instruments, tuple(notes), frame.n)


def _predictor(task: Task, step: Step) -> tuple[AnyCard, Validation, TrainingFrame]:
    validation = validated(walk(task.frame, task.config, done=step), task.config.seed)
    return trained(task.name, task.frame, task.config, task.code), validation, task.frame


def _ensemble(task: EnsembleTask, step: Step) -> tuple[AnyCard, Validation, TrainingFrame]:
    material = task.material()
    validation = validated(walk_material(material, done=step), material.lead.seed)
    return trained_material(material), validation, material.found.frame


def attempted(task: AnyTask) -> Trained | str:
    """Do a task on a worker from which no exception comes back as it was; returns why, if it cannot be done."""
    try:
        return trained_and_judged(task)
    except InputError as error:
        return str(error)
