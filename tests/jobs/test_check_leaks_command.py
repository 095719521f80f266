"""``quicksilver check-leaks`` as its user has it: predictors and ensembles, a table and a line for programs."""

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from jobs.cli import app
from quicksilver.learning.scores import MEASURES
from tests.jobs.prices import csv_of, toml_of

ENSEMBLE = """
[predictors.near]
type = "lda"
datasetinputs = 1
fee_bps = 2.0

[predictors.far]
type = "lda"
datasetinputs = 3
fee_bps = 2.0

[ensembles.both]
members = [{predictor = "near"}, {predictor = "far"}]
"""


def test_predictors_and_ensembles_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    config, data = toml_of(tmp_path / "p.toml", text=ENSEMBLE), csv_of(tmp_path / "BTC-USD.csv", 1_000)
    result = CliRunner().invoke(app, ["check-leaks", str(config), str(data)])
    assert result.exit_code == 0, result.stdout + result.stderr
    told = msgspec.json.decode(result.stdout.splitlines()[-1])
    assert told["leaks"] == 0
    assert {name: len(some) for name, some in told["checked"].items()} == dict.fromkeys(
        ("near", "far", "both"), 2 * len(MEASURES)
    )
    assert result.stdout.count("  profit a decision, bps after costs  ") == 3 * 2
    assert f"all {6 * len(MEASURES)} intervals hold 0" in result.stdout
    for kind, name, n in (("predictor", "near", 1), ("predictor", "far", 1), ("ensemble", "both", 1)):
        assert sum(line.split()[:2] == [kind, name] for line in result.stdout.splitlines()) == n * 2 * len(MEASURES)


def test_what_cannot_be_checked_says_which(tmp_path: Path) -> None:
    config, data = toml_of(tmp_path / "p.toml", text=ENSEMBLE), csv_of(tmp_path / "BTC-USD.csv", 150)
    result = CliRunner().invoke(app, ["check-leaks", str(config), str(data)])
    assert result.exit_code == 2
    assert "predictor near: 14" in " ".join(result.stderr.split())
