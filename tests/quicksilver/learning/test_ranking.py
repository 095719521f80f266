"""A search's table: its order, the deflated scores, and what is said of it in words."""

import numpy as np
import pytest
from msgspec.structs import replace

from quicksilver.events import FloatArray
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.deflated import deflated_tracks, expected_best, probability, track_of
from quicksilver.learning.ranking import Row, ranked, row_of, verdict
from quicksilver.learning.results import MAJORITY, MODEL, Interval, Validation
from quicksilver.learning.scores import MEASURES
from quicksilver.learning.search import Candidate, Result

DAYS = 10.0


def result(name: str, profits: FloatArray, hits: float = 0.5, why: str = "") -> Result:
    candidate = Candidate(name, PredictorConfig("lda"), 2, ("v:A-B",), "d", "c")
    if why:
        return Result(candidate, why=why)
    mean = float(profits.mean())
    model = {one: Interval(0.0, -1.0, 1.0, -0.5, 0.5) for one in MEASURES}
    model |= {
        "accuracy": Interval(hits, 0.1, 0.9, 0.2, 0.8),
        "profit_bps": Interval(mean, mean - 2, mean + 2, mean - 1, mean + 1),
    }
    better = {one: Interval(0.0, -1.0, 1.0, hits - 0.6, 0.5) for one in MEASURES}
    scores = {MODEL: model, MAJORITY: model}
    return Result(candidate, Validation(len(profits), 2, 1, 0, 1, scores, better, track=track_of(profits, DAYS)))


def profits(mean: float, n: int = 400) -> FloatArray:
    return _with_mean(np.random.default_rng(round(100 * mean) + 1_000).normal(0.0, 10.0, n), mean)


def _with_mean(series: FloatArray, mean: float) -> FloatArray:
    return series - series.mean() + mean


def table(*results: Result, tried: int = 0) -> list[Row]:
    return ranked(map(row_of, results), tried or len(results))


def test_the_best_comes_first_and_what_failed_last() -> None:
    rows = table(
        result("failed", profits(0.0), why="too few"), result("idle", np.zeros(400)), result("bad", profits(-2.0)),
        result("good", profits(2.0)), result("worse", profits(-4.0)),
    )  # fmt: skip
    assert [row.id for row in rows] == ["good", "idle", "bad", "worse", "failed"]
    assert [row.deflated is None for row in rows] == [False, True, False, False, True]
    assert (rows[1].sharpe_daily, rows[1].trades) == (0.0, False)
    assert (rows[-1].why, rows[-1].percent_correct) == ("too few", None)
    assert rows[0].percent_correct == Interval(50.0, 10.0, 90.0, 20.0, 80.0)


def test_three_lucky_decisions_lead_no_table_and_deflate_nobody() -> None:
    """A Sharpe ratio of three nearly equal gains is beyond all others; it is no try of which luck's size is known."""
    lucky, good, bad = (
        result("lucky", np.array([9.0, 10.0, 11.0])),
        result("good", profits(2.0)),
        result("b", profits(-1)),
    )
    rows = table(lucky, good, bad)
    assert [(row.id, row.few) for row in rows] == [("good", False), ("b", False), ("lucky", True)]
    assert (rows[2].sharpe_daily or 0.0) > (rows[0].sharpe_daily or 0.0)
    assert rows[2].deflated is None
    assert rows[0].deflated == table(good, bad, tried=3)[0].deflated
    said = verdict(rows, 3)
    assert said.startswith("The best makes +2.00 bps")
    assert said.endswith(
        " 1 stand last whatever they earned: judged by fewer than 20 decisions that do not depend on one another, or by"
        " less than half of the periods."
    )
    assert verdict(table(lucky), 1).startswith("None of 1 that trade was judged by enough to say what it earns. ")
    assert verdict(table(lucky, bad), 2).startswith("None of 1 judged by enough earns its costs: the best that trades")
    (idle,) = table(result("idle", np.zeros(19)))
    assert idle.few


