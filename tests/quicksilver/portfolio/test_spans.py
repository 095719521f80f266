"""Returns over several periods: estimates and their intervals are of one period, however the clock cut the time."""

from typing import get_args

import numpy as np
import pytest
from msgspec.structs import replace

from quicksilver.events import FloatArray
from quicksilver.portfolio.choosing import Chooser
from quicksilver.portfolio.clock import ReturnClock, Sampled
from quicksilver.portfolio.config import Clock, LiveMean, PortfolioConfig
from quicksilver.portfolio.doubt import Doubt, Shrunk
from quicksilver.portfolio.live_moments import Estimated, LiveMoments, estimated
from quicksilver.portfolio.moments import Moments
from quicksilver.portfolio.prices import Quote
from quicksilver.portfolio.ring import Past
from quicksilver.portfolio.risks import NAMES, RiskName, measured, of_one_period
from quicksilver.portfolio.shrinkage import drawn_together
from tests.quicksilver.portfolio.ticks import CONFIG

ASSETS = ["A-USD", "B-USD", "C-USD", "D-USD"]
MEANS = np.array([0.02, 0.06, 0.1, 0.14]) / 100.0
DEVIATION = 0.01
STEADY = replace(CONFIG, halflife=1e9, covariance="ewm")


def drawn(rng: np.random.Generator, n: int) -> Past:
    """Rows of a walk without memory, over 1 to 10 periods each."""
    periods = rng.integers(1, 11, n).astype(np.float64)
    noise = rng.normal(0.0, DEVIATION, (n, len(ASSETS))) * np.sqrt(periods)[:, None]
    return Past(MEANS * periods[:, None] + noise, periods)


def told(config: PortfolioConfig, past: Past) -> Estimated:
    moments = LiveMoments(config)
    moments.follow(ASSETS)
    for row, periods in zip(*past, strict=True):
        moments.update(Sampled(dict(zip(ASSETS, row.tolist(), strict=True)), int(periods), 0))
    return estimated(moments.over(ASSETS), config)


def test_intervals_cover_the_truth_whatever_returns_span() -> None:
    """As often as a normal interval would, give or take what 200 trials and 100 resamples leave open."""
    rng, weights, trials = np.random.default_rng(4), np.full((1, len(ASSETS)), 0.25), 200
    mean, ratio = float(MEANS.mean()), float(MEANS.mean()) / (DEVIATION / 2.0)
    doubt, covered = Doubt(100, 1e9, 3), np.zeros(2)
    for _ in range(trials):
        past = drawn(rng, 120)
        found = doubt.intervals(past, weights, "variance")
        assert found is not None
        moments = told(STEADY, past)
        ours = float((weights @ moments.mean)[0])
        risk = float(np.sqrt(weights @ moments.covariance @ weights.T)[0, 0])
        covered[0] += ours + found.mean_low[0] <= mean <= ours + found.mean_high[0]
        covered[1] += ours / risk + found.ratio_low[0] <= ratio <= ours / risk + found.ratio_high[0]
    assert (covered / trials >= 0.85).all()
    assert (covered / trials <= 0.99).all()


@pytest.mark.parametrize("span", [2, 5])
def test_what_is_old_fades_by_the_time_that_went_by_not_by_returns(span: int) -> None:
    """A return over five periods lets what was before fade as five of one do, of which four are not known."""
    rng, unknown = np.random.default_rng(2), np.full(4, np.nan)
    spanned, single = Moments(4, 20.0), Moments(4, 20.0)
    for row in rng.normal(0.0, DEVIATION, (60, 4)):
        spanned.update(row, float(span))
        for _ in range(span - 1):
            single.update(unknown)
        single.update(row)
    np.testing.assert_allclose(spanned.mean * span, single.mean, rtol=1e-9)
    np.testing.assert_allclose(spanned.covariance() * span, single.covariance(), rtol=1e-9)
    assert spanned.n_effective == pytest.approx(single.n_effective)
    ages = span * np.arange(60)
    assert spanned.sums[0, 0, 0] == pytest.approx((0.5 ** (ages / 20.0)).sum())


