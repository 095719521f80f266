"""The replay command on real tapes: counts, byte-equal runs, a run cut in two, bad input."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.outputs import RecordFiles
from jobs.parsers import Parsers
from jobs.replay import Replay, replay_tape
from producers.frames import Frame
from producers.simulator.frames import frames as simulated
from producers.simulator.orderflow import Market
from producers.tapes import TapeWriter, read_frames
from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError, StateError
from quicksilver.pipeline import Pipeline
from quicksilver.records import FullBook

LIVE = "market-aggregator/2026-08-09-btc-usd-live.jsonl.gz"
SHORT = "market-aggregator/2026-08-09-btc-usd.jsonl.gz"


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "jobs.cli", "replay", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_ends_with_the_summary(tapes: Path, tmp_path: Path) -> None:
    done = command(tapes / LIVE, "--out", tmp_path)
    assert done.returncode == 0
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["frames"], summary["events"], summary["features"]) == (5827, 5461, 5461)
    assert (summary["gaps"], summary["crossed"], summary["rejected"], summary["checksums_failed"]) == (0, 0, 0, 0)
    assert summary["venues"]["kraken"]["symbols"]["BTC-USD"]["checksums_passed"] == 1676
    assert summary["venues"]["coinbase"]["symbols"]["BTC-USD"]["features"] == 3267
    rows = (tmp_path / "features.jsonl").read_bytes().splitlines()
    assert len(rows) == 5461
    assert json.loads(rows[0])["venue"] in {"kraken", "coinbase", "bitstamp"}


def test_two_replays_write_the_same_bytes(tapes: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        replay_tape(tapes / SHORT, out=tmp_path / name)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert "predictions.jsonl" in files_of(tmp_path / "a")


def test_full_books_are_written_beside_what_is_the_same_without_them(tapes: Path, tmp_path: Path) -> None:
    done = command(tapes / SHORT, "--out", tmp_path / "full", "--full-books-per-s", 2, "--full-book-levels", 20)
    assert done.returncode == 0, done.stderr
    replay_tape(tapes / SHORT, out=tmp_path / "plain")
    config = PipelineConfig(full_books_per_s=2.0, full_book_levels=20)
    replay_tape(tapes / SHORT, out=tmp_path / "first", until_event=500, save_state=tmp_path / "state", config=config)
    replay_tape(tapes / SHORT, out=tmp_path / "second", load_state=tmp_path / "state", config=config)
    full, first, second = (files_of(tmp_path / name) for name in ("full", "first", "second"))
    books = full.pop("full-books.jsonl")
    assert full == files_of(tmp_path / "plain")
    assert first["full-books.jsonl"] + second["full-books.jsonl"] == books
    rows = [codec.decode(FullBook, line) for line in books.splitlines()]
    frames = list(read_frames(tapes / SHORT))
    pipeline, parsers = Pipeline(config), Parsers(lambda _: None)
    assert rows == [
        record
        for frame in frames
        for event in parsers.parse(frame)
        for record in pipeline.step(event)
        if isinstance(record, FullBook)
    ]
    by_half_second = {(row.venue, row.ts_event_ns // 500_000_000) for row in rows}
    assert len(by_half_second) == len(rows) > 50


def test_full_books_that_cannot_be_are_refused(tapes: Path) -> None:
    for option, value, why in (
        ("--full-books-per-s", "-1", "FULL_BOOKS_PER_S=-1.0: Input should be greater than or equal to 0"),
        ("--full-book-levels", "50001", "FULL_BOOK_LEVELS=50001: Input should be less than or equal to 50000"),
    ):
        done = command(tapes / SHORT, option, value)
        assert (done.returncode, done.stderr) == (2, f"error: {why}\n")


@pytest.mark.parametrize("cut", [1, 2, 500, 901, 1380])
def test_a_replay_cut_in_two_writes_the_same_bytes(tapes: Path, tmp_path: Path, cut: int) -> None:
    tape = tmp_path / "tape.jsonl"  # with some lines and frames that are refused
    lines = gzip.decompress((tapes / SHORT).read_bytes()).split(b"\n")
    for i in range(40, len(lines), 97):
        lines[i] = lines[i][: len(lines[i]) // 2] if i % 2 else lines[i].replace(b"l2_data", b"l2_dat\\\\")
    tape.write_bytes(b"\n".join(lines))
    whole = replay_tape(tape, out=tmp_path / "whole")
    assert whole["rejected"] > 5
    cut = min(cut, whole["events"] - 1)
    replay_tape(tape, out=tmp_path / "first", until_event=cut, save_state=tmp_path / "state")
    replay_tape(tape, out=tmp_path / "second", load_state=tmp_path / "state")
    first, second = files_of(tmp_path / "first"), files_of(tmp_path / "second")
    joined = {name: first.get(name, b"") + second.get(name, b"") for name in first | second}
    assert joined == files_of(tmp_path / "whole")


def test_the_second_part_goes_on_in_the_folder_of_the_first_and_twice_is_the_same(tmp_path: Path) -> None:
    tape, out, state = simulated_tape(tmp_path / "a.zst", 1), tmp_path / "out", tmp_path / "state"
    replay_tape(tape, out=tmp_path / "whole")
    replay_tape(tape, out=out, until_event=150, save_state=state)
    for _ in range(2):
        replay_tape(tape, out=out, load_state=state)
        assert files_of(out) == files_of(tmp_path / "whole")
    replay_tape(tape, out=tmp_path / "second", load_state=state)
    second = files_of(tmp_path / "second")["features.jsonl"]
    assert files_of(out)["features.jsonl"].endswith(second)
    assert 0 < second.count(b"\n") < files_of(out)["features.jsonl"].count(b"\n")


def test_a_folder_of_other_records_is_not_added_to(tmp_path: Path) -> None:
    tape, out, state = simulated_tape(tmp_path / "a.zst", 1), tmp_path / "out", tmp_path / "state"
    replay_tape(tape, out=tmp_path / "first", until_event=150, save_state=state)
    replay_tape(simulated_tape(tmp_path / "b.zst", 2), out=out)
    before = files_of(out)
    with pytest.raises(InputError, match=f"^{out}: holds other records than those before the saved state; name an"):
        replay_tape(tape, out=out, load_state=state)
    assert files_of(out) == before


def test_every_feature_row_of_a_broken_book_is_missing(tapes: Path, tmp_path: Path) -> None:
    frames = list(read_frames(tapes / "crossbook/kraken_btcusd_l2.cbcap"))
    updates = [i for i, frame in enumerate(frames) if b'"type":"update"' in frame.payload]
    broken = next(i for i in updates[5:] if b'"qty":0.' in frames[i].payload)
    payload = frames[broken].payload.replace(b'"qty":0.', b'"qty":1.', 1)
    frames[broken] = Frame("kraken", "kraken", "recv", frames[broken].ts_recv_ns, payload)
    with TapeWriter(tmp_path / "tape.zst") as writer:
        for frame in frames:
            writer.write(frame)
    summary = replay_tape(tmp_path / "tape.zst", out=tmp_path)
    assert (summary["gaps"], summary["resyncs"], summary["checksums_failed"]) == (1, 1, 1)
    statuses = [json.loads(line) for line in (tmp_path / "status.jsonl").read_text().splitlines()]
    assert [one["state"] for one in statuses] == ["LIVE", "GAP", "LIVE"]
    assert "checksum" in statuses[1]["reason"]
    rows = [json.loads(line)["seq"] for line in (tmp_path / "features.jsonl").read_text().splitlines()]
    assert not [seq for seq in rows if statuses[1]["seq"] <= seq < statuses[2]["seq"]]
    assert len(rows) == summary["features"] == summary["events"] - 1


def test_unreadable_lines_are_dead_letters_with_file_and_line(tapes: Path, tmp_path: Path) -> None:
    lines = gzip.decompress((tapes / SHORT).read_bytes()).split(b"\n")[:400]
    lines[100] = b"{" + lines[100]
    tape = tmp_path / "tape.jsonl"
    tape.write_bytes(b"\n".join(lines))
    summary = replay_tape(tape, out=tmp_path / "out")
    (letter,) = (json.loads(line) for line in (tmp_path / "out/dead-letters.jsonl").read_text().splitlines())
    assert letter["source"] == f"{tape}:101"
    assert summary["rejected"] == 1


def test_frames_of_an_unknown_venue_are_counted_and_the_rest_goes_on(tapes: Path, tmp_path: Path) -> None:
    own = list(read_frames(tapes / "crossbook/kraken_btcusd_l2.cbcap"))
    alien = Frame("nowhere", "n", "recv", own[0].ts_recv_ns, b"{}")
    with TapeWriter(tmp_path / "tape.zst") as writer:
        for frame in [alien, *own]:
            writer.write(frame)
    summary = replay_tape(tmp_path / "tape.zst")
    assert (summary["rejected"], summary["checksums_passed"]) == (1, 301)


def test_a_crossed_book_waits_for_the_next_one_also_across_a_cut(tmp_path: Path) -> None:
    """Bitstamp's messages prove nothing, so only the pipeline can see it; the parser has to be told."""
    second = 1_000_000
    bodies = [(1, "[]", "[]"), (3, "[]", "[]"), (4, '[["105","1"]]', "[]"), (5, "[]", "[]"), (8, "[]", "[]")]
    frames = [
        Frame(
            "bitstamp", "b", "recv", at * second * 1000,
            f'{{"event":"data","channel":"diff_order_book_btcusd","data":{{"microtimestamp":"{at * second}",'
            f'"bids":{bids},"asks":{asks}}}}}'.encode(),
        )
        for at, bids, asks in bodies
    ]  # fmt: skip
    for place, at in ((1, 2), (5, 6)):
        body = f'{{"microtimestamp":"{at * second}","bids":[["99","1"]],"asks":[["101","1"]]}}'.encode()
        url = "https://x/order_book/btcusd/"
        frames.insert(place, Frame("bitstamp", "b", "rest", at * second * 1000, body, url))
    with TapeWriter(tmp_path / "tape.zst") as writer:
        for frame in frames:
            writer.write(frame)
    tape, whole = tmp_path / "tape.zst", tmp_path / "whole"
    summary = replay_tape(tape, out=whole)
    assert (summary["crossed"], summary["resyncs"], summary["rejected"]) == (1, 1, 0)
    states = [json.loads(line)["state"] for line in (whole / "status.jsonl").read_text().splitlines()]
    assert states == ["LIVE", "GAP", "LIVE"]
    for cut in range(1, summary["events"]):
        first, second_part = tmp_path / f"{cut}a", tmp_path / f"{cut}b"
        replay_tape(tape, out=first, until_event=cut, save_state=tmp_path / "state")
        replay_tape(tape, out=second_part, load_state=tmp_path / "state")
        for name, rows in files_of(whole).items():
            parts = [folder / name for folder in (first, second_part)]
            assert b"".join(part.read_bytes() for part in parts if part.exists()) == rows


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("missing.gz", None, "no such file"),
        ("empty.jsonl", b"", "the file is empty"),
        ("words.txt", b"hello\n", "not a tape"),
        ("kraken.json", b'{"foo":1}\n{"bar":2}\n', "nothing could be read"),
    ],
)
def test_input_that_holds_nothing_exits_2_with_a_sentence(
    tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = command(tmp_path / name)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def simulated_tape(path: Path, seed: int) -> Path:
    with TapeWriter(path) as writer:
        for ts_ns, payload in simulated(Market(seed, 1_790_000_000_000_000_000, ["BTC/USD"]), ["BTC/USD"], 10, 300):
            writer.write(Frame("kraken", "k", "recv", ts_ns, payload))
    return path


def test_a_damaged_state_and_one_of_another_tape_are_refused(tmp_path: Path) -> None:
    tape, other = simulated_tape(tmp_path / "a.zst", 1), simulated_tape(tmp_path / "b.zst", 2)
    state = tmp_path / "state"
    replay_tape(tape, until_event=100, save_state=state)
    assert replay_tape(tape, load_state=state)["checksums_passed"] > 200
    with pytest.raises(StateError, match="of another tape: its event 100 was"):
        replay_tape(other, load_state=state)
    whole = state.read_bytes()
    for at in (0, 40, len(whole) // 2, len(whole) - 1):
        state.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(StateError, match="not a saved state, or a damaged one"):
            replay_tape(tape, load_state=state)


def test_states_that_do_not_fit_are_refused(tmp_path: Path, tapes: Path) -> None:
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(StateError, match="not a saved state"):
        replay_tape(tapes / SHORT, load_state=tmp_path / "junk")
    with pytest.raises(InputError, match="No such file"):
        replay_tape(tapes / SHORT, load_state=tmp_path / "none")
    with pytest.raises(InputError, match="nothing could be read"):
        Replay(Pipeline(), RecordFiles(None)).run([])
