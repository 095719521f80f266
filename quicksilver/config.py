"""The pipeline's configuration: one frozen struct that every runner passes in."""

from collections.abc import Sequence

import msgspec

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.grid import MAX_FULL_BOOK_LEVELS, MAX_FULL_BOOKS_PER_S
from quicksilver.labels import LabelConfig
from quicksilver.portfolio.config import PortfolioConfig


class PipelineConfig(msgspec.Struct, frozen=True):
    """What the pipeline computes and how often, in event time.

    ``decide_every_ns`` is the decision grid: features are emitted at every book message, predictions and labels for
    at most one in each cell of the grid, for consecutive messages are nearly the same example.

    ``full_books_per_s`` full books a second of each instrument, at the first book message in each such part of event
    time; 0: none. ``full_book_levels`` is the most levels that one holds of a side.

    ``portfolios`` are the universes, in the order in which they are computed. ``rows_ns`` is the time from one row of a
    price series to the next; 0: it is market data.
    """

    top_levels: int = 10
    top_every_ns: int = SECOND_NS // 20
    full_books_per_s: float = 0.0
    full_book_levels: int = 5_000
    candle_intervals_ns: tuple[int, ...] = (5 * SECOND_NS, 60 * SECOND_NS)
    candle_every_ns: int = SECOND_NS // 4
    decide_every_ns: int = SECOND_NS // 4
    labels: LabelConfig = LabelConfig()
    portfolios: tuple[PortfolioConfig, ...] = (PortfolioConfig(),)
    rows_ns: int = 0

    def __post_init__(self) -> None:
        levels_fit = 1 <= self.full_book_levels <= MAX_FULL_BOOK_LEVELS
        if not (0.0 <= self.full_books_per_s <= MAX_FULL_BOOKS_PER_S and levels_fit):
            raise ValueError(
                f"{self.full_books_per_s:g} full books a second of {self.full_book_levels} levels: give 0 to"
                f" {MAX_FULL_BOOKS_PER_S:g} a second, and 1 to {MAX_FULL_BOOK_LEVELS:,} levels"
            )

    @property
    def universe(self) -> str:
        """Return the universe that a producer's events belong to, unless it is told another."""
        return self.portfolios[0].universe if self.portfolios else ""

    @property
    def full_books_every_ns(self) -> int:
        """Return the event time from one full book to the next; 0: there are none."""
        return round(SECOND_NS / self.full_books_per_s) if self.full_books_per_s else 0

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
            portfolios=(PortfolioConfig(universe=f"every-{interval_ns / SECOND_NS:g}s", period_ns=interval_ns),),
            rows_ns=interval_ns,
        )

    def of_universes(self, universes: Sequence[PortfolioConfig]) -> "PipelineConfig":
        """Return the configuration with these universes in place of its own; of a price series those that fit.

        Raises:
            InputError: none fits.
        """
        fitting = tuple(one for one in universes if one.fits(self.rows_ns))
        if not fitting:
            names = ", ".join(f"{one.universe} {one.period_ns / SECOND_NS:g} s" for one in universes)
            raise InputError(
                f"the rows are {self.rows_ns / SECOND_NS:g} s apart, and no universe's period is a multiple of that"
                f" ({names}): add one whose period is"
            )
        return msgspec.structs.replace(self, portfolios=fitting)
