"""The pipeline's configuration: one frozen struct that every runner passes in."""

import msgspec

from quicksilver.events import SECOND_NS
from quicksilver.labels import LabelConfig
from quicksilver.portfolio.stage import PortfolioConfig


class PipelineConfig(msgspec.Struct, frozen=True):
    """What the pipeline computes and how often, in event time.

    ``decide_every_ns`` is the decision grid: features are emitted at every book message, predictions and labels for
    at most one in each cell of the grid, for consecutive messages are nearly the same example.
    """

    top_levels: int = 10
    top_every_ns: int = SECOND_NS // 20
    candle_intervals_ns: tuple[int, ...] = (5 * SECOND_NS, 60 * SECOND_NS)
    candle_every_ns: int = SECOND_NS // 4
    decide_every_ns: int = SECOND_NS // 4
    labels: LabelConfig = LabelConfig()
    portfolio: PortfolioConfig | None = PortfolioConfig()

    @classmethod
    def for_rows(cls, interval_ns: int) -> "PipelineConfig":
        """Return the configuration of price series whose rows are ``interval_ns`` apart.

        Candles are of one row; horizons are spans of time, 1, 5 and 30 times that, whatever rows are missing. They are
        a universe of their own: a portfolio has one clock.
        """
        return cls(
            candle_intervals_ns=(interval_ns,),
            candle_every_ns=interval_ns,
            decide_every_ns=interval_ns,
            labels=LabelConfig(horizons_ns=(interval_ns, 5 * interval_ns, 30 * interval_ns)),
            portfolio=PortfolioConfig(universe=f"every-{interval_ns / SECOND_NS:g}s", period_ns=interval_ns),
        )
