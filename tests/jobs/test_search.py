"""``quicksilver search`` as its user has it: killed and taken up again, on several processes, on Spark."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from jobs.cli import app
from jobs.gathering import gathered
from jobs.search_folder import Progress, SearchFolder
from jobs.search_progress import Estimate
from jobs.search_shelf import SearchShelf
from jobs.searching import read_histories
from producers.exchanges.base import ignore
from quicksilver.learning import search as core
from quicksilver.learning.search import candidates
from tests.jobs.prices import csv_of
from tests.searches import CONFIG, TOML, files, histories
from tests.tools import needs_tools

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 250.0  # a busy machine is slow, not wrong: imports alone take seconds
N = 16  # configurations of TOML


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("SEARCHES", raising=False)


def grid(folder: Path, toml: str = TOML) -> Path:
    path = folder / "small.toml"
    path.write_text(toml)
    return path


def searched(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["search", *map(str, arguments)])


def summary(stdout: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(stdout.splitlines()[-1])
    return found


def lines(out: Path) -> list[bytes]:
    path = out / "results.jsonl"
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def untimed(out: Path) -> dict[str, bytes]:
    """Return the results by id as bytes, but for the seconds that they took."""
    found = {one.candidate.id: msgspec.structs.replace(one, seconds=0.0) for one in SearchFolder(out).results()}
    return {key: msgspec.json.encode(one) for key, one in sorted(found.items())}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A search by this process alone: its folder (the files beside it), and what it said."""
    folder = tmp_path_factory.mktemp("done")
    result = searched(grid(folder), *files(folder), "--out", folder / "out", "--jobs", 1, "--best", 3)
    return folder, result


