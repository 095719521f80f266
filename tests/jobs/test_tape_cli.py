"""``quicksilver tape``: what it says of real recordings, what it finds wrong, what it cuts and converts."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from jobs.cli import app
from jobs.replay import Replay, replay_tape
from jobs.tape_verify import table_of, verify
from producers.frames import Frame
from producers.simulator.frames import frames as simulated
from producers.simulator.orderflow import Market
from producers.tapes import TapeWriter, read_frames
from producers.tapes.rotating import RotatingTape
from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.pipeline import Pipeline
from quicksilver.records import AnyRecord, Features
from tests.jobs.market_tapes import bitstamp
from tests.producers.test_tapes import bare

LIVE = "market-aggregator/2026-08-09-btc-usd-live.jsonl.gz"
START = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
SYMBOLS = ["BTC/USD", "ETH/USD", "SOL/USD"]


def tape(*arguments: object, code: int = 0) -> dict[str, Any]:
    """Run a command; returns the JSON object that it ends with."""
    done = CliRunner().invoke(app, ["tape", *map(str, arguments)])
    assert done.exit_code == code, done.output
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def refused(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["tape", *map(str, arguments)])
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    return done.stderr.removeprefix("error: ").removesuffix("\n")


def written(path: Path, frames: list[Frame]) -> Path:
    with TapeWriter(path) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def kraken(conn: str, market: Market, seconds: int = 20) -> list[Frame]:
    """A connection: opened, used and lost."""
    raw = simulated(market, SYMBOLS, 10, seconds * 60)
    frames = [Frame("kraken", conn, "recv", ts_ns, payload) for ts_ns, payload in raw]
    first, last = frames[0].ts_recv_ns, frames[-1].ts_recv_ns
    opened = Frame("kraken", conn, "connect", first, b"", "wss://x")
    return [opened, *frames, Frame("kraken", conn, "disconnect", last, b"lost")]


def features_of(path: Path, since_ns: int) -> list[bytes]:
    """The features since a receive time, without their numbers, which count from the tape's beginning."""
    kept = list[AnyRecord]()

    class Sink:
        def write(self, record: AnyRecord) -> None:
            kept.append(record)

    Replay(Pipeline(PipelineConfig(portfolios=())), Sink()).run(read_frames(path))
    rows = [one for one in kept if isinstance(one, Features) and one.ts_recv_ns >= since_ns]
    return [codec.encode(replace(one, seq=0)) for one in rows]


def test_verify_counts_what_a_replay_counts(tapes: Path) -> None:
    found = tape("verify", tapes / LIVE)
    summary = replay_tape(tapes / LIVE)
    for name in ("frames", "events", "gaps", "resyncs", "checksums_passed", "checksums_failed", "crossed", "rejected"):
        assert found[name] == summary[name]
        for venue, one in summary["venues"].items():
            assert found["venues"][venue][name] == one[name]
            for symbol, counts in one["symbols"].items():
                assert found["venues"][venue]["symbols"][symbol][name] == counts[name]
    assert (found["checksums_passed"], found["gaps"], found["torn"]) == (1676, 0, False)
    assert found["audits"].keys() >= {"compared", "best_bid_equal", "best_ask_equal"}
    assert found["audits"].keys() == found["venues"]["coinbase"]["symbols"]["BTC-USD"]["audits"].keys()


def test_the_table_counts_frames_of_a_venue_and_messages_of_its_symbols(tmp_path: Path) -> None:
    """A frame of several symbols counts once, and each of its messages for the symbol that it is of."""
    frames = kraken("kraken.1", Market(1, START, SYMBOLS))
    path = written(tmp_path / "tape", frames)
    found, _ = verify(path, None, 0)
    table = table_of(found)
    cells = {str(column.header): list(column.cells) for column in table.columns}
    counts = {symbol: one["frames"] for symbol, one in found["venues"]["kraken"]["symbols"].items()}
    assert cells["symbol"] == [*counts, "all"]
    assert cells["frames"] == ["" for _ in counts] + [f"{found['frames']:,}"]
    assert cells["messages"] == [f"{n:,}" for n in (*counts.values(), sum(counts.values()))]


def damaged(frames: list[Frame], at: int, change: Callable[[bytes], bytes]) -> list[Frame]:
    return [replace(one, payload=change(one.payload)) if i == at else one for i, one in enumerate(frames)]


