"""A version from the registry, applied to data that are later than those that it learned from."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from jobs.pictures.drawing import between
from jobs.pictures.study import Held, Says, Study
from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.datasets import TrainingFrame
from quicksilver.learning.held_back import MIN_LATER, later_than, outside, said_by, walked_by
from quicksilver.learning.walking import Walk
from quicksilver.models.card import Card
from quicksilver.models.row_model import model_in


class Applied(Study):
    """A version as it is; judged by that part of ``frame`` which is later than what it learned from.

    Raises:
        InputError: the card cannot be used.
    """

    def __init__(self, card: Card, frame: TrainingFrame) -> None:
        super().__init__(f"{card.name} {card.version}", card.config, frame)
        self._card = card
        later = later_than(card, frame)
        self._later = later.rows(~outside(card, later.inputs))
        self._n_outside = later.n - self._later.n
        try:
            self._says = says_of(card)
        except ValueError as error:
            raise InputError(str(error)) from error

    @property
    def origin(self) -> str:
        """How it learned."""
        card, out = self._card, self._n_outside
        left_out = f" {out:,} later decisions with inputs far out of that range are left out, as live." if out else ""
        span = between(card.start_ns, card.end_ns)
        return f"Version {card.version} learned from {card.n_train:,} decisions, {span}.{left_out}"

    @cached_property
    def walked(self) -> Walk:
        """What it said of the later data, in as many parts as a walk has."""
        return walked_by(self._card, self._later)

    @property
    def held(self) -> Sequence[Held]:
        """The one model; where nothing is later, with what it learned from."""
        later = self._later.n >= MIN_LATER
        return [Held(self._says, self._later if later else self.frame, self._card.n_train, seen=not later)]


def says_of(card: Card) -> Says:
    """Return what a version says of many inputs at once; the frequencies in training where it says nothing.

    Raises:
        ValueError: the card cannot be used.
    """
    model = model_in(card)

    def says(inputs: FloatArray) -> FloatArray:
        """Return the probabilities."""
        said = said_by(card, model, inputs)
        return np.where(np.isnan(said), card.prior, said)

    return says
