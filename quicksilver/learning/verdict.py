"""What the scores of a walk-forward run say, in sentences."""

from quicksilver.learning.config import Target
from quicksilver.learning.results import MODEL, Interval, Validation

LOWER_IS_BETTER = frozenset({"log_loss", "brier"})
JUDGED_BY: dict[Target, str] = {"direction": "log_loss", "return": "profit_bps"}
"""One measure, chosen beforehand: of six, one would look good by chance. A predicted return is there to be acted on."""
TITLES = {
    "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "log_loss": "log-loss", "brier": "Brier score",
    "matthews": "Matthews' correlation", "profit_bps": "profit",
}  # fmt: skip


def verdict(found: Validation, target: Target = "direction") -> list[str]:
    """Return whether a predictor knows anything, what it would earn, and after which costs: a sentence each."""
    return [skill(found, target), earnings(found), costs(found)]


def beats_baseline(found: Validation, target: Target = "direction") -> bool | None:
    """Return whether a predictor is better than its baseline, or worse; None if a later period may show either.

    By log-loss, beside the majority class; where it predicts a return by profit, beside doing nothing. The whole
    interval of the difference lies on one side of 0 then.
    """
    advantage = _advantage(found, target)
    if 0.0 in advantage:
        return None
    return (advantage.value < 0.0) == (JUDGED_BY[target] in LOWER_IS_BETTER)


def _advantage(found: Validation, target: Target) -> Interval:
    """How much the measure is above the baseline's; doing nothing earns nothing."""
    return found.scores[MODEL]["profit_bps"] if target == "return" else found.better_by[JUDGED_BY[target]]


def skill(found: Validation, target: Target = "direction") -> str:
    """Return what ``beats_baseline`` says as a sentence."""
    title, better = TITLES[JUDGED_BY[target]], beats_baseline(found, target)
    baseline = "doing nothing" if target == "return" else "the majority class"
    if better is None:
        return f"No better than {baseline}: the interval of its advantage in {title} holds 0."
    by = _advantage(found, target)
    least, most = sorted((abs(by.low), abs(by.high)))
    amount = f"{abs(by.value):.3g} bps a decision" if target == "return" else f"{abs(by.value):.4f} nats"
    higher = "higher" if by.value > 0.0 else "lower"
    interval = f"{least:.4g} to {most:.4g} in a later period"
    return f"{'Better' if better else 'Worse'} than {baseline}: its {title} is {amount} {higher} ({interval})."


def earnings(found: Validation) -> str:
    """Return what it would have earned or lost after costs, and whether that is more than chance, as a sentence."""
    if found.never_traded:
        return "It never predicts a move: it would neither earn nor lose."
    profit = found.scores[MODEL]["profit_bps"]
    does = "earn" if profit.value > 0.0 else "lose"
    what = f"It would {does} {abs(profit.value):.3g} bps a decision {after(found.spread_bps)}"
    if profit.low > 0.0 or profit.high < 0.0:
        return f"{what} ({profit.low:.3g} to {profit.high:.3g} in a later period)."
    return f"{what}, and in a later period anything from {profit.low:.3g} to {profit.high:.3g}."


def after(spread_bps: float | None) -> str:
    """Return what a profit is after; ``spread_bps`` is the mean spread that was paid, None where there was none."""
    return "after fees alone" if spread_bps is None else "after fees and spread"


def costs(found: Validation) -> str:
    """Return what profits are counted from and what is taken off them, as a sentence."""
    traded = "Profits of a decision are from mid to mid, at no latency, moving no price"
    if found.spread_bps is None:
        return f"{traded}; no spread is known here and none is paid: a real profit is lower."
    some = f" ({found.without_spread:,} decisions have none)" if found.without_spread else ""
    return f"{traded}; a trade pays two fees and the spread then, {found.spread_bps:.3g} bps on average{some}."


def luck(tried: int, deflated: float | None) -> str:
    """Return what having tried several configurations means for the profit, as a sentence."""
    if tried < 2:
        return "One configuration was tried on its instruments."
    said = f"{tried:,} configurations were tried on its instruments"
    if deflated is None:
        return f"{said}."
    return f"{said}; that its profit is more than the luck of the best of so many has a probability of {deflated:.1%}."