def test_verify_shows_what_is_wrong_and_says_so_by_its_exit_code(tapes: Path, tmp_path: Path) -> None:
    frames = [frame for frame in read_frames(tapes / LIVE) if frame.venue == "kraken"][:800]
    at = next(i for i in range(400, 800) if b'"update"' in frames[i].payload)
    lost = tape("verify", written(tmp_path / "lost", [*frames[:at], *frames[at + 1 :]]), code=1)
    assert (lost["checksums_failed"], lost["gaps"], lost["crossed"]) == (1, 1, 0)
    junk = tape("verify", written(tmp_path / "junk", damaged(frames, at, lambda text: text[:30])), code=1)
    assert (junk["rejected"], junk["gaps"], junk["checksums_failed"]) == (1, 1, 0)
    crossed = tape("verify", written(tmp_path / "crossed", bitstamp("btcusd", 15)), code=1)
    assert (crossed["crossed"], crossed["venues"]["bitstamp"]["symbols"]["BTC-USD"]["crossed"]) == (1, 1)
    whole = written(tmp_path / "whole", frames)
    assert tape("verify", whole)["torn"] is False
    (tmp_path / "torn").write_bytes(whole.read_bytes()[:-40])
    torn = tape("verify", tmp_path / "torn", code=1)
    assert (torn["torn"], torn["rejected"], torn["checksums_failed"]) == (True, 1, 0)


def test_a_tape_of_which_nothing_could_be_checked_is_not_called_sound(tapes: Path, tmp_path: Path) -> None:
    frames = [one for one in read_frames(tapes / LIVE) if one.venue == "kraken" and b'"snapshot"' not in one.payload]
    path = written(tmp_path / "later", frames[:2000])
    done = CliRunner().invoke(app, ["tape", "verify", str(path)])
    found = json.loads(done.stdout.splitlines()[-1])
    assert (done.exit_code, found["checked"], found["checksums_passed"], found["gaps"]) == (0, False, 0, 0)
    assert done.stderr == f"{path}: no book could be checked: the tape holds not one whole book to begin with\n"


