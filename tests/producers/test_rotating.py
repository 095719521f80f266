"""Recordings of several files: rotation, crashes, damage, and files that follow each other, none opened early."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from producers.frames import Frame
from producers.tapes import TapeWriter, read_frames
from producers.tapes.own import Header, header_of
from producers.tapes.rotating import RotatingTape, part_of, recording_of
from quicksilver.errors import FrameError, InputError
from quicksilver.records import DeadLetter
from tests.conftest import ROOT
from tests.producers.test_tapes import bare, read_bytes

START = 1_790_000_000_123_456_789
SECOND = 1_000_000_000


def frame(i: int, conn: str = "v.1", step_ns: int = SECOND) -> Frame:
    text = f'{{"n":{i},"x":"{os.urandom(20).hex()}"}}'
    return Frame("v", conn, "recv", START + i * step_ns, text.encode())


def recorded(folder: Path, frames: list[Frame], **given: float) -> list[Path]:
    tape = RotatingTape(folder, {"source": "TEST"}, **given)  # type: ignore[arg-type]
    for one in frames:
        tape.write(one)
    tape.close()
    assert tape.frames == len(frames)
    assert tape.bytes == sum(path.stat().st_size for path in tape.files)
    return tape.files


def read(path: Path) -> tuple[list[tuple[object, ...]], list[str]]:
    letters: list[DeadLetter] = []
    frames = [bare(one) for one in read_frames(path, reject=letters.append)]
    return frames, [letter.reason for letter in letters]


def same(frames: list[Frame]) -> list[tuple[object, ...]]:
    return [bare(one) for one in frames]


def test_files_end_by_time_and_sort_as_they_were_written(tmp_path: Path) -> None:
    frames = [frame(i) for i in range(25)]
    files = recorded(tmp_path, frames, max_s=10)
    assert [path.name for path in files] == [f"20260921T141320.123456789-00000{n}.tape.zst" for n in (1, 2, 3)]
    assert sorted(tmp_path.iterdir()) == files
    assert [len(read(path)[0]) for path in files] == [10, 10, 5]
    assert read(tmp_path) == (same(frames), [])


def test_files_end_by_size(tmp_path: Path) -> None:
    frames = [frame(i, step_ns=2 * SECOND) for i in range(300)]
    files = recorded(tmp_path, frames, max_bytes=2_000)
    assert len(files) > 5
    assert all(2_000 <= path.stat().st_size < 2_400 for path in files[:-1])
    assert read(tmp_path) == (same(frames), [])


def test_a_recording_says_what_it_is(tmp_path: Path) -> None:
    files = recorded(tmp_path, [frame(0), frame(10)], max_s=5)
    headers = [header_of(read_bytes(path).splitlines()[0]) for path in files]
    name = recording_of(START)
    assert headers == [Header(2, name, n, {"source": "TEST"}) for n in (1, 2)]
    part = part_of(files[1])
    assert part == (name, START, 2)
    assert part_of(tmp_path / "20269921T141320.123456789-000001.tape.zst") is None
    assert part_of(tmp_path / "other.tape.zst") is None


def test_a_tape_of_a_newer_version_is_refused() -> None:
    with pytest.raises(FrameError, match="a tape of version 3, this is 2: update Quicksilver"):
        header_of(b'{"quicksilver_tape":3}')


def test_a_tape_without_fields_or_end_is_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_bytes(b'{"quicksilver_tape":1}\n{"ts":5,"dir":"recv","venue":"v","conn":"c","text":"a"}')
    assert read(path) == ([("v", "c", "recv", 5, b"a", None)], [])


def test_recordings_in_one_folder_follow_each_other_and_other_tapes_are_merged(tmp_path: Path) -> None:
    first, second = [frame(i) for i in range(5)], [frame(i, "v.2") for i in range(4, 9)]
    recorded(tmp_path, second, max_s=2)
    recorded(tmp_path, first, max_s=2)
    third = [frame(i, "v.3") for i in range(9)]
    with TapeWriter(tmp_path / "other.zst") as writer:
        for one in third:
            writer.write(one)
    found, letters = read(tmp_path)
    assert letters == []
    assert [one[3] for one in found] == sorted(one[3] for one in found)  # type: ignore[type-var]
    for conn, frames in (("v.1", first), ("v.2", second), ("v.3", third)):
        assert [one for one in found if one[1] == conn] == same(frames)


def test_files_of_a_recording_keep_their_order_where_times_go_back(tmp_path: Path) -> None:
    frames = [frame(i) for i in (0, 5, 3, 9, 8, 12, 11)]
    assert len(recorded(tmp_path, frames, max_s=4)) > 2
    assert read(tmp_path)[0] == same(frames)


@contextmanager
def few_open_files(more: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len([*Path("/proc/self/fd").iterdir()]) + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_file_is_opened_when_its_time_has_come(tmp_path: Path) -> None:
    frames = []
    for part in range(8):  # recordings, of ten files each
        some = [frame(part * 10 + i) for i in range(10)]
        recorded(tmp_path, some, max_s=1)
        frames += some
    with few_open_files(6):
        assert read(tmp_path) == (same(frames), [])


def test_a_torn_tape_is_read_up_to_the_tear_at_every_byte(tmp_path: Path) -> None:
    frames = [frame(i) for i in range(6)]
    (path,) = recorded(tmp_path / "whole", frames)
    whole = path.read_bytes()
    torn, counts = tmp_path / "torn.zst", []
    for length in range(1, len(whole)):
        torn.write_bytes(whole[:length])
        try:
            found, letters = read(torn)
        except InputError:  # not even the header is left
            found, letters = [], ["torn"]
        assert found == same(frames)[: len(found)]
        if length < len(whole) - 12:  # the end's own block and the checksum after it
            assert [("torn" in why) for why in letters] == [True]
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-20] >= len(frames) - 1
    assert read(path) == (same(frames), [])


def test_a_tape_that_lies_about_its_frames_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(
        b'{"quicksilver_tape":2}\n{"ts":5,"dir":"recv","venue":"v","conn":"c"}\n{"quicksilver_tape_end":2}\n'
    )
    found, (why,) = read(path)
    assert [one[2] for one in found] == ["recv", "lost"]
    assert why.endswith("torn here: it says that it holds 2 frames, and 1 are there")


def test_what_a_missing_file_held_ends_the_connections(tmp_path: Path) -> None:
    frames = [frame(i, f"v.{1 + i % 2}") for i in range(9)]
    files = recorded(tmp_path, frames, max_s=3)
    files[1].unlink()
    found, letters = read(tmp_path)
    why = f"the tape is torn here: file 2 of recording {recording_of(START)} is not there"
    ends = [
        ("v", conn, "disconnect", frames[2].ts_recv_ns, f"not recorded: {why}".encode(), None)
        for conn in ("v.1", "v.2")
    ]
    assert letters == [why]
    assert found == same(frames[:3]) + ends + same(frames[6:])


@pytest.mark.parametrize("length", [0, 5, 150])
def test_a_file_torn_in_the_middle_ends_the_connections_and_the_next_goes_on(tmp_path: Path, length: int) -> None:
    frames = [frame(i) for i in range(9)]
    files = recorded(tmp_path, frames, max_s=3)
    files[1].write_bytes(files[1].read_bytes()[:length])
    found, letters = read(tmp_path)
    kept = [one for one in found if one[2] != "disconnect"]
    assert len(letters) == 1
    assert kept == same(frames[: len(kept) - 3] + frames[6:])
    (end,) = [one for one in found if one[2] == "disconnect"]
    assert found.index(end) == len(kept) - 3
    assert "torn" in str(end[4])


WRITING = """
import sys, time
from pathlib import Path
from producers.tapes.rotating import RotatingTape
from tests.producers.test_rotating import Frame, START
tape = RotatingTape(Path(sys.argv[1]), max_bytes=20_000)
i = 0
while True:
    tape.write(Frame("v", "v.1", "recv", START + i * 1_000_000, b"%d" % i * 40))
    i += 1
    if i % 500 == 0:
        tape._synced_s = -10.0
        tape.sync()
        print(i, flush=True)
