"""Pictures of ensembles: what they said as a whole, and what their members are to them.

An ensemble has no inputs but what its members say, so that is what is shuffled to see what each is worth.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from jobs.pictures.drawing import between
from jobs.pictures.importance import MOST_ROWS
from jobs.pictures.study import HELD, Held, Study
from jobs.tries import Try, id_of
from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.learning.aligned import Aligned, combined, said_of
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import FeatureHistory, Int64
from quicksilver.learning.ensemble_config import EnsembleConfig, lead_of
from quicksilver.learning.ensembles import Part, card_at, data_of, splits_of, walk_material
from quicksilver.learning.material import Material
from quicksilver.learning.together import aligned_with, end_ns, later_rows, walked_together
from quicksilver.learning.usable import FOLDS
from quicksilver.learning.walking import Walk
from quicksilver.models.card import EnsembleCard

MIN_MEMBERS = 2


class EnsembleStudy(Study):
    """An ensemble; ``config`` and ``frame`` are those of the member that sets when it decides."""

    part, shuffled = "member", "What a member says"
    frozen = ""  # its members have said what they say with all that they had learned by then

    def __init__(self, name: str, ensemble: EnsembleConfig, members: Sequence[PredictorConfig], found: Aligned) -> None:
        super().__init__(name, found.lead, found.frame)
        self._ensemble, self._members = ensemble, members

    @property
    def about(self) -> str:
        """What it is of, in a line or two."""
        config, ensemble = self.config, self._ensemble
        how = "weighed by stacking" if ensemble.stacking else f"weights {ensemble.weights}"
        confidence = ensemble.confidence_with(config)
        least = f"; what is less likely than {confidence:.0%} is said as flat" if confidence else ""
        return (
            f"{self.instruments}: an ensemble of {', '.join(one.predictor for one in ensemble.members)}, {how}{least};"
            f" one decision each {config.granularity}, {config.horizon or config.granularity} ahead; a move counts as"
            f" up or down beyond the fees of {config.threshold_bps:g} bps."
        )

    def named(self, which: int) -> str:
        """Return what a member is called, and what it is."""
        member, config = self._ensemble.members[which], self._members[which]
        inputs = f"{len(config.inputs)} input{'s' * (len(config.inputs) > 1)}"
        weight = "" if self._ensemble.stacking else f", weight {member.weight:g}"
        return f"{member.predictor}{weight}\n{config.type}, {inputs}, each {config.granularity}"

    @property
    def held(self) -> Sequence[Held]:
        """Ensembles and what their members said of later parts, the latest last.

        ``rows.inputs`` ``(n, n_members)`` are the numbers of the decisions whose words each member is asked for: those
        of the row itself, until they are shuffled.

        Raises:
            InputError: there are none, or there is but one member.
        """
        if len(self._members) < MIN_MEMBERS:
            raise InputError(f"{self.name} has one member, which is all that it goes by: plot that one")
        return self._held

    @cached_property
    def _held(self) -> list[Held]:
        return list(self._parts())

    @abstractmethod
    def _parts(self) -> Iterator[Held]: ...


class TrainedEnsemble(EnsembleStudy):
    """An ensemble that is made here, walk-forward: each part of the data is judged by one of those before it."""

    origin = (
        f"Walk-forward: the data are cut into {FOLDS + 1} parts, and what is said of each comes from members that"
        " learned from those before it alone, less what overlaps."
    )

    def __init__(self, material: Material) -> None:
        super().__init__(material.name, material.config, material.configs, material.found)
        self._material = material

    @property
    def tried(self) -> Try:
        """It as a configuration that was judged, as its training would be."""
        material = self._material
        data = data_of(material.frames)
        return Try(id_of(material.config, material.configs), data, self.frame.instruments, self.validation.track)

    @cached_property
    def walked(self) -> Walk:
        """What was said of all parts but the first, and those before which there was too little."""
        return walk_material(self._material)

    def _parts(self) -> Iterator[Held]:
        parts: list[Part] = list(splits_of(self._material))[-HELD:]
        if not parts:
            raise InputError(f"{self.name}: {self.frame.n} decisions are too few to predict any from those before")
        for past, test, start_ns in parts:
            card = card_at(self._material, past, start_ns)
            yield held_by(
                card, self._material.found, test[-MOST_ROWS:], start_ns, card.members[lead_of(self._members)].n_train
            )


class AppliedEnsemble(EnsembleStudy):
    """A version as it is; judged by what is later in some histories than what its members learned from.

    ``histories`` hold the features ``together.features_in(card)``, in that order.

    Raises:
        InputError: no instrument is all its members', or it never decides.
    """

    def __init__(self, card: EnsembleCard, histories: Sequence[FeatureHistory]) -> None:
        found = aligned_with(card, histories)
        super().__init__(f"{card.name} {card.version}", card.config, [one.config for one in card.members], found)
        self._card, self._found = card, found

    @property
    def origin(self) -> str:
        """How it learned."""
        card, out = self._card, self.walked.flagged
        left_out = f" {out:,} later decisions at which no member could say anything are left out." if out else ""
        span = between(min(one.start_ns for one in card.members), end_ns(card))
        return f"The members of version {card.version} learned from {span}.{left_out}"

    @cached_property
    def walked(self) -> Walk:
        """What it said of the later data, in as many parts as a walk has."""
        try:
            return walked_together(self._card, self._found)
        except ValueError as error:
            raise InputError(str(error)) from error

    def _parts(self) -> Iterator[Held]:
        lead = self._card.members[lead_of(self._members)]
        rows = later_rows(self._card, self._found)[-MOST_ROWS:]
        yield held_by(self._card, self._found, rows, end_ns(self._card), lead.n_train)


def held_by(card: EnsembleCard, found: Aligned, rows: Int64, start_ns: int, n_train: int) -> Held:
    """Return what an ensemble makes of its members' words at some decisions, those at which any says something."""
    members = said_of(card.members, found, rows, start_ns)
    spoken = ~np.isnan(members[:, :, 0]).all(axis=1)
    rows, members = rows[spoken], members[spoken]
    places = np.arange(len(card.members))
    prior = card.members[lead_of([one.config for one in card.members])].prior

    def says(numbers: FloatArray) -> FloatArray:
        """Return the probabilities; the frequencies in training where shuffling has left nobody who says anything."""
        said = combined(card, found, rows, members[numbers.astype(np.int64), places])
        return np.where(np.isnan(said), prior, said)

    own = np.tile(np.arange(len(rows), dtype=np.float64)[:, None], len(places))
    names = tuple(one.name for one in card.members)
    return Held(says, found.frame.rows(rows)._replace(names=names, inputs=own), n_train)
