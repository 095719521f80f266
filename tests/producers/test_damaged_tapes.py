"""Tapes that are damaged in the midst: what lies before and behind is read, and the place is marked."""

import os
from pathlib import Path

import msgspec
import pytest
import zstandard

from producers.frames import Frame
from producers.tapes import TapeWriter
from producers.tapes.damaged import MAGIC
from producers.tapes.own import FRAME_BYTES, OwnLine
from tests.producers.test_rotating import SECOND, START, read, same

FRAMES = [Frame("v", "v.1", "recv", START + i * SECOND // 100, os.urandom(60).hex().encode()) for i in range(6000)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "tape"
    with TapeWriter(path) as tape:
        for frame in FRAMES:
            tape.write(frame)
    return path.read_bytes()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


@pytest.mark.parametrize("part", [0.0, 0.2, 0.5, 0.8])
def test_a_flipped_bit_costs_one_zstd_frame(tmp_path: Path, whole: bytes, part: float) -> None:
    assert whole.count(MAGIC) > 4
    (tmp_path / "x.zst").write_bytes(flipped(whole, int(part * len(whole)) + 9 * (part == 0.0)))
    found, letters = read(tmp_path / "x.zst")
    kept = [one for one in found if one[2] == "recv"]
    assert set(kept) < set(same(FRAMES))
    assert 0 < len(FRAMES) - len(kept) <= FRAME_BYTES // 120
    assert kept == [one for one in same(FRAMES) if one in set(kept)], "in order"
    marks = [i for i, one in enumerate(found) if one[2] == "lost"]
    at = next(i for i, (one, true) in enumerate(zip(kept, same(FRAMES), strict=False)) if one != true)
    assert marks == ([at] if at else []), "where nothing is known of connections yet, none has lost anything"
    assert [("the file is damaged or torn here" in why) for why in letters] == [True]


def test_of_a_tape_in_one_zstd_frame_what_lies_before_the_damage_is_read(tmp_path: Path) -> None:
    lines = b"".join(msgspec.json.encode(OwnLine.of(frame)) + b"\n" for frame in FRAMES[:2000])
    packed = zstandard.ZstdCompressor().compress(b'{"quicksilver_tape":1}\n' + lines)
    (tmp_path / "x.zst").write_bytes(packed[: len(packed) // 2] + b"\xff" * 50_000)
    found, letters = read(tmp_path / "x.zst")
    assert 300 < len(found) < 1500
    assert found[:-1] == same(FRAMES)[: len(found) - 1]
    assert (found[-1][2], len(letters)) == ("lost", 1)


def test_a_wrong_count_in_the_first_of_joined_tapes_does_not_drop_the_others(tmp_path: Path) -> None:
    parts = [b'{"quicksilver_tape":2}\n']
    for i, frame in enumerate(FRAMES[:3]):
        end = b'{"quicksilver_tape_end":%d}\n' % (1 + (i == 0))
        parts += [parts[0]] * (i > 0) + [msgspec.json.encode(OwnLine.of(frame)) + b"\n", end]
    (tmp_path / "joined").write_bytes(b"".join(parts))
    found, letters = read(tmp_path / "joined")
    assert [one for one in found if one[2] == "recv"] == same(FRAMES[:3])
    assert found[1][2] == "lost"
    assert letters == ["the tape is torn here: it says that it holds 2 frames, and 1 are there"]
