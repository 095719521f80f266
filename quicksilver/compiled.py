"""How kernels are compiled: with numba, once, and kept on disk."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numba import config, njit
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
LINE = 64  # bytes: of a cache line, and of the widest registers
_ROOT = Path(__file__).resolve().parents[1]


def _kernel_digest() -> str:
    """Digest of every file that holds kernels.

    Numba looks at a kernel's own file only, and would go on using one that has an old copy of a kernel of another file
    compiled into it: after an update that would be a wrong number and no error.
    """
    digest = hashlib.sha256()
    for package in ("producers", "quicksilver"):
        for path in sorted((_ROOT / package).rglob("*.py")):
            text = path.read_bytes()
            if b"@jit" in text:
                digest.update(text)
    return digest.hexdigest()[:16]


_NUMBA: dict[str, Any] = vars(config)
_CACHE = str(Path(_NUMBA["CACHE_DIR"] or _ROOT / "build") / f"kernels-{_kernel_digest()}")


def jit(function: F) -> F:
    """Compile a kernel: no Python objects, the lock released, floats divide as in C.

    It is kept under ``build`` (or ``NUMBA_CACHE_DIR``; where neither can be written, where numba likes).
    """
    return _compiled(function)


def jit_sums(function: F) -> F:
    """Compile a kernel of dot products, as ``jit`` does: sums may be taken in any order, several terms at once.

    Last digits differ from machine to machine, as those of a library's matrix product do.
    """
    return _compiled(function, fastmath={"reassoc", "contract"})


def jit_lean(function: F) -> F:
    """Compile a kernel that makes no array, as ``jit`` does, but for numba's counting of who holds which array.

    A kernel that goes through text calls another for each word of it, and each call would count the text's holders
    twice, by atomic operations, for longer than it takes to read the word. A kernel that makes an array after all does
    not compile.
    """
    return _compiled(function, _nrt=False)


def aligned(shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Return zeros whose first byte is the first of a cache line, for kernels whose rows are of whole lines.

    numpy aligns to 16 bytes: then each load of the widest registers, which are as long as a line, is one of two lines.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size].view(dtype).reshape(shape)


def _compiled(function: F, **options: Any) -> F:
    before, _NUMBA["CACHE_DIR"] = _NUMBA["CACHE_DIR"], _CACHE
    try:
        compiled: Any = njit(cache=True, nogil=True, error_model="numpy", **options)(function)
        return compiled
    finally:
        _NUMBA["CACHE_DIR"] = before
