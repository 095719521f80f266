"""A search on disk: what is searched, a line for each result as it came, and how far it is.

``results.jsonl`` is only ever added to, a whole line at once, which is on the disk before the next: whatever ends the
process costs no more than what was running. A line that was torn by it is cut off when the search is taken up again.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import msgspec

from jobs.whole_files import T, read_line, replace_whole, whole_lines
from quicksilver.errors import InputError
from quicksilver.learning.ranking import row_of
from quicksilver.learning.search import Result, SearchConfig
from setup.alone import alone

RESULTS, SEARCH, PROGRESS, LOCK = "results.jsonl", "search.json", "progress.json", "search.lock"


class Search(msgspec.Struct, frozen=True):
    """What is searched: its grid, where its data come from, and the ids of all its candidates, in order.

    ``models`` is the folder in which it is kept what was tried, "" in searches of older programs.
    """

    config: SearchConfig
    sources: tuple[str, ...]
    ids: tuple[str, ...]
    models: str = ""


class Progress(msgspec.Struct, frozen=True):
    """How far a search is: ``done`` of ``total``, ``failed`` of them without scores.

    ``eta_s`` is how many seconds it will still take, None where nothing has been measured yet; ``ended`` is whether
    its process has ended in order, and ``updated_ns`` when this was written, of the wall clock.
    """

    done: int
    total: int
    failed: int
    eta_s: float | None
    ended: bool
    updated_ns: int


class SearchFolder:
    """The folder of one search, which need not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unreadable = 0  # lines that were no results of this version

    @contextmanager
    def writing(self) -> Iterator["SearchFolder"]:
        """Have the folder for this process alone.

        Raises:
            InputError: another process has it, or it cannot be written to.
        """
        try:
            with alone(self.path / LOCK, f"another search writes to {self.path}: wait for it, or choose another --out"):
                yield self
        except OSError as error:
            raise InputError(f"{error.filename or self.path}: cannot be written to: {error.strerror}") from error

    def results(self) -> list[Result]:
        """Return all whole results, the oldest first; what cannot be read is counted, and will be computed anew."""
        self.unreadable = 0
        return self.after(0)[0]

    def after(self, offset: int) -> tuple[list[Result], int]:
        """Return the results from a place in the file on, and the place to go on from next time."""
        found: list[Result] = []
        end = offset
        for line, behind in whole_lines(self.path / RESULTS, offset):
            end, one = behind, _rankable(line)
            if one is None:
                self.unreadable += 1
            else:
                found.append(one)
        return found, end

    def size(self) -> int:
        """Return how many bytes of results there are."""
        try:
            return (self.path / RESULTS).stat().st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def appending(self) -> Iterator["Lines"]:
        """Have the results' file open for more; a torn line at its end is cut off."""
        with (self.path / RESULTS).open("ab+", buffering=0) as file:
            _cut_torn(file)
            yield Lines(file)

    def describe(self, search: Search) -> None:
        """Write down what is searched."""
        replace_whole(self.path / SEARCH, msgspec.json.encode(search))

    def note(self, progress: Progress) -> None:
        """Write down how far it is."""
        replace_whole(self.path / PROGRESS, msgspec.json.encode(progress))

    def search(self) -> Search | None:
        """Return what is searched; None where nothing is that can be read."""
        return self._read(SEARCH, Search)

    def progress(self) -> Progress | None:
        """Return how far it is; None where nobody has said that."""
        return self._read(PROGRESS, Progress)

    def _read(self, name: str, kind: type[T]) -> T | None:
        try:
            return read_line((self.path / name).read_bytes(), kind)
        except OSError:
            return None


def _rankable(line: bytes) -> Result | None:
    """What a line holds; None too if a program with other measures has written it."""
    one = read_line(line, Result)
    try:
        if one is not None:
            row_of(one)
    except KeyError:
        return None
    return one


class Lines:
    """The results' file, open for more."""

    def __init__(self, file: FileIO) -> None:
        self._file = file

    def add(self, result: Result) -> None:
        """Add a result; when this returns, it is on the disk."""
        line = msgspec.json.encode(result) + b"\n"
        while line:
            line = line[self._file.write(line) :]
        os.fsync(self._file.fileno())


def _cut_torn(file: FileIO) -> None:
    """Cut off what stands behind the last end of a line."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - (64 << 10))
        file.seek(start)
        found = (file.read(end - start) or b"").rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    file.truncate(end)
    file.seek(end)
