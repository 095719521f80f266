"""A shadow is judged by the decisions that both took, and not by luck of the draw."""

import numpy as np
import pytest

from quicksilver.learning.drift import LiveLosses, Loss
from quicksilver.learning.trial import Compared, Trial, Unpaired, Verdict
from quicksilver.records import Score
from tests.quicksilver.learning.live_scores import MINUTE_NS, START_NS, Stream


class Both:
    """A trial, and the scores of both versions."""

    def __init__(self, outcomes: int, symbols: tuple[str, ...] = ("BTC-USD",)) -> None:
        self.trial, self.losses = Trial("old", "new", outcomes), LiveLosses()
        self.old = {symbol: Stream("old", symbol=symbol) for symbol in symbols}
        self.new = {symbol: Stream("new", symbol=symbol) for symbol in symbols}

    def take(self, score: Score) -> Verdict | None:
        loss = self.losses.take(score)
        assert loss is not None
        return self.trial.take(score, loss)

    def decision(self, old: float, new: float, symbol: str = "BTC-USD") -> Verdict | None:
        return self.take(self.old[symbol].score(old)) or self.take(self.new[symbol].score(new))


@pytest.mark.parametrize(("gain", "better"), [(0.2, True), (-0.2, False)])
def test_the_one_with_the_lower_loss_is_better(gain: float, better: bool) -> None:
    rng, both = np.random.default_rng(1), Both(200)
    losses = rng.exponential(1.0, 200)
    verdicts = [both.decision(float(one), float(one) * (1 - gain)) for one in losses]
    assert verdicts[:-1] == [None] * 199
    verdict = verdicts[-1]
    assert isinstance(verdict, Compared)
    assert (verdict.n, verdict.better) == (200, better)
    assert verdict.live == pytest.approx(losses.mean())
    assert verdict.shadow == pytest.approx(losses.mean() * (1 - gain))
    assert verdict.low < verdict.shadow - verdict.live < verdict.high
    assert (verdict.high < 0) == better
    assert "on the same 200 decisions; difference " in str(verdict)


def promoted(overlap: int, gain: float, trials: int = 100, outcomes: int = 200) -> float:
    """How often a shadow is promoted whose losses are lower by ``gain``, where outcomes share ``overlap`` decisions."""
    found = 0
    for seed in range(trials):
        rng, n = np.random.default_rng(seed), outcomes * overlap
        both = Both(outcomes)
        both.trial = Trial("old", "new", outcomes, span_ns=overlap * MINUTE_NS)
        noise = rng.normal(size=n + overlap - 1) / np.sqrt(overlap)
        apart = (np.convolve(noise, np.ones(overlap), mode="valid") * 0.1 - gain).tolist()
        verdict = next(filter(None, (both.decision(1.0, 1.0 + one) for one in apart)))
        assert isinstance(verdict, Compared)
        found += verdict.better
    return found / trials


@pytest.mark.parametrize("overlap", [1, 6])
def test_of_two_that_are_as_good_the_live_one_stays(overlap: int) -> None:
    """Two and a half in a hundred are promoted by chance, where outcomes overlap too."""
    assert promoted(overlap, 0.0) <= 0.08


def test_of_few_outcomes_that_overlap_no_more_are_promoted() -> None:
    """Twelve spans of six decisions each: neighbours share outcomes, though there are too few to show it."""
    assert promoted(6, 0.0, trials=400, outcomes=12) <= 0.055


def test_one_that_is_really_better_is_promoted() -> None:
    assert promoted(6, 0.04) >= 0.95


def test_equals_are_not_better() -> None:
    both = Both(50)
    verdicts = [both.decision(0.5, 0.5) for _ in range(50)]
    assert isinstance(verdicts[-1], Compared)
    assert not verdicts[-1].better


def test_only_decisions_of_both_count_whoever_is_first() -> None:
    both = Both(9, ("BTC-USD", "ETH-USD"))  # ten decisions, of which two were at one time
    for _ in range(3):
        assert both.take(both.old["BTC-USD"].score(9.0)) is None  # before the shadow was there
        both.new["BTC-USD"].skip(1)
    for place in range(4):
        assert both.decision(1.0, 0.5) is None
        assert both.decision(2.0, 1.5, "ETH-USD") is None
        both.old["BTC-USD"].skip(1)
        assert both.take(both.new["BTC-USD"].score(9.0)) is None, place
    assert both.take(both.new["ETH-USD"].score(0.0)) is None
    assert both.take(both.old["ETH-USD"].score(1.0)) is None
    verdict = both.decision(1.0, 1.0)
    assert isinstance(verdict, Compared)
    assert verdict.n == 10
    assert [verdict.live, verdict.shadow] == pytest.approx([1.4, 0.9])


