"""A search as the page asks for it again and again while it runs: what was read once is not read again."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from api.search import SearchState, SearchTable
from jobs.search_folder import Search, SearchFolder
from jobs.tries import TriesFile, try_of
from quicksilver.errors import InputError
from quicksilver.learning.ranking import Row, ranked, row_of, verdict

SILENT_S = 15.0  # a search says each second how far it is; after this it has been killed


class SearchView:
    """One search: what of its results has been read."""

    def __init__(self, path: Path) -> None:
        self.folder = SearchFolder(path)
        self._offset = 0
        self._rows: dict[str, Row] = {}
        self._tried: set[str] = set()
        self._tries: TriesFile | None = None

    def state(self) -> SearchState | None:
        """Return how far it is; None where there is no search."""
        search, progress = self.folder.search(), self.folder.progress()
        if search is None:
            return None
        name, total = self.folder.path.name, len(search.ids)
        if progress is None or progress.total != total:  # killed before it said anything, or just begun
            return SearchState(name, 0, total, 0, running=False, eta_s=None)
        running = not progress.ended and time.time_ns() - progress.updated_ns < SILENT_S * 1e9
        return SearchState(name, progress.done, total, progress.failed, running, progress.eta_s)

    def table(self) -> SearchTable | None:
        """Return what it has found; None where there is no search."""
        state, search = self.state(), self.folder.search()
        if state is None or search is None:
            return None
        self._read()
        found = [self._rows[key] for key in search.ids if key in self._rows]
        n_tried = self._n_tried(search, found)
        rows = ranked(found, n_tried)
        return SearchTable(state, n_tried, verdict(rows, n_tried), rows)

    def _n_tried(self, search: Search, found: Sequence[Row]) -> int:
        """How many configurations were tried on these instruments, by whomever."""
        if not search.models:
            return len(self._tried)
        folder = Path(search.models)
        if self._tries is None or self._tries.path.parent != folder:
            self._tries = TriesFile(folder)
        with suppress(InputError):  # of what cannot be read, the search's own are known
            tried = self._tries.on([name for row in found for name in row.instruments])
            return len(self._tried | tried.keys())
        return len(self._tried)

    def _read(self) -> None:
        try:
            if self.folder.size() < self._offset:  # another file than before
                self._offset, self._rows, self._tried = 0, {}, set()
            results, self._offset = self.folder.after(self._offset)
        except OSError:  # what cannot be read now holds nothing new
            return
        for one in results:
            self._rows[one.candidate.id] = row_of(one)
            self._tried.add(try_of(one).id)
