"""When to train, and what becomes of what was trained: the same scores give the same decisions."""

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pytest

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.learning.config_file import read_predictors
from quicksilver.learning.ensemble_config import EnsembleConfig, Member
from quicksilver.learning.retraining import Decision, Past, Retraining, Standing
from quicksilver.learning.retraining_config import RetrainingConfig
from quicksilver.models.card import EnsembleCard
from quicksilver.records import Score
from tests.quicksilver.learning.live_scores import MINUTE_NS, START_NS, Stream
from tests.quicksilver.learning.test_predictor import CONFIG, card_of

HOUR_NS = 60 * MINUTE_NS
DRIFT = RetrainingConfig(drift=True)
SIX_HOURS = RetrainingConfig(every="6h")


def standing(version: str, end_ns: int = START_NS, **changed: Any) -> Standing:
    return Standing(version, MINUTE_NS, MINUTE_NS, 0.25, 4 * MINUTE_NS, end_ns)._replace(**changed)


def followed(config: RetrainingConfig, past: Past | None = None, live: Standing | None = None) -> Retraining:
    retraining = Retraining("near", config, past or Past())
    retraining.deployed(live or standing("old"), None)
    return retraining


def decided(retraining: Retraining, scores: Iterable[Score]) -> list[Decision]:
    return [one for score in scores for one in retraining.take(score)]


def losses(seed: int, n: int, mean: float = 0.9) -> list[float]:
    return np.random.default_rng(seed).exponential(mean, n).tolist()


def test_drift_trains_once_and_says_why() -> None:
    retraining, stream = followed(DRIFT), Stream("old")
    assert decided(retraining, stream.scores(losses(1, 1_000))) == []
    (found,) = decided(retraining, stream.scores(losses(2, 1_000, 2.0)))
    assert found.move == "train"
    assert START_NS + 1_000 * MINUTE_NS < found.ts_ns < START_NS + 1_300 * MINUTE_NS
    assert found.why.startswith("drift on kraken:BTC-USD: its log-loss 1.")


def test_without_drift_nothing_is_done() -> None:
    retraining = followed(DRIFT)
    streams = [Stream("old", symbol=symbol) for symbol in ("BTC-USD", "ETH-USD")]
    for one in losses(3, 4_000):
        assert decided(retraining, [streams[0].score(one), streams[1].score(3 * one)]) == []


def test_drift_that_is_not_asked_for_is_not_looked_for() -> None:
    retraining, stream = followed(SIX_HOURS), Stream("old")
    assert decided(retraining, stream.scores(losses(1, 100) + losses(2, 200, 4.0))) == []


@pytest.mark.parametrize("model", ["near", "far"])
def test_a_schedule_by_the_time_of_events_of_any_model(model: str) -> None:
    retraining = followed(SIX_HOURS)
    found = decided(retraining, Stream("old", model).scores([0.9] * 1_000))
    assert [(one.move, one.ts_ns - START_NS) for one in found] == [("train", 6 * HOUR_NS)]
    assert found[0].why == "schedule: its data end 6 h ago, every = 6h"