"""


def test_what_was_synced_outlives_a_kill(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITING, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as writing:  # fmt: skip
        assert writing.stdout is not None
        try:
            synced = 0
            for line in writing.stdout:
                synced = int(line)
                if synced >= 30_000:
                    break
        finally:
            writing.send_signal(signal.SIGKILL)
        synced = max([synced, *map(int, writing.stdout.read().split())])
    assert len(list(tmp_path.iterdir())) > 2
    frames, letters = read(tmp_path)
    kept = [one for one in frames if one[2] != "disconnect"]
    assert len(kept) >= synced
    assert [one[4] for one in kept] == [b"%d" % i * 40 for i in range(len(kept))]
    assert len(letters) == 1
    assert "torn" in letters[0]


@pytest.mark.parametrize("left", [1, 2])
def test_a_recording_whose_last_files_are_missing_has_no_end(tmp_path: Path, left: int) -> None:
    frames = [frame(i) for i in range(9)]
    for file in recorded(tmp_path, frames, max_s=3)[left:]:
        file.unlink()
    found, (letter,) = read(tmp_path)
    no_end = "the recording has no end: it was cut off, or is still running"
    assert letter == f"the tape is torn here: file {left + 1} is missing, and what may have come after it: {no_end}"
    assert found[:-1] == same(frames[: 3 * left])
    assert found[-1][2] == "disconnect"


def test_an_older_recording_that_says_nothing_of_its_end_is_no_fault(tmp_path: Path) -> None:
    name = f"{recording_of(START)}-000001.tape.zst"
    with TapeWriter(tmp_path / name, Header(recording=recording_of(START), part=1)) as tape:
        tape.write(one := frame(0))
    assert read(tmp_path) == (same([one]), [])


def test_copies_are_left_out_and_said(tmp_path: Path) -> None:
    *frames, other = (frame(i) for i in range(10))
    files = recorded(tmp_path, frames, max_s=3)
    (tmp_path / "a-copy.tape.zst").write_bytes(files[1].read_bytes())
    files[2].rename(tmp_path / "renamed.tape.zst")
    for name in ("x", "y"):
        with TapeWriter(tmp_path / f"{name}.tape") as tape:
            tape.write(other)
    found, letters = read(tmp_path)
    assert found == same([*frames, other])
    assert letters == [f"a copy of {name}, and not read again" for name in (files[1].name, "x.tape")]


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"file: tapes cannot be written there: .*/file is no folder"):
        RotatingTape(tmp_path / "file")
