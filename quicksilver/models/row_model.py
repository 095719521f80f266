"""What a predictor asks of its model, be it one that is fixed or one that goes on learning."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quicksilver.events import FloatArray
from quicksilver.models.applied import AppliedModel
from quicksilver.models.card import Card
from quicksilver.models.learner import Learner


class RowModel(Protocol):
    """Rows of inputs in, numbers out; what learns besides is a ``Learner``."""

    @property
    def n_inputs(self) -> int:
        """How many inputs it takes."""

    def raw(self, rows: NDArray[np.float32]) -> FloatArray:
        """Return what the model says of rows ``(n, n_inputs)``: ``(n, n_outputs)``.

        Raises:
            ValueError: the rows are not as long as the model's.
        """

    def one(self, row: FloatArray) -> list[float]:
        """Return what ``raw`` says of one row ``(n_inputs,)``: ``n_outputs`` numbers.

        Raises:
            ValueError: the row is not as long as the model's.
        """


def model_in(card: Card) -> RowModel:
    """Return a card's model as it was when the card was made.

    Raises:
        ValueError: the card is damaged, of another version, or holds no such model.
    """
    data = card.unpacked()
    if card.format == "onnx":
        return AppliedModel(data)
    learner = Learner(card.config)
    learner.load(data)
    return learner
