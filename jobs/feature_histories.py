"""What predictors learn from: a tape, a CSV file, the rows of an earlier run; each as the records that a run makes."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from api.store_sqlite import SqliteReader
from jobs.replay import Replay
from producers.csv_prices import CsvFile
from producers.exchanges.base import Reject
from producers.tapes import read_frames
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.instrument import InstrumentStage
from quicksilver.learning.datasets import FeatureHistory
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.pipeline import Pipeline
from quicksilver.ports import Rows
from quicksilver.records import DeadLetter, Features, Published, Status

ALL_ROWS = (1 << 31) - 1  # the most that Cassandra takes as a limit
CASSANDRA = "cassandra"
CASSANDRA_PATIENCE_S = 30.0
KINDS = ("tape", "csv", "sqlite")
CSV_SUFFIXES = {".csv", ".tsv"}
SOON_NS = SECOND_NS  # no run is ended and begun anew within it, and rows are closer together where it matters
SQLITE_SUFFIXES = {".sqlite", ".sqlite3", ".db"}


def histories_of(
    source: str, features: Sequence[str], reject: Reject, venue: str | None = None, back_ns: int | None = None
) -> list[FeatureHistory]:
    """Return what a source gives that the user names: ``cassandra``, or a file or folder of one of ``KINDS``.

    The kind stands before the path, as in ``csv:prices.txt``; without it the file's name tells, and what is neither CSV
    nor SQLite is a tape. ``venue`` is that of a tape which does not name it. A database may hold days: with ``back_ns``
    no more of it is read than what lies within that time of its newest row.

    Raises:
        InputError: nothing of it can be read.
        StoreError: Cassandra does not answer.
    """
    if source == CASSANDRA:
        with stored_in_cassandra() as rows:
            return of_store(rows, features, back_ns)
    kind, path = kind_of(source)
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    if kind == "csv":
        return of_csv(path, features, reject)
    if kind == "sqlite":
        with closing(SqliteReader(path)) as rows:
            return of_store(rows, features, back_ns)
    return of_tape(path, features, reject, venue)


@contextmanager
def stored_in_cassandra() -> Iterator[Rows]:
    """Read the cluster's tables, once Cassandra answers."""
    from api.store_cassandra import CassandraStore
    from setup.cassandra.client import CassandraSettings

    with closing(CassandraStore(CassandraSettings.from_environment())) as store:
        store.wait(CASSANDRA_PATIENCE_S)
        yield store


def kind_of(source: str) -> tuple[str, Path]:
    """Return which of ``KINDS`` a source is that names a file, and the file.

    >>> kind_of("csv:prices.txt")[0], kind_of("data/live.sqlite")[0], kind_of("tapes/monday.jsonl.zst")[0]
    ('csv', 'sqlite', 'tape')
    """
    kind, colon, rest = source.partition(":")
    if colon and kind in KINDS:
        return kind, Path(rest)
    suffixes = set(Path(source).suffixes)
    named = "csv" if suffixes & CSV_SUFFIXES else "sqlite" if suffixes & SQLITE_SUFFIXES else "tape"
    return named, Path(source)


class _Kept:
    """A sink of records that keeps what a history is made of, and tells of what could not be read."""

    def __init__(self, builder: HistoryBuilder, reject: Reject) -> None:
        self._builder, self._reject = builder, reject

    def write(self, record: Published) -> None:
        """Take a record."""
        if isinstance(record, Features | Status):
            self._builder.take(record)
        elif isinstance(record, DeadLetter):
            self._reject(record)


def of_tape(path: Path, features: Sequence[str], reject: Reject, venue: str | None = None) -> list[FeatureHistory]:
    """Return what a tape, or a folder of them, gives.

    Raises:
        InputError: nothing of it can be read, or no features come of it.
    """
    builder = HistoryBuilder(features)
    replay = Replay(Pipeline(PipelineConfig(portfolios=())), _Kept(builder, reject))
    read = replay.run(read_frames(path, venue=venue, reject=replay.reject_line))
    histories = builder.histories()
    if not histories:
        raise InputError(
            f"{path}: no features come of its {read['frames']:,} frames, of which {read['events']:,} are of books, "
            f"trades or prices and {read['rejected']:,} cannot be read: changes make no book without a snapshot"
        )
    return histories


def of_csv(path: Path, features: Sequence[str], reject: Reject) -> list[FeatureHistory]:
    """Return what a CSV file of prices or candles gives.

    Raises:
        InputError: nothing of it can be read.
    """
    file, builder = CsvFile(path), HistoryBuilder(features)
    config = PipelineConfig.for_rows(file.interval_ns)
    stages: dict[str, InstrumentStage] = {}
    for price in file.prices(reject):
        stage = stages.get(price.symbol)
        if stage is None:
            stage = stages[price.symbol] = InstrumentStage(price.venue, price.symbol, config)
        builder.take_all(stage.step(price))
    return builder.histories()


def of_store(rows: Rows, features: Sequence[str], back_ns: int | None = None) -> list[FeatureHistory]:
    """Return what earlier runs have stored: feature vectors, and the gaps among them; all, or the newest by time."""
    builder, keys = HistoryBuilder(features), rows.keys("features")
    since_ns = None
    if back_ns is not None:
        newest = [row for key in keys for row in rows.read("features", key, limit=1) if isinstance(row, Features)]
        since_ns = max((row.ts_event_ns for row in newest), default=0) - back_ns
    for key in keys:
        found, states = (rows.read(topic, key, start_ns=since_ns, limit=ALL_ROWS) for topic in ("features", "status"))
        builder.take_all(as_they_came(one for one in (*states, *found) if isinstance(one, Features | Status)))
    return builder.histories()


def as_they_came(records: Iterable[Features | Status]) -> list[Features | Status]:
    """Return an instrument's records in the order in which its run made them, whatever the clocks said.

    In a session that is the order of ``seq``; a state is said before the vector of the same event. The venue's clock
    may be late by some rows, so sessions are told apart by our time of receipt; and that clock may be set back, so
    that a lower number soon after a higher one is none of a new session, unless it has been there.
    """
    found: list[tuple[int, int, bool, Features | Status]] = []
    session = highest = highest_ns = 0
    taken: set[int] = set()
    for one in sorted(records, key=lambda one: (one.ts_recv_ns, one.seq, isinstance(one, Features))):
        vector = isinstance(one, Features)
        late = one.seq < highest and one.ts_recv_ns - highest_ns > SOON_NS
        if late or (vector and one.seq in taken):
            session, highest, taken = session + 1, 0, set()
        if one.seq >= highest:
            highest, highest_ns = one.seq, one.ts_recv_ns
        if vector:
            taken.add(one.seq)
        found.append((session, one.seq, vector, one))
    return [one for *_, one in sorted(found, key=lambda place: place[:3])]
