"""A walk-forward test's plan, and which assets take part when."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from quicksilver.errors import InputError
from quicksilver.portfolio.costs import Costs
from quicksilver.portfolio.history import History


class Plan(msgspec.Struct, frozen=True):
    """How it walks: so many prices ``window`` to learn from, rebalanced ``every`` so many periods.

    Less than ``band`` is not traded: where all trades together are a smaller share of the money, the holdings stay.
    Trades are at the prices of ``delay`` periods after the last that was learnt from; 0: at that price itself. Of what
    is held of an asset ``delisted`` is lost with its last price, and the rest is cash from then on.
    """

    window: int = 250
    every: int = 20
    band: float = 0.0
    costs: Costs = Costs()
    delay: int = 0
    delisted: float = 0.0


def first_of(history: History, plan: Plan) -> int:
    """Return the position of the first rebalancing: the first at which two assets have a window of prices.

    Raises:
        InputError: there is none, with a period after it.
    """
    for at in range(plan.window + plan.delay, len(history.times_ns) - 1):
        if len(there_at(history, plan, at)) >= 2:
            return at
    raise InputError(
        f"no two assets have prices at {plan.window + plan.delay + 2} moments in a row: shorten the window, leave out"
        " assets (--symbols), or give a period to sample all by"
    )


def not_all_along(history: History, plan: Plan) -> list[str]:
    """Return a sentence on each asset that does not take part from the first rebalancing to the end.

    Raises:
        InputError: there is no rebalancing.
    """
    start, notes = first_of(history, plan), list[str]()
    first = there_at(history, plan, start)
    for i, asset in enumerate(history.assets):
        known = np.flatnonzero(np.isfinite(history.prices[:, i]))
        if len(known) <= plan.window + plan.delay:
            notes.append(f"{asset} never takes part: it has {len(known)} prices, less than a window and one")
            continue
        if i not in first:
            notes.append(
                f"{asset} takes part once a window of its prices is known: the first is of {day_of(history, known[0])}"
            )
        if known[-1] < len(history.times_ns) - 1:
            notes.append(
                f"{asset} has no price after {day_of(history, known[-1])}: what is held of it is cash from then on"
            )
    return notes


def day_of(history: History, at: int) -> str:
    """Return the time at a position, for people."""
    return str(np.datetime64(int(history.times_ns[at]), "ns").astype("datetime64[s]"))


def there_at(history: History, plan: Plan, at: int) -> NDArray[np.int64]:
    """Return the positions of the assets that can be learnt of and traded at a time, ``(n,)``."""
    return np.flatnonzero(np.isfinite(history.prices[at - plan.delay - plan.window : at + 1]).all(axis=0))
