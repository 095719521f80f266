"""What was done with a predictor is kept, line by line, whatever happens while a line is written."""

from pathlib import Path

import pytest

from jobs.registry_history import Happening, History
from quicksilver.errors import InputError

FIRST = Happening(1, "training", "schedule")
SECOND = Happening(1, "shadow", "walk-forward …", "abc")


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    history = History(tmp_path / "models")
    assert history.of("near") == []
    history.add("near", FIRST)
    history.add("near", SECOND)
    assert History(tmp_path / "models").of("near") == [FIRST, SECOND]
    assert history.of("far") == []


@pytest.mark.parametrize("cut", [1, 10, 30])
def test_a_line_that_a_crash_has_cut_short_costs_no_other(tmp_path: Path, cut: int) -> None:
    history = History(tmp_path)
    history.add("near", FIRST)
    history.add("near", SECOND)
    path = tmp_path / "near/history.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    lost = cut > 1  # of the line end alone nothing is lost
    assert history.of("near") == ([FIRST] if lost else [FIRST, SECOND])
    history.add("near", FIRST)
    assert history.of("near") == ([FIRST, FIRST] if lost else [FIRST, SECOND, FIRST])


def test_what_cannot_be_written_or_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "near").write_text("a file, where there should be a folder")
    with pytest.raises(InputError, match=r"history\.jsonl: cannot be written to: "):
        History(tmp_path).add("near", FIRST)
    with pytest.raises(InputError, match=r"history\.jsonl: cannot be read: Not a directory"):
        History(tmp_path).of("near")
