"""Every venue's parser under frames made to hurt: what ``python -m producers.fuzz`` does at length, in short."""

from pathlib import Path
from random import Random

import pytest
import typer
from msgspec.structs import replace
from typer.testing import CliRunner

from producers.exchanges import base
from producers.exchanges.base import Parser
from producers.exchanges.venue import parser_of, venues
from producers.frames import Frame
from producers.fuzz import __main__ as command
from producers.fuzz import corpus, run
from producers.fuzz.samples import session
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot, Gap, Levels, Trade
from quicksilver.records import DeadLetter
from tests.conftest import tapes_folder

FRAMES, SECONDS = 20_000, 4.0  # for each venue, whichever is first
NOW = 1_800_000_000_000_000_000
GARBAGE = (
    b"", b"\0", b"\xff\xfe\x00", b"\x1f\x8b\x08\x00", b"{}", b"[]", b"null", b"0", b'""', b"[[]]", b"[0]", b"[1,2,3]",
    b'{"a":', b'{"data":[]}', b'{"data":{}}', b'{"data":[{}]}', b'{"event":[]}', b'{"e":{}}', b'{"type":1}',
    b'{"channel":[1]}', b"[" * 100_000, b'{"a":' * 100_000, b"9" * 100_000, b'"' + b"\xe2\x82\xac" * 10_000 + b'"',
)  # fmt: skip
ERRORS = (
    b'{"event":"error","msg":"no","code":10300,"symbol":"tBTCUSD"}', b'{"event":"error","message":"no"}',
    b'{"error":{"code":2,"msg":"no"},"id":1}', b'{"code":-1121,"msg":"Invalid symbol."}',
    b'{"type":"error","message":"no","reason":"no"}', b'{"error":"no","method":"subscribe","success":false}',
    b'{"event":"bts:error","channel":"","data":{"code":4009,"message":"no"}}',
)  # fmt: skip


def folder() -> Path | None:
    """The recordings, where there are any: without them the short sessions are what is mutated."""
    return tapes_folder() if tapes_folder().is_dir() else None


def new(name: str) -> tuple[Parser, list[DeadLetter]]:
    letters: list[DeadLetter] = []
    return parser_of(name, letters.append), letters