def test_intervals_fade_as_the_moments_do() -> None:
    """Of few periods' memory there are as few returns to average: the mean is less sure, the more so if each spans."""
    rng = np.random.default_rng(3)
    rows, weights = rng.normal(0.0, DEVIATION, (120, 4)), np.full((1, 4), 0.25)
    doubt, widths = Doubt(200, 60.0, 3), list[float]()
    for span in (1.0, 4.0, 16.0, 1.0):
        found = doubt.intervals(Past(rows * np.sqrt(span), np.full(120, span)), weights, "variance")
        assert found is not None
        widths.append(float((found.mean_high - found.mean_low)[0]) * np.sqrt(span))  # of a single one's noise
    assert widths[0] < widths[1] < widths[2]
    assert widths[3] == widths[0]


def test_the_doubt_about_a_mean_is_by_periods_not_by_rows() -> None:
    past = drawn(np.random.default_rng(1), 2_000)
    found = Doubt(400, 1e9, 5).intervals(past, np.eye(len(ASSETS)), "variance")
    assert found is not None
    np.testing.assert_allclose(found.mean_high, 1.96 * DEVIATION / np.sqrt(past.periods.sum()), rtol=0.25)
    np.testing.assert_allclose(found.ratio_high - found.ratio_low, 2 * 1.96 / np.sqrt(past.periods.sum()), rtol=0.25)


@pytest.mark.parametrize("risk", NAMES)
def test_returns_of_one_period_each_are_those_that_no_periods_were_told_of(risk: RiskName) -> None:
    returns = np.random.default_rng(2).normal(3e-4, DEVIATION, (300, len(ASSETS)))
    config = replace(CONFIG, risk=risk, window=120, resamples=20, cash=1e-5)
    plain, spanned = Chooser(config, ASSETS), Chooser(config, ASSETS)
    for row in returns:
        plain.returned(row)
        spanned.returned(row, 1.0)
    mean, covariance = returns.mean(axis=0), np.cov(returns.T)
    assert plain.choose(mean, covariance) == spanned.choose(mean, covariance)


@pytest.mark.parametrize("mean", ["ewm", "james-stein"])
def test_by_either_clock_synchronous_prices_have_alike_means(mean: LiveMean) -> None:
    """All prices come each fifth second: zeros in between tell no more of a mean than a return over all five."""
    paths = np.cumsum(np.random.default_rng(8).normal(MEANS / 2.0, DEVIATION, (400, len(ASSETS))), axis=0)
    found = []
    for name in get_args(Clock):
        clock, moments, config = ReturnClock(name), LiveMoments(STEADY), replace(STEADY, mean=mean)
        moments.follow(ASSETS)
        for i, row in enumerate(100.0 * np.exp(paths)):
            quotes = {asset: Quote(f"v:{asset}", float(row[j]), i, 0) for j, asset in enumerate(ASSETS)}
            sampled = clock.sample(5 * i + 5, 4, quotes)
            if sampled is not None:
                moments.update(sampled)
        found.append(estimated(moments.over(ASSETS), config).mean)
    np.testing.assert_allclose(found[1], found[0], rtol=0.02)
    plain = (paths[-1] - paths[0]) / (5 * 399)
    kept = float(np.ptp(found[0]) / np.ptp(plain))
    assert kept == pytest.approx(1.0, rel=1e-6) if mean == "ewm" else 0.1 < kept < 0.9


def test_james_stein_shrinks_by_how_many_periods_the_mean_is_known() -> None:
    """A walk cut into single periods and into spans of eight: the shares by which means go together are alike."""
    rng = np.random.default_rng(6)
    config = replace(STEADY, mean="james-stein")
    single = rng.normal(MEANS / 3.0, DEVIATION, (1_600, len(ASSETS)))
    eights = single.reshape(200, 8, len(ASSETS)).sum(axis=1)
    shares = [_share(told(config, one)) for one in (Past(single, np.ones(1_600)), Past(eights, np.full(200, 8.0)))]
    assert 0.1 < shares[0] < 0.9
    assert shares[1] == pytest.approx(shares[0], rel=0.25)


def _share(found: Estimated) -> float:
    """By how much of the way the means have gone together."""
    assert found.shrunk is not None
    before = found.shrunk.means
    return 1.0 - float(np.ptp(found.mean) / np.ptp(before))


