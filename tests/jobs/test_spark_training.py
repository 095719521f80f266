"""Training on a real Spark: the versions of a process of our own, to the byte."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.one_java import OneJava
from tests.jobs.prices import csv_of, toml_of
from tests.tools import needs_tools

ROOT = Path(__file__).resolve().parents[2]
TYPES = ("lda", "nearest-neighbours", "gradient-boosting")


def train(*arguments: object) -> subprocess.CompletedProcess[str]:
    """In a process of its own, whose Java ends with it."""
    line = [sys.executable, "-m", "jobs.cli", "train", *map(str, arguments)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)


def trained(one_java: OneJava, *arguments: object) -> list[dict[str, Any]]:
    done = one_java.run("train", *arguments)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])["trained"]
    return found


@pytest.mark.timeout(600)
@needs_tools("java")
def test_spark_gives_the_same_bytes_as_a_process(tmp_path: Path, one_java: OneJava) -> None:
    text = "".join(f'[predictors.{one}]\ntype = "{one}"\nfee_bps = 2.0\n' for one in TYPES)
    config, prices = toml_of(tmp_path / "three.toml", text=text), csv_of(tmp_path / "BTC-USD.csv", n=1_200)
    on_spark = trained(one_java, config, prices, "--models", tmp_path / "spark", "--master", "local[2]")
    here = trained(one_java, config, prices, "--models", tmp_path / "here")
    assert on_spark == here
    assert [one["name"] for one in here] == list(TYPES)
    files = sorted(path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*.json"))
    assert len(files) == 2 * len(TYPES)
    for file in files:
        assert (tmp_path / "spark" / file).read_bytes() == (tmp_path / "here" / file).read_bytes()


@pytest.mark.timeout(300)
@needs_tools("java")
def test_what_only_shows_on_a_worker_is_one_sentence(tmp_path: Path) -> None:
    config = toml_of(tmp_path / "near.toml", ("fee_bps", "parameters = {C = -1.0}\nfee_bps"))
    prices = csv_of(tmp_path / "BTC-USD.csv", n=1_200)
    done = train(config, prices, "--models", tmp_path / "models", "--master", "local[1]")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: predictor near: The 'C' parameter of LogisticRegression must be" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "models").exists()
