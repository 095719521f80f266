"""Monte Carlo of as many portfolios as one likes, in chunks that any worker may take in any order.

The answer is the same to the bit however the chunks are shared out, and on any machine: a chunk's draws depend on the
seed and its number alone, the kernels use additions, multiplications, divisions and square roots as IEEE 754 has them,
in an order that is written down here, and no library's logarithm or matrix product. Chunks are reduced to the best
portfolio in each bin of risk, and two reductions merge to one whichever comes first.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from quicksilver.compiled import aligned, jit
from quicksilver.events import FloatArray
from quicksilver.portfolio.bank import Float32

UInt32 = NDArray[np.uint32]
Int64 = NDArray[np.int64]
Keys: TypeAlias = tuple[NDArray[Any], NDArray[Any], Int64]
CHUNK = 100_000  # portfolios: some milliseconds of work, so that partitions come out even
BLOCK = 400  # portfolios drawn and evaluated at once: whole cache lines, of which thirty rows (48 kB) stay in the cache
SHAPES = 5  # laws of the mixture; blocks take them in turns
NOBODY = np.iinfo(np.int64).max


class Sweep(msgspec.Struct, frozen=True):
    """All that a worker needs: the moments, the seed and the bins.

    ``mean`` is ``(n_assets,)`` and ``root`` the lower Cholesky factor of the covariance, ``(n_assets, n_assets)``,
    both in units in which the most volatile asset has risk 1. Bins of risk reach from ``low`` to ``high``; portfolios
    above have more risk than the asset of the highest mean, and so are beaten by it.
    """

    n_portfolios: int
    seed: int
    mean: Float32
    root: Float32
    low: float
    high: float
    n_bins: int

    @property
    def n_chunks(self) -> int:
        """Return the number of chunks; the last one may be short."""
        return -(-self.n_portfolios // CHUNK)


class Best(NamedTuple):
    """The winner of each slot: the bins, then the least risk, then the highest Sharpe ratio.

    All ``(n_bins + 2,)``; a slot's winner has the highest ``first``, among equals the highest ``second``, then the
    lowest ``number``. ``NOBODY`` is the number of a slot's winner while it has none.
    """

    first: Float32
    second: Float32
    number: Int64


def nobody(n_bins: int) -> Best:
    """Return slots without winners: what merges with any reduction to that reduction."""
    worst = np.full(n_bins + 2, -np.inf, np.float32)
    return Best(worst, worst.copy(), np.full(n_bins + 2, NOBODY))


def wins(one: Keys, other: Keys) -> NDArray[np.bool_]:
    """Return in which slots ``one`` beats ``other``; both are ``first``, ``second`` and ``number`` as ``Best`` has."""
    closer = (one[1] > other[1]) | ((one[1] == other[1]) & (one[2] < other[2]))
    return (one[0] > other[0]) | ((one[0] == other[0]) & closer)


def merge(one: Best, other: Best) -> Best:
    """Return the winners of both; associative, commutative, and idempotent."""
    theirs = wins(other, one)
    return Best(
        np.where(theirs, other.first, one.first), np.where(theirs, other.second, one.second),
        np.where(theirs, other.number, one.number),
    )  # fmt: skip


def reduce_chunks(sweep: Sweep, chunks: Iterable[int]) -> Best:
    """Draw, evaluate and reduce the chunks of these numbers."""
    best = nobody(sweep.n_bins)
    block, lines = aligned((len(sweep.mean), BLOCK), np.float32), aligned((5, BLOCK), np.float32)
    for chunk in chunks:
        streams = _streams(sweep.seed, chunk)
        count = min(CHUNK, sweep.n_portfolios - chunk * CHUNK)
        _reduce_chunk(
            streams, sweep.mean, sweep.root, np.float32(sweep.low), np.float32(sweep.high), chunk * CHUNK, count, block,
            lines, *best,
        )  # fmt: skip
    return best


def weights_of(sweep: Sweep, numbers: Iterable[int]) -> FloatArray:
    """Return the portfolios of these numbers, drawn again: ``(len(numbers), n_assets)``, >= 0, rows with sum 1."""
    wanted = list(numbers)
    rows = np.empty((len(wanted), len(sweep.mean)))
    for chunk in {number // CHUNK for number in wanted}:
        within = [(i, number % CHUNK) for i, number in enumerate(wanted) if number // CHUNK == chunk]
        blocks = 1 + max(at for _, at in within) // BLOCK
        drawn = np.empty((blocks, len(sweep.mean), BLOCK), np.float32)
        _draw_blocks(_streams(sweep.seed, chunk), drawn)
        for i, at in within:
            rows[i] = drawn[at // BLOCK, :, at % BLOCK]
    return rows / rows.sum(axis=1, keepdims=True)


def _streams(seed: int, chunk: int) -> UInt32:
    """The state of ``BLOCK`` generators, which no other chunk and no other seed shares: ``(4, BLOCK)``."""
    raw = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(chunk,))).random_raw(4 * BLOCK)
    streams = aligned((4, BLOCK), np.uint32)
    streams[:] = (raw >> np.uint64(32)).reshape(4, BLOCK)
    return streams


@jit
def _exponentials(streams: UInt32, floats: Float32, ints: NDArray[np.int32], out: Float32) -> None:
    """Fill a row with draws of the exponential law; ``ints`` and ``floats`` are the same memory.

    xoshiro128++ (Blackman, Vigna, Scrambled linear pseudorandom number generators, ACM Trans. Math. Software 47(4),
    2021), one generator a lane. A draw is -ln u of u = 2^e m with m in [0.71, 1.41), and ln m = 2 artanh (m-1)/(m+1),
    whose series ends below the last place of a float32.
    """
    s0, s1, s2, s3 = streams[0], streams[1], streams[2], streams[3]
    for j in range(BLOCK):
        a, b, c, d = s0[j], s1[j], s2[j], s3[j]
        mixed = np.uint32(a + d)
        bits = np.uint32(np.uint32((mixed << np.uint32(7)) | (mixed >> np.uint32(25))) + a)
        c, d, moved = np.uint32(c ^ a), np.uint32(d ^ b), np.uint32(b << np.uint32(9))
        s1[j], s0[j], s2[j] = b ^ c, a ^ d, c ^ moved
        s3[j] = (d << np.uint32(11)) | (d >> np.uint32(21))
        floats[j] = np.float32(np.int32(bits >> np.uint32(1))) + np.float32(0.5)  # u, times 2^31
    for j in range(BLOCK):
        shifted = np.int32(ints[j] - np.int32(0x3F350000))  # the bits of 0.71: e rises there
        out[j] = np.float32(np.int32(shifted >> np.int32(23)) - np.int32(31)) * np.float32(-0.6931471805599453)
        ints[j] = np.int32(shifted & np.int32(0x7FFFFF)) + np.int32(0x3F350000)
    for j in range(BLOCK):
        s = (floats[j] - np.float32(1.0)) / (floats[j] + np.float32(1.0))
        z = s * s
        series = z * (np.float32(1 / 3) + z * (np.float32(1 / 5) + z * (np.float32(1 / 7) + z * np.float32(1 / 9))))
        out[j] = max(out[j] - np.float32(2.0) * (s + s * series), np.float32(0.0))


@jit
def _draw(streams: UInt32, shape: int, floats: Float32, ints: NDArray[np.int32], block: Float32) -> None:
    """Fill a block ``(n_assets, BLOCK)`` with weights that do not sum to 1 yet.

    Exponentials over their sum are uniform on the simplex. Their square roots stay closer to equal weight, their
    squares, fourth and eighth powers go into its faces and corners: one law alone leaves one or the other empty.
    """
    for i in range(len(block)):
        row = block[i]
        _exponentials(streams, floats, ints, row)
        if shape == 0:
            for j in range(BLOCK):
                row[j] = np.sqrt(row[j])
        for _ in range(shape - 1):
            for j in range(BLOCK):
                row[j] *= row[j]
    block[0] += np.float32(1e-30)  # a sum of nothing but zeros is no portfolio


@jit
def _draw_blocks(streams: UInt32, blocks: Float32) -> None:
    floats = np.empty(BLOCK, np.float32)
    ints = floats.view(np.int32)
    for k in range(len(blocks)):
        _draw(streams, k % SHAPES, floats, ints, blocks[k])


@jit
def _evaluate(block: Float32, mean: Float32, root: Float32, lines: Float32, means: Float32, risks: Float32) -> None:
    """Means and risks of one block; the variance x'LL'x is the sum of squares of the rows of L'x.

    Each row of L'x is divided by what the weights sum to before it is squared: as they are, squares may be too small.
    """
    n_assets, share, one, other = len(block), lines[0], lines[1], lines[2]
    share[:] = np.float32(0.0)
    means[:] = np.float32(0.0)
    for i in range(0, n_assets - 1, 2):
        x, y, a, b = block[i], block[i + 1], mean[i], mean[i + 1]
        for j in range(BLOCK):
            share[j] += x[j] + y[j]
            means[j] += a * x[j] + b * y[j]
    if n_assets % 2:
        x, a = block[n_assets - 1], mean[n_assets - 1]
        for j in range(BLOCK):
            share[j] += x[j]
            means[j] += a * x[j]
    for j in range(BLOCK):
        share[j] = np.float32(1.0) / share[j]
        means[j] *= share[j]
    risks[:] = np.float32(0.0)
    for k in range(0, n_assets - 1, 2):
        _two_rows(block, root, k, one, other)
        for j in range(BLOCK):
            x_k, y_k = one[j] * share[j], other[j] * share[j]
            risks[j] += x_k * x_k + y_k * y_k
    if n_assets % 2:
        x, own = block[n_assets - 1], root[n_assets - 1, n_assets - 1]
        for j in range(BLOCK):
            x_k = own * x[j] * share[j]
            risks[j] += x_k * x_k
    for j in range(BLOCK):
        risks[j] = np.sqrt(risks[j])


@jit
def _two_rows(block: Float32, root: Float32, k: int, one: Float32, other: Float32) -> None:
    """Two rows of L'x, four assets at a time: what is loaded serves twice, sums are stored a fourth as often."""
    one[:] = np.float32(0.0)
    other[:] = np.float32(0.0)
    n_assets, i = len(block), k
    while i + 4 <= n_assets:
        a, b, c, d = root[i, k], root[i + 1, k], root[i + 2, k], root[i + 3, k]
        p, q, r, s = root[i, k + 1], root[i + 1, k + 1], root[i + 2, k + 1], root[i + 3, k + 1]
        w, x, y, z = block[i], block[i + 1], block[i + 2], block[i + 3]
        for j in range(BLOCK):
            one[j] += (a * w[j] + b * x[j]) + (c * y[j] + d * z[j])
            other[j] += (p * w[j] + q * x[j]) + (r * y[j] + s * z[j])
        i += 4
    while i < n_assets:
        a, p, w = root[i, k], root[i, k + 1], block[i]
        for j in range(BLOCK):
            one[j] += a * w[j]
            other[j] += p * w[j]
        i += 1