def test_a_training_that_succeeds_is_followed_by_the_next_and_one_that_fails_is_tried_again_soon() -> None:
    retraining, stream = followed(SIX_HOURS), Stream("old")
    times = []
    for one in stream.scores([0.9] * 1_400):
        for found in retraining.take(one):
            times.append((found.ts_ns - START_NS) // MINUTE_NS)
            retraining.trained(success=len(times) > 2)
    assert times == [360, 370, 380, 740, 1_100]


def test_no_two_within_the_time_between_them() -> None:
    config = RetrainingConfig(every="1m", drift=True, at_least_apart="2h")
    retraining, stream = followed(config), Stream("old")
    times = []
    for one in stream.scores([*losses(1, 600), *losses(2, 600, 3.0)]):
        for found in retraining.take(one):
            times.append(found.ts_ns)
            retraining.trained(success=True)
    assert len(times) >= 9
    assert min(np.diff(times)) == 2 * HOUR_NS


def test_only_one_training_at_a_time() -> None:
    retraining = followed(RetrainingConfig(every="1m", at_least_apart="1m"))
    found = decided(retraining, Stream("old").scores([0.9] * 500))
    assert [one.move for one in found] == ["train"]


def test_the_first_version_is_trained_at_once() -> None:
    retraining = Retraining("near", SIX_HOURS)
    (found,) = decided(retraining, Stream("1", "online").scores([0.9] * 20))
    assert (found.move, found.why, found.ts_ns) == ("train", "there is no version yet", START_NS + 2 * MINUTE_NS)


@pytest.mark.parametrize(("factor", "move"), [(0.7, "promote"), (1.3, "drop")])
def test_a_shadow_is_promoted_or_dropped_by_its_outcomes_and_then_no_more(factor: float, move: str) -> None:
    retraining = followed(RetrainingConfig(every="1h", at_least_apart="1h", shadow_outcomes=200))
    old, new = Stream("old"), Stream("new")
    retraining.deployed(standing("old"), standing("new"))
    found = []
    for one in losses(4, 240):
        found += decided(retraining, [old.score(one), new.score(one * factor)])
        if found:
            break
    (decision,) = found
    assert (decision.move, decision.version, decision.ts_ns) == (move, "new", START_NS + 201 * MINUTE_NS)
    assert "on the same 200 decisions" in decision.why
    retraining.deployed(standing("new" if move == "promote" else "old"), None)
    assert [one.move for one in decided(retraining, [old.score(1.0), new.score(1.0)])] == ["train"]


def test_a_shadow_is_judged_by_so_many_outcomes_that_do_not_overlap() -> None:
    """With a horizon of five decisions by five times as many, less what the first and last span lack; and one that is
    no better is dropped.
    """
    retraining = followed(RetrainingConfig(every="100h", shadow_outcomes=50))
    five = {"horizon_ns": 5 * MINUTE_NS}
    retraining.deployed(standing("old", **five), standing("new", **five))
    old, new, found = Stream("old"), Stream("new"), []
    for one, other in zip(losses(4, 260), losses(5, 260), strict=True):
        found += decided(retraining, [old.score(one), new.score(other)])
    (decision,) = found
    assert (decision.move, decision.version) == ("drop", "new")
    assert "on the same 242 decisions" in decision.why


def test_while_a_shadow_is_judged_nothing_is_trained() -> None:
    retraining = followed(RetrainingConfig(every="1m", at_least_apart="1m", shadow_outcomes=200))
    retraining.deployed(standing("old"), standing("new"))
    assert decided(retraining, Stream("old").scores([0.9] * 399)) == []


@pytest.mark.parametrize("promote", ["never", "always"])
def test_what_is_not_to_be_judged_is_not(promote: str) -> None:
    config = RetrainingConfig(every="100h", promote=promote, shadow_outcomes=10)  # type: ignore[arg-type]
    retraining = followed(config)
    retraining.deployed(standing("old"), standing("new"))
    old, new = Stream("old"), Stream("new")
    assert decided(retraining, [one for _ in range(100) for one in (old.score(1.0), new.score(0.1))]) == []


@pytest.mark.parametrize("changed", [{"horizon_ns": HOUR_NS}, {"fee_bps": 1.0}, {"every_ns": SECOND_NS}])
def test_a_shadow_of_another_question_is_not_judged(changed: dict[str, Any]) -> None:
    retraining = followed(RetrainingConfig(every="100h", shadow_outcomes=10))
    retraining.deployed(standing("old"), standing("new", **changed))
    old, new = Stream("old"), Stream("new")
    assert decided(retraining, [one for _ in range(100) for one in (old.score(1.0), new.score(0.1))]) == []


def test_a_silent_version_has_drifted() -> None:
    """Where all inputs are out of range nothing is predicted, and there is no loss to look at."""
    retraining, old, online = followed(DRIFT), Stream("old"), Stream("1", "online")
    for _ in range(100):
        assert decided(retraining, [old.score(0.9), online.score(1.0)]) == []
    online.skip(5_000)  # a break of the feed: silent are all
    assert decided(retraining, online.scores([1.0] * 50)) == []
    (found,) = decided(retraining, online.scores([1.0] * 50))
    assert (found.move, found.why) == ("train", "drift on kraken:BTC-USD: it has predicted nothing for 55 min")


def test_a_version_that_was_never_heard_is_not_missed() -> None:
    assert decided(followed(DRIFT), Stream("1", "online").scores([1.0] * 500)) == []


@pytest.mark.parametrize("config", [DRIFT, RetrainingConfig(every="1h", at_least_apart="1m")])
def test_two_that_have_both_fallen_silent_do_not_block_the_next_training(config: RetrainingConfig) -> None:
    """The worst drift: the live version and its shadow are out of range, and neither will have outcomes again."""
    retraining, old, new, online = followed(config), Stream("old"), Stream("new"), Stream("1", "online")
    retraining.deployed(standing("old"), standing("new"))
    for _ in range(50):
        assert decided(retraining, [old.score(0.9), new.score(0.9), online.score(1.0)]) == []
    drop, train = decided(retraining, online.scores([1.0] * 60))
    assert (drop.move, drop.version, train.move) == ("drop", "new", "train")
    assert drop.why == "neither it nor the live version has predicted anything for 55 min"
    assert START_NS + 100 * MINUTE_NS < drop.ts_ns < train.ts_ns < START_NS + 110 * MINUTE_NS


def test_a_new_shadow_of_a_silent_version_is_waited_for() -> None:
    """It has as long as any version; one that is heard on one of its instruments is there."""
    retraining, old, online = followed(DRIFT), Stream("old"), Stream("1", "online")
    eth = Stream("new", symbol="ETH-USD")
    for _ in range(50):
        assert decided(retraining, [old.score(0.9), online.score(1.0)]) == []
    (train,) = decided(retraining, online.scores([1.0] * 60))
    retraining.trained(success=True)
    retraining.deployed(standing("old"), standing("new"), since_ns=train.ts_ns)
    eth.skip(110)
    assert decided(retraining, online.scores([1.0] * 50)) == []
    eth.skip(50)
    assert decided(retraining, [eth.score(0.9)]) == []
    assert decided(retraining, online.scores([1.0] * 50)) == []
    assert [one.move for one in decided(retraining, online.scores([1.0] * 10))] == ["drop", "train"]


def test_scores_from_before_a_shadow_do_not_tell_of_its_silence() -> None:
    """After a restart they are read again."""
    retraining, online = followed(SIX_HOURS), Stream("1", "online")
    retraining.deployed(standing("old"), standing("new"), since_ns=START_NS + 500 * MINUTE_NS)
    assert decided(retraining, online.scores([1.0] * 550)) == []


def test_another_live_version_is_judged_by_its_own_losses() -> None:
    retraining, old, new = followed(DRIFT), Stream("old"), Stream("new")
    assert decided(retraining, old.scores(losses(1, 500))) == []
    retraining.deployed(standing("new"), None)
    new.skip(500)
    assert decided(retraining, new.scores(losses(2, 500, 3.0))) == []  # worse, and no change since it is live


def test_after_a_restart_it_goes_on() -> None:
    """The scores that are stored are read again: what was answered is not answered twice, what is open goes on."""
    scores = list(Stream("old").scores([*losses(1, 1_000), *losses(2, 400, 2.0)]))
    first = followed(DRIFT)
    (train,) = decided(first, scores)
    past = Past(begun_ns=train.ts_ns, trained_ns=train.ts_ns)
    assert decided(followed(DRIFT, past), scores) == []
    killed = followed(DRIFT, Past(begun_ns=train.ts_ns - 10 * MINUTE_NS))
    assert decided(killed, scores) == [train]
    assert decided(followed(SIX_HOURS, Past(START_NS, START_NS), standing("old", START_NS - HOUR_NS)), scores)[
        0
    ].ts_ns == (START_NS + 6 * HOUR_NS)


def test_times_of_a_later_recording_say_nothing() -> None:
    year_ns = 365 * 24 * HOUR_NS
    retraining = followed(SIX_HOURS, Past(START_NS + year_ns, START_NS + year_ns), standing("old", START_NS + year_ns))
    (found,) = decided(retraining, Stream("old").scores([0.9] * 500))
    assert found.ts_ns == START_NS + 2 * MINUTE_NS + 6 * HOUR_NS


def test_the_same_scores_give_the_same_decisions() -> None:
    def run() -> list[Decision]:
        retraining, old, new, found = followed(DRIFT), Stream("old"), Stream("new"), []
        for one in [*losses(1, 600), *losses(2, 600, 2.0)]:
            for decision in decided(retraining, [old.score(one), new.score(0.9 * one)]):
                found.append(decision)
                if decision.move == "train":
                    retraining.trained(success=True)
                    retraining.deployed(standing("old"), standing("new"))
                else:
                    retraining.deployed(standing("new"), None)
        return found

    assert [one.move for one in run()][:2] == ["train", "promote"]
    assert run() == run()


def test_what_a_card_stands_for() -> None:
    card = card_of()
    found = Standing.of(card)
    assert found == (card.version, 10 * SECOND_NS, 20 * SECOND_NS, 1.0, 50 * SECOND_NS, card.end_ns, "direction", 0.0)
    assert found.overlap == 2
    config = msgspec.structs.replace(CONFIG, horizon="5s")
    short = msgspec.structs.replace(card, config=config, end_ns=card.end_ns + 1)
    members = EnsembleConfig((Member("near"), Member("short")))
    both = EnsembleCard("both", "v", 1, members, (card, short), None, "", "")
    assert Standing.of(both) == found._replace(version="v", end_ns=card.end_ns + 1)
    assert found.comparable(Standing.of(both))
    assert not found.comparable(Standing.of(short))
    assert Standing.of(short).overlap == 1


FILE = b"""
[predictors.near]
type = "logistic"

[retraining]
every = "6h"
drift = true
delta = 0.01
at_least_apart = "30m"
promote = "always"
shadow_outcomes = 50
"""


def test_the_table_of_a_file() -> None:
    found = read_predictors(FILE, "p.toml").retraining
    assert found == RetrainingConfig("6h", True, 0.01, "30m", "always", 50)
    assert (found.every_ns, found.apart_ns) == (6 * HOUR_NS, HOUR_NS // 2)
    assert RetrainingConfig(drift=True).every_ns is None
    assert read_predictors(FILE[: FILE.index(b"[retraining]")], "p.toml").retraining is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b'every = "6h"\ndrift = true', b""), 'retraining without a reason: give every = "6h", drift = true, or both'),
        ((b'"6h"', b'"6 hours"'), "'6 hours' is no span of time"),
        ((b'"30m"', b'""'), "'' is no span of time"),
        ((b"0.01", b"0.0"), "delta = 0 is no chance of a false alarm"),
        ((b'"always"', b'"maybe"'), "Invalid enum value 'maybe'"),
        ((b"= 50", b"= 5"), "shadow_outcomes = 5: fewer than 10 tell nothing"),
        ((b"every", b"each"), "unknown field `each`"),
    ],
)
def test_what_cannot_be_used_is_named(change: tuple[bytes, bytes], said: str) -> None:
    with pytest.raises(InputError) as error:
        read_predictors(FILE.replace(*change), "p.toml")
    assert str(error.value).startswith("p.toml: ")
    assert said in str(error.value)
