"""A universe's frontiers in their order: the good ones, and once why there is none."""

import msgspec
import numpy as np

from quicksilver.events import FloatArray
from quicksilver.portfolio.choosing import Chooser, Chosen
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.prices import Quote
from quicksilver.portfolio.shrinkage import correlation_of
from quicksilver.records import Frontier


class SavedTelling(msgspec.Struct):
    """The state of ``Telling``."""

    seq: int
    last: Frontier | None
    told: list[str]


class Telling:
    """Numbers what it tells."""

    def __init__(self, config: PortfolioConfig) -> None:
        self._seq = 0
        self._last: Frontier | None = None
        self._told: list[str] = []  # what nothing is computed for, as it was told; empty if something is
        self._empty = Frontier(
            config.universe, 0, 0, 0, config.period_ns, [], 0, config.n_portfolios, [], {}, [], [], [],
            risk=config.risk, halflife=config.halflife,
            estimators={"covariance": config.covariance, "mean": config.mean, "clock": config.clock},
            costs=config.costs, hold=config.hold, band=config.band, constraints=config.constraints, cash=config.cash,
            aversion=config.aversion, window=config.window,
        )  # fmt: skip

    def good(
        self, ts_ns: int, ts_recv_ns: int, quotes: dict[str, Quote], covariance: FloatArray, n_observations: int,
        chooser: Chooser, chosen: Chosen, absent: dict[str, str], reason: str,
    ) -> Frontier:  # fmt: skip
        """Tell of the portfolios of the assets of ``quotes``; ``reason`` says what is not as it was asked for."""
        self._seq, self._told = self._seq + 1, []
        self._last = msgspec.structs.replace(
            self._empty, seq=self._seq, ts_event_ns=ts_ns, ts_recv_ns=ts_recv_ns, assets=list(quotes),
            n_observations=n_observations, correlation=np.round(correlation_of(covariance), 6).tolist(),
            picks=chosen.picks, frontier=chosen.frontier, frontier_weights=chosen.weights, cloud=chosen.cloud,
            state="LIVE", reason=reason, ts_computed_ns=ts_ns, prices=[one.price for one in quotes.values()],
            ages_ns=[max(0, ts_ns - one.ts_ns) for one in quotes.values()], absent=absent,
            held=chooser.held, n_portfolios=chooser.n_portfolios, sources=[one.source for one in quotes.values()],
        )  # fmt: skip
        return self._last

    def waiting(
        self, ts_ns: int, ts_recv_ns: int, absent: dict[str, str], reason: str, kind: list[str]
    ) -> list[Frontier]:
        """Tell why nothing is computed, with the last good frontier; nothing if the same ``kind`` was told before."""
        if kind == self._told:
            return []
        self._seq, self._told = self._seq + 1, kind
        return [
            msgspec.structs.replace(
                self._last or self._empty, seq=self._seq, ts_event_ns=ts_ns, ts_recv_ns=ts_recv_ns, state="WAITING",
                reason=reason, absent=absent,
            )
        ]  # fmt: skip

    def forget(self) -> None:
        """Have told nothing of these prices; numbers go on."""
        self._last, self._told = None, []

    def dump(self) -> SavedTelling:
        """Return the state."""
        return SavedTelling(self._seq, self._last, self._told)

    def load(self, saved: SavedTelling) -> None:
        """Take over a dumped state."""
        self._seq, self._last, self._told = saved.seq, saved.last, saved.told
