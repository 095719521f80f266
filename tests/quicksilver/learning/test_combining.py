"""What members say, made one: weights given, weights of late, silence."""

import math

import msgspec
import pytest

from quicksilver.events import SECOND_NS
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.ensemble_config import EnsembleConfig, Member
from quicksilver.models.card import CARD_VERSION, Card, EnsembleCard
from quicksilver.models.combining import SILENT, Combiner
from quicksilver.models.score import PrequentialScore, Probabilities, most_likely

UP, FLAT = (0.1, 0.2, 0.7), (0.2, 0.6, 0.2)
USUAL = (0.25, 0.5, 0.25)


def combiner_of(config: EnsembleConfig, horizon: str = "1m") -> Combiner:
    members = tuple(
        Card(
            one.predictor, "1", CARD_VERSION, PredictorConfig("lda", horizon=horizon), (-1, 0, 1), None, USUAL, (),
            0, 1, 1, "", "", b"",
        )
        for one in config.members
    )  # fmt: skip
    return Combiner(EnsembleCard("both", "1", CARD_VERSION, config, members, None, "", ""))


def mean(weights: tuple[float, float]) -> Probabilities:
    down, flat, up = ((weights[0] * a + weights[1] * b) / sum(weights) for a, b in zip(UP, FLAT, strict=True))
    return down, flat, up


def test_given_weights_are_those_of_the_mean() -> None:
    combiner = combiner_of(EnsembleConfig((Member("a", 3.0), Member("b", 0.5))))
    combiner.learn(SECOND_NS, (UP, FLAT), USUAL, 1)
    assert combiner.combined((UP, FLAT)) == pytest.approx(mean((3.0, 0.5)), abs=1e-15)


def test_who_says_nothing_does_not_count() -> None:
    combiner = combiner_of(EnsembleConfig((Member("a", 3.0), Member("b", 0.5))))
    assert combiner.combined((None, FLAT)) == pytest.approx(FLAT, abs=1e-15)
    assert combiner.combined((UP, None)) == pytest.approx(UP, abs=1e-15)
    assert combiner.combined((None, None)) == SILENT


def test_weights_of_late_are_exponential_in_the_discounted_loss() -> None:
    combiner = combiner_of(EnsembleConfig((Member("a", 3.0), Member("b", 0.5)), weights="recent", half_life="10m"))
    assert combiner.combined((UP, FLAT)) == pytest.approx(mean((3.0, 0.5)), abs=1e-15)
    combiner.learn(60 * SECOND_NS, (UP, FLAT), USUAL, 1)
    combiner.learn(660 * SECOND_NS, (UP, FLAT), USUAL, 0)
    a = 0.5 * -math.log(0.7) - math.log(0.2)
    b = 0.5 * -math.log(0.2) - math.log(0.6)
    expected = mean((3.0 * math.exp(-a), 0.5 * math.exp(-b)))
    assert combiner.combined((UP, FLAT)) == pytest.approx(expected, abs=1e-12)


def test_outcomes_that_overlap_count_by_that_much_less() -> None:
    config = EnsembleConfig((Member("a"), Member("b")), weights="recent")
    combiner = combiner_of(config, horizon="4m")
    combiner.learn(SECOND_NS, (UP, FLAT), USUAL, 1)
    assert combiner.combined((UP, FLAT)) == pytest.approx(mean((0.7**0.25, 0.2**0.25)), abs=1e-12)


def test_who_said_nothing_was_as_good_as_the_baseline() -> None:
    combiner = combiner_of(EnsembleConfig((Member("a"), Member("b")), weights="recent"))
    combiner.learn(SECOND_NS, (UP, None), USUAL, 1)
    assert combiner.combined((UP, FLAT)) == pytest.approx(mean((0.7, USUAL[2])), abs=1e-12)


def test_a_member_that_was_sure_and_wrong_leaves_finite_weights_and_comes_back() -> None:
    combiner = combiner_of(EnsembleConfig((Member("a"), Member("b")), weights="recent", half_life="1m"))
    for minute in range(200):
        combiner.learn(60 * minute * SECOND_NS, ((1.0, 0.0, 0.0), FLAT), USUAL, 0)
    assert combiner.combined((UP, FLAT)) == pytest.approx(FLAT, abs=1e-12)
    assert combiner.combined((UP, None)) == pytest.approx(UP, abs=1e-12)
    combiner.learn(60 * 300 * SECOND_NS, (FLAT, FLAT), USUAL, 0)
    assert combiner.combined((UP, FLAT)) == pytest.approx(mean((1.0, 1.0)), abs=1e-9)


def test_what_is_below_the_confidence_is_flat_and_scored_as_that() -> None:
    assert [most_likely(UP, confidence) for confidence in (0.0, 0.7, 0.71)] == [1, 1, 0]
    assert most_likely(FLAT, 0.9) == 0
    score = PrequentialScore()
    score.update(UP, USUAL, 1, confidence=0.71)
    assert (score.hits, score.loss) == (0, -math.log(0.7))
    score.update(UP, USUAL, 0, confidence=0.71)
    assert score.hits == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"card": 99}, "both 1 is a card of version 99, this is 1"),
        ({"members": ()}, "both 1 holds other members than it names"),
        ({"stacking": b"junk"}, "both 1 holds stacking, other than its configuration says"),
        ({"config": EnsembleConfig((Member("a"),), stacking=True)}, "both 1 holds no stacking, other than its"),
    ],
)
def test_a_card_at_odds_with_itself(change: dict[str, object], said: str) -> None:
    config = EnsembleConfig((Member("a"),))
    member = Card(
        "a", "1", CARD_VERSION, PredictorConfig("lda"), (-1, 0, 1), None, USUAL, (), 0, 1, 1, "", "", b""
    )  # fmt: skip
    card = EnsembleCard("both", "1", CARD_VERSION, config, (member,), None, "", "")
    with pytest.raises(ValueError, match=said):
        Combiner(msgspec.structs.replace(card, **change))
