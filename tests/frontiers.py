"""Frontiers with all that a record can say, for tests of what serves and shows them."""

from typing import Any

import numpy as np

from quicksilver.events import FloatArray
from quicksilver.portfolio.constraints import Constraints
from quicksilver.portfolio.costs import BPS, Costs
from quicksilver.portfolio.picks import max_sharpe, min_variance
from quicksilver.records import Frontier, Pick

SECOND_NS = 1_000_000_000
ASSETS = ["ADA-USD", "BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD"]
PRICES = {"ADA-USD": 0.5, "BTC-USD": 60_000.0, "ETH-USD": 3_000.0, "SOL-USD": 150.0, "XRP-USD": 0.6}


def frontier(seq: int, ts_ns: int, universe: str = "majors", assets: list[str] | None = None, **more: Any) -> Frontier:
    """Return the frontier of a drifting market after its ``seq``-th second; the same for the same arguments."""
    names = ASSETS if assets is None else assets
    n = len(names)
    draws = np.random.default_rng(7)
    loadings = draws.normal(0.6, 0.3, (n, 2))
    correlation = loadings @ loadings.T + np.diag(draws.uniform(0.3, 0.8, n))
    scale = np.sqrt(np.diag(correlation))
    correlation = correlation / np.outer(scale, scale)
    sigma = np.linspace(1e-4, 3e-4, n) * (1.0 + 0.2 * np.sin(seq / 9.0 + np.arange(n)))
    covariance = correlation * np.outer(sigma, sigma)
    mean = 2e-5 + 1e-5 * np.sin(seq / 7.0 + np.arange(n))
    held = np.full(n, 1.0 / n)
    sharpest = max_sharpe(mean, covariance)
    assert sharpest is not None
    calm = min_variance(covariance)
    line = [(1.0 - at) * calm + at * np.eye(n)[int(np.argmax(mean))] for at in np.linspace(0.0, 1.0, 25)]
    cloud = draws.dirichlet(np.full(n, 0.6), 400)
    fields: dict[str, Any] = {
        "picks": {
            "min_variance": _pick(calm, mean, covariance, held),
            "max_sharpe": _pick(sharpest, mean, covariance, held),
            "equal_weight": _pick(held, mean, covariance, held),
        },
        "prices": [PRICES.get(name, 10.0) for name in names],
        "ages_ns": [SECOND_NS // 2] * n,
        "held": held.tolist(),
        "absent": {"DOGE-USD": "no price for 90 s"},
        "estimators": {"covariance": "oas", "mean": "ewm", "clock": "previous-tick"},
        "halflife": 300.0,
        "ts_computed_ns": ts_ns,
        "sources": [f"kraken:{name}" for name in names],
        "costs": Costs(16.0, 2.0, 12.0),
        "hold": 3600,
        "band": 0.02,
        "constraints": Constraints(cap=0.9, current=dict.fromkeys(ASSETS, 0.2)),
        "cash": 0.0,
        "aversion": 5.0,
        "window": 600,
    }
    return Frontier(
        universe, seq, ts_ns, ts_ns, SECOND_NS, names, 30 + seq, 100_000, np.round(correlation, 6).tolist(),
        frontier=[_point(one, mean, covariance) for one in line], frontier_weights=[one.tolist() for one in line],
        cloud=[_point(one, mean, covariance) for one in cloud], **(fields | more),
    )  # fmt: skip


def waiting(last: Frontier, ts_ns: int, reason: str) -> Frontier:
    """Return the record of a universe that waits, with its last good frontier in it."""
    values = {name: getattr(last, name) for name in last.__struct_fields__}
    return Frontier(**values | {"seq": last.seq + 1, "ts_event_ns": ts_ns, "state": "WAITING", "reason": reason})


def _point(weights: FloatArray, mean: FloatArray, covariance: FloatArray) -> tuple[float, float]:
    return (
        round(float(np.sqrt(weights @ covariance @ weights)) * BPS, 6),
        round(float(weights @ mean) * BPS, 6),
    )


def _pick(weights: FloatArray, mean: FloatArray, covariance: FloatArray, held: FloatArray) -> Pick:
    risk, expected = _point(weights, mean, covariance)
    cost = Costs().of(weights - held) * BPS
    return Pick(
        weights.tolist(), expected, risk, expected / risk, float(np.abs(weights - held).sum()), cost,
        (expected - cost / 3600) / risk, None, expected - 0.05, expected + 0.05, expected / risk - 0.04,
        expected / risk + 0.04,
    )  # fmt: skip
