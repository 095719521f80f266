"""The benchmarks at tiny sizes: that every row is there and sound; how fast anything is, is not asked."""

import math
import re
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from jobs.benches import book, frames, measure, parsing, portfolio, predictions, price_to_picks, search
from jobs.benches.measure import Row, best_seconds, rate_row, seconds, time_row
from jobs.cli import app
from producers.exchanges.base import ignore
from producers.exchanges.venue import parser_of
from quicksilver.events import Gap
from quicksilver.learning.zoo import NINE
from quicksilver.models.learner import ONLINE

pytest.importorskip("hftbacktest", reason="the benchmarks' peers are not installed: `make test` installs them")
LEVELS = "book: level updates, best bid/ask read"
ROUNDED = 0.016  # what a ratio may differ by from that of its numbers: half a digit of three, in each of them
TOGETHER = ("random-forest", "nearest-neighbours", "lda")
FRONTIER = "frontier update, 5,000 x 4 (# ms)"
CHOSEN = "all picks, costs, intervals, frontier, 5,000 x 4 (# ms)"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Little to do, once, and no recordings."""
    monkeypatch.setattr(measure, "ROUNDS", 1)
    monkeypatch.setattr(book, "N", 2_000)
    monkeypatch.setattr(frames, "N", 300)
    monkeypatch.setattr(parsing, "N", 300)
    monkeypatch.setattr(parsing, "ROUNDS", 1)
    monkeypatch.setattr(parsing, "LEVELS", 100)
    monkeypatch.setattr(portfolio, "N", 5_000)
    monkeypatch.setattr(portfolio, "MANY", 100_000)
    monkeypatch.setattr(portfolio, "ASSETS", 4)
    monkeypatch.setattr(price_to_picks, "UPDATES", 5)
    monkeypatch.setattr(price_to_picks, "SETTLE", 2)
    few = replace(price_to_picks.CONFIG, n_portfolios=1_000, window=40, resamples=10)
    monkeypatch.setattr(price_to_picks, "CONFIG", few)
    monkeypatch.setattr(predictions, "N_TRAIN", 400)
    monkeypatch.setattr(predictions, "N", 30)
    monkeypatch.setattr(predictions, "N_PEER", 3)
    monkeypatch.setattr(predictions, "N_EVENTS", 2_000)
    monkeypatch.setattr(search, "N", 400)
    monkeypatch.setattr(search, "ROUNDS", 1)
    monkeypatch.setattr(search, "CONFIG", replace(search.CONFIG, types=("lda",), datasetinputs=(1, 2), folds=2))
    monkeypatch.setenv("QUICKSILVER_TAPES", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.timeout(600)  # it runs thousands of predictions and starts processes: minutes on a busy machine
def test_every_row_is_written_beside_its_peer(tiny: None, tmp_path: Path) -> None:
    out = tmp_path / "new" / "bench.json"
    result = CliRunner().invoke(app, ["bench", "--out", str(out)], catch_exceptions=False)
    assert (result.exit_code, result.stderr) == (0, "")
    assert all(set(one) == set(Row.__struct_fields__) for one in msgspec.json.decode(out.read_bytes()))
    rows = msgspec.json.decode(out.read_bytes(), type=list[Row])
    source = "kraken (simulated)"
    assert [(re.sub(r"\([\d.]+ ms\)", "(# ms)", row.name), row.unit, row.peer) for row in rows] == [
        (LEVELS, "M/s", "sortedcontainers"),
        (LEVELS, "M/s", "hftbacktest numba loop"),
        (f"{source}: frames -> events, decoded and checked", "k/s", "json.loads alone"),
        (f"{source}: frames -> feature vectors", "k/s", "json.loads alone"),
        (f"{source}: frames -> encoded rows", "k/s", "json.loads alone"),
        ("kraken v2 (simulated): raw bytes -> checked events", "k/s", "json.loads alone"),
        ("kraken v1 (simulated): raw bytes -> checked events", "k/s", "json.loads alone"),
        ("kraken v1 (simulated): raw bytes -> checked events", "k/s", "cryptofeed's handler"),
        ("binance (simulated): raw bytes -> checked events", "k/s", "json.loads alone"),
        ("binance (simulated): raw bytes -> checked events", "k/s", "cryptofeed's handler"),
        ("a snapshot of 100 levels: raw bytes -> event -> book", "ms", "json.loads alone"),
        (FRONTIER, "M portfolios/s", "numpy float64 draw and evaluate"),
        (FRONTIER, "M portfolios/s", "bare float32 matrix product"),
        ("frontier drawn and evaluated, 100,000 x 4", "M portfolios/s", "numpy float64 draw and evaluate"),
        ("min-variance and max-Sharpe of 4 (# ms)", "updates/s", "PyPortfolioOpt, fresh solve"),
        ("min-variance and max-Sharpe of 4 (# ms)", "updates/s", "skfolio, fresh solve"),
        (CHOSEN, "updates/s", "PyPortfolioOpt, 40 points and 2 picks"),
        *(
            (f"price -> picks at a websocket, 30 assets{held}, {part}", "ms", f"a ping on that websocket, {part}")
            for held in ("", ", what is held, turnover")
            for part in ("p50", "p99")
        ),
        *(
            (f"one live prediction, {name}, {part}", "us", f"{peer}, {part}")
            for names, peer in (
                (NINE, "scikit-learn's predict_proba"),
                (ONLINE, "river: predict and learn"),
                (("ensemble of the 9",), "scikit-learn's predict_proba"),
            )
            for name in names
            for part in ("p50", "p99")
        ),
        *((f"8 rows due at once, {name}: one by one", "us", "in one batch") for name in TOGETHER),
        *(
            (f"a predictor on a row that is due, random-forest, {part}", "us", f"{peer}, {part}")
            for part in ("p50", "p99")
            for peer in ("on one that is not", "the book's message itself")
        ),
        *(
            (f"search, 2 configurations of 400 rows, {ours}", "configurations/min", peer)
            for ours, peer in (
                ("2 processes", "1 process"),
                ("2 processes", "two processes with half each"),
                ("two processes with half each", "1 process"),
            )
        ),
    ]
    for row in rows:
        for number in (row.value, row.peer_value, row.ratio):
            assert 0.0 < number < math.inf
        less, more = (row.peer_value, row.value) if row.unit in {"ms", "us"} else (row.value, row.peer_value)
        assert row.ratio == pytest.approx(less / more, rel=ROUNDED)
        assert row.peer in result.stdout
    assert f"written to {out}" in result.stdout.replace("\n", "")


def test_the_median_is_taken_without_the_first_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROUNDS", 3)
    clock, calls = iter([200.0, 201.0, 300.0, 302.0, 400.0, 409.0]), list[int]()
    monkeypatch.setattr("jobs.benches.measure.time.perf_counter", lambda: next(clock))
    assert (seconds(lambda: calls.append(1)), len(calls)) == ([2.0], 4)


def test_what_is_short_is_repeated_within_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROUNDS", 1)
    clock, calls = iter([0.0, 0.002, 1.0, 1.015]), list[int]()
    monkeypatch.setattr("jobs.benches.measure.time.perf_counter", lambda: next(clock))
    assert seconds(lambda: calls.append(1), turn_s=0.01) == [pytest.approx(0.003)]
    assert len(calls) == 1 + 1 + 5


def test_the_shortest_time_leaves_out_the_round_in_which_workers_start(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.5, 1.0, 4.0, 5.0, 7.0])
    monkeypatch.setattr("jobs.benches.measure.time.perf_counter", lambda: next(clock))
    assert best_seconds(lambda: None, rounds=2) == [2.0]


def test_a_stall_of_one_of_the_two_makes_no_number_zero() -> None:
    """On a busy machine one may wait for ten thousand times as long as the other takes."""
    slow = time_row("a", "us", 51_300.0, "b", 2.5)
    assert slow.ratio == pytest.approx(2.5 / 51_300.0, rel=0.01)
    assert slow.ratio > 0.0


def test_a_ratio_above_one_is_better_than_the_peer() -> None:
    assert rate_row("a", "k/s", 3.0, "b", 1.5) == Row("a", 3.0, "k/s", "b", 1.5, 2.0)


def test_the_peer_reads_the_same_books_and_trades_from_the_simulated_frames() -> None:
    """A peer that skipped what it cannot read would look fast."""
    for source in parsing._made():
        parser = parser_of(source.venue, ignore)
        events = [event for frame in source.frames for event in parser.parse(frame)]
        assert not any(isinstance(event, Gap) for event in events)
        if source.peer:
            peer = parsing.Cryptofeed(source)
            taken: list[object] = []
            peer.take = taken.append
            peer()
            assert len(taken) == len(events)
