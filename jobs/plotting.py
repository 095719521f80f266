"""What ``quicksilver plot`` does: configurations, versions of the registry and live scores to pictures on disk."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from api.store_sqlite import SqliteReader
from jobs.choices import Span
from jobs.feature_histories import ALL_ROWS, CASSANDRA, stored_in_cassandra
from jobs.gathering import Gathered, gathered
from jobs.pictures.applied import Applied
from jobs.pictures.ensembles import AppliedEnsemble, TrainedEnsemble
from jobs.pictures.study import Study, TrainedPredictor
from jobs.pictures.write import BOUNDARIES, write_grid, write_live, write_picture
from jobs.predictor_choice import chosen
from jobs.registry import Registry
from jobs.training import naming
from jobs.tries import TriesFile
from producers.exchanges.base import Reject
from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.config_file import Predictors
from quicksilver.learning.datasets import frame_of
from quicksilver.learning.ensemble_config import EnsembleConfig
from quicksilver.learning.material import features_of, material_of
from quicksilver.learning.together import features_in
from quicksilver.models.card import AnyCard, EnsembleCard
from quicksilver.ports import Rows
from quicksilver.records import Score

Say = Callable[[str], None]
StudyT = TypeVar("StudyT", bound=Study)


class Data(NamedTuple):
    """Where the data come from, and of which time; ``reject`` takes what cannot be read of them."""

    sources: Sequence[str]
    venue: str | None
    reject: Reject
    span: Span = Span()


class Drawing:
    """Pictures as they are asked for; what cannot be drawn is said, and the others go on."""

    def __init__(self, folder: Path, kinds: Sequence[str], say: Say, complain: Say) -> None:
        self.folder, self.kinds = folder, kinds
        self._say, self._complain = say, complain
        self.drawn: list[Path] = []
        self.refusals: list[str] = []

    def attempt(self, draw: Callable[[], Path]) -> bool:
        """Draw one picture; returns whether it is there."""
        with self._refusing():
            path = draw()
            self.drawn.append(path)
            self._say(str(path))
            return True
        return False

    def study(self, name: str, kind: str, make: Callable[[], StudyT]) -> StudyT | None:
        """Return what pictures of a predictor or ensemble are drawn of, if there is anything."""
        with self._refusing(), naming(name, kind):
            return make()
        return None

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Say what cannot be drawn, and go on."""
        try:
            yield
        except InputError as error:
            if str(error) not in self.refusals:  # what all kinds want for is said once
                self.refusals.append(str(error))
                self._complain(f"not drawn: {error}")

    def all_of(self, name: str, study: Study) -> bool:
        """Draw every kind of one predictor into the folder of that name; returns whether its boundaries are there."""
        there = [self.attempt(partial(write_picture, self.folder, name, study, kind)) for kind in self.kinds]
        return dict(zip(self.kinds, there, strict=True)).get(BOUNDARIES, False)


def plot_config(
    file: Predictors, path: Path, only: Sequence[str], data: Data, drawing: Drawing, tries: TriesFile
) -> None:
    """Train what a file names walk-forward and draw each, and the boundaries of all predictors side by side.

    What is of all stands in a folder named as the file at ``path`` is, without its ending.

    What the data are of no use for is said, and the others are drawn. Whoever looks at the pictures has seen how each
    did, and may choose by it: it counts as one of the ``tries``.

    Raises:
        InputError: there is none of a name, or the data cannot be read.
        StoreError: Cassandra does not answer.
    """
    configs, ensembles = chosen(file, only)
    found, studies = gathered(data.sources, file.predictors.values(), data.reject, data.venue), []
    for one, config in configs.items():
        study = drawing.study(one, "predictor", partial(_trained, one, config, found, data.span))
        if study is None:
            continue
        if drawing.all_of(one, study):
            studies.append(study)
        _count(study, tries)
    for one, ensemble in ensembles.items():
        learned = partial(_trained_ensemble, one, ensemble, file.predictors, found, data.span)
        together = drawing.study(one, "ensemble", learned)
        if together is not None:
            drawing.all_of(one, together)
            _count(together, tries)
    if len(studies) > 1:
        drawing.attempt(partial(write_grid, drawing.folder, _name_of_all(file, path), studies))


