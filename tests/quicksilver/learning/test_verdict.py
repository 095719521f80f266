"""What scores say in sentences: no more than their intervals allow."""

import msgspec
import pytest

from quicksilver.learning.config import Target
from quicksilver.learning.results import MODEL, Interval, Validation
from quicksilver.learning.verdict import beats_baseline, luck, verdict


def found(measure: str, by: tuple[float, float, float], profit: tuple[float, float, float]) -> Validation:
    better, earned = Interval(*by, *by[1:]), Interval(*profit, *profit[1:])
    return Validation(9, 8, 1, 0, 1, {MODEL: {"profit_bps": earned}}, {measure: better}, ((1, 0, 0),) * 3)


@pytest.mark.parametrize(
    ("measure", "target", "by", "better", "said"),
    [
        (
            "log_loss", "direction", (-0.01, -0.015, -0.005), True,
            "Better than the majority class: its log-loss is 0.0100 nats lower (0.005 to 0.015 in a later period).",
        ),
        (
            "log_loss", "direction", (0.01, 0.005, 0.015), False,
            "Worse than the majority class: its log-loss is 0.0100 nats higher (0.005 to 0.015 in a later period).",
        ),
        (
            "log_loss", "direction", (-0.01, -0.03, 0.01), None,
            "No better than the majority class: the interval of its advantage in log-loss holds 0.",
        ),
    ],
)  # fmt: skip
def test_skill(measure: str, target: Target, by: tuple[float, float, float], better: bool | None, said: str) -> None:
    validation = found(measure, by, (-6.1, -7.0, -5.0))
    assert beats_baseline(validation, target) is better
    assert verdict(validation, target)[0] == said


@pytest.mark.parametrize(
    ("profit", "better", "said"),
    [
        (
            (0.4, 0.1, 0.7), True,
            "Better than doing nothing: its profit is 0.4 bps a decision higher (0.1 to 0.7 in a later period).",
        ),
        (
            (-6.1, -7.0, -5.0), False,
            "Worse than doing nothing: its profit is 6.1 bps a decision lower (5 to 7 in a later period).",
        ),
        ((0.4, -0.1, 0.9), None, "No better than doing nothing: the interval of its advantage in profit holds 0."),
        ((0.0, 0.0, 0.0), None, "No better than doing nothing: the interval of its advantage in profit holds 0."),
    ],
)  # fmt: skip
def test_a_predicted_return_is_judged_by_what_acting_on_it_earns(
    profit: tuple[float, float, float], better: bool | None, said: str
) -> None:
    """However often it is right: the classes are no more than what it is turned into."""
    validation = found("accuracy", (0.02, 0.01, 0.03), profit)
    assert beats_baseline(validation, "return") is better
    assert verdict(validation, "return")[0] == said


@pytest.mark.parametrize(
    ("profit", "said"),
    [
        ((-6.1, -7.0, -5.0), "It would lose 6.1 bps a decision after fees alone (-7 to -5 in a later period)."),
        ((0.4, 0.1, 0.7), "It would earn 0.4 bps a decision after fees alone (0.1 to 0.7 in a later period)."),
        (
            (0.4, -0.1, 0.9),
            "It would earn 0.4 bps a decision after fees alone, and in a later period anything from -0.1 to 0.9.",
        ),
    ],
)
def test_earnings(profit: tuple[float, float, float], said: str) -> None:
    assert verdict(found("log_loss", (0.0, -1.0, 1.0), profit))[1] == said


def test_what_a_profit_is_after() -> None:
    plain = found("log_loss", (0.0, -1.0, 1.0), (-6.1, -7.0, -5.0))
    assert "no spread is known here and none is paid" in verdict(plain)[2]
    quoted = msgspec.structs.replace(plain, spread_bps=1.234)
    assert "6.1 bps a decision after fees and spread (-7 to" in verdict(quoted)[1]
    assert verdict(quoted)[2].endswith("a trade pays two fees and the spread then, 1.23 bps on average.")
    assert "(12 decisions have none)" in verdict(msgspec.structs.replace(quoted, without_spread=12))[2]


def test_who_never_trades_neither_earns_nor_loses() -> None:
    flat = found("log_loss", (0.0, -1.0, 1.0), (0.0, 0.0, 0.0))
    flat = Validation(*(flat.n, 8, 1, 0, 1, flat.scores, flat.better_by), ((0, 3, 0),) * 3)
    assert verdict(flat)[1] == "It never predicts a move: it would neither earn nor lose."


def test_luck() -> None:
    assert luck(1, None) == "One configuration was tried on its instruments."
    assert luck(3, None) == "3 configurations were tried on its instruments."
    assert luck(3, 0.123).endswith("the luck of the best of so many has a probability of 12.3%.")


def test_who_never_predicts_a_move_never_traded() -> None:
    idle = found("log_loss", (-0.01, -0.03, 0.01), (0.0, -16.18, 1.5))
    flat = msgspec.structs.replace(idle, confusion=((0, 3, 0),) * 3)
    assert (idle.never_traded, flat.never_traded) == (False, True)
    assert "16.18" not in " ".join(verdict(flat))
