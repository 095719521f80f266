"""The live frontier of a universe: prices in, one ``Frontier`` a clock tick out."""

import math
from typing import Any

import msgspec
import numpy as np

from quicksilver.errors import StateError
from quicksilver.events import FloatArray
from quicksilver.portfolio.bank import PortfolioBank
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.costs import BPS
from quicksilver.portfolio.moments import Moments, shrunk_covariance
from quicksilver.portfolio.picks import pareto, picks
from quicksilver.records import AnyRecord, Features, Frontier, Status

MAX_SILENT_PERIODS = 3600  # a longer silence is a break: the next return would span it, so it is not taken


class _Saved(msgspec.Struct):
    config: PortfolioConfig
    prices: dict[str, float]
    tick: int
    seq: int
    sampled: dict[str, tuple[str, float]]
    whole_tick: int
    assets: list[str]
    n_observations: int
    weight: float
    squared_weight: float
    mean: list[float]
    scatter: list[list[float]]


class PortfolioStage:
    """Samples the last prices on a grid of event time (previous tick), and evaluates the bank at each tick.

    The universe ``auto``: one asset a symbol, priced by the first venue that had it; while there is only one symbol,
    each venue's is an asset of its own. When the set of assets changes, the moments start anew. A tick at time t
    reads only prices of events before t.

    A price whose book is in doubt is forgotten, so that a broken feed never passes for an asset without risk: another
    venue's stands in, or else nothing is computed until the price is back or the asset has left.
    """

    def __init__(self, config: PortfolioConfig | None = None) -> None:
        self.config = config = config or PortfolioConfig()
        self._prices: dict[str, float] = {}  # venue:symbol -> last price, in order of first sight
        self._tick = 0
        self._next_tick_ns = 0
        self._seq = 0
        self._sampled: dict[str, tuple[str, float]] = {}  # asset -> where its price was from, and the price
        self._whole_tick = 0  # the last one at which all assets had a price
        self._assets: list[str] = []
        self._moments = Moments(0, config.halflife)
        self._bank: PortfolioBank | None = None

    def take(self, record: AnyRecord) -> list[Frontier]:
        """Take in an instrument's record: the mid of its features, or a data state in which there is none."""
        if isinstance(record, Features):
            price = math.nan if record.mid is None else record.mid
            return self.on_price(record.venue, record.symbol, price, record.ts_event_ns, record.ts_recv_ns)
        if isinstance(record, Status) and record.state == "GAP":
            self.forget(record.venue, record.symbol)
        return []

    def on_price(self, venue: str, symbol: str, price: float, ts_event_ns: int, ts_recv_ns: int) -> list[Frontier]:
        """Take in an instrument's price; one that is not a positive number is no price."""
        due: list[Frontier] = []
        if ts_event_ns >= self._next_tick_ns:
            due = self._advance(ts_event_ns // self.config.period_ns, ts_recv_ns)
        if 0.0 < price < math.inf:
            self._prices[f"{venue}:{symbol}"] = price
        else:
            self.forget(venue, symbol)
        return due

    def forget(self, venue: str, symbol: str) -> None:
        """Forget an instrument's price: its book is in doubt, or has lost a side."""
        self._prices.pop(f"{venue}:{symbol}", None)

    def _advance(self, tick: int, ts_recv_ns: int) -> list[Frontier]:
        last, self._tick = self._tick, tick
        self._next_tick_ns = (tick + 1) * self.config.period_ns
        if last == 0:
            return []
        silent = tick - last - 1
        whole = self._sample(0 if silent > MAX_SILENT_PERIODS else silent, silent > MAX_SILENT_PERIODS)
        if not whole or len(self._assets) < 2 or self._moments.n_observations < self.config.min_observations:
            return []
        return [self._frontier(tick * self.config.period_ns, ts_recv_ns)]

    def _sample(self, silent: int, broken: bool) -> bool:
        """Take the returns since the last tick, then one of zero for each further tick without an event.

        Returns False, and takes none, while an asset waits for its price.
        """
        chosen = self._choose()
        names = sorted(chosen)
        priced = self._prices.keys() | {key.split(":", 1)[1] for key in self._prices}
        if not priced.issuperset(self._assets) and self._tick - self._whole_tick <= self.config.leave:
            self._sampled = {}
            return False
        self._whole_tick = self._tick
        if names != self._assets:
            self._assets, self._sampled = names, {}
            self._moments = Moments(len(names), self.config.halflife)
            self._bank = None
        if self._sampled and not broken and names:
            self._moments.update(np.array([_log_return(self._sampled[name], chosen[name]) for name in names]))
            for _ in range(silent):
                self._moments.update(np.zeros(len(names)))
        self._sampled = chosen
        return True

    def _choose(self) -> dict[str, tuple[str, float]]:
        """The universe's assets, where their prices are from, and the prices."""
        first: dict[str, tuple[str, float]] = {}
        for key, price in self._prices.items():
            first.setdefault(key.split(":", 1)[1], (key, price))
        return first if len(first) > 1 else {key: (key, price) for key, price in self._prices.items()}

    def _frontier(self, ts_ns: int, ts_recv_ns: int) -> Frontier:
        config, mean = self.config, self._moments.mean
        covariance, correlation = shrunk_covariance(self._moments.covariance(), self._moments.n_effective)
        if self._bank is None:
            self._bank = PortfolioBank(config.n_portfolios, len(mean), config.seed)
        means, risks = self._bank.evaluate(mean, covariance)
        chosen = picks(mean, covariance)
        line = [
            (float(risks[i]) * BPS, float(means[i]) * BPS, self._bank.weights(i))
            for i in pareto(means, risks, config.n_frontier)
        ]
        # The exact picks lie on the true frontier, a little beyond the best that was drawn.
        line += [(one.risk_bps, one.mean_bps, np.array(one.weights)) for one in chosen.values()]
        front = rising(line)
        shown = np.arange(0, config.n_portfolios, max(1, config.n_portfolios // config.n_cloud))
        self._seq += 1
        return Frontier(
            config.universe, self._seq, ts_ns, ts_recv_ns, config.period_ns, self._assets,
            self._moments.n_observations, config.n_portfolios, np.round(correlation, 6).tolist(),
            chosen, [(round(risk, 6), round(mean, 6)) for risk, mean, _ in front],
            [np.round(weights, 6).tolist() for _, _, weights in front],
            _points(risks[shown], means[shown]),
        )  # fmt: skip

    def reconfigured(self, config: PortfolioConfig) -> "PortfolioStage":
        """Return a stage that goes on with this one's prices and moments under another configuration.

        It may differ in what chooses among portfolios alone (``running.CHOOSING``).
        """
        other = PortfolioStage(config)
        saved = msgspec.msgpack.decode(self.dump(), type=_Saved)
        other.load(msgspec.msgpack.encode(msgspec.structs.replace(saved, config=config)))
        return other

    def dump(self) -> bytes:
        """Return the whole state; ``load`` gives the same output from there on, to the bit."""
        moments = self._moments
        return msgspec.msgpack.encode(
            _Saved(
                self.config, self._prices, self._tick, self._seq, self._sampled, self._whole_tick, self._assets,
                moments.n_observations, moments.weight, moments.squared_weight, moments.mean.tolist(),
                moments.scatter.tolist(),
            )
        )  # fmt: skip

    def load(self, data: bytes) -> None:
        """Take over a dumped state.

        Raises:
            StateError: it is of another configuration or no state at all.
        """
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
        except msgspec.DecodeError as error:
            raise StateError(f"not a saved portfolio state: {error}") from error
        if saved.config != self.config:
            raise StateError("the saved portfolio state is of another configuration")
        self._prices, self._sampled, self._assets = saved.prices, saved.sampled, saved.assets
        self._tick, self._seq, self._whole_tick = saved.tick, saved.seq, saved.whole_tick
        self._next_tick_ns = (saved.tick + 1) * self.config.period_ns if saved.tick else 0
        self._bank = None
        moments = self._moments = Moments(len(saved.assets), self.config.halflife)
        moments.n_observations, moments.weight = saved.n_observations, saved.weight
        moments.squared_weight = saved.squared_weight
        moments.mean = np.array(saved.mean)
        moments.scatter = np.array(saved.scatter).reshape(len(saved.assets), len(saved.assets))


def _log_return(before: tuple[str, float], now: tuple[str, float]) -> float:
    """Return of one asset; none where its price is now another venue's: that would be the venues' difference."""
    return math.log(now[1]) - math.log(before[1]) if now[0] == before[0] else 0.0


def rising(points: list[tuple[float, float, FloatArray]]) -> list[tuple[float, float, FloatArray]]:
    """Keep the points (risk, mean, weights) that no calmer one equals in mean, by rising risk."""
    kept: list[tuple[float, float, FloatArray]] = []
    for point in sorted(points, key=lambda one: (one[0], -one[1])):
        if not kept or point[1] > kept[-1][1]:
            kept.append(point)
    return kept


def _points(risks: Any, means: Any) -> list[tuple[float, float]]:
    both: FloatArray = np.column_stack([risks, means]).astype(np.float64) * BPS
    return [(round(risk, 6), round(mean, 6)) for risk, mean in both.tolist()]
