"""A small sequence model of the order book, after DeepLOB, in PyTorch: convolutions, an inception block, a GRU.

Zhang, Zohren, Roberts, DeepLOB: Deep Convolutional Neural Networks for Limit Order Books, IEEE Transactions on Signal
Processing 67(11), 2019. There it reads prices and sizes of ten levels at each change of the book; here the features of
the last decisions, in which the book is summed up, and a tenth of the weights, for there is less to learn from.
Imported only where it is used: PyTorch is an extra of some gigabytes. Applied it is ONNX as all others.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import Tensor, nn

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.datasets import Int64

HELD_BACK = 0.15  # of the examples, the newest: training ends when what is said of them gets no better
Z_LIMIT = 8.0  # as the online model's: one glitch must not make a prediction certain
SLOPE = 0.01  # of the leaky rectifiers, the paper's


class Network(nn.Module):
    """Rows of inputs ``(n, n_moves + sequence * n_features)`` in, the newest decision first; logits of classes out.

    Inputs are standardised by ``means`` and ``scales``; what is not known stands for its mean.
    """

    def __init__(
        self, means: Tensor, scales: Tensor, sequence: int, n_features: int, width: int, n_classes: int
    ) -> None:
        super().__init__()
        self.sequence, self.n_features = sequence, n_features
        self.n_moves = len(means) - sequence * n_features
        self.register_buffer("means", means)
        self.register_buffer("scales", scales)
        self.features = nn.Conv1d(n_features, width, 1)  # the paper's along the levels: all of a time together
        self.times = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(2))
        self.short, self.long = (
            nn.Sequential(
                nn.Conv1d(width, width, 1), nn.LeakyReLU(SLOPE), nn.Conv1d(width, width, size, padding=size // 2)
            )
            for size in (3, 5)
        )  # fmt: skip
        self.pooled = nn.Sequential(nn.MaxPool1d(3, stride=1, padding=1), nn.Conv1d(width, width, 1))
        self.memory = nn.GRU(3 * width, 2 * width, batch_first=True)
        self.last = nn.Linear(2 * width + self.n_moves, n_classes)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the logits, ``(n, n_classes)``."""
        z = torch.where(torch.isnan(rows), self.means, rows)
        z = ((z - self.means) / self.scales).clamp(-Z_LIMIT, Z_LIMIT)
        moves, book = z[:, : self.n_moves], z[:, self.n_moves :]
        x = book.reshape(-1, self.sequence, self.n_features).flip(1).transpose(1, 2)  # the oldest first
        x = nn.functional.leaky_relu(self.features(x), SLOPE)
        for times in self.times:
            x = nn.functional.leaky_relu(times(x), SLOPE)
        x = torch.cat([nn.functional.leaky_relu(part(x), SLOPE) for part in (self.short, self.long, self.pooled)], 1)
        _, hidden = self.memory(x.transpose(1, 2))
        return self.last(torch.cat([hidden[0], moves], 1))


class DeepLob(ClassifierMixin, BaseEstimator):
    """A ``Network`` that is fitted and asked as scikit-learn's classifiers are.

    Examples are in order of time. The newest are held back, with a distance of ``apart`` examples, whose outcomes
    overlap with theirs; training ends after ``patience`` passes in which their log-loss got no better, or ``max_iter``,
    and the best weights are kept. On one thread, so that a seed gives the same weights.
    """

    def __init__(
        self, sequence: int = 1, n_features: int = 1, apart: int = 0, width: int = 16, learning_rate: float = 1e-3,
        weight_decay: float = 1e-3, batch_size: int = 128, max_iter: int = 60, patience: int = 6, random_state: int = 0,
    ) -> None:  # fmt: skip
        self.sequence, self.n_features, self.apart, self.width = sequence, n_features, apart, width
        self.learning_rate, self.weight_decay, self.batch_size = learning_rate, weight_decay, batch_size
        self.max_iter, self.patience, self.random_state = max_iter, patience, random_state

    def fit(self, inputs: FloatArray, directions: Int64) -> "DeepLob":
        """Learn from inputs ``(n, n_inputs)``, NaN where not known, and outcomes ``(n,)``; returns the model.

        Raises:
            InputError: there are too few examples to hold some back.
        """
        self.classes_, numbers = np.unique(directions, return_inverse=True)
        split = round(len(inputs) * (1.0 - HELD_BACK))
        past = split - self.apart
        if past < self.batch_size:
            raise InputError(f"{len(inputs)} examples are too few for a deeplob predictor")
        with _reproducible(self.random_state):
            x, y = torch.tensor(inputs, dtype=torch.float32), torch.tensor(numbers)
            means, scales = (torch.tensor(one, dtype=torch.float32) for one in _standards(inputs[:past]))
            self.network_ = Network(means, scales, self.sequence, self.n_features, self.width, len(self.classes_))
            self._train(x[:past], y[:past], x[split:], y[split:])
        return self

    def _train(self, x: Tensor, y: Tensor, later: Tensor, outcomes: Tensor) -> None:
        """Train until what is said of later examples gets no better; the best weights are kept."""
        network = self.network_
        loss = nn.CrossEntropyLoss()
        steps = torch.optim.AdamW(network.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        best, kept, waited = float("inf"), deepcopy(network.state_dict()), 0
        for _ in range(self.max_iter):
            network.train()
            for batch in torch.randperm(len(x)).split(self.batch_size):
                steps.zero_grad()
                loss(network(x[batch]), y[batch]).backward()
                steps.step()
            network.eval()
            with torch.no_grad():
                now = float(loss(network(later), outcomes))
            best, kept, waited = (now, deepcopy(network.state_dict()), 0) if now < best else (best, kept, waited + 1)
            if waited == self.patience:
                break
        network.load_state_dict(kept)

    def predict_proba(self, inputs: FloatArray) -> FloatArray:
        """Return the probabilities of the classes, ``(n, n_classes)``."""
        with _reproducible(self.random_state), torch.no_grad():
            said = torch.softmax(self.network_(torch.tensor(inputs, dtype=torch.float32)), 1)
        return said.numpy().astype(np.float64)

    def predict(self, inputs: FloatArray) -> Int64:
        """Return the likeliest class of each row, ``(n,)``."""
        return np.asarray(self.classes_[self.predict_proba(inputs).argmax(axis=1)])

    def to_onnx(self, opset: int) -> bytes:
        """Return the model as ONNX: rows ``(n, n_inputs)`` in, probabilities ``(n, n_classes)`` out."""
        network = nn.Sequential(self.network_, nn.Softmax(1)).eval()
        out, axes = _Written(), {"rows": {0: "n"}, "probabilities": {0: "n"}}
        with warnings.catch_warnings():
            # Of PyTorch's two exporters the older: the newer takes half a minute, needs more packages, and its graph
            # names the lines of this program and is slower. Tracing warns of branches that depend on shapes alone.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network, (torch.zeros(1, len(self.network_.means)),), out, dynamo=False, opset_version=opset,
                input_names=["rows"], output_names=["probabilities"], dynamic_axes=axes,
            )  # fmt: skip
        return bytes(out.data)


class _Written:
    """What PyTorch writes, as a file takes it: the core opens none."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        """Take bytes; returns how many."""
        self.data += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""


def _standards(inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each column's known values; 1 for a constant."""
    scales = np.nanstd(inputs, axis=0)
    return np.nanmean(inputs, axis=0), np.where(scales > 0.0, scales, 1.0)


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """One thread, a seed, and everything as it was before afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
