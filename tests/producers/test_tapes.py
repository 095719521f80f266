"""Tapes: every recorder's layout read whole, our own written and read back, damage reported and survived."""

import gzip
import json
import lzma
from collections import Counter
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.exchanges.kraken import KrakenParser
from producers.frames import Frame
from producers.simulator.frames import frames as simulated
from producers.simulator.orderflow import Market
from producers.tapes import TapeWriter, layout_of, read_frames
from quicksilver.errors import InputError
from quicksilver.events import BookDelta, Gap
from quicksilver.records import DeadLetter

AGGREGATOR = "market-aggregator/2026-08-09-btc-usd-live.jsonl.gz"


def read_bytes(path: Path) -> bytes:
    """The independent way to the text: the libraries' own one-shot functions."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().stream_reader(data).read()
    return data


def directions(path: Path) -> Counter[str]:
    return Counter(frame.direction for frame in read_frames(path))


def test_market_aggregator(tapes: Path) -> None:
    path = tapes / AGGREGATOR
    lines = [json.loads(line) for line in read_bytes(path).splitlines() if line.strip()]
    frames = list(read_frames(path))
    assert layout_of(path) == "market-aggregator"
    assert len(frames) == len(lines) == 5827
    assert [frame.payload.decode() for frame in frames] == [line["payload"] for line in lines]
    assert [frame.ts_recv_ns for frame in frames] == [line["recorded_wall_unix_nanos"] for line in lines]
    assert [frame.direction == "rest" for frame in frames] == ["source" in line for line in lines]
    assert frames[2].url == "rest_snapshot?symbol=BTC-USD"


def test_cryptofeed(tapes: Path) -> None:
    path = tapes / "cryptofeed/v3/COINBASE.jsonl.zst"
    lines = read_bytes(path).splitlines()
    kinds = Counter(json.loads(line)["t"] for line in lines)
    got = directions(path)
    assert (got["recv"], got["send"], got["rest"]) == (kinds["recv"], kinds["send"], kinds["http"])
    frame = next(frame for frame in read_frames(path) if frame.direction == "recv")
    text = next(line for line in lines if b'"t":"recv"' in line).decode()
    seconds, _, rest = text.split('"ts":')[1].split(",")[0].partition(".")
    assert frame.ts_recv_ns == int(seconds) * 10**9 + int(rest.ljust(9, "0"))
    assert frame.payload.decode() == json.loads(text)["data"]


@pytest.mark.parametrize(
    ("name", "venue", "received"),
    [
        ("2021-04-05.1312c062.BITSTAMP-b88f8b.0.zst", "bitstamp", 3254),
        ("2021-04-05.1312c062.POLONIEX-d60751.0.zst", "poloniex", 7299),
        ("2021-04-05.1312c062.BINANCE-b38f7c.0.zst", "binance", 11357),
        ("2021-04-17.3525dc8c.BITSTAMP.ws.19.0.zst", "bitstamp", 677),
    ],
)
def test_cryptofeed_legacy(tapes: Path, name: str, venue: str, received: int) -> None:
    path = tapes / "cryptofeed/legacy" / name
    assert directions(path)["recv"] == received
    assert {frame.venue for frame in read_frames(path)} == {venue}


def test_cryptofeed_legacy_bodies_of_several_lines(tapes: Path, tmp_path: Path) -> None:
    (frame,) = read_frames(tapes / "cryptofeed/legacy/2022-08-21.723f776f.POLONIEX.0.zst")
    assert frame.direction == "rest"
    assert len(json.loads(frame.payload)) > 100
    path = tmp_path / "poloniex.txt"
    path.write_text('https://x/y -> 1.5: [\n1,\n2\n]\n2.5: {"a":1}\n3.5: {\nhttps://x/z -> 4.5: [\n3]')
    letters: list[DeadLetter] = []
    frames = list(read_frames(path, reject=letters.append))
    assert [(one.direction, one.payload, one.source[-2:]) for one in frames] == [
        ("rest", b"[\n1,\n2\n]", ":1"), ("recv", b'{"a":1}', ":5"), ("recv", b"{", ":6"), ("rest", b"[\n3]", ":7"),
    ]  # fmt: skip
    assert letters == []


def test_cbcap_in_both_of_its_clocks(tapes: Path) -> None:
    for name, count in (("kraken_btcusd_sample.cbcap", 2104), ("kraken_btcusd_l2.cbcap", 377)):
        path = tapes / "crossbook" / name
        frames = list(read_frames(path))
        assert len(frames) == count
        assert frames[0].ts_recv_ns == int(path.read_bytes().split(b"\n")[0].split()[-1])
        assert all(frame.payload in path.read_bytes() for frame in frames[:50])


def test_hftbacktest_ob_analytics_and_bare_messages(tapes: Path) -> None:
    binance = directions(tapes / "hftbacktest/spot/btcusdt_20240808.gz")
    assert binance["rest"] == 1
    path = tapes / "ob-analytics/split/dev_first3h.log.xz"
    lines = read_bytes(path).splitlines()
    frames = list(read_frames(path))
    assert len(frames) == len(lines)
    assert frames[0].venue == "bitstamp"
    assert frames[0].ts_recv_ns == int(lines[0].split()[0]) * 10**6
    assert frames[0].payload == lines[0].split(b" ", 1)[1]
    bare = list(read_frames(tapes / "crypto-msg-parser/kraken.jsonl"))
    assert [frame.ts_recv_ns for frame in bare] == list(range(1, len(bare) + 1))


def test_a_folder_of_tapes_is_merged_in_receive_order(tapes: Path, tmp_path: Path) -> None:
    for name in ("2021-04-17.3525dc8c.BITSTAMP.http.18.0.zst", "2021-04-17.3525dc8c.BITSTAMP.ws.19.0.zst"):
        (tmp_path / name).write_bytes((tapes / "cryptofeed/legacy" / name).read_bytes())
    frames = list(read_frames(tmp_path))
    assert [frame.ts_recv_ns for frame in frames] == sorted(frame.ts_recv_ns for frame in frames)
    assert Counter(frame.direction for frame in frames)["rest"] == 10


def test_foreign_frames_survive_our_own_layout(tapes: Path, tmp_path: Path) -> None:
    frames = list(read_frames(tapes / AGGREGATOR))
    with TapeWriter(tmp_path / "own.zst") as writer:
        for frame in frames:
            writer.write(frame)
    back = list(read_frames(tmp_path / "own.zst"))
    assert [bare(frame) for frame in back] == [bare(frame) for frame in frames]
    assert back[0].source == f"{tmp_path / 'own.zst'}:2"


def bare(frame: Frame) -> tuple[object, ...]:
    return (frame.venue, frame.conn, frame.direction, frame.ts_recv_ns, frame.payload, frame.url)


words = st.text(max_size=5)
any_frame = st.builds(
    Frame,
    words,
    words,
    st.sampled_from(["recv", "send", "connect", "disconnect", "rest"]),
    st.integers(0, 2**62 - 1),
    st.binary(max_size=50) | st.text(max_size=50).map(str.encode),
    st.none() | st.text(max_size=9),
)


@given(frames=st.lists(any_frame, max_size=10))
@settings(max_examples=60, deadline=None)
def test_any_bytes_round_trip(tmp_path_factory: pytest.TempPathFactory, frames: list[Frame]) -> None:
    path = tmp_path_factory.mktemp("t") / "x.zst"
    with TapeWriter(path) as writer:
        for frame in frames:
            writer.write(frame)
    assert [bare(frame) for frame in read_frames(path)] == [bare(frame) for frame in frames]


def test_a_torn_tape_is_read_up_to_the_tear(tmp_path: Path) -> None:
    path = tmp_path / "own.zst"
    frames = [Frame("v", "c", "recv", i * 10**9, f"frame {i} {'x' * 40}".encode()) for i in range(40)]
    with TapeWriter(path) as writer:
        for frame in frames:
            writer.write(frame)
    whole = path.read_bytes()
    seen = []
    for cut in range(30, len(whole), 7):
        path.write_bytes(whole[:cut])
        letters: list[DeadLetter] = []
        try:
            got = list(read_frames(path, reject=letters.append))
        except InputError:  # not even the header is left
            got = []
        assert [frame.payload for frame in got] == [frame.payload for frame in frames[: len(got)]]
        seen.append(len(got))
    assert seen == sorted(seen)
    assert seen[-1] >= len(frames) - 1


def test_lines_that_are_no_frames_are_rejected_with_file_and_line(tapes: Path, tmp_path: Path) -> None:
    lines = read_bytes(tapes / AGGREGATOR).split(b"\n")[:20]
    lines[4] = lines[4][:50]
    lines[8] = b"\xff\xfe\x00"
    path = tmp_path / "torn.jsonl"
    path.write_bytes(b"\n".join(lines))
    letters: list[DeadLetter] = []
    frames = list(read_frames(path, reject=letters.append))
    assert [letter.source for letter in letters] == [f"{path}:5", f"{path}:9"]
    assert len([one for one in frames if one.direction != "lost"]) == sum(bool(line.strip()) for line in lines) - 2
    assert {one.source for one in frames if one.direction == "lost"} == {f"{path}:5", f"{path}:9"}


def test_a_damaged_gzip_ends_with_a_dead_letter(tapes: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.jsonl.gz"
    path.write_bytes((tapes / AGGREGATOR).read_bytes()[:400_000])
    letters: list[DeadLetter] = []
    assert list(read_frames(path, reject=letters.append))
    assert "damaged or torn" in letters[-1].reason


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("missing", None, "no such file"),
        ("empty", b"", "the file is empty"),
        ("words", b"hello world\n", "not a tape; layouts read are"),
        ("x.json", b'{"channel":"book"}\n', "does not say whose it is"),
    ],
)
def test_what_is_no_tape_is_refused_with_a_sentence(tmp_path: Path, name: str, content: bytes | None, why: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=why):
        list(read_frames(path))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no files"):
        list(read_frames(tmp_path))


@pytest.mark.parametrize(
    "damage", [b"\xff", b'{"ts":1,', b'{"ts":9e99,"dir":"recv","venue":"kraken","conn":"b","text":""}']
)
def test_a_line_that_cannot_be_read_is_a_gap_of_what_it_names(tmp_path: Path, damage: bytes) -> None:
    """It may have been a change of a book: nothing may be computed from that any more."""
    told: list[Frame] = []
    for conn, name in zip("ab", ("BTC/USD", "ETH/USD"), strict=True):
        made = simulated(Market(7, 1_790_000_000_000_000_000, [name]), [name], 10, 60)
        told += [Frame("kraken", conn, "recv", ts_ns, payload) for ts_ns, payload in made]
    path = tmp_path / "one.tape"
    with TapeWriter(path) as tape:
        for frame in told:
            tape.write(frame)
    whole = zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True).read()
    lines = whole.splitlines()
    path.write_bytes(b"\n".join([*lines[:100], damage, *lines[101:], b""]))
    letters: list[DeadLetter] = []
    parser = KrakenParser("kraken", letters.append)
    events = [event for frame in read_frames(path, reject=letters.append) for event in parser.parse(frame)]
    assert [letter.source for letter in letters] == [f"{path}:101"]
    gaps = {event.symbol: event.reason for event in events if isinstance(event, Gap)}
    lost = {"ETH-USD"} if b'"b"' in damage else {"BTC-USD", "ETH-USD"}
    assert gaps == dict.fromkeys(lost, "a line of the recording cannot be read")
    first = next(i for i, event in enumerate(events) if isinstance(event, Gap))
    assert any(isinstance(event, BookDelta) and event.symbol == "ETH-USD" for event in events[:first])
    assert not any(isinstance(event, BookDelta) and event.symbol in lost for event in events[first:])


@pytest.mark.parametrize(
    ("name", "venue"),
    [
        ("cryptofeed/legacy/2022-08-21.723f776f.POLONIEX.ws.1.0.zst", "poloniex"),
        ("cryptofeed/legacy/2021-04-05.1312c062.BITFINEX-58bafb.0.zst", "bitfinex"),
        ("cryptofeed/legacy/2021-04-05.1312c062.KRAKEN-c197c0.0.zst", "kraken"),
        ("cryptofeed/legacy/2021-04-17.3525dc8c.COINBASE.ws.28.0.zst", "coinbase"),
        ("cryptofeed/legacy/2021-04-05.1312c062.BITSTAMP-b88f8b.0.zst", "bitstamp"),
        ("cryptofeed/legacy/2021-04-05.1312c062.BINANCE-b38f7c.0.zst", "binance"),
        ("hftbacktest/spot/btcusdt_20240808.gz", "binance"),
        ("bitfinex-api-go/book_checksum_vector.jsonl", "bitfinex"),
    ],
)
def test_whose_a_tape_is_shows_in_what_it_says(tapes: Path, tmp_path: Path, name: str, venue: str) -> None:
    """Its file may have any name."""
    path = tmp_path / f"tape{(tapes / name).suffix}"
    path.symlink_to(tapes / name)
    assert next(iter(read_frames(path))).venue == venue
