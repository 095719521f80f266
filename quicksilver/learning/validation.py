"""The scores of a walk: each measure of all who were judged, with its intervals, by the same resampled blocks."""

from collections.abc import Mapping

import msgspec
import numpy as np

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.datasets import Int64
from quicksilver.learning.deflated import track_of
from quicksilver.learning.results import MAJORITY, MODEL, Interval, Spread, Validation
from quicksilver.learning.scores import (
    MEASURES,
    N_CLASSES,
    RANGES,
    Decisions,
    Measure,
    block_length,
    blocks_of,
    bounds_of,
    clipped,
    influence,
    sampled,
)
from quicksilver.learning.walking import Walk

DAY_NS = 86_400_000_000_000


def validated(walked: Walk, seed: int) -> Validation:
    """Return the scores of a walk with their intervals.

    Raises:
        InputError: so little could be judged that nothing is known of what it varies by.
    """
    model = walked.judged[MODEL]
    parts = {who: one.parts() for who, one in walked.judged.items()}
    length = _block_length(parts, walked.overlap)
    folds, n = len(np.unique(model.fold)), len(model.outcomes)
    scores, better, spreads = _scores(parts, model.fold, length, seed)
    spreads = {name: _bounded(name, one, model) for name, one in spreads.items()}
    scores[MODEL] = {name: _unknown(one, spreads.get(name)) for name, one in scores[MODEL].items()}
    start_ns, end_ns = int(walked.ts_ns[0]), int(walked.ts_ns[-1])
    confusion = parts[MODEL][:, : N_CLASSES**2].sum(axis=0).reshape(N_CLASSES, N_CLASSES).astype(np.int64).tolist()
    matrix = tuple(tuple(row) for row in confusion)
    blocks = blocks_of(parts[MODEL], model.fold, length)
    track = track_of(blocks[:, -1], (end_ns - start_ns) / DAY_NS)
    spread_bps = model.spread_bps[~np.isnan(model.spread_bps)]
    return Validation(
        n, folds, length, start_ns, end_ns, scores, better, matrix, track, walked.flagged,
        float(spread_bps.mean()) if len(spread_bps) else None, n - len(spread_bps), spreads,
    )  # fmt: skip


def _bounded(name: str, spread: Spread, model: Decisions) -> Spread:
    """What a measure varies by; one that never did, for no move was ever said, may become anything that it can be."""
    return spread if spread.varies else msgspec.structs.replace(spread, bounds=bounds_of(name, model))


def _unknown(interval: Interval, spread: Spread | None) -> Interval:
    """The interval, of a measure that has never varied as far as it can be."""
    if spread is None or spread.bounds is None:
        return interval
    low, high = spread.bounds
    return msgspec.structs.replace(interval, low=low, high=high)


def _block_length(parts: Mapping[str, FloatArray], overlap: int) -> int:
    """How many decisions in a row are resampled together: as many as the measure needs that needs most.

    Each has a dependence of its own (losses cluster where hits do not), and so has its difference from the majority's.
    """
    series = []
    for measure in MEASURES.values():
        own, majority = (influence(measure, parts[who]) for who in (MODEL, MAJORITY))
        series += [own, own - majority]
    return max(block_length(one, overlap) for one in series)


def _scores(
    parts: dict[str, FloatArray], fold: Int64, length: int, seed: int
) -> tuple[dict[str, dict[str, Interval]], dict[str, Interval], dict[str, Spread]]:
    """Everybody's scores, how much the model's are above the majority's, and what they vary by.

    All are of the same resampled blocks.
    """
    width = parts[MODEL].shape[1]
    columns = {who: slice(place * width, (place + 1) * width) for place, who in enumerate(parts)}
    measures = [_of(measure, columns[who]) for who in parts for measure in MEASURES.values()]
    measures += [_difference(measure, columns[MODEL], columns[MAJORITY]) for measure in MEASURES.values()]
    found = iter(sampled(np.hstack(list(parts.values())), fold, measures, length, seed))
    all_of_them = {who: {name: next(found) for name in MEASURES} for who in parts}
    spreads = {name: one.spread for name, one in all_of_them[MODEL].items() if one.spread is not None}
    if not spreads:
        raise InputError(f"{len(fold)} decisions could be judged: too few for an interval")
    scores = {
        who: {name: clipped(one.interval, *RANGES[name]) for name, one in some.items()}
        for who, some in all_of_them.items()
    }
    reach = {name: high - low for name, (low, high) in RANGES.items()}
    better = {name: clipped(next(found).interval, -reach[name], reach[name]) for name in MEASURES}
    return scores, better, spreads


def _of(measure: Measure, columns: slice) -> Measure:
    """A measure of some columns."""
    return lambda mean: measure(mean[..., columns])


def _difference(measure: Measure, columns: slice, less: slice) -> Measure:
    """A measure of some columns less that of others."""
    return lambda mean: measure(mean[..., columns]) - measure(mean[..., less])
