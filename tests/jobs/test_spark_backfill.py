"""Backfill: the bytes of a replay, into however many tasks the work is cut."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.replay import replay_tape
from jobs.shares import COUNTED, FAILED, Line, Unit, lines_of
from tests.jobs.market_tapes import files_of, tape
from tests.jobs.one_java import Done, OneJava
from tests.tools import needs_tools

ROOT = Path(__file__).resolve().parents[2]
REAL = "market-aggregator/2026-08-09-btc-usd.jsonl.gz"

needs_java = needs_tools("java")


def shares_of(path: Path, shares: int, *, trades: bool = False) -> list[Line]:
    units = [Unit(0, str(path), str(path), None, share, shares, trades) for share in range(shares)]
    return [line for unit in units for some in lines_of(unit) for line in some]


def joined(lines: list[Line]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for line in sorted(lines):
        if line.topic not in {FAILED, COUNTED}:
            files[f"{line.topic}.jsonl"] = files.get(f"{line.topic}.jsonl", b"") + line.line + b"\n"
    return files


@pytest.mark.parametrize("shares", [1, 2, 3, 5, 7])
def test_shares_together_are_the_replay_crossed_books_included(tmp_path: Path, shares: int) -> None:
    path = tape(tmp_path / "tape.zst")
    summary = replay_tape(path, out=tmp_path / "truth")
    assert summary["crossed"] == 2
    assert summary["rejected"] == 2
    lines = shares_of(path, shares)
    assert joined(lines) == files_of(tmp_path / "truth")
    counts = [msgspec.json.decode(line.line) for line in lines if line.topic == COUNTED]
    assert len(counts) == shares
    assert sum(count["crossed"] for count in counts) == 2
    assert sum(count["features"] for count in counts) == summary["features"]
    for name in ("frames", "events", "gaps", "resyncs", "rejected", "skipped"):
        assert {count[name] for count in counts} == {summary[name]}


def test_each_instrument_is_computed_once_and_trades_if_asked_for(tmp_path: Path) -> None:
    path = tape(tmp_path / "tape.zst")
    by_share = [
        {line.key for some in lines_of(Unit(0, str(path), str(path), None, share, 3, False)) for line in some} - {""}
        for share in range(3)
    ]
    instruments = [{key for key in keys if not key.endswith(":None")} for keys in by_share]
    assert sum(map(len, instruments)) == len(set().union(*instruments)) == 5
    assert "trades.jsonl" in joined(shares_of(path, 2, trades=True))


def test_a_tape_is_called_what_the_user_called_it(tmp_path: Path) -> None:
    path = tape(tmp_path / "tape.zst")
    unit = Unit(0, "mine.zst", str(path), None, 0, 1, False)
    letters = [line.line for some in lines_of(unit) for line in some if line.topic == "dead-letters"]
    assert msgspec.json.decode(letters[0])["source"].startswith("mine.zst:")
    (failed,) = (line for some in lines_of(replace_path(unit, tmp_path / "nowhere")) for line in some)
    assert (failed.topic, failed.line) == (FAILED, b"mine.zst: no such file")


def replace_path(unit: Unit, path: Path) -> Unit:
    return unit._replace(path=str(path))


def job(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, whose Java ends with it."""
    line = [sys.executable, "-m", "jobs.spark_backfill", *map(str, arguments), "--master", "local[2]"]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def summary_of(done: Done) -> Any:
    return msgspec.json.decode(done.stdout.splitlines()[-1])


@needs_java
@pytest.mark.timeout(600)
def test_spark_writes_the_bytes_of_the_replays(tmp_path: Path, one_java: OneJava) -> None:
    """In one task, and in five, of which two share a tape."""
    paths = [tape(tmp_path / "a.zst", 4), tape(tmp_path / "b.zst", 5, 25)]
    truth: dict[str, bytes] = {}
    for path in paths:
        replay_tape(path, out=tmp_path / path.stem)
        for name, rows in files_of(tmp_path / path.stem).items():
            truth[name] = truth.get(name, b"") + rows
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"hello\n")
    for partitions in (1, 5):
        out = tmp_path / f"out-{partitions}"
        done = one_java.run(
            "backfill", paths[0], bad, paths[1], "--out", out, "--partitions", partitions, "--master", "local[2]"
        )
        assert done.returncode == 0, done.stderr
        assert f"error: {bad}: not a tape" in done.stderr
        assert files_of(out) == truth
        summary = summary_of(done)
        assert summary["rows"] == {name.removesuffix(".jsonl"): truth[name].count(b"\n") for name in sorted(truth)}
        assert list(summary["failed"]) == [str(bad)]
        assert summary["tapes"][str(paths[0])]["crossed"] == 2


@needs_java
@pytest.mark.timeout(600)
def test_spark_writes_the_bytes_of_a_real_tapes_replay(tapes: Path, tmp_path: Path) -> None:
    replay_tape(tapes / REAL, out=tmp_path / "truth")
    done = job(tapes / REAL, "--out", tmp_path / "out", "--partitions", 3)
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "out") == files_of(tmp_path / "truth")


@needs_java
@pytest.mark.timeout(300)
def test_where_nothing_can_be_read_it_ends_with_2(tmp_path: Path, one_java: OneJava) -> None:
    done = one_java.run("backfill", tmp_path / "nowhere.gz", "--out", tmp_path / "out", "--master", "local[2]")
    assert done.returncode == 2
    assert f"error: {tmp_path / 'nowhere.gz'}: no such file" in done.stderr
    assert "error: no tape could be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_wants_to_know_where_to(tmp_path: Path) -> None:
    for options in ([], ["--out", str(tmp_path), "--to", "cassandra"]):
        done = CliRunner().invoke(app, ["backfill", str(tmp_path), *options])
        assert done.exit_code == 2
        assert "say where to: --out FOLDER or --to cassandra" in done.stderr
