"""Recording in a thread: a disk that is slow, one that fails, and who can wait for it."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from producers.frames import Frame
from producers.tapes.recorder import TapeRecorder
from producers.tapes.rotating import RotatingTape
from quicksilver.errors import InputError
from tests.producers.test_rotating import SECOND, START, frame, read, same


class Slow(RotatingTape):
    """A disk that takes nothing until it is let."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.let = threading.Event()
        self.asked = threading.Event()

    def write(self, frame: Frame) -> None:
        self.asked.set()
        self.let.wait()
        super().write(frame)


def test_frames_that_the_disk_is_too_slow_for_are_said_counted_and_marked(tmp_path: Path) -> None:
    said: list[str] = []
    tape = Slow(tmp_path)
    asked: list[tuple[str, str]] = []
    recorder = TapeRecorder(tape, said.append, lambda *lost: asked.append(lost), queue_frames=3)
    frames = [frame(i) for i in range(9)]
    recorder.put(frames[0])
    tape.asked.wait()
    for one in frames[1:6]:  # room is for three of these
        recorder.put(one)
    assert recorder.lost == 2
    tape.let.set()
    while tape.frames != 4:
        threading.Event().wait(0.01)
    recorder.put(frames[6])
    assert asked == []
    while tape.frames != 6:
        threading.Event().wait(0.01)
    for one in frames[7:]:
        while recorder._writing:
            threading.Event().wait(0.01)
        recorder.put(one)
    assert asked == [("v", "v.1")]
    recorder.close()
    mark = Frame("v", "v.1", "disconnect", frames[6].ts_recv_ns, b"not recorded: 2 frames, the disk did not keep up")
    assert read(tmp_path) == (same([*frames[:4], mark, *frames[6:]]), [])
    assert said == [
        f"the disk does not keep up with the recording in {tmp_path}: frames are lost from here",
        "2 frames could not be recorded",
    ]


async def test_who_can_wait_loses_nothing(tmp_path: Path) -> None:
    recorder = TapeRecorder(RotatingTape(tmp_path), ignore_text, queue_frames=40)
    frames = [frame(i, step_ns=1000) for i in range(400)]
    for one in frames:
        recorder.put(one)
        await recorder.room()
    recorder.close()
    assert (recorder.lost, read(tmp_path)) == (0, (same(frames), []))


def ignore_text(_: str) -> None:
    pass


async def test_a_disk_that_fails_is_said_once_and_ends_who_waits(tmp_path: Path) -> None:
    class Full(RotatingTape):
        def write(self, frame: Frame) -> None:
            if self.frames == 2:
                raise OSError(28, "No space left on device")
            super().write(frame)

    said: list[str] = []
    recorder = TapeRecorder(Full(tmp_path), said.append)
    for i in range(4):
        recorder.put(frame(i))
    put = 4
    with pytest.raises(InputError, match="the disk does not take it: No space left on device"):
        while True:
            await recorder.room()
            recorder.put(frame(9))
            put += 1
    recorder.close()
    why = f"{tmp_path}: the recording has ended, the disk does not take it: No space left on device"
    assert said == [why, f"{recorder.lost:,} frames could not be recorded"]
    assert recorder.lost == put - 2
    found, letters = read(tmp_path)
    assert [one[3] for one in found if one[2] == "recv"] == [START, START + SECOND]
    assert "torn" in letters[0]


FULL = """
import resource, sys
from pathlib import Path
from producers.tapes.recorder import TapeRecorder
from producers.tapes.rotating import RotatingTape
from tests.producers.test_recorder import noise
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
tape = RotatingTape(Path(sys.argv[1]))
recorder = TapeRecorder(tape, lambda text: None)
for i in range(4000):
    recorder.put(noise(i))
recorder.close()
print(tape.frames, recorder.lost, tape.bytes)
"""


def noise(i: int) -> Frame:
    return Frame("v", "v.1", "recv", START + i * SECOND // 100, os.urandom(60))


def test_frames_that_a_full_disk_had_not_taken_are_lost(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    frames, lost, size = map(int, done.stdout.split())
    found, (letter,) = read(tmp_path)
    received = [one for one in found if one[2] == "recv"]
    assert (frames, frames + lost) == (len(received), 4000)
    assert 100 < frames < 2000
    assert "torn" in letter
    assert size == sum(one.stat().st_size for one in tmp_path.iterdir()) <= 100_000
