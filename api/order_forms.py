"""What may be asked of ``/api/portfolios/{universe}/rebalance``, and what is answered."""

from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Bps: TypeAlias = Annotated[float | None, Field(ge=0, le=1000)]
Number: TypeAlias = Annotated[Decimal, Field(allow_inf_nan=True)]  # what is no number is refused later, in a sentence


class Wanted(BaseModel):
    """What is held, in units and in the currency of the prices, and what it shall become: a pick, or ``weights``.

    ``wanted`` takes of a pick what would be best were a trade worth its cost. A weight that is off by less than
    ``band`` stays, unless its sale has to pay for what is bought; orders are of ``min_trade`` money at least.
    ``lot_sizes`` and ``prices`` take the place of what is known, ``default_lot`` is that of assets of which no venue's
    is known. Costs are in basis points of what is traded.
    """

    model_config = ConfigDict(extra="forbid")

    pick: str = Field("max_sharpe", max_length=100)
    weights: dict[str, Number] | None = None
    wanted: bool = False
    holdings: dict[str, Number] = {}
    cash: Number = Decimal(0)
    prices: dict[str, Number] = {}
    lot_sizes: dict[str, Number] = {}
    default_lot: Number = Decimal("1e-8")
    min_trade: float = Field(0.0, ge=0, allow_inf_nan=False)
    band: float = Field(0.0, ge=0, le=1)
    fee_bps: Bps = None
    spread_bps: Bps = None
    impact_bps: Bps = None
    max_age_s: float | None = Field(None, ge=0)


class Order(BaseModel):
    """One order; ``notional`` and ``cost`` are money, ``price_of`` says where the price is from, ``lot_of`` the lot."""

    asset: str
    side: Literal["sell", "buy"]
    units: float
    price: float
    price_of: str
    price_age_s: float | None
    notional: float
    cost: float
    lot_size: float
    lot_of: str


class Orders(BaseModel):
    """The orders in the order in which to give them, and what they come to; ``not_traded`` says why of each asset."""

    universe: str
    pick: str | None
    seq: int
    age_s: float
    note: str
    orders: list[Order]
    not_traded: dict[str, str]
    weights_before: dict[str, float]
    weights_after: dict[str, float]
    weights_target: dict[str, float]
    value: float
    turnover: float
    cost: float
    cost_bps: float
    cash_left: float
    costs: dict[str, float]
