"""Records in, histories out: what predictors learn from is made of the same rows that they will predict from."""

from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from quicksilver.learning.datasets import FeatureHistory
from quicksilver.records import AnyRecord, Features, Status


class _Columns:
    """Rows of one instrument as they come."""

    def __init__(self) -> None:
        self.ts_ns = array("q")
        self.mid = array("d")
        self.values = array("d")
        self.fresh = array("b")
        self.spread_bps = array("d")
        self.broken = True  # the next row has nothing to do with those before it
        self.seq = 0


class HistoryBuilder:
    """Takes records in the order in which a pipeline gives them; feature vectors and gaps count, all others do not.

    ``features`` are the columns that are kept beside the mid.
    """

    def __init__(self, features: Sequence[str]) -> None:
        self._features = tuple(features)
        self._columns: dict[tuple[str, str], _Columns] = {}

    def take(self, record: AnyRecord) -> None:
        """Take a record; a feature vector without a mid is left out."""
        if isinstance(record, Features):
            self._row(record)
        elif isinstance(record, Status) and record.state == "GAP":
            self._of(record.venue, record.symbol).broken = True

    def take_all(self, records: Iterable[AnyRecord]) -> "HistoryBuilder":
        """Take records; returns the builder."""
        for record in records:
            self.take(record)
        return self

    def _of(self, venue: str, symbol: str) -> _Columns:
        return self._columns.setdefault((venue, symbol), _Columns())

    def _row(self, row: Features) -> None:
        if row.mid is None:
            return
        columns = self._of(row.venue, row.symbol)
        columns.ts_ns.append(row.ts_event_ns)
        columns.mid.append(row.mid)
        columns.spread_bps.append(np.nan if row.spread_bps is None else row.spread_bps)
        columns.fresh.append(columns.broken or row.seq <= columns.seq)  # the numbers of a new session begin anew
        columns.broken, columns.seq = False, row.seq
        for name in self._features:
            value = getattr(row, name)
            columns.values.append(np.nan if value is None else value)

    def histories(self) -> list[FeatureHistory]:
        """Return what came, by venue and symbol."""
        return [
            FeatureHistory(
                venue, symbol, np.array(found.ts_ns, np.int64), np.array(found.mid),
                np.array(found.values).reshape(len(found.mid), len(self._features)), np.array(found.fresh, bool),
                np.array(found.spread_bps),
            )
            for (venue, symbol), found in sorted(self._columns.items())
            if found.mid
        ]  # fmt: skip
