"""``quicksilver tape cut`` and ``convert`` of what is damaged, and where clocks are wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from jobs.cli import app
from producers.frames import Frame
from producers.simulator.orderflow import Market
from producers.tapes import read_frames
from producers.tapes.rotating import RotatingTape
from tests.jobs.test_tape_cli import SECOND, START, SYMBOLS, kraken, tape, written
from tests.producers.test_tapes import bare


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return kraken("kraken.1", Market(1, START, SYMBOLS))


@pytest.mark.parametrize("command", ["cut", "convert"])
def test_what_is_made_of_a_torn_tape_says_so_and_is_marked(tmp_path: Path, frames: list[Frame], command: str) -> None:
    (tmp_path / "torn").write_bytes(written(tmp_path / "whole", frames[:-1]).read_bytes()[:-1000])
    readable = [bare(frame) for frame in read_frames(tmp_path / "torn")]
    done = CliRunner().invoke(app, ["tape", command, str(tmp_path / "torn"), str(tmp_path / "new")])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (done.exit_code, found["torn"], found["unreadable"]) == (1, True, 1)
    assert "torn" in done.stderr
    *kept, mark = read_frames(tmp_path / "new")
    assert [bare(frame) for frame in kept] == readable
    assert (mark.conn, mark.direction, mark.payload) == ("kraken.1", "lost", b"")
    verified = tape("verify", tmp_path / "new", code=1)
    assert (verified["torn"], verified["rejected"], verified["gaps"]) == (True, 1, len(SYMBOLS))
    again = tape("convert", tmp_path / "new", tmp_path / "again", code=1)
    assert again["frames"] == found["frames"], "a mark is not marked again"


def test_a_cut_that_ends_before_the_tear_is_whole(tmp_path: Path, frames: list[Frame]) -> None:
    (tmp_path / "torn").write_bytes(written(tmp_path / "whole", frames).read_bytes()[:-40])
    assert tape("cut", tmp_path / "torn", tmp_path / "cut", "--end", 5)["torn"] is False
    assert tape("verify", tmp_path / "cut")["torn"] is False


def test_a_missing_file_of_a_recording_is_marked_where_it_was(tmp_path: Path, frames: list[Frame]) -> None:
    recording = RotatingTape(tmp_path / "folder", max_s=5)
    for frame in frames:
        recording.write(frame)
    recording.close()
    recording.files[1].unlink()
    assert tape("cut", tmp_path / "folder", tmp_path / "cut", code=1)["torn"] is True
    after = [frame.direction for frame in read_frames(tmp_path / "cut")]
    assert 0 < after.index("lost") < len(after) - 10
    assert tape("verify", tmp_path / "cut", code=1)["torn"] is True


@pytest.mark.parametrize("run_up", ["--run-up", "--no-run-up"])
def test_a_frame_with_a_wrong_clock_does_not_end_the_span(tmp_path: Path, frames: list[Frame], run_up: str) -> None:
    ahead = [replace(one, ts_recv_ns=one.ts_recv_ns + (30 * SECOND if i == 300 else 0)) for i, one in enumerate(frames)]
    wanted = [bare(one) for one, true in zip(ahead, frames, strict=True) if true.ts_recv_ns < START + 15 * SECOND]
    assert len(wanted) > 400
    tape("cut", written(tmp_path / "whole", ahead), tmp_path / "cut", "--end", "2026-09-21T14:13:35", run_up)
    assert [bare(frame) for frame in read_frames(tmp_path / "cut")] == wanted


def test_a_frame_with_a_wrong_clock_does_not_begin_the_span(tmp_path: Path, frames: list[Frame]) -> None:
    ahead = [replace(one, ts_recv_ns=one.ts_recv_ns + (30 * SECOND if i == 100 else 0)) for i, one in enumerate(frames)]
    whole, out = written(tmp_path / "whole", ahead), tmp_path / "cut"
    tape("cut", whole, out, "--start", 10, "--end", 15, "--no-run-up")
    assert next(read_frames(out)).ts_recv_ns >= frames[0].ts_recv_ns + 10 * SECOND