def test_decisions_from_before_the_shadow_do_not_count() -> None:
    """They are read again after a restart, and the shadow has none of them."""
    both = Both(10)
    both.trial = Trial("old", "new", 10, since_ns=START_NS + 101 * MINUTE_NS)
    assert all(both.take(both.old["BTC-USD"].score(9.0)) is None for _ in range(100))
    both.new["BTC-USD"].skip(100)
    verdicts = [both.decision(1.0, 0.5) for _ in range(10)]
    assert isinstance(verdicts[-1], Compared)
    assert verdicts[-1].n == 10
    assert verdicts[-1].live == pytest.approx(1.0)


def test_outcomes_at_one_time_count_once() -> None:
    """Those of many instruments happen together: two hundred of one minute tell hardly more than one of them."""
    rng, symbols = np.random.default_rng(2), tuple(f"A{number}-USD" for number in range(50))
    both = Both(40, symbols)
    for _ in range(39):
        common = rng.normal(0.0, 0.1)
        assert [both.decision(1.0, 0.5 + common, symbol) for symbol in symbols] == [None] * 50
    verdict = both.decision(1.0, 0.5, symbols[0])
    assert isinstance(verdict, Compared)
    assert (verdict.n, verdict.better) == (39 * 50 + 1, True)
    assert np.isfinite([verdict.low, verdict.high]).all()


def test_of_a_silent_version_too_what_happens_at_one_time_counts_once() -> None:
    symbols = tuple(f"A{number}-USD" for number in range(50))
    both = Both(40, symbols)
    for _ in range(79):
        assert [both.take(both.old[symbol].score(1.0)) for symbol in symbols] == [None] * 50
    verdict = both.take(both.old[symbols[0]].score(1.0))
    assert isinstance(verdict, Unpaired)
    assert (verdict.n_live, verdict.n_shadow) == (79 * 50 + 1, 0)


def test_other_versions_do_not_count() -> None:
    both, older = Both(10), Stream("older")
    assert all(both.take(older.score(1.0)) is None for _ in range(50))


def test_a_shadow_that_does_not_come_is_not_better() -> None:
    both = Both(10)
    assert both.decision(1.0, 0.1) is None
    verdicts = [both.take(both.old["BTC-USD"].score(1.0)) for _ in range(19)]
    assert verdicts[:-1] == [None] * 18
    verdict = verdicts[-1]
    assert isinstance(verdict, Unpaired)
    assert (verdict.n, verdict.n_live, verdict.n_shadow, verdict.better) == (1, 20, 1, False)


@pytest.mark.parametrize(("loss", "varies", "better"), [(0.8, 0.1, True), (0.8, 0.7, False), (1.2, 0.1, False)])
def test_where_the_live_version_is_silent_the_baseline_is_what_to_beat(
    loss: float, varies: float, better: bool
) -> None:
    """By more than chance: a mean that is lower by luck is no reason."""
    both, losses = Both(10), (loss + varies * np.tile([-1.0, 1.0], 10)).tolist()
    verdicts = [both.take(both.new["BTC-USD"].score(one, baseline=1.0)) for one in losses]
    assert verdicts[:-1] == [None] * 19
    verdict = verdicts[-1]
    assert isinstance(verdict, Unpaired)
    assert verdict[:5] == pytest.approx((0, 0, 20, loss, 1.0))
    assert verdict.low < loss - 1.0 < verdict.high
    assert verdict.better is better
    assert "it had 20 outcomes, the live version 0, of the same decisions 0" in str(verdict)


def test_returns_are_compared_by_what_they_earn() -> None:
    """The shadow knows its errors better, so its log-loss is lower; acting on it loses money."""
    trial, losses = Trial("old", "new", 50, target="return"), LiveLosses()
    old, new, rng = Stream("old"), Stream("new"), np.random.default_rng(2)
    for profit in rng.normal(1.0, 2.0, 50).tolist():
        worse = profit - 1.0 + float(rng.normal(0.0, 0.5))
        for score in (old.score(1.2, profit_bps=profit), new.score(0.6, profit_bps=worse)):
            loss = losses.take(score, "return")
            assert isinstance(loss, Loss)
            verdict = trial.take(score, loss)
    assert isinstance(verdict, Compared)
    assert not verdict.better
    assert verdict.low > 0.0
    assert str(verdict).startswith("profit ")
    assert "difference -" in str(verdict)