def test_it_reads_the_same_data_as_training_does(tmp_path: Path) -> None:
    """What is given twice is refused, and the parts of one instrument are one history, whatever their order."""
    head, *rows = csv_of(tmp_path / "BTC-USD.csv", 400).read_text().splitlines()
    parts = []
    for name, some in (("b", rows[200:]), ("a", rows[:200])):
        (tmp_path / name).mkdir()
        parts.append(tmp_path / name / "BTC-USD.csv")
        parts[-1].write_text("\n".join([head, *some]) + "\n")
    (found,) = read_histories([str(one) for one in parts], (), None, 1, print)
    (other,) = gathered([str(one) for one in parts], [], ignore).histories
    assert found.fresh.tolist() == [row in {0, 200} for row in range(400)]
    assert all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(found[2:], other[2:], strict=True))
    refused = searched(grid(tmp_path), parts[0], parts[0], "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert "hold the same time of" in refused.stderr
    assert "BTC-USD: name one of them" in " ".join(refused.stderr.split())


def test_a_search_ends_with_a_table_a_verdict_and_a_summary(done: tuple[Path, Result]) -> None:
    folder, result = done
    assert result.exit_code == 0, result.stderr
    told = summary(result.stdout)
    assert (told["configurations"], told["computed"], told["kept"], told["failed"], told["tried"]) == (N, N, 0, 0, N)
    assert told["best"]["type"] in {"lda", "naive-bayes"}
    assert told["verdict"] in result.stdout
    assert "the best 3 of 16" in result.stdout
    assert "16 configurations: 0 are there already, 16 to do" in result.stderr
    progress = SearchFolder(folder / "out").progress()
    assert progress is not None
    assert (progress.done, progress.total, progress.eta_s, progress.ended) == (N, N, 0.0, True)


def test_who_asks_again_computes_nothing(done: tuple[Path, Result]) -> None:
    folder, first = done
    before = lines(folder / "out")
    result = searched(
        folder / "small.toml", *reversed(files(folder)), "--out", folder / "out", "--jobs", 1, "--best", 3
    )
    told = summary(result.stdout)
    assert (told["computed"], told["kept"]) == (0, N)
    assert lines(folder / "out") == before
    assert result.stdout.splitlines()[:-1] == first.stdout.splitlines()[:-1]


def test_a_torn_line_and_one_that_is_none_are_computed_anew(done: tuple[Path, Result], tmp_path: Path) -> None:
    folder, _ = done
    whole, out = lines(folder / "out"), tmp_path / "out"
    out.mkdir()
    (out / "results.jsonl").write_bytes(b"".join(whole[:14]) + b'{"no": "result"}\n' + whole[14][:-40])
    result = searched(folder / "small.toml", *files(folder), "--out", out, "--jobs", 1)
    assert (summary(result.stdout)["kept"], summary(result.stdout)["computed"]) == (14, 2)
    assert "1 lines of" in result.stderr
    assert lines(out)[:14] == whole[:14]
    assert untimed(out) == untimed(folder / "out")


def test_a_result_without_a_measure_is_none_of_this_version(done: tuple[Path, Result], tmp_path: Path) -> None:
    folder, _ = done
    whole = lines(folder / "out")
    bare, impossible = (msgspec.json.decode(whole[0]) for _ in "ab")
    bare["validation"]["scores"] = {}
    impossible["validation"]["track"] = {"ratio": 0.1, "n": 5, "skew": 0.0, "kurtosis": 3.0, "per_day": -1.0}
    (tmp_path / "results.jsonl").write_bytes(
        b"\n".join(map(msgspec.json.encode, (bare, impossible))) + b"\n" + whole[1]
    )
    found = SearchFolder(tmp_path)
    assert [one.candidate.id for one in found.results()] == [msgspec.json.decode(whole[1])["candidate"]["id"]]
    assert found.unreadable == 2


@pytest.mark.parametrize("data", [b'{"x": ' + b"[" * 200_000, b'{"models": "\xff"}', None])
@pytest.mark.parametrize("name", ["search.json", "progress.json", "results.jsonl"])
def test_one_broken_file_does_not_hide_the_searches_from_the_page(
    done: tuple[Path, Result], tmp_path: Path, name: str, data: bytes | None
) -> None:
    folder, _ = done
    for one in ("broken", "whole"):
        shutil.copytree(folder / "out", tmp_path / one)
    (tmp_path / "broken" / name).unlink()
    if data is None:
        (tmp_path / "broken" / name).mkdir()
    else:
        (tmp_path / "broken" / name).write_bytes(data + b"\n")
    shelf = SearchShelf(tmp_path)
    broken, whole = shelf.table("broken"), shelf.table("whole")
    assert whole is not None
    assert len(whole.rows) == N
    assert {one.name for one in shelf.states()} == ({"whole"} if name == "search.json" else {"broken", "whole"})
    assert (broken is None) == (name == "search.json")
    assert broken is None or len(broken.rows) == (0 if name == "results.jsonl" else N)


def test_tries_of_an_earlier_grid_count(done: tuple[Path, Result], tmp_path: Path) -> None:
    folder, _ = done
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.jsonl").write_bytes(b"".join(lines(folder / "out")))
    toml = grid(tmp_path, TOML.replace("[1, 2]", "[1]").replace('"1m", "2m"', '"2m"'))
    told = summary(searched(toml, *files(tmp_path), "--out", out, "--jobs", 1).stdout)
    assert (told["configurations"], told["computed"], told["tried"]) == (4, 0, N)


def test_another_program_or_other_folds_use_nothing_of_it(
    done: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = done
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.jsonl").write_bytes(b"".join(lines(folder / "out")))
    toml = grid(tmp_path, TOML.replace('"lda", "naive-bayes"', '"lda"').replace('"1m", "2m"', '"2m"'))
    monkeypatch.setattr("jobs.searching.code_digest", lambda: "another")
    told = summary(searched(toml, *files(tmp_path), "--out", out, "--jobs", 1).stdout)
    assert (told["computed"], told["kept"], told["tried"]) == (4, 0, N)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "jobs.cli", "search", *map(str, arguments)]


def children(pid: int) -> set[int]:
    return {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def alive(pids: set[int]) -> set[int]:
    """Return which of these processes still compute: one that waits to be reaped does not."""
    found = set()
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                found.add(pid)
        except FileNotFoundError:
            continue
    return found


@pytest.mark.timeout(600)
def test_after_a_kill_nothing_that_was_finished_is_computed_again(done: tuple[Path, Result], tmp_path: Path) -> None:
    folder, _ = done
    out = tmp_path / "out"
    line = command(folder / "small.toml", *files(folder), "--out", out, "--jobs", 2)
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + PATIENCE_S
    while len(lines(out)) < 3:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    workers = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = [one for one in lines(out) if one.endswith(b"\n")]
    assert 3 <= len(before) < N
    while alive(workers):
        assert time.monotonic() < end, "workers go on though nobody takes their results"
        time.sleep(0.1)
    assert lines(out)[: len(before)] == before
    done_again = subprocess.run(line, cwd=ROOT, capture_output=True, check=True, timeout=PATIENCE_S)
    told = summary(done_again.stdout.decode())
    assert (told["kept"], told["computed"]) == (len(before), N - len(before))
    after = lines(out)
    assert after[: len(before)] == before
    assert len(after) == N
    assert untimed(out) == untimed(folder / "out"), "two processes give what one gives, to the byte"


@pytest.mark.timeout(600)
@needs_tools("java")
def test_spark_gives_the_same_to_the_byte(done: tuple[Path, Result], tmp_path: Path) -> None:
    folder, _ = done
    line = command(
        folder / "small.toml", *files(folder), "--out", tmp_path / "out", "--backend", "spark", "--master", "local[2]"
    )
    ran = subprocess.run(line, cwd=ROOT, capture_output=True, check=False, timeout=550)
    assert ran.returncode == 0, ran.stderr.decode()
    assert summary(ran.stdout.decode())["computed"] == N
    assert untimed(tmp_path / "out") == untimed(folder / "out")


def test_what_is_held_back_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    toml = grid(tmp_path, TOML.replace('"1m", "2m"', '"1m"').replace("[1, 2]", "[1]"))
    path = csv_of(tmp_path / "BTC-USD.csv", 900)
    head, *rows = path.read_text().splitlines()
    (tmp_path / "cut").mkdir()
    cut = tmp_path / "cut" / "BTC-USD.csv"
    cut.write_text("\n".join([head, *rows[:800]]) + "\n")
    until = datetime.fromtimestamp(int(rows[800].split(",")[0]), UTC).isoformat()
    for source, out, options in ((path, "held", ["--until", until]), (cut, "short", [])):
        assert searched(toml, source, "--out", tmp_path / out, "--jobs", 1, *options).exit_code == 0
    held, short = untimed(tmp_path / "held"), untimed(tmp_path / "short")
    assert len(held) == 2
    assert held == short
    assert "nothing lies between" in searched(toml, path, "--out", tmp_path / "out", "--until", "2001-01-01").stderr


def test_why_some_cannot_be_judged_is_said_once(tmp_path: Path) -> None:
    toml = grid(tmp_path, TOML.replace('"1m", "2m"', '"1m", "1h"').replace("[1, 2]", "[1]"))
    result = searched(toml, *files(tmp_path), "--out", tmp_path / "out", "--jobs", 1)
    told = summary(result.stdout)
    assert (result.exit_code, told["computed"], told["failed"]) == (0, 8, 4)
    whys = {one.candidate.config.granularity: one.why for one in SearchFolder(tmp_path / "out").results()}
    assert whys["1m"] == ""
    assert "examples are too few to predict any" in whys["1h"]
    assert f"4 of 8 could not be judged: {whys['1h']}" in result.stdout.splitlines()
    assert result.stdout.count("examples are too few") == 1
    assert "the best 4 of 8;" in result.stdout


def test_where_nothing_can_be_judged_there_is_no_table(tmp_path: Path) -> None:
    toml = grid(tmp_path, TOML.replace('"1m", "2m"', '"1h", "2h"').replace("[1, 2]", "[1]"))
    result = searched(toml, *files(tmp_path), "--out", tmp_path / "out", "--jobs", 1)
    *reasons, said, _ = result.stdout.splitlines()
    counts = Counter(one.why for one in SearchFolder(tmp_path / "out").results())
    assert sorted(reasons) == sorted(f"{n} of 8 could not be judged: {why}" for why, n in counts.items())
    assert said == "None of 8 configurations could be judged."


@pytest.mark.parametrize(
    ("toml", "options", "why"),
    [
        ("[search]\ntypes = []", [], "types is empty: there is nothing to try"),
        (TOML, ["--jobs", "2", "--backend", "spark"], "--jobs is for --backend joblib"),
        (TOML, ["--master", "local[2]"], "--master is for --backend spark"),
        (TOML.replace("[1, 2]", "[0]"), ["--jobs", "1"], "there is nothing to try: each combination needs"),
        (TOML.replace("[1, 2]", str(list(range(1, 1_000)))), ["--jobs", "1"], "more than 5,000 are to do: say --yes"),
    ],
)
def test_what_cannot_be_begun_is_said_in_a_sentence(
    toml: str, options: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.search_command.MANY", 5_000)
    result = searched(grid(tmp_path, toml), *files(tmp_path), "--out", tmp_path / "out", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr.splitlines()[-1]


def test_a_file_or_a_source_that_is_not_there_is_said(tmp_path: Path) -> None:
    missing = searched(tmp_path / "no.toml", *files(tmp_path))
    assert missing.exit_code == 2
    assert missing.stderr == f"error: {tmp_path / 'no.toml'}: cannot be read: No such file or directory\n"
    no_source = searched(grid(tmp_path), tmp_path / "no.csv", "--jobs", 1)
    assert (no_source.exit_code, no_source.stderr) == (2, f"error: {tmp_path / 'no.csv'}: there is no such file\n")


def test_two_searches_do_not_write_to_one_folder(done: tuple[Path, Result]) -> None:
    folder, _ = done
    with SearchFolder(folder / "out").writing():
        result = searched(folder / "small.toml", *files(folder), "--out", folder / "out", "--jobs", 1)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "another search writes to" in result.stderr


def test_the_time_that_is_left_goes_by_what_each_type_takes() -> None:
    data = histories()
    some = candidates(msgspec.structs.replace(CONFIG, types=("lda", "rbf-svm")), data, "c")
    estimate = Estimate(some, data, 2)
    assert estimate.seconds() is None
    ordered = estimate.longest_first(some)
    assert [one.config.type for one in ordered] == ["rbf-svm"] * 8 + ["lda"] * 8
    assert ordered[0].config.granularity == "1m"
    for one in some[:-2]:
        estimate.take(core.Result(one, seconds=30.0 if one.config.type == "rbf-svm" else 1.0))
    assert estimate.seconds() == pytest.approx((30.0 + 1.0) / 2, rel=0.3)
    for one in some[-2:]:
        estimate.take(core.Result(one, seconds=1.0))
    assert estimate.seconds() == 0.0


def test_a_file_of_nothing_but_a_torn_line_is_emptied(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path)
    (tmp_path / "results.jsonl").write_bytes(b'{"candidate"' * 20_000)
    with folder.appending():
        assert folder.size() == 0
    assert folder.progress() is None
    folder.note(Progress(1, 2, 0, None, False, 3))
    assert folder.progress() == Progress(1, 2, 0, None, False, 3)