def test_the_interval_of_a_shrunk_mean_is_that_of_the_shrunk_estimate() -> None:
    """Against a loop that shrinks each resampled mean by itself; narrower than that of the plain mean."""
    past, weights = drawn(np.random.default_rng(3), 200), np.vstack([np.eye(4), np.full(4, 0.25)])
    shrunk = told(replace(STEADY, mean="james-stein"), past).shrunk
    assert shrunk is not None
    plain, found = (Doubt(300, 1e9, 2).intervals(past, weights, "variance", one) for one in (None, shrunk))
    assert plain is not None
    assert found is not None
    doubt = Doubt(300, 1e9, 2)
    doubt._resample(200, float(past.periods.mean()))
    total = past.rows.sum(axis=0) / past.periods.sum()
    scattered = []
    for picked in doubt._picked:
        mean = past.rows[picked].sum(axis=0) / past.periods[picked].sum()
        scattered.append(
            weights @ (drawn_together(shrunk.means + mean - total, shrunk.noise) - drawn_together(*shrunk))
        )
    low, high = np.quantile(scattered, (0.025, 0.975), axis=0)
    np.testing.assert_allclose(found.mean_low, low, rtol=1e-5)  # what fades in 1e9 periods
    np.testing.assert_allclose(found.mean_high, high, rtol=1e-5)
    width = (found.mean_high - found.mean_low) / (plain.mean_high - plain.mean_low)
    assert (width[:4] < 0.95).all()
    assert width[4] == pytest.approx(1.0, rel=1e-6)  # the mean of all is where they are drawn to


def test_means_that_are_all_noise_are_one_and_so_are_their_intervals() -> None:
    past = drawn(np.random.default_rng(3), 60)
    found = Doubt(50, 1e9, 2).intervals(past, np.eye(4), "cvar", Shrunk(np.zeros(4), np.inf))
    assert found is not None
    assert np.ptp(found.mean_low) < 1e-15


def test_of_a_predicted_mean_no_interval_is_told() -> None:
    past = drawn(np.random.default_rng(3), 60)
    for mean in ("ewm", "predictions"):
        chooser = Chooser(replace(CONFIG, mean=mean), ASSETS)
        for row, periods in zip(*past, strict=True):
            chooser.returned(row, periods)
        pick = chooser.choose(MEANS, np.eye(4) * DEVIATION**2).picks["equal_weight"]
        intervals = [pick.mean_low_bps, pick.mean_high_bps, pick.sharpe_low, pick.sharpe_high]
        assert (intervals == [None] * 4) is (mean == "predictions")


@pytest.mark.parametrize("risk", NAMES)
def test_risks_of_the_past_are_of_one_period_and_drawdowns_of_the_path(risk: RiskName) -> None:
    """A path cut into rows of 1 to 10 periods, live, beside the risks that these have by their definition."""
    past, cash = drawn(np.random.default_rng(9), 300), 1e-4
    config = replace(CONFIG, risk=risk, window=300, cash=cash)
    chooser = Chooser(config, ASSETS)
    for row, periods in zip(*past, strict=True):
        chooser.returned(row, periods)
    pick = chooser.choose(MEANS, np.eye(4) * DEVIATION**2).picks["equal_weight"]
    own = past.rows.mean(axis=1) - cash * past.periods
    path = np.concatenate([[0.0], np.cumsum(own)])
    single = own / np.sqrt(past.periods)
    expected = {
        "variance": DEVIATION / 2.0,
        "semi-variance": float(np.sqrt((np.minimum(single, 0.0) ** 2).mean())),
        "cvar": -float(np.sort(single)[:15].mean()),
        "max-drawdown": float((np.maximum.accumulate(path) - path).max()),
    }[risk]
    assert pick.risk_bps / 1e4 == pytest.approx(expected, rel=1e-9)
    excess = of_one_period(risk, past.rows - cash * past.periods[:, None], past.periods[:, None])
    weights: FloatArray = np.full((1, 4), 0.25)
    assert measured(risk, weights, np.eye(4) * DEVIATION**2, excess)[0] == pytest.approx(expected, rel=1e-9)


def test_a_chooser_goes_on_from_its_state_with_the_periods_of_its_returns() -> None:
    past = drawn(np.random.default_rng(5), 90)
    config = replace(CONFIG, risk="cvar", window=50)
    whole, again = Chooser(config, ASSETS), Chooser(config, ASSETS)
    for row, periods in zip(*past, strict=True):
        whole.returned(row, periods)
    again.load(whole.dump())
    assert again.dump() == whole.dump()
    assert again.choose(MEANS, np.eye(4)) == whole.choose(MEANS, np.eye(4))