@jit
def _reduce_chunk(
    streams: UInt32, mean: Float32, root: Float32, low: np.float32, high: np.float32, start: int, count: int,
    block: Float32, lines: Float32, first: Float32, second: Float32, number: Int64,
) -> None:  # fmt: skip
    n_bins = len(first) - 2
    floats, means, risks = lines[0], lines[3], lines[4]
    ints = floats.view(np.int32)
    scale = np.float32(n_bins) / (high - low) if high > low else np.float32(0.0)
    for k in range(-(-count // BLOCK)):
        _draw(streams, k % SHAPES, floats, ints, block)
        _evaluate(block, mean, root, lines, means, risks)
        for j in range(min(BLOCK, count - k * BLOCK)):
            here, expected, risk = start + k * BLOCK + j, means[j], risks[j]
            at = min(max(int((risk - low) * scale), 0), n_bins - 1)
            if expected >= first[at] and risk <= high:  # asked here: most do not, and a call takes long
                _enter(at, expected, -risk, here, first, second, number)
            if -risk >= first[n_bins]:
                _enter(n_bins, -risk, expected, here, first, second, number)
            ratio = expected / risk
            if ratio >= first[n_bins + 1]:
                _enter(n_bins + 1, ratio, -risk, here, first, second, number)


@jit
def _enter(
    slot: int, one: np.float32, other: np.float32, here: int, first: Float32, second: Float32, number: Int64
) -> None:
    """Take the slot from its holder, if nobody better holds it; ``one`` is no worse than the holder's."""
    if one > first[slot] or other > second[slot] or (other == second[slot] and here < number[slot]):
        first[slot], second[slot], number[slot] = one, other, here