def test_what_cannot_be_read_is_one_sentence(tapes: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_bytes(b"hello\n")
    (tmp_path / "bare.json").write_bytes(b'{"channel":"book"}\n')
    junk = written(tmp_path / "junk", [Frame("kraken", "k", "recv", START, b"junk")])
    for name in ("info", "verify", "cut", "convert"):
        more = [tmp_path / "new"] if name in {"cut", "convert"} else []
        assert "words: not a tape; layouts read are" in refused(name, tmp_path / "words", *more)
        assert "missing: no such file" in refused(name, tmp_path / "missing", *more)
        assert "name it with --venue" in refused(name, tmp_path / "bare.json", *more)
    assert refused("verify", junk).startswith(f"{junk}: nothing could be read: ")
    assert refused("cut", junk, junk) == f"{junk} is there already, and is not overwritten: name another file"
    assert refused("convert", junk, junk) == f"{junk} is there already, and is not overwritten: name another file"
    assert "--start 5 is not before --end 5" in refused("cut", junk, tmp_path / "new", "--start", "5", "--end", "5")
    assert "--start soon: not a time such as" in refused("cut", junk, tmp_path / "new", "--start", "soon")
    why = "there are no frames of that span, venue and symbol on the tape"
    assert refused("cut", junk, tmp_path / "new", "--venue", "coinbase") == why
    assert "the tape has nothing of X-Y before that end" in refused(
        "cut", tapes / LIVE, tmp_path / "new", "--symbol", "x-y"
    )
    assert not (tmp_path / "new").exists()


def test_info_says_what_is_there(tapes: Path) -> None:
    found = tape("info", tapes / LIVE)
    assert {name: found[name] for name in ("layouts", "frames", "first", "last", "seconds", "torn", "unreadable")} == {
        "layouts": ["market-aggregator"], "frames": 5827, "first": "2026-08-09T05:23:42.198866",
        "last": "2026-08-09T05:26:41.606599", "seconds": 179.408, "torn": False, "unreadable": 0,
    }  # fmt: skip
    payloads = [json.loads(line)["payload"] for line in gzip.decompress((tapes / LIVE).read_bytes()).splitlines()]
    assert found["bytes"] == sum(len(text.encode()) for text in payloads)
    assert found["venues"]["bitstamp"]["directions"] == {"recv": 518, "rest": 3}
    assert found["venues"]["kraken"]["channels"] == {"book": 1676, "heartbeat": 178, "status": 1, "subscribe": 1}
    assert found["venues"]["coinbase"]["symbols"] == {"BTC-USD": 3267}


def test_info_of_a_torn_recording_with_a_silence(tmp_path: Path) -> None:
    recording = RotatingTape(tmp_path, {"source": "TEST", "instruments": ["kraken:BTC-USD"]}, max_s=15)
    market = Market(1, START, SYMBOLS)
    frames = kraken("kraken.1", market, 10)
    market.rest(100 * SECOND)
    frames += kraken("kraken.2", market, 10)
    for frame in frames:
        recording.write(frame)
    recording.close()
    recording.files[-1].write_bytes(recording.files[-1].read_bytes()[:-30])
    found = tape("info", tmp_path, "--quiet", 20)
    assert (found["torn"], found["files"], found["layouts"]) == (True, len(recording.files), ["quicksilver"])
    assert found["about"] == {"source": "TEST", "instruments": ["kraken:BTC-USD"]}
    (silence,) = found["silences"]
    assert silence["seconds"] > 80
    assert found["venues"]["kraken"]["connections"] == 2
    assert set(found["venues"]["kraken"]["symbols"]) == {"BTC-USD", "ETH-USD", "SOL-USD"}


@pytest.mark.parametrize(
    ("name", "venue"),
    [
        (LIVE, None),
        ("cryptofeed/v3/COINBASE.jsonl.zst", None),
        ("cryptofeed/legacy/2022-08-21.723f776f.POLONIEX.0.zst", None),
        ("cryptofeed/legacy/2021-04-17.3525dc8c.BITSTAMP.ws.19.0.zst", None),
        ("crossbook/kraken_btcusd_l2.cbcap", None),
        ("crypto-msg-parser/kraken.jsonl", "kraken"),
    ],
)
def test_convert_keeps_every_frame(tapes: Path, tmp_path: Path, name: str, venue: str | None) -> None:
    out = tmp_path / "out.tape.zst"
    found = tape("convert", tapes / name, out, *(["--venue", venue] if venue else []))
    wanted = [bare(frame) for frame in read_frames(tapes / name, venue=venue)]
    assert [bare(frame) for frame in read_frames(out)] == wanted
    assert (found["frames"], found["unreadable"], found["bytes"]) == (len(wanted), 0, out.stat().st_size)


@pytest.mark.parametrize(
    ("name", "own", "other"),
    [
        ("2026-08-09-btc-usd-live", None, "poloniex"),  # of several venues
        ("crossbook/kraken_btcusd_l2.cbcap", "kraken", "bitstamp"),
        ("cryptofeed/v3/COINBASE.jsonl.zst", "coinbase", "kraken"),
        ("cryptofeed/legacy/2021-04-17.3525dc8c.POLONIEX.ws.60.0.zst", "poloniex", "kraken"),
        ("own", "sim", "kraken"),
    ],
)
def test_whose_a_tape_is_may_be_said_again_but_not_denied(
    tapes: Path, tmp_path: Path, name: str, own: str | None, other: str
) -> None:
    path = tapes / (LIVE if own is None else name)
    if own == "sim":
        path = written(tmp_path / "own", [replace(one, venue="sim") for one in kraken("k", Market(1, START, SYMBOLS))])
    if own is not None:
        assert tape("info", path, "--venue", own)["venues"].keys() == {own}
    for command in ("info", "verify", "cut", "convert"):
        option = "--tape-venue" if command == "cut" else "--venue"
        more = [tmp_path / "new"] if command in {"cut", "convert"} else []
        why = refused(command, path, *more, option, other)
        assert why.startswith(f"{path}: --venue {other} contradicts the tape, "), why
        assert refused(command, path, *more, option, "mtgox").removeprefix(f"{path}: ").startswith("unknown venue")
        assert not (tmp_path / "new").exists()


def test_convert_takes_a_span(tapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tape("convert", tapes / LIVE, out, "--start", "2026-08-09T05:24:00", "--end", "2026-08-09T05:24:10")
    times = [frame.ts_recv_ns for frame in read_frames(tapes / LIVE)]
    first = 1_786_253_040 * SECOND
    wanted = [ts_ns for ts_ns in times if first <= ts_ns < first + 10 * SECOND]
    assert [frame.ts_recv_ns for frame in read_frames(out)] == wanted != []


def test_a_span_that_convert_cannot_take_is_said_by_its_own_options(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", kraken("k", Market(1, START, SYMBOLS)))
    out, days = tmp_path / "out", ["--start", "2027-01-01", "--end", "2026-01-01"]
    assert refused("convert", whole, out, *days) == "--start 2027-01-01 is not before --end 2026-01-01"
    assert refused("convert", whole, out, "--end", "soon") == "--end soon: not a time such as 2026-08-09T05:00"


@pytest.mark.parametrize("venue", ["kraken", "coinbase", "bitstamp"])
def test_features_of_a_cut_equal_those_of_the_whole(tapes: Path, tmp_path: Path, venue: str) -> None:
    frames = [frame for frame in read_frames(tapes / LIVE) if frame.venue == venue][:1200]
    whole, out = written(tmp_path / "whole", frames), tmp_path / "cut"
    start_ns = frames[0].ts_recv_ns + 20 * SECOND
    found = tape("cut", whole, out, "--start", 20, "--end", 40, "--venue", venue)
    kept = list(read_frames(out))
    assert [bare(frame) for frame in kept] == [
        bare(frame) for frame in frames if frame.ts_recv_ns < start_ns + 20 * SECOND
    ]  # the one connection was open from the beginning
    assert found["run_up_frames"] == sum(frame.ts_recv_ns < start_ns for frame in frames)
    assert found["run_up"] == {venue: "the symbols' own frames of open connections"}
    cut = features_of(out, start_ns)
    assert cut == features_of(whole, start_ns)[: len(cut)]
    assert len(cut) > 10


def test_a_cut_begins_with_the_connection_that_is_open_at_its_start(tmp_path: Path) -> None:
    market = Market(1, START, SYMBOLS)
    frames = [*kraken("kraken.1", market), *(second := kraken("kraken.2", market))]
    whole, out = written(tmp_path / "whole", frames), tmp_path / "cut"
    start_ns = second[0].ts_recv_ns + 5 * SECOND
    found = tape("cut", whole, out, "--start", (start_ns - frames[0].ts_recv_ns) / SECOND)
    kept = list(read_frames(out))
    assert {frame.conn for frame in kept} == {"kraken.2"}
    assert [bare(frame) for frame in kept] == [bare(frame) for frame in frames if frame.conn == "kraken.2"]
    assert found["run_up"] == {"kraken": "the symbols' own frames of open connections"}
    features = features_of(out, start_ns)
    assert features == features_of(whole, start_ns)
    assert len(features) > 100
    bare_cut = tmp_path / "bare"
    tape("cut", whole, bare_cut, "--start", (start_ns - frames[0].ts_recv_ns) / SECOND, "--no-run-up")
    assert next(read_frames(bare_cut)).ts_recv_ns >= start_ns


def test_one_symbol_is_cut_out_where_its_venue_numbers_each_symbol_apart(tmp_path: Path) -> None:
    frames = kraken("kraken.1", Market(1, START, SYMBOLS))
    whole, out = written(tmp_path / "whole", frames), tmp_path / "cut"
    found = tape("cut", whole, out, "--start", 5, "--symbol", "eth-usd")
    assert found["run_up"] == {"kraken": "the symbols' own frames of open connections"}
    assert found["frames"] < len(frames) * 0.6
    (symbols,) = [one["symbols"] for one in tape("info", out)["venues"].values()]
    assert set(symbols) == {"ETH-USD"}
    wanted = [row for row in features_of(whole, frames[0].ts_recv_ns + 5 * SECOND) if b'"ETH-USD"' in row]
    assert features_of(out, frames[0].ts_recv_ns + 5 * SECOND) == wanted != []


def test_all_symbols_are_kept_where_a_venue_numbers_their_messages_together(tapes: Path, tmp_path: Path) -> None:
    path, out = tapes / "cryptofeed/v3/COINBASE.jsonl.zst", tmp_path / "cut"
    found = tape("cut", path, out, "--start", 10, "--symbol", "ETH-USD")
    assert found["run_up"] == {"coinbase": "all frames of open connections"}
    assert tape("verify", out)["gaps"] == 0
    assert set(tape("info", out)["venues"]["coinbase"]["symbols"]) == {"BTC-USD", "ETH-USD"}


def test_a_cut_keeps_what_other_connections_of_one_name_have_said(tapes: Path, tmp_path: Path) -> None:
    """In this layout three sockets have one name; what the first was told must not be lost when the last opens."""
    path, out = tapes / "cryptofeed/legacy/2021-04-05.1312c062.BITFINEX-58bafb.0.zst", tmp_path / "cut"
    first_ns = next(read_frames(path)).ts_recv_ns
    tape("cut", path, out, "--start", 60, "--end", 70)
    cut = features_of(out, first_ns + 60 * SECOND)
    assert cut == features_of(path, first_ns + 60 * SECOND)[: len(cut)]
    assert len(cut) > 100


def test_a_book_that_grows_too_large_is_a_gap_of_the_tape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quicksilver.book.MAX_CAPACITY", 256)
    whole = {"bids": [[str(i + 1), "1"] for i in range(200)], "asks": [["9999", "1"]]}
    book = {"microtimestamp": str(START // 1000), **whole}
    more = {"microtimestamp": str(START // 1000 + 1), "bids": [[str(i + 1), "1"] for i in range(200, 300)], "asks": []}
    diff = {"event": "data", "channel": "diff_order_book_btcusd", "data": more}
    frames = [
        Frame("bitstamp", "b", "rest", START, json.dumps(book).encode(), "https://x/order_book/btcusd/"),
        Frame("bitstamp", "b", "recv", START, json.dumps(diff).encode()),
    ]
    found = tape("verify", written(tmp_path / "a.tape", frames), code=1)
    assert (found["gaps"], found["crossed"], found["rejected"]) == (1, 0, 0)
