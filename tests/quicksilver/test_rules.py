"""Rules of the layout that no reviewer should have to remember."""

import ast
import sys
from pathlib import Path

import pytest

from quicksilver import records, topics
from quicksilver.tables import TABLES

CORE = Path(__file__).resolve().parents[2] / "quicksilver"
ALLOWED = {"quicksilver", "numpy", "numba", "scipy", "msgspec", "river", "zstandard", "onnxruntime"}
LEARNING = {"arch", "onnx", "sklearn", "skl2onnx", "threadpoolctl", "torch"}  # of learning/ alone: models apply without
RESEARCH = {"estimators.py": {"sklearn"}, "judging.py": {"arch"}}  # of portfolio/: what judges a history, not live
FORBIDDEN_STDLIB = {"socket", "asyncio", "time", "os", "pathlib", "io", "sqlite3", "threading", "subprocess", "random"}


EXEMPT = {"compiled.py"}  # reads the kernels' source, for a compiled copy that has become stale gives wrong numbers


CHECKED = [path for path in sorted(CORE.rglob("*.py")) if path.name not in EXEMPT]


@pytest.mark.parametrize("path", CHECKED, ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_imports_no_engine_no_file_and_no_clock(path: Path) -> None:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    third_party = {name for name in names if name not in sys.stdlib_module_names}
    more = {"learning": LEARNING, "portfolio": RESEARCH.get(path.name, set())}.get(path.parent.name, set())
    assert third_party <= ALLOWED | more
    assert not names & FORBIDDEN_STDLIB
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not any(getattr(call.func, "id", "") == "open" for call in calls)


def test_every_record_topic_has_a_table_with_its_columns() -> None:
    assert set(TABLES) == {topic.name for topic in topics.RECORD_TOPICS} | {"trades"}
    for table in TABLES.values():
        fields = table.topic.type.__struct_fields__
        assert set(table.cluster) <= set(fields)
        assert table.time in fields


def test_keys_name_the_instrument_the_universe_or_the_hop() -> None:
    assert topics.key_of(records.Status("kraken", "BTC-USD", 1, 2, 3, "LIVE", "")) == "kraken:BTC-USD"
    assert topics.key_of(records.Latency("hop", 1, 1, 1.0, 1.0, 1.0)) == "hop"