@pytest.mark.parametrize("name", sorted(venues()))
class TestEveryVenue:
    def test_thousands_of_bad_frames_and_none_does_harm(self, name: str) -> None:
        rng = Random(f"7 {name}")
        made = run.stream(rng, corpus.sessions(name, folder()), corpus.foreign(name))
        report = run.Fuzz(name, 7).run(made, FRAMES, SECONDS)
        assert report.failures == []
        assert report.frames > 1000
        assert report.rejected > 100
        assert report.gaps > 10
        assert report.snapshots > report.recoveries

    def test_a_good_session_is_read_whole(self, name: str) -> None:
        parser, letters = new(name)
        frames = session(name, NOW)
        events = [event for frame in frames for event in parser.parse(frame)]
        assert letters == []
        assert {type(event) for event in events} >= {BookSnapshot, BookDelta, Trade}
        assert all(run.unsound(event, True) == "" for event in events)
        assert all(one.live for one in parser.instruments.values())

    @pytest.mark.parametrize("payload", GARBAGE, ids=lambda payload: repr(payload[:12]))
    def test_garbage_is_rejected_or_skipped_and_a_good_session_follows(self, name: str, payload: bytes) -> None:
        parser, letters = new(name)
        for frame in session(name, NOW):
            parser.parse(frame)
        before, symbols = parser.counts.skipped + len(letters), set(parser.instruments)
        events = []
        for direction in ("recv", "rest", "send"):
            events += parser.parse(Frame(name, name, direction, NOW, payload, "x", "tape:1"))
        assert {type(event) for event in events} <= {Gap}
        assert len(letters) == parser.counts.rejected
        assert all(letter.reason and letter.payload == payload for letter in letters)
        skipped = sum(one.counts.skipped for one in parser.instruments.values())
        assert parser.counts.skipped + skipped + len(letters) >= before + 1
        assert set(parser.instruments) == symbols
        for frame in session(name, NOW + 10**9):
            parser.parse(frame)
        assert all(one.live for one in parser.instruments.values())

    def test_other_venues_messages_and_refusals_take_no_book(self, name: str) -> None:
        """A refusal is no loss. What another venue says of the same coins may be: then it is a gap, never levels."""
        parser, _ = new(name)
        for frame in session(name, NOW):
            parser.parse(frame)
        seqs = {symbol: one.seq for symbol, one in parser.instruments.items()}
        for payload in (*corpus.foreign(name), *ERRORS):
            events = parser.parse(Frame(name, name, "recv", NOW, payload))
            assert {type(event) for event in events if event.symbol in seqs} <= {Gap}

    def test_a_broken_connection_is_one_gap_a_book_and_connecting_anew_another_book(self, name: str) -> None:
        parser, _ = new(name)
        events: list[AnyEvent] = []
        for turn in range(3):
            for frame in session(name, NOW + turn * 10**10):
                events += parser.parse(frame)
            for direction in ("disconnect", "disconnect", "connect"):
                at_ns = NOW + turn * 10**10 + 10**9
                events += parser.parse(Frame(name, name, direction, at_ns, b""))
        for symbol in parser.instruments:
            mine = [type(event) for event in events if event.symbol == symbol and not isinstance(event, Trade)]
            assert mine == [BookSnapshot, BookDelta, Gap] * 3

    def test_strange_symbols_do_not_fill_the_memory(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each message names a symbol that nobody knows; what the parser holds stops growing."""
        monkeypatch.setattr(base, "MOST_SYMBOLS", 50)
        parser = parser_of(name, base.ignore)
        frames = [frame for frame in session(name, NOW) if frame.payload]
        held = []
        for i in range(800):
            letters = "".join(chr(65 + int(digit)) for digit in f"{i:03}")
            for frame in frames:
                payload = frame.payload.replace(b"BTC", letters.encode()).replace(b"btc", letters.lower().encode())
                url = (frame.url or "").replace("BTC", letters).replace("btc", letters.lower()) or None
                parser.parse(Frame(name, name, frame.direction, NOW, payload, url))
            if i in {400, 799}:
                held.append(run.held(parser))
        assert held[1] <= held[0] * 1.1
        assert 3 <= len(parser.instruments) <= 50


def test_a_large_frame_that_cannot_be_read_is_not_searched_for_every_symbol() -> None:
    """Of a small one the bytes say whose it is; a large one may name several: all of its connection are in doubt."""
    parser, _ = new("kraken")
    books = []
    for i in range(3):
        name = f"A{i}/USD".encode()
        books += [replace(one, payload=one.payload.replace(b"BTC/USD", name)) for one in session("kraken", NOW)[1:3]]
    for frame in books:
        parser.parse(frame)
    small = Frame("kraken", "kraken", "recv", NOW, b'{"A1/USD"')
    large = replace(small, payload=b'{"A1/USD"' + b" " * base.HEAD)
    assert [event.symbol for event in parser.parse(small)] == ["A1-USD"]
    assert [event.symbol for event in parser.parse(large)] == ["A0-USD", "A2-USD"]


def test_a_failure_is_seen_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the fuzzer watches for is found where it is: an exception, bad levels, a hole in the numbers, slowness."""

    class Broken(Parser):
        def native(self, symbol: str) -> str:
            return symbol

        def message(self, frame: Frame, events: list[AnyEvent]) -> None:
            one = self.instrument("A-B")
            if frame.payload == b"raise":
                raise KeyError("oh")
            if frame.payload == b"levels":
                events.append(one.snapshot(frame, 5, Levels.of([(1.0, -1.0)]), Levels.of([]), None))
            if frame.payload == b"hole":
                one.seq += 1
                events.append(one.snapshot(frame, 5, Levels.of([(1.0, 1.0)]), Levels.of([]), None))
            if frame.payload == b"slow":
                sum(range(10_000_000))

        def response(self, frame: Frame, events: list[AnyEvent]) -> None:
            """Nothing."""

    monkeypatch.setattr(run, "parser_of", Broken)
    for payload, what in (
        (b"raise", "KeyError: 'oh'"),
        (b"levels", "levels Levels([[1.0, -1.0]])"),
        (b"hole", "event 2 after 0"),
        (b"slow", "a frame of 4 bytes took"),
    ):
        report = run.Fuzz("broken", 1).run(iter([Frame("broken", "c", "recv", 1, payload)]), 1)
        assert [failure.what.startswith(what) for failure in report.failures] == [True]


def test_the_same_seed_makes_the_same_frames() -> None:
    def first(seed: int) -> list[Frame]:
        made = run.stream(Random(seed), corpus.sessions("kraken", None), corpus.foreign("kraken"))
        return [next(made) for _ in range(500)]

    assert first(3) == first(3) != first(4)


def test_the_command_prints_a_line_and_says_what_it_does_not_know(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command.main)
    told = CliRunner().invoke(app, ["--venue", "poloniex", "--frames", "300", "--tapes", str(tmp_path)])
    assert told.exit_code == 0
    assert '"venue":"poloniex","seed":1,"frames":3' in told.output
    unknown = CliRunner().invoke(app, ["--venue", "nowhere"])
    assert unknown.exit_code == 2
    assert "error: unknown venue 'nowhere'" in unknown.output
    nowhere = CliRunner().invoke(app, ["--venue", "poloniex", "--frames", "300", "--tapes", str(tmp_path / "none")])
    assert (nowhere.exit_code, nowhere.stdout) == (2, "")
    assert nowhere.stderr == f"error: {tmp_path / 'none'}: no such file or folder\n"
    every = CliRunner().invoke(app, ["--frames", "20", "--tapes", str(tmp_path)])
    assert (every.exit_code, every.stdout.count('"venue":')) == (0, len(venues()))
