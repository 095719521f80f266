"""The searches in a folder, for who serves them."""

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from api.search import SearchState, SearchTable

if TYPE_CHECKING:
    from jobs.search_view import SearchView


class SearchShelf:
    """The searches in a folder, which need not be there yet; any thread may ask."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._views: dict[str, SearchView] = {}

    def states(self) -> list[SearchState]:
        """Return all searches, by name."""
        with self._lock:
            found = (view.state() for _, view in sorted(self._look().items()))
            return [state for state in found if state is not None]

    def table(self, name: str) -> SearchTable | None:
        """Return what a search has found so far; None where there is none of that name."""
        with self._lock:
            view = self._look().get(name)
            return None if view is None else view.table()

    def _look(self) -> "dict[str, SearchView]":
        try:
            there = {path.name: path for path in self._path.iterdir() if path.is_dir()}
        except OSError:
            there = {}
        if there:
            from jobs.search_view import SearchView  # it brings scikit-learn in, which who has no searches never needs

            self._views = {name: self._views.get(name) or SearchView(path) for name, path in there.items()}
        else:
            self._views = {}
        return self._views
