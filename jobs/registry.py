"""Trained predictors on disk: every version of each, which one is live, which are shadows, and what was live before.

A folder for each predictor: ``VERSION.json`` is a version's card with its scores, written once; ``roles.json`` says who
does what, and is replaced as a whole, so that a reader or a crash sees the old one or the new one.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

import msgspec

from jobs.whole_files import PART, replace_whole
from quicksilver.codec import UNREADABLE
from quicksilver.errors import InputError
from quicksilver.learning.entry import Entry, sealed, unsealed
from quicksilver.models.roles import AtWork, Roles
from quicksilver.spans import require_name
from setup.alone import alone

ROLES = "roles.json"
TRIES = "tries.jsonl"  # beside the predictors: what was ever judged, see ``jobs/tries.py``
FOLDER = "models"  # beneath that of all data
HEALED = "the same training makes it anew"
PATIENCE_S = 10.0  # for another process, which changes roles in milliseconds: what is kept may have cost hours


def models_folder(given: Path | None = None) -> Path:
    """Return where predictors are kept: where the user says, or ``models`` in the folder DATA."""
    return given if given is not None else Path(os.environ.get("DATA") or "data") / FOLDER


class Registry:
    """The predictors in a folder, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self._folder

    def names(self) -> list[str]:
        """Return the names of all predictors."""
        return sorted(path.parent.name for path in self._folder.glob(f"*/{ROLES}"))

    def require_usable(self, names: Iterable[str]) -> None:
        """Make sure, before hours of work, that versions of these names can be kept.

        Raises:
            InputError: the folder cannot be written to, or the file that says who does what is damaged.
        """
        for name in names:
            if name == TRIES:
                raise InputError(f"a predictor cannot be named {name}: a file of that name stands beside them")
            self._require_writable(self._folder / name)
            if (self._folder / name / ROLES).exists():
                self.roles(name)

    def _require_writable(self, folder: Path) -> None:
        """Write a file that nobody sees, and make no folder: there may be nothing to keep in the end."""
        there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
        try:
            with TemporaryFile(dir=there):
                return
        except OSError as error:
            raise InputError(f"{folder}: cannot be written to: {error.strerror}") from error

    def add(self, entry: Entry) -> bool:
        """Keep a version, which becomes live if it is the first; returns whether it was new.

        One whose file is damaged is new too: it is written again.

        Raises:
            InputError: the folder cannot be written to.
        """
        card = entry.card
        with self._changing(card.name) as roles:
            path = self._path(card.name, card.version)
            new = not (path.exists() and self._usable(card.name, card.version))
            if new:
                replace_whole(path, sealed(entry), on_disk=True)
            roles.live = roles.live or card.version
        return new

    def entry(self, name: str, version: str) -> Entry:
        """Return a version.

        Raises:
            InputError: there is none of that name, or its file is damaged.
        """
        path = self._path(name, version)
        try:
            entry = unsealed(path.read_bytes())
            sound = entry.card.content() == entry.card.version == version
        except FileNotFoundError as error:
            there = ", ".join(self.versions(name)) or "none"
            raise InputError(f"{name} has no version {version}; there is {there}") from error
        except (OSError, *UNREADABLE, ValueError) as error:
            raise InputError(f"{path}: cannot be used: {error}; {HEALED}") from error
        if not sound:
            raise InputError(f"{path}: damaged: its content is that of another version; {HEALED}")
        if entry.card.name != name:
            raise InputError(f"{path}: cannot be used: it is a version of {entry.card.name}, not of {name}")
        return entry

    def _require_applicable(self, name: str, version: str) -> None:
        """Refuse what no run could adopt, such as a version of another program's inputs: what is at work would go on.

        Raises:
            InputError: it is not there, damaged, or cannot be applied.
        """
        from quicksilver.models.deployed import predictor_of  # with the library that runs models: a quarter of a second

        card = self.entry(name, version).card
        try:
            predictor_of(card, "", "")
        except ValueError as error:
            raise InputError(f"{self._path(name, version)}: cannot be used: {error}") from error

    def _usable(self, name: str, version: str) -> bool:
        try:
            self.entry(name, version)
        except InputError:
            return False
        return True

    def versions(self, name: str) -> list[str]:
        """Return a predictor's versions, the oldest first."""
        paths = [path for path in (self._folder / name).glob("*.json") if path.name != ROLES]
        return [path.stem for path in sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.stem))]

    def resolve(self, name: str, prefix: str) -> str:
        """Return the version that begins so.

        Raises:
            InputError: none does, or several do.
        """
        self.roles(name)
        found = [version for version in self.versions(name) if version.startswith(prefix)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise InputError(f"{name} has no version {prefix}; there is {', '.join(self.versions(name))}")
        raise InputError(f"{name} has several versions that begin with {prefix}: {', '.join(found)}")

    def live(self, name: str) -> str:
        """Return the live version.

        Raises:
            InputError: there is no such predictor, none of its versions is live, or the file is damaged.
        """
        live = self.roles(name).live
        if not live:
            raise InputError(f"{name} has no live version: promote one of {', '.join(self.versions(name))}")
        return live

    def roles(self, name: str) -> Roles:
        """Return who does what.

        Raises:
            InputError: there is no such predictor, or the file is damaged.
        """
        require_name(name)
        path = self._folder / name / ROLES
        try:
            return msgspec.json.decode(path.read_bytes(), type=Roles)
        except (FileNotFoundError, NotADirectoryError) as error:
            there = ", ".join(self.names()) or "none: `quicksilver train` makes one"
            raise InputError(f"there is no predictor {name} in {self._folder}; there is {there}") from error
        except (OSError, *UNREADABLE, ValueError) as error:
            raise InputError(
                f"{path}: cannot be used: {error}; restore it, or remove it: of what is trained next the first is live"
            ) from error

    def promote(self, name: str, version: str) -> None:
        """Make a version the live one.

        Raises:
            InputError: it is not there, damaged, of another program's making, or live already.
        """
        self._require_applicable(name, version)
        with self._changing(name) as roles:
            roles.promote(version)

    def shadow(self, name: str, version: str) -> None:
        """Let a version predict beside the live one.

        Raises:
            InputError: it is not there, damaged, of another program's making, or live.
        """
        self._require_applicable(name, version)
        with self._changing(name) as roles:
            roles.shadow(version)

    def unshadow(self, name: str, version: str) -> None:
        """Let a shadow predict no longer.

        Raises:
            InputError: it is none.
        """
        with self._changing(name) as roles:
            roles.unshadow(version)

    def roll_back(self, name: str) -> str:
        """Make that version live which was before; returns it.

        Raises:
            InputError: there was none, or it cannot be used.
        """
        self.roles(name)
        with self._changing(name) as roles:
            version = roles.roll_back()
            self._require_applicable(name, version)
        return version

    def at_work(self, name: str) -> AtWork:
        """Return the cards of a predictor's live version and shadows.

        Raises:
            InputError: there is no such predictor, or one of the files is damaged.
        """
        roles = self.roles(name)
        live = self.entry(name, roles.live).card if roles.live else None
        return AtWork(name, live, tuple(self.entry(name, version).card for version in roles.shadows))

    def changes(self) -> dict[str, tuple[int, int]]:
        """Return what each predictor's roles are told from earlier ones by: when they were written, and as which file.

        The file system's clock moves in steps of milliseconds, and within one there may be two changes.
        """
        found = {}
        for path in self._folder.glob(f"*/{ROLES}"):
            with suppress(OSError):  # it has gone since it was listed
                told = path.stat()
                found[path.parent.name] = (told.st_mtime_ns, told.st_ino)
        return found

    def _path(self, name: str, version: str) -> Path:
        return self._folder / name / f"{version}.json"

    @contextmanager
    def _changing(self, name: str) -> Iterator[Roles]:
        folder = self._folder / name
        try:
            with alone(folder / "roles.lock", f"another process changes {folder}: try again", PATIENCE_S):
                for torn in folder.glob(f".*{PART}"):  # a kill has left it: who has the lock is the only one who writes
                    torn.unlink()
                roles = self.roles(name) if (folder / ROLES).exists() else Roles()
                yield roles
                replace_whole(folder / ROLES, msgspec.json.encode(roles), on_disk=True)
        except ValueError as error:  # what cannot be done of these roles
            raise InputError(f"{name} {error}") from error
        except OSError as error:
            raise InputError(f"{folder}: cannot be written to: {error.strerror}") from error