def _name_of_all(file: Predictors, path: Path) -> str:
    """The file's name without its ending, unless one of its predictors has that name, and pictures of its own there."""
    return path.name if path.stem in {*file.predictors, *file.ensembles} else path.stem


def _trained(name: str, config: PredictorConfig, found: Gathered, span: Span) -> TrainedPredictor:
    return TrainedPredictor(name, config, frame_of(found.of(config, span), config))


def _trained_ensemble(
    name: str, config: EnsembleConfig, predictors: Mapping[str, PredictorConfig], found: Gathered, span: Span
) -> TrainedEnsemble:
    histories = found.within(span, features_of(config, predictors))
    return TrainedEnsemble(material_of(name, config, predictors, histories, code=""))


def _count(study: TrainedPredictor | TrainedEnsemble, tries: TriesFile) -> None:
    if study.is_judged:
        tries.add([study.tried])


def plot_version(name: str, version: str, registry: Registry, data: Data, drawing: Drawing) -> None:
    """Apply a version, the live one if none is named, to data and draw it into the folder ``NAME@VERSION``.

    ``version`` is how it begins.

    Raises:
        InputError: there is no such version, or the data cannot be used.
        StoreError: Cassandra does not answer.
    """
    version = registry.resolve(name, version) if version else registry.live(name)
    card = registry.entry(name, version).card
    drawing.all_of(f"{name}@{version}", _applied(card, data))


def _applied(card: AnyCard, data: Data) -> Study:
    if isinstance(card, EnsembleCard):
        found = gathered(data.sources, [member.config for member in card.members], data.reject, data.venue)
        return AppliedEnsemble(card, found.within(data.span, features_in(card)))
    found = gathered(data.sources, [card.config], data.reject, data.venue)
    return Applied(card, frame_of(found.of(card.config, data.span), card.config))


def plot_live(names: Sequence[str], version: str, registry: Registry, sources: Sequence[str], drawing: Drawing) -> None:
    """Draw how versions have done live, by the scores that a run has stored; those that begin with ``version``.

    Who has none is said, and the others are drawn.

    Raises:
        InputError: a source cannot be read.
        StoreError: Cassandra does not answer.
    """
    scores = [one for source in sources for one in scores_of(source)]
    where = " ".join(sources)
    for name in names:
        drawing.attempt(partial(_live, scores, where, name, version, registry, drawing.folder))


def _live(scores: Sequence[Score], where: str, name: str, version: str, registry: Registry, folder: Path) -> Path:
    some = [one for one in scores if one.model == name and one.version.startswith(version)]
    if not some:
        there = ", ".join(sorted({one.model for one in scores})) or "none"
        raise InputError(f"{where}: no live scores of {f'{name} {version}'.strip()}; there are of {there}")
    roles = {}
    if name in registry.names():
        known = registry.roles(name)
        roles = {**dict.fromkeys(known.shadows, "shadow"), known.live: "live"}
    return write_live(folder, name, some, roles)


def scores_of(source: str) -> list[Score]:
    """Return all scores that a run has stored: ``cassandra``, or the run's SQLite file.

    Raises:
        InputError: the file cannot be read.
        StoreError: Cassandra does not answer.
    """
    with _rows_of(source) as rows:
        return [one for key in rows.keys("scores") for one in rows.read("scores", key, limit=ALL_ROWS)]  # type: ignore[misc]  # of this topic


def _rows_of(source: str) -> AbstractContextManager[Rows]:
    if source == CASSANDRA:
        return stored_in_cassandra()
    path = Path(source.removeprefix("sqlite:"))
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; --live reads the SQLite file of a run, or cassandra")
    return closing(SqliteReader(path))  # not as a store, which would expire the rows of the run that writes them
