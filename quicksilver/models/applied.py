"""A trained model applied: ONNX bytes in, numbers out, the same in every runner."""

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as failure

from quicksilver.events import FloatArray

BROKEN = (
    failure.InvalidProtobuf, failure.InvalidGraph, failure.InvalidArgument, failure.Fail, failure.NotImplemented,
    failure.NoSuchFile, failure.RuntimeException,
)  # fmt: skip


class AppliedModel:
    """Applies an ONNX model to rows of inputs, on the calling thread alone.

    Raises:
        ValueError: the bytes are no model, or one that takes something else than a row of numbers.
    """

    def __init__(self, data: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong is raised
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except BROKEN as error:
            raise ValueError(f"not a model that can be read: {error}") from error
        takes = self._session.get_inputs()
        if len(takes) != 1 or takes[0].type != "tensor(float)" or len(takes[0].shape) != 2:
            raise ValueError("the model takes something else than rows of numbers")
        self._input = takes[0].name
        self._output = self._session.get_outputs()[-1].name  # a classifier gives the class first
        self._n_inputs: int = takes[0].shape[1]
        self._single: _Single | None = None

    @property
    def n_inputs(self) -> int:
        """How many inputs it takes."""
        return self._n_inputs

    def raw(self, rows: NDArray[np.float32]) -> FloatArray:
        """Return what the model says of rows ``(n, n_inputs)``: ``(n, n_outputs)``.

        Raises:
            ValueError: the rows are not as long as the model's.
        """
        try:
            (found,) = self._session.run([self._output], {self._input: rows})
        except BROKEN as error:
            raise ValueError(f"the model cannot be applied: {error}") from error
        return np.asarray(found, np.float64)

    def one(self, row: FloatArray) -> list[float]:
        """Return what ``raw`` says of one row ``(n_inputs,)``, to the bit: ``n_outputs`` numbers.

        Raises:
            ValueError: the row is not as long as the model's.
        """
        if len(row) != self._n_inputs:
            raise ValueError(f"the model cannot be applied: it takes {self._n_inputs} inputs, not {len(row)}")
        if self._single is None:
            n_outputs = self.raw(row.astype(np.float32)[None]).shape[1]
            self._single = _Single(self._session, (self._input, self._n_inputs), (self._output, n_outputs))
        return self._single.applied(row)


class _Single:
    """One row at a time, in memory that the session holds on to: half of a small model's time goes into handing over.

    ``takes`` and ``gives`` are the names and widths of the input and the output.
    """

    def __init__(self, session: onnxruntime.InferenceSession, takes: tuple[str, int], gives: tuple[str, int]) -> None:
        self._session = session
        self._row, self._found = np.zeros((1, takes[1]), np.float32), np.zeros((1, gives[1]), np.float32)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(takes[0], onnxruntime.OrtValue.ortvalue_from_numpy(self._row))
        self._binding.bind_ortvalue_output(gives[0], onnxruntime.OrtValue.ortvalue_from_numpy(self._found))

    def applied(self, row: FloatArray) -> list[float]:
        self._row[0] = row
        try:
            self._session.run_with_iobinding(self._binding)
        except BROKEN as error:
            raise ValueError(f"the model cannot be applied: {error}") from error
        found: list[float] = self._found[0].tolist()
        return found
