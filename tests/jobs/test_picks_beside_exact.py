"""``quicksilver frontier``'s picks beside PyPortfolioOpt's exact ones, on real prices and on made-up ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from jobs.cli import app
from tests.jobs.test_frontier_command import write

YOUNG = ("Aave", "Polkadot", "Solana", "Uniswap", "Cosmos", "USDCoin", "WrappedBitcoin", "CryptocomCoin")


def coins(tapes: Path) -> list[Path]:
    files = sorted((tapes / "candles-cmc-daily").glob("coin_*.csv"))
    return [file for file in files if file.stem.removeprefix("coin_") not in YOUNG]


def stablecoins(tapes: Path) -> list[Path]:
    """A near-singular covariance: two dollars, and bitcoin twice."""
    names = ("Bitcoin", "WrappedBitcoin", "Tether", "USDCoin", "Ethereum", "Dogecoin")
    return [tapes / "candles-cmc-daily" / f"coin_{name}.csv" for name in names]


def stocks(tapes: Path) -> list[Path]:
    return [tapes / "stocks" / "pyportfolioopt_stock_prices.csv"]


def hourly(tapes: Path) -> list[Path]:
    return sorted((tapes / "candles-binance-hourly").glob("*.csv.zst"))


def walk(n_assets: int, n_times: int, seed: int = 5) -> Any:
    """Prices with a common factor, own risks and own drifts."""
    rng = np.random.default_rng(seed)
    own = rng.normal(rng.normal(0.0, 5e-4, n_assets), rng.uniform(0.005, 0.03, n_assets), (n_times, n_assets))
    return 100 * np.exp((rng.normal(5e-4, 0.01, (n_times, 1)) + own).cumsum(axis=0))


def beside_exact(files: list[Path], *options: object) -> dict[str, Any]:
    """Check the command's JSON against an exact solution for the moments that it tells; return it."""
    optimiser = pytest.importorskip("pypfopt")
    result = CliRunner().invoke(app, ["frontier", *map(str, (*files, *options)), "--portfolios", "500", "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assets, mean, covariance = found["assets"], np.array(found["mean"]), np.array(found["covariance"])
    low, high = (found["constraints"][name] for name in ("floor", "cap"))
    unit = float(np.sqrt(np.diag(covariance).max()))  # its solver has absolute tolerances

    def exact(ask: Callable[[Any], Any]) -> Any:
        one = optimiser.EfficientFrontier(
            mean / unit, covariance / unit**2, weight_bounds=(low, high), solver="CLARABEL"
        )
        ask(one)
        return np.array(one.weights)

    ours = {name: np.array([one["weights"][asset] for asset in assets]) for name, one in found["picks"].items()}
    for weights in ours.values():
        assert abs(weights.sum() - 1.0) <= 1e-9
        assert weights.min() >= low - 1e-9
        assert weights.max() <= high + 1e-9
    calm, theirs = ours["min_variance"], exact(lambda one: one.min_volatility())
    assert calm @ covariance @ calm <= 1.005 * (theirs @ covariance @ theirs)
    if "max_sharpe" in ours:
        sharp, theirs = ours["max_sharpe"], exact(lambda one: one.max_sharpe(risk_free_rate=0.0))
        sharpe = [w @ mean / np.sqrt(w @ covariance @ w) for w in (sharp, theirs)]
        assert sharpe[0] >= 0.99 * sharpe[1]
    else:
        assert max(mean) <= 0.0 or low != 0.0
    for name, one in found["picks"].items():
        assert one["mean"] == pytest.approx(ours[name] @ mean, rel=1e-9, abs=1e-15)
        assert one["risk"] == pytest.approx(np.sqrt(ours[name] @ covariance @ ours[name]), rel=1e-9)
    return found


@pytest.mark.parametrize("source", [coins, stablecoins, stocks, hourly])
@pytest.mark.parametrize("options", [(), ("--cap", 0.25), ("--cap", 0.4, "--floor", -0.1, "--covariance", "sample")])
def test_picks_on_real_prices(tapes: Path, source: Callable[[Path], list[Path]], options: tuple[object, ...]) -> None:
    beside_exact(source(tapes), *options)


@pytest.mark.parametrize(
    ("n_assets", "n_times", "options"),
    [
        (2, 100, ()),
        (5, 300, ("--cap", 0.3)),
        (20, 1500, ("--covariance", "sample")),
        (50, 40, ("--cap", 0.1)),
        (100, 60, ("--covariance", "oas", "--mean", "james-stein")),
        (100, 400, ("--cap", 0.05, "--floor", -0.02)),
    ],
)
def test_picks_on_made_up_prices_many_assets_or_few_observations(
    tmp_path: Path, n_assets: int, n_times: int, options: tuple[object, ...]
) -> None:
    file = write(tmp_path / "prices.csv", [f"A{i}" for i in range(n_assets)], walk(n_assets, n_times))
    assert len(beside_exact([file], *options)["assets"]) == n_assets


def test_duplicates_and_what_never_moves_are_assets_like_others(tmp_path: Path) -> None:
    prices = walk(4, 300)
    dollars = 1.0 + np.random.default_rng(1).normal(0.0, 1e-4, (300, 1))
    table = np.hstack([prices, prices[:, :2], 10 * prices[:, :1], dollars, np.ones((300, 1))])
    names = ["A", "B", "C", "D", "A2", "B2", "A10", "USDT", "USDC"]
    file = write(tmp_path / "prices.csv", names, table)
    beside_exact([file], "--cap", 0.3)
    beside_exact([file])
