"""Training on a real Spark: the same model however rows lie, and the model that Spark's own regression finds."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.tools import needs_tools

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
@needs_tools("java")
def test_it_is_deterministic_and_agrees_with_sparks_own_logistic_regression() -> None:
    line = [sys.executable, "-m", "tests.jobs.spark_reference"]  # a process of its own, whose Java ends with it
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    found = msgspec.json.decode(done.stdout.splitlines()[-1])
    assert found["same"] is True
    assert found["n_train"] == 1_200
    assert found["too_few"] == ["v:B-USD: 100 labelled feature vectors of a horizon of 1 s, 500 are needed"]
    assert found["gain"] > 0.05
    assert found["applied"] < 1e-9
    assert found["fitted"] < 1e-6
