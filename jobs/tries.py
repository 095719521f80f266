"""Every configuration that was ever judged, whoever asked for it: the luck of the best is that of all of them.

``tries.jsonl``, beside the registry, has a line for each configuration and data set that a search, a training, a dry
run or a plot judged. It is only ever added to, a whole line in one write, so that several processes may do so at once.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from jobs.registry import TRIES
from jobs.whole_files import add_lines, read_line, whole_lines
from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.ensemble_config import EnsembleConfig
from quicksilver.learning.results import Track
from quicksilver.learning.search import Result
from quicksilver.models.card import AnyCard, EnsembleCard


class Try(msgspec.Struct, frozen=True):
    """A configuration that was judged on some data.

    ``id`` tells it from all others, ``data`` these data; ``instruments`` are ``venue:symbol``. ``track`` is None where
    it never traded, or could not be judged: it was tried all the same.
    """

    id: str
    data: str
    instruments: tuple[str, ...]
    track: Track | None = None


class TriesFile:
    """The tries in a folder of models, which need not be there yet; what was read once is not read again."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / TRIES
        self._offset = 0
        self._known: dict[tuple[str, str, tuple[str, ...]], Try] = {}

    def add(self, some: Iterable[Try]) -> None:
        """Keep those that are not there yet.

        Raises:
            InputError: they cannot be written.
        """
        try:
            self._read()
            new = {_key(one): one for one in some if _key(one) not in self._known}
            if not new:
                return
            add_lines(self.path, map(msgspec.json.encode, new.values()))
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written to: {error.strerror}") from error

    def on(self, instruments: Sequence[str]) -> dict[str, Track | None]:
        """Return what was tried on any of these instruments, by id, each with the last that is known of its profits.

        The same configuration on other data is not another try: nobody chose between the two.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            self._read()
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror}") from error
        wanted = set(instruments)
        return {one.id: one.track for one in self._known.values() if wanted.intersection(one.instruments)}

    def _read(self) -> None:
        """Read the lines that are new; one that is torn or damaged counts for nothing."""
        if not self.path.exists() or self.path.stat().st_size < self._offset:
            self._offset, self._known = 0, {}
        for line, behind in whole_lines(self.path, self._offset):
            self._offset, one = behind, read_line(line, Try)
            if one is not None:
                self._known[_key(one)] = one


def _key(one: Try) -> tuple[str, str, tuple[str, ...]]:
    return one.id, one.data, one.instruments


def id_of(config: PredictorConfig | EnsembleConfig, members: Sequence[PredictorConfig] = ()) -> str:
    """Return what tells a configuration from all others; an ensemble's holds only names of its ``members``."""
    text = msgspec.json.encode([config, list(members)], order="deterministic")
    return hashlib.sha256(text).hexdigest()[:12]


def id_of_card(card: AnyCard) -> str:
    """Return the same of a version."""
    return id_of(card.config, [one.config for one in card.members] if isinstance(card, EnsembleCard) else ())


def try_of(result: Result) -> Try:
    """Return what a search has tried."""
    one, found = result.candidate, result.validation
    return Try(id_of(one.config), one.data, one.instruments, None if found is None else found.track)
