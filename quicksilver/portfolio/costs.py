"""What trading costs."""

import msgspec
import numpy as np

from quicksilver.events import FloatArray

BPS = 1e4


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What trading costs, in basis points of what is traded.

    Each trade pays ``fee_bps`` and half of ``spread_bps``. It moves the price against itself by ``impact_bps`` for as
    much as the whole portfolio, and by less in proportion for less.
    """

    fee_bps: float = 10.0
    spread_bps: float = 5.0
    impact_bps: float = 10.0

    def of(self, trades: FloatArray) -> float:
        """Return the cost of ``trades`` ``(n_assets,)``, shares of the money, as a share of the money."""
        return float(self.of_each(trades))

    def of_each(self, trades: FloatArray) -> FloatArray:
        """Return the cost of each row of ``trades`` ``(..., n_assets)``."""
        size = np.abs(trades)
        cost: FloatArray = (size * (self.fee_bps + self.spread_bps / 2.0 + self.impact_bps * size)).sum(axis=-1) / BPS
        return cost
