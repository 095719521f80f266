"""What an ensemble is made of: its members' data, and the members as they would have been made at some time."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.aligned import Aligned, aligned, columns_of, require_common, wanted_features
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import NEVER_NS, Bools, FeatureHistory, Int64, TrainingFrame, frame_of, newest
from quicksilver.learning.ensemble_config import EnsembleConfig
from quicksilver.learning.training import trained
from quicksilver.learning.usable import learned_from, require_usable
from quicksilver.models.card import Card


class Material(NamedTuple):
    """What an ensemble is made of: each member's frame of all the time there is, and their decisions, aligned."""

    name: str
    config: EnsembleConfig
    configs: tuple[PredictorConfig, ...]
    frames: tuple[TrainingFrame, ...]
    found: Aligned
    code: str

    @property
    def lead(self) -> PredictorConfig:
        """The member that sets when to decide."""
        return self.found.lead

    def past_of(self, number: int, before_ns: int | None) -> TrainingFrame:
        """Return what a member may learn from, for use from then on: what was known before, less an embargo."""
        frame, config = self.frames[number], self.configs[number]
        if before_ns is not None:
            frame = frame.rows(frame.known_ns < before_ns - config.horizon_ns)
        return newest(frame, config.minutes_back)

    def lacking(self, before_ns: int) -> str:
        """Return why a member cannot learn from what was known then, and which; "" if all can."""
        for number, (member, config) in enumerate(zip(self.config.members, self.configs, strict=True)):
            try:
                require_usable(learned_from(self.past_of(number, before_ns), config), config)
            except InputError as error:
                return f"member {member.predictor}: {error}"
        return ""

    def of(self, histories: Sequence[FeatureHistory]) -> "Material":
        """Return the same ensemble's material of other histories, which hold the same features.

        Raises:
            InputError: its members never decide in them.
        """
        return _made(self.name, self.config, self.configs, histories, self.code)

    def shuffled(self, seed: int) -> "Material":
        """Return the same with the outcomes of other decisions: a check for leaks, for there is nothing to learn.

        A decision at the same time has the same outcome in the frames of all members: who knows one knows the others.
        """
        frames = (self.found.frame, *self.frames, *self.found.members)
        known = [frame.known_ns < NEVER_NS for frame in frames]
        names = sorted({name for frame in frames for name in frame.instruments})
        places = [_places(frame, mask, names) for frame, mask in zip(frames, known, strict=True)]
        _, first, which = np.unique(np.concatenate(places), axis=0, return_index=True, return_inverse=True)
        moves = np.concatenate([frame.move_bps[mask] for frame, mask in zip(frames, known, strict=True)])[first]
        again = np.random.default_rng(seed).permutation(moves)[which.ravel()]
        parts = np.split(again, np.cumsum([np.count_nonzero(mask) for mask in known])[:-1])
        lead, *others = map(_moved, frames, known, parts)
        alone, members = tuple(others[: len(self.frames)]), tuple(others[len(self.frames) :])
        return self._replace(frames=alone, found=self.found._replace(frame=lead, members=members))


def _places(frame: TrainingFrame, which: Bools, names: Sequence[str]) -> Int64:
    """Instrument and time of some decisions, ``(n, 2)``; ``names`` are the instruments of all frames."""
    instruments = np.array([names.index(name) for name in frame.instruments])
    return np.column_stack([instruments[frame.instrument[which]], frame.ts_ns[which]])


def _moved(frame: TrainingFrame, which: Bools, move_bps: FloatArray) -> TrainingFrame:
    moves = frame.move_bps.copy()
    moves[which] = move_bps
    return frame._replace(move_bps=moves)


def features_of(config: EnsembleConfig, predictors: Mapping[str, PredictorConfig]) -> tuple[str, ...]:
    """Return the features that an ensemble's histories have to hold.

    Raises:
        InputError: the members cannot be together.
    """
    return wanted_features(_configs("", config, predictors))


def _configs(
    name: str, config: EnsembleConfig, predictors: Mapping[str, PredictorConfig]
) -> tuple[PredictorConfig, ...]:
    try:
        return config.of(predictors)
    except ValueError as error:
        raise InputError(f"ensemble {name}: {error}") from error


def material_of(
    name: str,
    config: EnsembleConfig,
    predictors: Mapping[str, PredictorConfig],
    histories: Sequence[FeatureHistory],
    code: str,
) -> Material:
    """Return what an ensemble is made of; ``histories`` hold the features ``features_of(config, predictors)``.

    Raises:
        InputError: the members cannot be together, or never decide.
        ValueError: the histories hold other features.
    """
    configs = _configs(name, config, predictors)
    return _made(name, config, configs, histories, code)


def _made(
    name: str,
    config: EnsembleConfig,
    configs: tuple[PredictorConfig, ...],
    histories: Sequence[FeatureHistory],
    code: str,
) -> Material:
    names = wanted_features(configs)
    if any(one.values.shape[1] != len(names) for one in histories):
        raise ValueError(f"the histories of ensemble {name} have to hold the features {names}")
    try:
        found = aligned(require_common(histories, configs), configs, names)
        frames = tuple(_frame(histories, one, names) for one in configs)
    except InputError as error:
        raise InputError(f"ensemble {name}: {error}") from error
    return Material(name, config, configs, frames, found, code)


def _frame(histories: Sequence[FeatureHistory], config: PredictorConfig, names: Sequence[str]) -> TrainingFrame:
    wanted = [one for one in histories if config.wants(one.venue, one.symbol)]
    return frame_of(columns_of(wanted, config, names), config)


def members_before(material: Material, before_ns: int | None) -> tuple[Card, ...]:
    """Return the members as they would have been made then; None: of all there is.

    Raises:
        InputError: one cannot learn from its data.
    """
    cards = []
    for number, (member, config) in enumerate(zip(material.config.members, material.configs, strict=True)):
        try:
            cards.append(trained(member.predictor, material.past_of(number, before_ns), config, material.code))
        except InputError as error:
            raise InputError(f"ensemble {material.name}, member {member.predictor}: {error}") from error
    return tuple(cards)
