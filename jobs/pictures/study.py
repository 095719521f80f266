"""What pictures are drawn of: a predictor, and what it said of decisions that it had not seen."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple, TypeAlias

from jobs.pictures.drawing import between, signed
from jobs.tries import Try, id_of
from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.features import FEATURES
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import TrainingFrame
from quicksilver.learning.fitting import error_of, fitted, probabilities
from quicksilver.learning.ranges import unflagged
from quicksilver.learning.results import MAJORITY, MODEL, Validation
from quicksilver.learning.splits import walk_forward
from quicksilver.learning.training import digest
from quicksilver.learning.usable import FOLDS, MIN_PAST, learned_from
from quicksilver.learning.validation import validated
from quicksilver.learning.verdict import after
from quicksilver.learning.walking import Walk, walk
from quicksilver.models.learner import ONLINE

Says: TypeAlias = Callable[[FloatArray], FloatArray]
"""Inputs ``(n, n_inputs)`` to probabilities of down, flat and up ``(n, 3)``."""
UNITS = {one.name: one.unit for one in FEATURES}
HELD = 3  # later parts, each with a model of its own, over which what is drawn may differ


class Held(NamedTuple):
    """What a model says, and later decisions that it had not seen; ``seen``: there are none, it learned from these."""

    says: Says
    rows: TrainingFrame
    n_train: int
    seen: bool = False


class Study(ABC):
    """One predictor; what is costly is computed when a picture first asks for it.

    ``part`` is what it goes by, and ``shuffled`` what of it is shuffled to see how much that matters.
    """

    part, shuffled = "input", "An input"

    def __init__(self, name: str, config: PredictorConfig, frame: TrainingFrame) -> None:
        self.name, self.config, self.frame = name, config, frame

    @property
    @abstractmethod
    def walked(self) -> Walk:
        """What was said of decisions that were later than what it learned from.

        Raises:
            InputError: there are too few.
        """

    @property
    @abstractmethod
    def held(self) -> Sequence[Held]:
        """Models and later parts, the latest last.

        Raises:
            InputError: there are none.
        """

    @property
    @abstractmethod
    def origin(self) -> str:
        """How it learned, in a sentence."""

    @cached_property
    def validation(self) -> Validation:
        """The scores of ``walked``."""
        return validated(self.walked, self.config.seed)

    @property
    def instruments(self) -> str:
        """What it predicts, by name."""
        names = self.frame.instruments
        return ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")

    @property
    def about(self) -> str:
        """What it is of, in a line."""
        config, n = self.config, len(self.config.inputs)
        return (
            f"{self.instruments}: a {config.type} predictor of {n} input{'s' * (n > 1)}, one decision each"
            f" {config.granularity}, {config.horizon or config.granularity} ahead; a move counts as up or down beyond"
            f" the fees of {config.threshold_bps:g} bps."
        )

    def named(self, which: int) -> str:
        """Return what one of its parts is called, and what that is."""
        label = self.label(which)
        return f"{self.config.inputs[which]}\n{label}" if which < self.config.datasetinputs else label

    def label(self, which: int) -> str:
        """Return what an input is called, for people."""
        config = self.config
        name = config.inputs[which]
        if which >= config.datasetinputs:
            unit = UNITS[name.partition("@")[0]]
            return f"{name}, {unit}" if unit else name
        move = ("last move", "the move before")[which] if which < 2 else f"move {which + 1} back"
        return f"{move} of {config.granularity}, bps"

    @property
    def headline(self) -> str:
        """Its scores beside doing without it, and how sure they are."""
        found, end = self.validation, int(self.walked.ts_ns[-1])
        model, majority, better = found.scores[MODEL], found.scores[MAJORITY], found.better_by
        accuracy, profit = better["accuracy"], model["profit_bps"]
        earned = (
            "it never predicts a move, and would neither earn nor lose"
            if found.never_traded
            else (
                f"profit {signed(profit.value, 2)} bps a decision {after(found.spread_bps)} (in a later period"
                f" {signed(profit.low, 2)} to {signed(profit.high, 2)})"
            )
        )
        return (
            f"{found.n:,} decisions that it had not seen, {between(found.start_ns, end)}: accuracy"
            f" {model['accuracy'].value:.3f} against {majority['accuracy'].value:.3f} of always the majority class"
            f" (difference {signed(accuracy.value, 3)}, in a later period {signed(accuracy.low, 3)} to"
            f" {signed(accuracy.high, 3)}, 95 %); log-loss {model['log_loss'].value:.4f} against"
            f" {majority['log_loss'].value:.4f}; {earned}."
        )

    @property
    def is_judged(self) -> bool:
        """Whether its scores have been computed, for whichever picture."""
        return "validation" in vars(self)

    @property
    def frozen(self) -> str:
        """That a model which goes on learning does not do so where it is asked about what never was; else nothing."""
        return " It goes on learning live; here it is asked as it was before." if self.config.type in ONLINE else ""

    @property
    def brief(self) -> str:
        """The same in few words."""
        scores = self.validation.scores
        return (
            f"accuracy {scores[MODEL]['accuracy'].value:.3f} (majority {scores[MAJORITY]['accuracy'].value:.3f}),"
            f" {signed(scores[MODEL]['profit_bps'].value, 2)} bps"
        )


class TrainedPredictor(Study):
    """A predictor that is trained here, walk-forward: each part of the data is judged by a model of those before it."""

    @property
    def tried(self) -> Try:
        """It as a configuration that was judged, as its training would be."""
        seen = learned_from(self.frame, self.config)
        return Try(id_of(self.config), digest(seen), self.frame.instruments, self.validation.track)

    @property
    def origin(self) -> str:
        """How it learned."""
        flagged = self.walked.flagged
        out = f" {flagged:,} decisions with inputs far out of the range of those before are left out, as live."
        back = f", {self.config.minutes_back:g} minutes of them" if self.config.minutes_back else ""
        return (
            f"Walk-forward: the data are cut into {FOLDS + 1} parts, and what is said of each was learned from those"
            f" before it alone{back}, less what overlaps.{out if flagged else ''}"
        )

    @cached_property
    def walked(self) -> Walk:
        """What the models said of all parts but the first."""
        return walk(self.frame, self.config)

    @cached_property
    def held(self) -> Sequence[Held]:
        """The models of the last parts."""
        splits = list(walk_forward(self.frame, FOLDS, self.config.horizon_ns, MIN_PAST))[-HELD:]
        if not splits:
            raise InputError(f"{self.frame.n} examples are too few to predict any from {MIN_PAST} known before")
        return [self._held(self.frame.rows(one.past), self.frame.rows(one.test)) for one in splits]

    def _held(self, past: TrainingFrame, later: TrainingFrame) -> Held:
        seen = learned_from(past, self.config)
        return Held(learned(seen, self.config), unflagged(later, seen, self.config), seen.n)


def learned(past: TrainingFrame, config: PredictorConfig) -> Says:
    """Return what a predictor says that has learned from a frame, all of it.

    Raises:
        InputError: the data cannot be learned from.
    """
    model = fitted(past, config)
    error_bps = error_of(model, past, config)
    return lambda inputs: probabilities(model, inputs, config, error_bps)
