"""The decisions of an ensemble's members, aligned in time as ``models/ensemble.py`` does it row by row."""

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import (
    FeatureHistory,
    Int64,
    TrainingFrame,
    all_of_stretch,
    placed_frame_of,
    stretches,
)
from quicksilver.learning.ensemble_config import lead_of
from quicksilver.learning.held_back import said_by
from quicksilver.learning.online import OnlineClassifier, prequential
from quicksilver.learning.scores import N_CLASSES
from quicksilver.models.card import Card, EnsembleCard
from quicksilver.models.combining import Combiner, Said
from quicksilver.models.row_model import model_in
from quicksilver.models.score import PrequentialScore, Probabilities


class Aligned(NamedTuple):
    """When an ensemble decides, and what its members have decided last by then.

    ``frame`` are the decisions of its lead whose outcome is known, ``n`` in order of time; ``members`` all decisions of
    each, one history after another, where an outcome may be known at ``NEVER_NS``; ``at`` ``(n, n_members)`` which of
    them is in force: the last one in the same history since a gap, unless it is older than the member's granularity;
    -1 if there is none.
    """

    lead: PredictorConfig
    frame: TrainingFrame
    members: tuple[TrainingFrame, ...]
    at: Int64


def wanted_features(configs: Sequence[PredictorConfig]) -> tuple[str, ...]:
    """Return the features that the histories of these members have to hold, in their order."""
    return tuple(dict.fromkeys(name for one in configs for name in one.features))


def columns_of(
    histories: Sequence[FeatureHistory], config: PredictorConfig, names: Sequence[str]
) -> list[FeatureHistory]:
    """Return the histories with those features alone that a predictor takes; ``names`` are those they have."""
    columns = [names.index(name) for name in config.features]
    return [history._replace(values=history.values[:, columns]) for history in histories]


def aligned(histories: Sequence[FeatureHistory], configs: Sequence[PredictorConfig], names: Sequence[str]) -> Aligned:
    """Return when an ensemble of these members decides in some histories, whose features are ``names``.

    Raises:
        InputError: it never does.
    """
    lead = configs[lead_of(configs)]
    frame, rows = placed_frame_of(columns_of(histories, lead, names), lead)
    at = np.full((frame.n, len(configs)), -1)
    members = [
        _decided(columns_of(histories, config, names), config, frame, rows, at[:, number])
        for number, config in enumerate(configs)
    ]
    return Aligned(lead, frame, tuple(members), at)


def _decided(
    histories: Sequence[FeatureHistory], config: PredictorConfig, frame: TrainingFrame, rows: Int64, at: Int64
) -> TrainingFrame:
    """A member's decisions; ``at`` is filled with those that are in force."""
    columns: list[tuple[NDArray[Any], ...]] = []
    n = 0
    for number, history in enumerate(histories):
        parts = [all_of_stretch(history, stretch, number, config) for stretch in stretches(history, config.every_ns)]
        *one, mine = (np.concatenate(column) for column in zip(*parts, strict=True))
        here = np.flatnonzero(frame.instrument == number)
        last = np.searchsorted(mine, rows[here], side="right") - 1
        said, asked, since = mine[np.maximum(last, 0)] if len(mine) else last, rows[here], np.cumsum(history.fresh)
        recent = history.ts_ns[asked] - history.ts_ns[said] <= config.every_ns
        good = (last >= 0) & recent & (since[asked] == since[said])
        at[here[good]] = n + last[good]
        columns.append(tuple(one))
        n += len(mine)
    return TrainingFrame(config.inputs, frame.instruments, *map(np.concatenate, zip(*columns, strict=True)))


def said_of(cards: Sequence[Card], found: Aligned, rows: Int64, start_ns: int) -> FloatArray:
    """Return what members say at some decisions ``(n,)`` in order of time: ``(n, n_members, 3)``, NaN for nothing.

    Members begin to decide at ``start_ns``: what they would have said before is nothing, for that they may have
    learned from. One that goes on learning does so from then on, from the outcome of each of its own decisions.
    """
    said = np.full((len(rows), len(cards), N_CLASSES), np.nan)
    for number, (card, member) in enumerate(zip(cards, found.members, strict=True)):
        at = found.at[rows, number]
        asked = np.flatnonzero(at >= 0)
        asked = asked[member.ts_ns[at[asked]] >= start_ns]
        if len(asked):
            which, back = np.unique(at[asked], return_inverse=True)
            if card.format == "online":
                each = _said_online(card, member, which, start_ns)
            else:
                each = said_by(card, model_in(card), member.inputs[which])
            said[asked, number] = each[back]
    return said


def _said_online(card: Card, member: TrainingFrame, which: Int64, start_ns: int) -> FloatArray:
    """What a member that goes on learning says at some of its decisions; it learns from those between them too."""
    until_ns = member.ts_ns[which].max()
    walked = np.flatnonzero((member.ts_ns >= start_ns) & (member.ts_ns <= until_ns))
    said = prequential(OnlineClassifier.restored(card), member.rows(walked), card.config.threshold_bps)
    return said[np.searchsorted(walked, which)]


def combined(card: EnsembleCard, found: Aligned, rows: Int64, said: FloatArray) -> FloatArray:
    """Return what an ensemble says at some decisions ``(n,)`` in order of time: ``(n, 3)``, NaN where it says nothing.

    ``said`` is what its members do. It begins without scores at the first row, of each instrument for itself.
    """
    frame = found.frame.rows(rows)
    together = np.full((frame.n, N_CLASSES), np.nan)
    for instrument in np.unique(frame.instrument):
        here = np.flatnonzero(frame.instrument == instrument)
        together[here] = _combined(card, frame.rows(here), found.lead.threshold_bps, said[here])
    return together


def _combined(card: EnsembleCard, frame: TrainingFrame, threshold_bps: float, said: FloatArray) -> FloatArray:
    """That of one instrument, decision by decision, each after the outcomes that were known by then."""
    combiner, score = Combiner(card), PrequentialScore()
    outcomes, known_ns = frame.directions(threshold_bps).tolist(), frame.known_ns.tolist()
    together = np.full((frame.n, N_CLASSES), np.nan)
    waiting: deque[tuple[int, Said, Probabilities]] = deque()
    for row, (now_ns, members) in enumerate(zip(frame.ts_ns.tolist(), said_in(said), strict=True)):
        while waiting and known_ns[waiting[0][0]] <= now_ns:
            then, entry, baseline = waiting.popleft()
            score.update(together[then], baseline, outcomes[then])
            combiner.learn(known_ns[then], entry, baseline, outcomes[then])
        found = combiner.combined(members)
        if not isinstance(found, str):
            together[row] = found
            waiting.append((row, members, score.baseline()))
    return together


def said_in(said: FloatArray) -> list[Said]:
    """Return what members say ``(n, n_members, 3)`` as a combiner takes it."""
    silent = np.isnan(said).any(axis=2).tolist()
    return [
        tuple(None if none else tuple(one) for one, none in zip(members, nothing, strict=True))
        for members, nothing in zip(said.tolist(), silent, strict=True)
    ]


def require_common(histories: Sequence[FeatureHistory], configs: Sequence[PredictorConfig]) -> list[FeatureHistory]:
    """Return the histories that all members want: those of the ensemble.

    Raises:
        InputError: there is none.
    """
    found = [one for one in histories if all(config.wants(one.venue, one.symbol) for config in configs)]
    if not found:
        there = ", ".join(f"{one.venue}:{one.symbol}" for one in histories) or "nothing"
        raise InputError(f"no instrument is one of all its members; the data hold {there}")
    return found
