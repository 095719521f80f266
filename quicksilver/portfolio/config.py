"""A live universe as its user wants it: which assets, on what clock, by which estimators, kept to which constraints."""

from typing import Literal, TypeAlias

import msgspec

from quicksilver.events import SECOND_NS
from quicksilver.portfolio.constraints import Constraints
from quicksilver.portfolio.costs import Costs
from quicksilver.portfolio.risks import RiskName

HOLD_NS, LEAST_HOLD = 3600 * SECOND_NS, 30  # how long a portfolio is held, and how many periods at least
LEAVE_NS, LEAST_LEAVE = 60 * SECOND_NS, 3  # how long an asset may be without a price, and how many periods at least
Clock: TypeAlias = Literal["previous-tick", "refresh-time"]
LiveCovariance: TypeAlias = Literal["ewm", "oas", "ledoit-wolf", "denoised"]
LiveMean: TypeAlias = Literal["ewm", "james-stein", "predictions"]
Sampling: TypeAlias = Literal["random", "quasi-random"]


class PortfolioConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A universe: ``halflife``, ``window``, ``hold`` and the limits of age are in periods, ``cash`` and means of one.

    ``assets`` are symbols, or ``venue:symbol`` for the price of one venue; none means all that there are, of ``venues``
    or of all. With the clock ``previous-tick`` a return is taken at each period's end from the last prices; with
    ``refresh-time`` at the first end at which all assets have had a new price since the last return. By the former, a
    price of which nothing new has come for ``stale`` periods is none (0: never), else a feed that has died would pass
    for an asset without risk: the others wait until it is back, or out after ``leave`` periods without a price. What
    has prices more seldom by nature is given as many of its own usual pauses, and periods in which nothing came at all
    do not count.

    ``costs`` are those of going from what is held (``constraints.current``) to a pick, spread over ``hold`` periods; a
    pick that is nearer than ``band`` in turnover is not worth a trade. Bootstraps, and risks other than the variance,
    read the last ``window`` returns. ``resamples`` of them give the picks' uncertainty; 0: none is told, nor is it of
    means that are predictions, of which past returns say nothing.

    ``sampling`` is by chance, or by Sobol's points, which leave no holes; portfolios of those become more from update
    to update, as under constraints.

    A ``hold`` of 0 becomes an hour, but 30 periods at least, and a ``leave`` of 0 a minute, but 3 periods at least: an
    hour of days is none. ``structs.replace`` of the period keeps what became of them.
    """

    universe: str = "auto"
    assets: tuple[str, ...] = ()
    venues: tuple[str, ...] = ()
    period_ns: int = 1_000_000_000
    clock: Clock = "previous-tick"
    halflife: float = 300.0
    covariance: LiveCovariance = "oas"
    mean: LiveMean = "ewm"
    min_observations: int = 30
    risk: RiskName = "variance"
    window: int = 600
    constraints: Constraints = Constraints()
    cash: float = 0.0
    aversion: float = 5.0
    costs: Costs = Costs()
    hold: int = 0
    band: float = 0.02
    resamples: int = 100
    leave: int = 0
    stale: int = 10
    n_portfolios: int = 100_000
    n_cloud: int = 800
    n_frontier: int = 40
    seed: int = 7
    sampling: Sampling = "random"

    def __post_init__(self) -> None:
        period_ns = max(self.period_ns, 1)  # what is no period is refused elsewhere
        if self.hold == 0:
            msgspec.structs.force_setattr(self, "hold", max(LEAST_HOLD, HOLD_NS // period_ns))
        if self.leave == 0:
            msgspec.structs.force_setattr(self, "leave", max(LEAST_LEAVE, LEAVE_NS // period_ns))

    def fits(self, rows_ns: int) -> bool:
        """Whether a price series whose rows are ``rows_ns`` apart has a row for each period; 0: market data has."""
        return rows_ns == 0 or self.period_ns % rows_ns == 0


class Universe(msgspec.Struct, frozen=True):
    """What one universe is, on its way to the job that computes it; without a ``config`` it is no more.

    ``source`` is the universe that producers name in the header ``u`` of the events that it reads.
    """

    source: str
    name: str
    config: PortfolioConfig | None
