"""What Spark's workers are sent can be read where nothing of ours is but what is sent along."""

import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.serializers import CloudPickleSerializer

import jobs.search_spark  # noqa: F401 (it has the module of its task sent along)
from jobs import search_workers
from jobs.spark_tables import _to_columns
from quicksilver.learning.tasks import attempted
from quicksilver.tables import TABLES

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from pyspark import cloudpickle

cloudpickle.loads(sys.stdin.buffer.read())
"""
OURS = "api,setup,tests"


@pytest.mark.parametrize(
    ("task", "missing"),
    [
        (attempted, f"{OURS},jobs,producers"),
        (search_workers.timed, f"{OURS},jobs,producers"),
        (_to_columns(TABLES["labels"]), OURS),
    ],
    ids=["train", "search", "backfill"],
)
def test_a_worker_elsewhere_can_read_its_task(task: object, missing: str) -> None:
    line, data = [sys.executable, "-c", WORKER, missing], CloudPickleSerializer().dumps(task)  # type: ignore[no-untyped-call]
    done = subprocess.run(line, cwd=ROOT, input=data, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
