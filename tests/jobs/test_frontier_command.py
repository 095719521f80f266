"""``quicksilver frontier`` and ``backtest`` as a user meets them: without Java, JSON, files, refusals."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from jobs.cli import app

N_DAYS = 120


def write(path: Path, names: list[str], table: Any) -> Path:
    days = (np.datetime64("2021-01-01") + np.arange(len(table))).astype(str)
    rows = [",".join([day, *map(repr, row)]) for day, row in zip(days, table.tolist(), strict=True)]
    path.write_text("\n".join(["date," + ",".join(names), *rows]) + "\n")
    return path


def walk(n_assets: int, n_days: int = N_DAYS) -> Any:
    rng = np.random.default_rng(5)
    return 100 * np.exp(rng.normal(0.002, 0.02, (n_days, n_assets)).cumsum(axis=0))


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    return write(tmp_path / "prices.csv", ["BTC", "ETH", "SOL", "XRP"], walk(4))


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def quicksilver(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def answer(*arguments: object) -> dict[str, Any]:
    result = quicksilver("frontier", *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_one_json_object_by_the_names_of_the_file(prices: Path) -> None:
    found = answer(prices, "--covariance", "sample", "--cap", "0.4")
    returns = np.diff(np.log(walk(4)), axis=0)
    assert found["assets"] == ["BTC", "ETH", "SOL", "XRP"]
    np.testing.assert_allclose(found["mean"], returns.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(found["covariance"], np.cov(returns.T), rtol=1e-9)
    assert set(found["picks"]) == {"min_variance", "max_sharpe", "max_utility", "risk_parity", "equal_weight"}
    for one in [*found["picks"].values(), *found["frontier"]]:
        weights = np.array([one["weights"][name] for name in found["assets"]])
        assert weights.sum() == pytest.approx(1.0, abs=1e-12)
        assert weights.min() >= 0.0
        assert weights.max() <= 0.4
        assert one["risk"] == pytest.approx(np.sqrt(weights @ np.array(found["covariance"]) @ weights))
        assert one["mean"] == pytest.approx(weights @ np.array(found["mean"]))


def test_single_letters_are_names_of_assets(tmp_path: Path) -> None:
    assert answer(write(tmp_path / "letters.csv", list("ABCDE"), walk(5)))["assets"] == list("ABCDE")


def test_files_are_written_and_the_same_again(prices: Path, tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        files = [tmp_path / name / f"f.{kind}" for kind in ("png", "csv", "json")]
        result = quicksilver("frontier", prices, "--picture", files[0], "--csv", files[1], "--out", files[2])
        assert result.exit_code == 0, result.output
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]
    assert written[0][0].startswith(b"\x89PNG")
    summary = json.loads(result.stdout.splitlines()[-1])
    assert (summary["portfolios"], summary["observations"]) == (1_000_000, N_DAYS - 1)
    rows = list(csv.DictReader((tmp_path / "one" / "f.csv").read_text().splitlines()))
    calm = next(row for row in rows if row["name"] == "min_variance")
    assert float(calm["risk"]) == summary["picks"]["min_variance"]["risk"]
    record = json.loads(written[0][2])
    assert record["assets"] == ["BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD"]
    assert record["picks"]["min_variance"]["risk_bps"] == pytest.approx(float(calm["risk"]) * 1e4)


def test_constraints_come_from_options_and_from_a_file(prices: Path, tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    file.write_text('cap = 0.5\n[floors]\nXRP = 0.1\n[groups.majors]\nassets = ["BTC", "ETH"]\ncap = 0.6\n')
    options = ("--group", "small:SOL,XRP>=0.45", "--turnover", "1.0", "--current", "BTC=0.5,ETH=0.5")
    found = answer(prices, "--constraints", file, *options, "--portfolios", "2000")
    for name, one in found["picks"].items():
        weights = one["weights"]
        if name != "current":
            assert max(weights.values()) <= 0.5 + 1e-9
            assert weights["XRP"] >= 0.1 - 1e-9
            assert weights["SOL"] + weights["XRP"] >= 0.45 - 1e-9
            assert sum(abs(w - {"BTC": 0.5, "ETH": 0.5}.get(k, 0.0)) for k, w in weights.items()) <= 1.0 + 1e-9
    assert found["constraints"]["turnover"] == 1.0
    assert found["picks"]["current"]["weights"]["BTC"] == 0.5


@pytest.mark.parametrize("risk", ["semi-variance", "cvar", "max-drawdown"])
def test_other_risks_are_asked_for_by_name(prices: Path, risk: str) -> None:
    found = answer(prices, "--risk", risk, "--portfolios", "2000")
    assert found["risk"] == risk
    least = found["picks"][f"min_{risk.replace('-', '_')}"]
    assert least["risk"] == min(one["risk"] for one in found["picks"].values())
    assert least["risk"] <= found["best_drawn"]["least_risk"]["risk"]


def test_a_backtest_of_each_pick_beside_holding(prices: Path) -> None:
    result = quicksilver("backtest", prices, "--window", "60", "--cap", "0.5")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout.splitlines()[-1])
    rows = {row["name"]: row for row in summary["strategies"]}
    assert {"min_variance", "max_sharpe", "equal_weight", "buy_and_hold"} <= set(rows)
    assert all(row["sharpe_low"] <= row["sharpe"] <= row["sharpe_high"] for row in rows.values())
    assert rows["buy_and_hold"]["turnover"] == 0.0
    free = quicksilver(
        "backtest", prices, "--window", "60", "--fee-bps", "0", "--spread-bps", "0", "--impact-bps", "0", "--json"
    )
    without = {row["name"]: row for row in json.loads(free.stdout)["strategies"]}
    assert without["max_sharpe"]["cost"] == 0.0
    assert without["equal_weight"]["total_return"] > rows["equal_weight"]["total_return"]


def test_bad_input_is_refused_in_a_sentence(prices: Path, tmp_path: Path) -> None:
    single = write(tmp_path / "single.csv", ["BTC"], walk(1))
    short = write(tmp_path / "short.csv", [f"A{i}" for i in range(40)], walk(40, 35))
    negative = write(tmp_path / "negative.csv", ["BTC", "ETH"], -walk(2))
    for arguments, why in [
        ((single,), "two assets or more"),
        ((short, "--covariance", "sample"), "34 returns of 40 assets are too few"),
        ((negative,), "no row could be read (120 rejected)"),
        ((prices, "--cap", "0.2"), "no portfolio of 4 assets keeps all of these: budget 1, cap 0.2"),
        ((prices, "--symbols", "BTC,DOGE"), "--symbols: there is no asset 'DOGE'"),
        ((prices, "--current", "DOGE=1"), "current: there is no asset 'DOGE'"),
        ((prices, "--current", "BTC"), "--current BTC: write BTC=0.6,ETH=0.4"),
        ((prices, "--group", "BTC<0.5"), "--group BTC<0.5: write NAME:BTC,ETH<=0.5"),
        ((prices, "--covariance", "magic"), "--covariance magic"),
        ((prices, "--mean", "hope"), "--mean hope"),
        ((prices, "--risk", "fear"), "--risk fear"),
        ((prices, "--cap", "0.5", "--portfolios", "1e8"), "Java 17 is needed"),  # so many are Spark's work
        (("nowhere.csv",), "nowhere.csv"),
        ((), "name files of prices"),
    ]:
        result = quicksilver("frontier", *arguments)
        assert result.exit_code == 2, arguments
        last = result.stderr.splitlines()[-1]
        assert last.startswith("error: "), last
        assert why in last, last
        assert "Traceback" not in result.output


def test_one_day_with_a_negative_price_is_said_and_left_out(prices: Path) -> None:
    lines = prices.read_text().splitlines()
    cells = lines[10].split(",")
    prices.write_text("\n".join([*lines[:10], ",".join([cells[0], "-1.0", *cells[2:]]), *lines[11:]]) + "\n")
    result = quicksilver("frontier", prices, "--json")
    found = json.loads(result.stdout)
    assert (found["rejected_rows"], found["observations"]) == (1, N_DAYS - 2)
    assert "prices.csv:11: not a price: '-1.0'" in result.stderr


def test_a_table_lays_the_picks_beside_pyportfolioopts(prices: Path) -> None:
    pytest.importorskip("pypfopt")
    lines = quicksilver("frontier", prices, "--covariance", "sample", "--cap", "0.5").stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("beside PyPortfolioOpt"))
    assert [line.split()[0] for line in lines[start + 1 : start + 4]] == ["min_variance", "max_utility", "max_sharpe"]
    assert all(abs(float(line.split()[-1].rstrip("%"))) < 0.01 for line in lines[start + 1 : start + 4])