def test_who_was_judged_by_less_than_half_of_the_periods_is_not_ranked() -> None:
    def judged(name: str, mean: float, folds: int) -> Result:
        one = result(name, profits(mean))
        assert one.validation is not None
        return replace(one, validation=replace(one.validation, folds=folds))

    rows = table(judged("late", 4.0, 3), judged("half", 1.0, 4), judged("all", -1.0, 8))
    assert [(row.id, row.few) for row in rows] == [("half", False), ("all", False), ("late", True)]
    assert rows[2].deflated is not None, "it has decided often enough for that"


def test_deflated_scores_are_those_of_the_paper_where_all_decide_as_often() -> None:
    series = [profits(mean) for mean in (-1.0, 0.5, 2.0)]
    tracks = [track for one in series if (track := track_of(one, DAYS)) is not None]
    best = expected_best([one.ratio for one in tracks], 50, 0.0)
    expected = [probability(one.ratio, best, one.n, one.skew, one.kurtosis) for one in tracks]
    assert deflated_tracks(tracks, 50) == pytest.approx(expected)


def test_how_often_is_decided_makes_no_difference_to_what_a_day_is_worth() -> None:
    """A series, and the same by sums of four: a day's ratio stays, and so does the bar that it is held to."""
    fine = profits(1.0, 4_000)
    coarse = fine.reshape(-1, 4).sum(axis=1)
    one, other = track_of(fine, DAYS), track_of(coarse, DAYS)
    assert one is not None
    assert other is not None
    assert one.daily == pytest.approx(other.daily, rel=0.1)
    a, b = deflated_tracks([one, other], 20)
    assert a == pytest.approx(b, abs=0.05)


def test_more_tries_deflate_more() -> None:
    some = [result(str(mean), profits(mean)) for mean in (-1.0, 0.0, 1.5)]
    scores = [table(*some, tried=n)[0].deflated for n in (3, 30, 3_000)]
    assert all(score is not None for score in scores)
    assert scores == sorted(scores, key=lambda score: -(score or 0.0))
    assert len(set(scores)) == 3


def test_it_is_said_in_words_what_it_comes_to() -> None:
    def said(*results: Result, tried: int = 0) -> str:
        return verdict(table(*results, tried=tried), tried or len(results))

    failed, idle = result("f", profits(0.0), why="too few"), result("i", np.zeros(400))
    assert verdict([], 0) == "There is no result yet."
    assert said(failed) == "None of 1 configurations could be judged."
    none = said(idle, failed, tried=40)
    assert none.startswith("None of 1 judged here ever trades: doing nothing is best. 0 of 1 are right more")
    losing = said(result("b", profits(-2.0)), idle, tried=40)
    assert losing.startswith("None of 2 judged here earns its costs: the best that trades"), (
        "of 38 nothing is known here"
    )
    lucky = said(result("a", profits(0.8)), result("b", profits(-2.0)), result("c", profits(-4.0)), tried=500)
    assert "but do not trade on it: after 500 tries, the probability that this is more than luck is" in lucky
    sure = said(result("a", profits(4.0)), result("b", profits(3.9)), idle, tried=3)
    assert "A later period has still to show it." in sure
    assert "1 of 3 are right more often" in said(result("h", profits(1.0), hits=0.7), idle, result("b", profits(0.1)))


def test_a_best_that_no_longer_earns_within_its_interval_is_not_called_sure() -> None:
    (row,) = table(result("a", profits(4.0)))
    assert row.profit_bps is not None
    doubtful = replace(row, profit_bps=replace(row.profit_bps, mean_low=-0.1))
    assert "do not trade on it" in verdict([doubtful], 1)
    assert "do not trade on it" not in verdict([row], 1)


def test_who_is_judged_by_fewer_periods_is_named_beside_what_it_was_judged_by() -> None:
    all_of_them, fewer = result("a", profits(-1.0)), result("b", profits(-2.0))
    assert fewer.validation is not None
    late = replace(fewer, validation=replace(fewer.validation, folds=1, start_ns=7, end_ns=9))
    rows = table(all_of_them, late)
    assert [(row.folds, row.of_folds, row.start_ns, row.end_ns) for row in rows] == [(2, 2, 0, 1), (1, 2, 7, 9)]
    assert verdict(rows, 2).endswith(
        " 1 had too little to learn from before the first periods: judged by fewer than the 2 of the others, to be"
        " compared with care."
    )
    assert "compare" not in verdict(table(all_of_them, fewer), 2)
