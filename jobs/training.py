"""Training of one predictor: histories in, a version in the registry out."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from jobs.choices import Span
from jobs.gathering import Gathered
from jobs.program import code_digest
from jobs.registry import Registry
from jobs.tries import TriesFile, Try, id_of_card
from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import FeatureHistory, frame_of
from quicksilver.learning.deflated import deflated_tracks
from quicksilver.learning.ensemble_config import EnsembleConfig
from quicksilver.learning.ensembles import require_walkable
from quicksilver.learning.entry import Entry
from quicksilver.learning.material import features_of
from quicksilver.learning.results import Track
from quicksilver.learning.tasks import EnsembleTask, Task, Trained
from quicksilver.learning.usable import require_trainable


class Tries(NamedTuple):
    """How many configurations were tried, and what is known of each one's profits."""

    n: int
    tracks: list[Track | None]

    def deflated(self, track: Track | None) -> float | None:
        """Return the deflated score of one of them; None if it is the only one, or never risked anything."""
        if self.n == 1 or track is None:
            return None
        return deflated_tracks([track, *(one for one in self.tracks if one != track)], self.n)[0]


@contextmanager
def naming(name: str, kind: str = "predictor") -> Iterator[None]:
    """Let what cannot be used say which predictor or ensemble it is about.

    Raises:
        InputError: so it does.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{kind} {name}: {str(error).removeprefix(f'{kind} {name}: ')}") from error


def task_of(name: str, config: PredictorConfig, histories: Sequence[FeatureHistory]) -> Task:
    """Return what there is to do for a predictor, once it is sure that it can be done.

    Raises:
        InputError: the configuration or the data cannot be used.
    """
    with naming(name):
        frame = frame_of(histories, config)
        require_trainable(frame, config)
    return Task(name, config, frame, code_digest())


def ensemble_task_of(
    name: str, config: EnsembleConfig, predictors: Mapping[str, PredictorConfig], data: Gathered, span: Span
) -> EnsembleTask:
    """Return what there is to do for an ensemble of some of the predictors.

    Raises:
        InputError: the members cannot be together, no instrument is all of theirs, or the data cannot be learned from.
    """
    with naming(name, "ensemble"):
        task = EnsembleTask(
            name, config, dict(predictors), tuple(data.within(span, features_of(config, predictors))), code_digest()
        )
        require_walkable(task.material())
    return task


def entries_of(made: Sequence[Trained], registry: Registry) -> list[tuple[Entry, Tries]]:
    """Return what the registry is to keep of each, and the configurations that were tried, these included.

    Those that were trained together are tries of one another. That they were tried is kept already, whatever becomes
    of them.

    Raises:
        InputError: that cannot be written.
    """
    file = tries_of(registry)
    file.add([Try(id_of_card(one.card), one.card.data, one.instruments, one.validation.track) for one in made])
    entries = [Entry(one.card, one.validation, instruments=one.instruments, n_examples=one.n_examples) for one in made]
    return [counted(one, file) for one in entries]


def tries_of(registry: Registry) -> TriesFile:
    """Return the tries that are kept beside a registry."""
    return TriesFile(registry.folder)


def counted(entry: Entry, file: TriesFile) -> tuple[Entry, Tries]:
    """Return a version with the number of configurations that have been tried by now, and those, its own among them.

    These are all that were ever judged on one of its instruments. The same configuration trained again on other data is
    not another try: nobody chose between the two. There are no fewer than when it was kept. No version is read for
    it: there may be thousands.

    Raises:
        InputError: the tries cannot be read.
    """
    of = {**file.on(entry.instruments), id_of_card(entry.card): entry.validation.track}
    found = Tries(max(entry.tried, len(of)), list(of.values()))
    return msgspec.structs.replace(entry, tried=found.n), found
