"""What predictors learn from: a tape, a CSV file, the rows of an earlier run; each as the records that a run makes."""

from collections.abc import Sequence
from contextlib import closing
from heapq import merge
from pathlib import Path

from api.store_sqlite import SqliteStore
from jobs.replay import Replay
from producers.csv_prices import CsvFile
from producers.exchanges.base import Reject
from producers.tapes import read_frames
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.instrument import InstrumentStage
from quicksilver.learning.datasets import FeatureHistory
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.pipeline import Pipeline
from quicksilver.ports import Store
from quicksilver.records import AnyRecord, Features, Published, Status

ALL_ROWS = 1 << 31
CASSANDRA = "cassandra"
CASSANDRA_PATIENCE_S = 30.0
KINDS = ("tape", "csv", "sqlite")
CSV_SUFFIXES = {".csv", ".tsv"}
SQLITE_SUFFIXES = {".sqlite", ".sqlite3", ".db"}


def histories_of(
    source: str, features: Sequence[str], reject: Reject, venue: str | None = None
) -> list[FeatureHistory]:
    """Return what a source gives that the user names: ``cassandra``, or a file or folder of one of ``KINDS``.

    The kind stands before the path, as in ``csv:prices.txt``; without it the file's name tells, and what is neither CSV
    nor SQLite is a tape. ``venue`` is that of a tape which does not name it.

    Raises:
        InputError: nothing of it can be read.
        StoreError: Cassandra does not answer.
    """
    if source == CASSANDRA:
        from api.store_cassandra import CassandraStore
        from setup.cassandra.client import CassandraSettings

        with closing(CassandraStore(CassandraSettings.from_environment())) as store:
            store.wait(CASSANDRA_PATIENCE_S)
            return of_store(store, features)
    kind, path = _kind_of(source)
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    if kind == "csv":
        return of_csv(path, features, reject)
    if kind == "sqlite":
        with closing(SqliteStore(path)) as rows:
            return of_store(rows, features)
    return of_tape(path, features, venue)


def _kind_of(source: str) -> tuple[str, Path]:
    kind, colon, rest = source.partition(":")
    if colon and kind in KINDS:
        return kind, Path(rest)
    suffixes = set(Path(source).suffixes)
    named = "csv" if suffixes & CSV_SUFFIXES else "sqlite" if suffixes & SQLITE_SUFFIXES else "tape"
    return named, Path(source)


class _Kept:
    """A sink of records that keeps what a history is made of."""

    def __init__(self, builder: HistoryBuilder) -> None:
        self._builder = builder

    def write(self, record: Published) -> None:
        """Take a record."""
        if isinstance(record, Features | Status):
            self._builder.take(record)


def of_tape(path: Path, features: Sequence[str], venue: str | None = None) -> list[FeatureHistory]:
    """Return what a tape, or a folder of them, gives.

    Raises:
        InputError: nothing of it can be read.
    """
    builder = HistoryBuilder(features)
    replay = Replay(Pipeline(PipelineConfig(portfolio=None)), _Kept(builder))
    replay.run(read_frames(path, venue=venue, reject=replay.reject_line))
    return builder.histories()


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


def of_store(store: Store, features: Sequence[str]) -> list[FeatureHistory]:
    """Return what earlier runs have stored: feature vectors, and the gaps among them."""
    builder = HistoryBuilder(features)
    for key in store.keys("features"):
        rows, states = (store.read(topic, key, limit=ALL_ROWS) for topic in ("features", "status"))
        builder.take_all(merge(states, rows, key=_place))  # type: ignore[arg-type]  # of these topics
    return builder.histories()


def _place(record: AnyRecord) -> tuple[int, int, bool]:
    """Where a record stands among those of its instrument: a state is said before the vector of the same event."""
    assert isinstance(record, Features | Status)
    return record.ts_event_ns, record.seq, isinstance(record, Features)
