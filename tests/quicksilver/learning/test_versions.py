"""The same data and configuration are the same version in any process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def in_a_process(**environment: str) -> dict[str, str]:
    line = [sys.executable, "-m", "tests.quicksilver.learning.versions"]
    done = subprocess.run(line, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(300)
def test_neither_the_order_of_sets_nor_the_number_of_threads_changes_a_version() -> None:
    one = in_a_process(PYTHONHASHSEED="1", OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    assert len(set(one.values())) == len(one) > 10
    assert in_a_process(PYTHONHASHSEED="4", OPENBLAS_NUM_THREADS="2", OMP_NUM_THREADS="2") == one
