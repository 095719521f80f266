"""What Cassandra's tables hold of one run."""

import threading
import time
from contextlib import suppress

from api.store_cassandra import CassandraStore
from quicksilver import codec
from quicksilver.errors import StoreError
from quicksilver.tables import TABLES
from tests.recovery.tape import Place, Rows

LOOK_S = 0.1
MOST_ROWS = 1_000_000


def read_tables(store: CassandraStore, truth: Rows, timeout_s: float) -> Rows:
    """Return the rows of these places once they are as they are to be, or as they are when the time is up."""
    until, found = time.monotonic() + timeout_s, Rows()
    while True:
        for place, rows in truth.items():
            if found.get(place) != rows:
                found[place] = _rows(store, place)
        if found == truth or time.monotonic() > until:
            return found
        time.sleep(LOOK_S)


def _rows(store: CassandraStore, place: Place) -> dict[str, bytes]:
    table = TABLES[place[0]]
    try:
        records = store.read(*place, limit=MOST_ROWS)
    except StoreError:
        return {}
    return {table.row_key(one): codec.encode(one) for one in records}  # type: ignore[arg-type]


class Watch:
    """Sees when a table gets new rows: ``came`` are the times."""

    def __init__(self, store: CassandraStore, place: Place) -> None:
        self.came: list[float] = []
        self._store, self._place = store, place
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="table watch")

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        last: object = None
        while not self._stopping.wait(LOOK_S):
            with suppress(StoreError):
                newest = self._store.read(*self._place, limit=1)
                if newest and newest[0] != last:
                    last = newest[0]
                    self.came.append(time.monotonic())
