"""A card's model and when to trust it: inputs in, probabilities out, or why there are none."""

import math
from typing import NamedTuple

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.models.card import Card
from quicksilver.models.learner import Learner
from quicksilver.models.row_model import model_in
from quicksilver.models.score import Probabilities, probabilities_of_classes, probabilities_of_move


class Told(NamedTuple):
    """What a model says of a decision; ``move_bps`` is the predicted move, None where it predicts a direction."""

    probabilities: Probabilities
    move_bps: float | None


class CardModel:
    """Asks a card's model about one decision after another.

    Raises:
        ValueError: the card cannot be used.
    """

    def __init__(self, card: Card) -> None:
        self.card = card
        self._model = model_in(card)
        self.learner = self._model if isinstance(self._model, Learner) else None
        takes, inputs = self._model.n_inputs, card.config.inputs
        if takes != len(inputs) or len(card.ranges) != len(inputs):
            raise ValueError(f"{card.name} {card.version} takes {takes} inputs, not {len(inputs)}")
        self._low, self._high = np.array([one.reach for one in card.ranges]).T
        self._threshold_bps = card.config.threshold_bps
        self._columns = [direction + 1 for direction in card.classes]
        self._require_sound()

    def _require_sound(self) -> None:
        """Refuse a card at odds with itself, or whose model cannot be applied: better now than at the first row."""
        card = self.card
        n_outputs = self._model.raw(np.zeros((1, len(self._low)), np.float32)).size
        if not (np.isfinite([*self._low, *self._high, *card.prior]).all() and (self._low <= self._high).all()):
            raise ValueError(f"{card.name} {card.version} holds ranges or frequencies that are none")
        if card.config.target == "return":
            sound = n_outputs == 1 and not card.classes and card.error_bps is not None and card.error_bps > 0.0
        else:
            sound = n_outputs == len(card.classes) and set(card.classes) <= {-1, 0, 1} and card.error_bps is None
        if not sound:
            raise ValueError(
                f"{card.name} {card.version} predicts a {card.config.target}, and its model gives {n_outputs} numbers"
                f" for the classes {list(card.classes)}"
            )

    def told(self, inputs: FloatArray) -> Told | str:
        """Return what the model says of inputs ``(n_inputs,)``, NaN where not known, or why that is nothing."""
        if out := self._out_of_range(inputs):
            return out
        try:
            said = self._model.one(inputs)
        except ValueError as error:  # costs this prediction alone: whoever raised here would end a whole run
            return str(error)
        if self.card.error_bps is not None:
            (move_bps,) = said
            if not math.isfinite(move_bps):
                return f"the model gives no numbers: {said}"
            return Told(probabilities_of_move(move_bps, self.card.error_bps, self._threshold_bps), move_bps)
        probabilities = probabilities_of_classes(said, self._columns)
        return probabilities if isinstance(probabilities, str) else Told(probabilities, None)

    def rehearse(self) -> None:
        """Ask about the middle of what the model knows: what a decision costs, and nothing is learned from it."""
        self.told((self._low + self._high) / 2.0)

    def _out_of_range(self, inputs: FloatArray) -> str:
        """Which input lies farther out than the model's training data; nothing if none does.

        A model that goes on learning has no such range: what is new to it, it learns, and its scaler bounds it.
        """
        if self.learner is not None:
            return ""
        out = (inputs < self._low) | (inputs > self._high)
        if not np.count_nonzero(out):
            return ""
        at = int(out.argmax())
        name, value = self.card.config.inputs[at], inputs[at]
        return f"out of range: {name} {value:.6g} is outside {self._low[at]:.6g} to {self._high[at]:.6g}"
