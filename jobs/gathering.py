"""What several predictors learn from, read once: all sources' histories, with the features of all of them."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from jobs.choices import Span
from jobs.feature_histories import histories_of
from producers.exchanges.base import Reject
from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import FeatureHistory


class Gathered(NamedTuple):
    """Histories whose ``values`` have a column for each of ``features``."""

    features: tuple[str, ...]
    histories: list[FeatureHistory]

    def of(self, config: PredictorConfig, span: Span | None = None) -> list[FeatureHistory]:
        """Return the histories of a predictor's instruments, with its features in its order, within a span of time.

        Raises:
            InputError: there is none.
        """
        wanted = [one for one in self.histories if config.wants(one.venue, one.symbol)]
        if not wanted:
            there = ", ".join(f"{one.venue}:{one.symbol}" for one in self.histories) or "none"
            names = " and ".join(
                f"{what} {', '.join(names)}"
                for what, names in (("venues", config.venues), ("symbols", config.symbols))
                if names
            )
            raise InputError(f"no instrument of {names or 'any venue'}; there is {there}")
        return self._replace(histories=wanted).within(span or Span(), config.features)

    def within(self, span: Span, features: Sequence[str]) -> list[FeatureHistory]:
        """Return the histories within a span of time, with some of the features, in their order.

        Raises:
            InputError: there is nothing within it.
        """
        columns = [self.features.index(name) for name in features]
        return all_within((one._replace(values=one.values[:, columns]) for one in self.histories), span)


def all_within(histories: Iterable[FeatureHistory], span: Span) -> list[FeatureHistory]:
    """Return the histories within a span of time, but for those that have nothing there.

    Raises:
        InputError: none has.
    """
    found = [part for part in (within(one, span) for one in histories) if len(part.ts_ns)]
    if not found:
        raise InputError("nothing lies between --since and --until")
    return found


def within(history: FeatureHistory, span: Span) -> FeatureHistory:
    """Return the rows of a history whose event time lies within a span."""
    rows = (history.ts_ns >= span.since_ns) & (history.ts_ns < span.until_ns)
    return history._replace(**{name: getattr(history, name)[rows] for name in history._fields[2:]})


def gathered(
    sources: Sequence[str], configs: Iterable[PredictorConfig], reject: Reject, venue: str | None = None
) -> Gathered:
    """Return the histories of all sources, as ``histories_of`` reads each; those of one instrument become one.

    Raises:
        InputError: nothing of a source can be read, or two hold the same time of the same instrument.
        StoreError: Cassandra does not answer.
    """
    features = tuple(dict.fromkeys(name for config in configs for name in config.features))
    found = ((source, one) for source in sources for one in histories_of(source, features, reject, venue))
    return Gathered(features, joined(found))


def joined(found: Iterable[tuple[str, FeatureHistory]]) -> list[FeatureHistory]:
    """Return one history for each instrument, by venue and symbol, of those that sources hold, each with its source.

    Raises:
        InputError: two hold the same time of the same instrument.
    """
    parts: dict[tuple[str, str], list[tuple[str, FeatureHistory]]] = {}
    for source, one in found:
        parts.setdefault((one.venue, one.symbol), []).append((source, one))
    return [_joined(some) for _, some in sorted(parts.items())]


def _joined(parts: list[tuple[str, FeatureHistory]]) -> FeatureHistory:
    """One history of several; each begins with a row that has nothing to do with those before it."""
    parts.sort(key=lambda part: int(part[1].ts_ns[0]))
    for (source, one), (other, later) in pairwise(parts):
        if one.ts_ns.max() >= later.ts_ns.min():
            raise InputError(f"{source} and {other} hold the same time of {one.venue}:{one.symbol}: name one of them")
    histories = [one for _, one in parts]
    columns = (np.concatenate(column) for column in zip(*(one[2:] for one in histories), strict=True))
    return FeatureHistory(histories[0].venue, histories[0].symbol, *columns)
