"""A model that was trained elsewhere, applied: softmax regression on standardised features."""

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.models.score import Probabilities
from quicksilver.records import Features, Model

Z_LIMIT = 8.0  # as the online model's: one glitch must not make a prediction certain


class TrainedModel:
    """Applies a ``Model`` to feature vectors.

    Raises:
        ValueError: the record is at odds with itself, or names features that do not exist.
    """

    def __init__(self, record: Model) -> None:
        self.record = record
        unknown = [name for name in record.features if name not in Features.__struct_fields__]
        if unknown:
            raise ValueError(f"model {record.model} {record.version} names a feature {unknown[0]!r} that is none")
        n = len(record.features)
        self._heads = {}
        for head in record.heads:
            arrays = [np.array(one) for one in (head.means, head.scales, head.weights, head.intercepts)]
            if [one.shape for one in arrays] != [(n,), (n,), (3, n), (3,)]:
                raise ValueError(f"model {record.model} {record.version} is not of {n} features and three classes")
            if not all(np.isfinite(one).all() for one in arrays) or not (arrays[1] > 0).all():
                raise ValueError(f"model {record.model} {record.version} holds numbers that cannot be computed with")
            self._heads[head.horizon_ns] = arrays

    def inputs(self, row: Features) -> FloatArray:
        """Return the features that the model reads, ``(n_features,)``, NaN where not known."""
        values = [getattr(row, name) for name in self.record.features]
        return np.array([np.nan if value is None else value for value in values])

    def predict(self, horizon_ns: int, inputs: FloatArray) -> Probabilities | None:
        """Return the probabilities of down, flat and up; None for a horizon that it was not trained for."""
        head = self._heads.get(horizon_ns)
        if head is None:
            return None
        means, scales, weights, intercepts = head
        z = np.clip(np.nan_to_num((inputs - means) / scales, nan=0.0), -Z_LIMIT, Z_LIMIT)
        # Not by BLAS: its sums differ from machine to machine in the last bit.
        logits = (weights * z).sum(axis=1) + intercepts
        odds = np.exp(logits - logits.max())
        down, flat, up = (odds / odds.sum()).tolist()
        return down, flat, up
