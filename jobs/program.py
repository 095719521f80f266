"""What tells this program from all others: results of another are not its own."""

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of_library
from pathlib import Path

import msgspec

from quicksilver import learning, models

LIBRARIES = ("arch", "numpy", "onnx", "onnxruntime", "river", "scikit-learn", "scipy", "skl2onnx", "torch")


@cache
def code_digest() -> str:
    """Return what tells this program, and the libraries that make its models, from all others."""
    state = hashlib.sha256(msgspec.json.encode([_version_of(name) for name in LIBRARIES]))
    for package in (learning, models):
        for path in sorted(Path(*package.__path__).glob("*.py")):
            state.update(path.read_bytes())
    return state.hexdigest()[:12]


def _version_of(library: str) -> str | None:
    """The version of a library; None without it: PyTorch is an extra."""
    try:
        return version_of_library(library)
    except PackageNotFoundError:
        return None
