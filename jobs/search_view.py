"""A search as the page asks for it again and again while it runs: what was read once is not read again."""

import time
from pathlib import Path

from api.search import SearchState, SearchTable
from jobs.search_folder import SearchFolder, tried_as
from quicksilver.learning.ranking import Row, ranked, row_of, verdict

SILENT_S = 15.0  # a search says each second how far it is; after this it has been killed


class SearchView:
    """One search: what of its results has been read."""

    def __init__(self, path: Path) -> None:
        self.folder = SearchFolder(path)
        self._offset = 0
        self._rows: dict[str, Row] = {}
        self._tried: set[bytes] = set()

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
        rows = ranked((self._rows[key] for key in search.ids if key in self._rows), len(self._tried))
        return SearchTable(state, len(self._tried), verdict(rows, len(self._tried)), rows)

    def _read(self) -> None:
        if self.folder.size() < self._offset:  # another file than before
            self._offset, self._rows, self._tried = 0, {}, set()
        results, self._offset = self.folder.after(self._offset)
        for one in results:
            self._rows[one.candidate.id] = row_of(one)
            self._tried.add(tried_as(one))
