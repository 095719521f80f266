"""A bank of random portfolios, drawn once and re-evaluated at each update.

Speed: weights lie transposed in blocks of 1024 portfolios, ``(n_blocks, n_assets, 1024)`` float32, which stay in the
second-level cache. A covariance is symmetric, so half of it does, and the products of a block's weights with it are
never written out. Measured for 100,000 x 30 beside the bare float32 product: see ``make bench``.
"""

from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quicksilver.compiled import aligned, jit_sums
from quicksilver.events import FloatArray
from quicksilver.portfolio.sampling import CONCENTRATIONS, begin_with_corners, dirichlet

Float32 = NDArray[np.float32]
BLOCK = 1024


def draw(n_portfolios: int, n_assets: int, seed: int) -> Float32:
    """Draw ``(n_portfolios, n_assets)`` weights, each row >= 0 with sum 1, the same for the same seed.

    A mixture of symmetric Dirichlet laws: one alone leaves the corners or the middle of the simplex empty. The first
    rows are the corners themselves and equal weight.
    """
    return np.concatenate([_drawn(n_assets, seed, i) for i in range(-(-n_portfolios // BLOCK))])[:n_portfolios]


def _drawn(n_assets: int, seed: int, block: int) -> Float32:
    """One block's portfolios ``(BLOCK, n_assets)``, of all laws in turn; what other blocks have does not matter."""
    laws = np.resize(CONCENTRATIONS, BLOCK)
    weights = dirichlet(laws, n_assets, np.random.default_rng([seed, 7, block]))
    begin_with_corners(weights, block * BLOCK)
    return weights.astype(np.float32)


class Draws:
    """Portfolios of the whole simplex, as ``draw`` has them, drawn as far as they are asked for.

    ``blocks`` is ``(n_blocks, n_assets, BLOCK)``; what is not drawn yet is 0.
    """

    def __init__(self, n_portfolios: int, n_assets: int, seed: int) -> None:
        self.blocks: Float32 = aligned((-(-n_portfolios // BLOCK), n_assets, BLOCK), np.float32)
        self._n_assets, self._seed, self._ready = n_assets, seed, 0

    def have(self, n_portfolios: int) -> None:
        """Draw until there are so many."""
        while self._ready * BLOCK < n_portfolios:
            self.blocks[self._ready] = _drawn(self._n_assets, self._seed, self._ready).T
            self._ready += 1


@lru_cache(maxsize=4)  # of 100,000 portfolios of 30 assets each takes 12 MB
def draws(n_portfolios: int, n_assets: int, seed: int) -> Draws:
    """Return the draws that all banks of these numbers share; nobody may write to them."""
    return Draws(n_portfolios, n_assets, seed)


@jit_sums
def _evaluate(
    blocks: Float32, doubled: Float32, mean: Float32, scale: np.float32, lines: Float32, means: Float32, risks: Float32
) -> None:
    """Means and risks of all blocks' portfolios, times ``scale``; ``doubled`` is ``_doubled`` of the covariance."""
    n_assets = blocks.shape[1]
    one, other, variance, expected = lines[0], lines[1], lines[2], lines[3]
    for b in range(len(blocks)):
        block = blocks[b]
        variance[:], expected[:] = np.float32(0.0), np.float32(0.0)
        for i in range(0, n_assets - 1, 2):
            x, y = block[i], block[i + 1]
            _two_rows(block, doubled, i, one, other)
            for j in range(BLOCK):
                variance[j] += one[j] * x[j] + other[j] * y[j]
                expected[j] += mean[i] * x[j] + mean[i + 1] * y[j]
        if n_assets % 2:
            x, own, last = block[n_assets - 1], doubled[n_assets - 1, n_assets - 1], mean[n_assets - 1]
            for j in range(BLOCK):
                variance[j] += own * x[j] * x[j]
                expected[j] += last * x[j]
        start = b * BLOCK
        for j in range(min(BLOCK, len(means) - start)):
            risks[start + j] = np.sqrt(max(variance[j], np.float32(0.0))) * scale
            means[start + j] = expected[j] * scale


@jit_sums
def _two_rows(block: Float32, doubled: Float32, i: int, one: Float32, other: Float32) -> None:
    """Two rows of ``doubled @ block`` right of the diagonal, four assets at a time: what is loaded serves twice."""
    x, y, n_assets = block[i], block[i + 1], len(block)
    for j in range(BLOCK):
        one[j] = doubled[i, i] * x[j] + doubled[i, i + 1] * y[j]
        other[j] = doubled[i + 1, i + 1] * y[j]
    k = i + 2
    while k + 4 <= n_assets:
        a, b, c, d = doubled[i, k], doubled[i, k + 1], doubled[i, k + 2], doubled[i, k + 3]
        p, q, r, s = doubled[i + 1, k], doubled[i + 1, k + 1], doubled[i + 1, k + 2], doubled[i + 1, k + 3]
        v, w, x, y = block[k], block[k + 1], block[k + 2], block[k + 3]
        for j in range(BLOCK):
            one[j] += a * v[j] + b * w[j] + c * x[j] + d * y[j]
            other[j] += p * v[j] + q * w[j] + r * x[j] + s * y[j]
        k += 4
    while k < n_assets:
        a, p, v = doubled[i, k], doubled[i + 1, k], block[k]
        for j in range(BLOCK):
            one[j] += a * v[j]
            other[j] += p * v[j]
        k += 1


def _doubled(covariance: FloatArray) -> Float32:
    """The triangle ``U`` with ``x'Ux = x'Cx``: half of the multiplications."""
    return (2.0 * np.triu(covariance, 1) + np.diag(np.diag(covariance))).astype(np.float32)


class PortfolioBank:
    """Up to ``n_portfolios`` weight vectors over ``n_assets`` assets, drawn from the whole simplex.

    Those of the same numbers are drawn once for all banks. All are there from the first, or as ``gradual``, none is
    until ``more`` asks for it.
    """

    def __init__(self, n_portfolios: int, n_assets: int, seed: int, *, gradual: bool = False) -> None:
        self._shared: Draws | None = draws(n_portfolios, n_assets, seed)
        self._reserve(n_portfolios, self._shared.blocks)
        if not gradual:
            self.more(n_portfolios)

    @classmethod
    def empty(cls, capacity: int, n_assets: int) -> Self:
        """Return a bank with room for ``capacity`` portfolios, which ``add`` puts in."""
        bank = cls.__new__(cls)
        bank._shared = None
        bank._reserve(capacity, aligned((-(-capacity // BLOCK), n_assets, BLOCK), np.float32))
        return bank

    def _reserve(self, capacity: int, blocks: Float32) -> None:
        self.n_portfolios = 0
        self._blocks = blocks
        self._lines: Float32 = aligned((4, BLOCK), np.float32)
        self._means = np.empty(capacity, np.float32)
        self._risks = np.empty(capacity, np.float32)

    def more(self, n: int) -> None:
        """Draw up to ``n`` more, as far as there is room; not in a bank that ``add`` fills."""
        if self._shared is not None:
            self.n_portfolios = min(self.n_portfolios + n, len(self._means))
            self._shared.have(self.n_portfolios)

    def add(self, weights: Float32 | FloatArray) -> None:
        """Put in more portfolios ``(n, n_assets)``, no more than there is room for."""
        done = 0
        while done < len(weights):
            block, at = divmod(self.n_portfolios, BLOCK)
            part = weights[done : done + BLOCK - at]
            self._blocks[block, :, at : at + len(part)] = part.T
            self.n_portfolios += len(part)
            done += len(part)

    def weights(self, index: int | list[int]) -> FloatArray:
        """Return the weights of one portfolio, ``(n_assets,)``, or of several, ``(n, n_assets)``; each sums to 1."""
        block, at = np.divmod(index, BLOCK)
        rows = np.ascontiguousarray(self._blocks[block, :, at], np.float64)
        return rows / rows.sum(axis=-1, keepdims=True)

    def evaluate(self, mean: FloatArray, covariance: FloatArray) -> tuple[Float32, Float32]:
        """Return all means and risks (standard deviations), each ``(n_portfolios,)``, valid until the next call.

        float32 is for ranking: inputs are scaled first, so tiny and huge returns keep their precision.
        """
        scale = float(np.sqrt(np.max(np.diag(covariance)))) or 1.0
        means, risks = self._means[: self.n_portfolios], self._risks[: self.n_portfolios]
        blocks = self._blocks[: -(-self.n_portfolios // BLOCK)]
        doubled, single = _doubled(covariance / scale**2), (mean / scale).astype(np.float32)
        _evaluate(blocks, doubled, single, np.float32(scale), self._lines, means, risks)
        return means, risks
