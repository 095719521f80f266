"""Expected returns from what deployed models predict."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.costs import BPS
from quicksilver.portfolio.prices import Quote
from quicksilver.records import Prediction


def require_prices_suffice(config: PortfolioConfig) -> None:
    """Refuse a universe that reads predictions where there are prices alone.

    Raises:
        InputError: it does.
    """
    if config.mean == "predictions":
        raise InputError(
            f"universe {config.universe}: the mean 'predictions' needs the predictions beside the prices, which this"
            " job does not read: run it in one process (quicksilver run or replay), or use ewm or james-stein"
        )


class View(msgspec.Struct, frozen=True):
    """The move that a model expects until ``horizon_ns`` after its time, a log return."""

    ts_ns: int
    horizon_ns: int
    move: float


class Expectations:
    """The newest view of each instrument by live models at each horizon; what counts is the nearest to a period.

    Where a model gives no move it is ``p_up - p_down`` times the move from which on a label is not flat: the least that
    those probabilities promise. What was predicted from unsound inputs (``flag``) is no view.
    """

    def __init__(self, period_ns: int, threshold_bps: float) -> None:
        self._period_ns = period_ns
        self._threshold_bps = threshold_bps
        self._views: dict[str, dict[int, View]] = {}  # by instrument and horizon

    def take(self, record: Prediction) -> None:
        """Take in a prediction."""
        if record.role != "live":
            return
        views = self._views.setdefault(f"{record.venue}:{record.symbol}", {})
        if record.flag:
            views.pop(record.horizon_ns, None)
            return
        move_bps = record.move_bps
        if move_bps is None:
            move_bps = (record.p_up - record.p_down) * self._threshold_bps
        views[record.horizon_ns] = View(record.ts_event_ns, record.horizon_ns, move_bps / BPS)

    def forget(self, venue: str, symbol: str) -> None:
        """Forget an instrument's views: its book is in doubt."""
        self._views.pop(f"{venue}:{symbol}", None)

    def mean(self, assets: Sequence[str], quotes: Mapping[str, Quote], now_ns: int) -> tuple[FloatArray, list[str]]:
        """Return each asset's expected log return of one period ``(n_assets,)``, and the assets without a view: 0.

        A view counts for as long as its horizon, or one period if that is longer; of those that count, the one whose
        horizon is nearest to a period, of two as near the shorter. The price's venue comes first, then any other. Of a
        view that reaches further than a period a period's share counts; one that ends before it counts as it is, for
        nothing was said of the rest.
        """
        mean, without = np.zeros(len(assets)), list[str]()
        for i, asset in enumerate(assets):
            view = self._view(quotes[asset].source, now_ns)
            if view is None:
                without.append(asset)
            else:
                mean[i] = view.move * min(1.0, self._period_ns / view.horizon_ns)
        return mean, without

    def _view(self, source: str, now_ns: int) -> View | None:
        symbol = source.split(":", 1)[1]
        others = [key for key in self._views if key != source and key.split(":", 1)[1] == symbol]
        for key in [source, *others]:
            valid = [one for one in self._views.get(key, {}).values() if self._counts(one, now_ns)]
            if valid:
                return min(valid, key=lambda one: (abs(one.horizon_ns - self._period_ns), one.horizon_ns))
        return None

    def _counts(self, view: View, now_ns: int) -> bool:
        return now_ns - view.ts_ns <= max(view.horizon_ns, self._period_ns)

    def dump(self) -> list[tuple[str, list[View]]]:
        """Return the state; its order counts."""
        return [(key, list(views.values())) for key, views in self._views.items()]

    def load(self, saved: list[tuple[str, list[View]]]) -> None:
        """Take over a dumped state."""
        self._views = {key: {one.horizon_ns: one for one in views} for key, views in saved}
