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
