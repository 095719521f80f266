"""A version of a predictor for people: tables of what it is and how it scored, and plain sentences on it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from quicksilver.learning.entry import Entry
from quicksilver.learning.results import LAST_MOVE, MAJORITY, MODEL, NOTHING, Interval, Validation
from quicksilver.learning.scores import LEVEL, MEASURES
from quicksilver.learning.verdict import LOWER_IS_BETTER, TITLES, after, luck, verdict
from quicksilver.models.card import Card

PIPED_WIDTH = 160  # columns of a table that no terminal bounds
CLASS_NAMES = ("down", "flat", "up")
FORMATS = {
    "accuracy": (100.0, ".1f", " %"), "balanced_accuracy": (100.0, ".1f", " %"), "log_loss": (1.0, ".4f", ""),
    "brier": (1.0, ".4f", ""), "matthews": (1.0, ".3f", ""), "profit_bps": (1.0, ".2f", ""),
}  # fmt: skip
UNITS = {"log_loss": ", nats", "profit_bps": " a decision, bps after costs"}


def show(*parts: RenderableType) -> None:
    """Print to standard output, as wide as the terminal."""
    console = Console()
    Console(width=None if console.is_terminal else PIPED_WIDTH).print(*parts)


def report(entry: Entry, title: str, deflated: float | None = None) -> Group:
    """Return all that is to be said of a version: what it is, scores beside baselines, confusion, a verdict."""
    found = entry.validation
    said = [*verdict(found, entry.card.target), lengths(found), luck(entry.tried, deflated)]
    return Group(about(entry, title), scores(found), confusion(found), *map(Text, said), Text())


def lengths(found: Validation) -> str:
    """Return what a later period is, for which the intervals hold, as a sentence."""
    said = f"A later period is one of {found.part:,} decisions, as a part of the walk; fewer vary more"
    if found.folds < 2:
        return f"{said}. Of one part nothing is known of how periods differ, and the intervals lack that."
    return f"{said}: `quicksilver models score` expects what is right for as many as it is given."


def about(entry: Entry, title: str) -> Table:
    """Return what a version is, and what it has learned from."""
    card, found = entry.card, entry.validation
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None)
    rows = _of_predictor(entry, card) if isinstance(card, Card) else _of_ensemble(card)
    judged = f"{found.n:,} later decisions in {found.folds} parts, {times(found.start_ns, found.end_ns)}"
    judged += left_out(found.flagged)
    for what, text in (*rows, ("judged by", f"{judged}; {found.block} in a row are resampled together")):
        table.add_row(what, Text(text))
    table.add_row("told apart by", f"data {card.data}, program {card.code}")
    return table


def left_out(flagged: int) -> str:
    """Return that so many decisions were not judged, and why; nothing if there were none."""
    return f"; {flagged:,} more were flagged as out of range, and nothing predicted from them" if flagged else ""


def _of_predictor(entry: Entry, card: Card) -> list[tuple[str, str]]:
    config = card.config
    shares = "  ".join(f"{name} {share:.1%}" for name, share in zip(CLASS_NAMES, card.prior, strict=True))
    ahead = f"{config.horizon or config.granularity} ahead"
    fees = f"{config.threshold_bps:g} bps"
    what = f"moves of more than {fees}" if config.target == "direction" else f"the move (down or up beyond {fees})"
    parameters = ", ".join(f"{name} = {value!r}" for name, value in sorted(config.parameters.items()))
    return [
        ("type", f"{config.type}{f', {parameters}' if parameters else ''}, seed {config.seed}"),
        ("predicts", f"{what}, {ahead}, every {config.granularity}"),
        ("inputs", ", ".join(config.inputs)),
        ("instruments", ", ".join(entry.instruments) or "not known"),
        ("learned from", f"{_learned(entry, card.n_train)}, {times(card.start_ns, card.end_ns)}"),
        ("outcomes", shares),
    ]


def _learned(entry: Entry, n_train: int) -> str:
    """How many decisions, and how many there were where those are more."""
    if entry.n_examples <= n_train:
        return f"{n_train:,} decisions"
    return f"the newest {n_train:,} of {entry.n_examples:,} decisions"


def _of_ensemble(card: Any) -> list[tuple[str, str]]:
    members = zip(card.config.members, card.members, strict=True)
    least = card.config.confidence_with(card.members[0].config)
    return [
        ("type", "ensemble, stacked" if card.config.stacking else f"ensemble, weights {card.config.weights}"),
        ("members", ", ".join(f"{one.predictor} {member.version} ({one.weight:g})" for one, member in members)),
        ("decides from", f"a confidence of {least:.0%}"),
    ]


def times(start_ns: int, end_ns: int) -> str:
    """Return a span of event time, UTC, to the second where it is short.

    >>> times(0, 86_400_000_000_000), times(0, 59_000_000_000)
    ('1970-01-01 00:00 to 1970-01-02 00:00', '1970-01-01 00:00:00 to 1970-01-01 00:00:59')
    """
    form = "%Y-%m-%d %H:%M" if end_ns - start_ns >= 3_600_000_000_000 else "%Y-%m-%d %H:%M:%S"
    start, end = (datetime.fromtimestamp(ns // 10**9, UTC).strftime(form) for ns in (start_ns, end_ns))
    return f"{start} to {end}"


def scores(found: Validation) -> Table:
    """Return each measure with its interval beside the baselines, and how much better than the majority it is."""
    of = f"{found.part:,} later, {LEVEL:.0%}"
    heads = ("", "model", of, MAJORITY, LAST_MOVE, NOTHING, "above majority by", of)
    table = Table(*heads, box=box.SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    for measure in MEASURES:
        own, by = found.scores[MODEL][measure], found.better_by[measure]
        later = _unknown(found, measure) or span(measure, own)
        others = (number(measure, found.scores[who][measure].value) for who in (MAJORITY, LAST_MOVE, NOTHING))
        lower = " (lower is better)" if measure in LOWER_IS_BETTER else ""
        title = f"{titled(measure)}{lower}"
        if measure == "profit_bps":
            title = f"{TITLES[measure]}, bps {after(found.spread_bps)}"  # of a decision, as the sentence on costs says
        table.add_row(
            title, number(measure, own.value), later, *others, number(measure, by.value, sign="+"),
            "" if _unknown(found, measure) else span(measure, by, sign="+"),
        )  # fmt: skip
    return table


def titled(measure: str) -> str:
    """Return what a measure is called, with its unit where its numbers do not have it.

    >>> titled("accuracy"), titled("log_loss"), titled("profit_bps")
    ('accuracy', 'log-loss, nats', 'profit a decision, bps after costs')
    """
    return f"{TITLES[measure]}{UNITS.get(measure, '')}"


def _unknown(found: Validation, measure: str) -> str:
    """Why it is not known where a measure lies in a later period; nothing if it is."""
    if measure == "profit_bps" and found.never_traded:
        return "never traded"
    return "never varied" if measure in found.spreads and not found.spreads[measure].varies else ""


def number(measure: str, value: float, sign: str = "") -> str:
    """Return a measure's value as people read it.

    >>> number("accuracy", 0.4123), number("log_loss", -0.00512, "+"), number("profit_bps", -0.001)
    ('41.2 %', '-0.0051', '0.00')
    """
    scale, form, unit = FORMATS[measure]
    return f"{scale * value:{sign}z{form}}{unit}"


def span(measure: str, one: Interval, sign: str = "") -> str:
    """Return an interval as people read it: that of a later period."""
    return spanned(measure, one.low, one.high, sign)


def spanned(measure: str, low: float, high: float, sign: str = "") -> str:
    """Return what lies between two values of a measure as people read it.

    >>> spanned("accuracy", 0.4123, 0.5)
    '41.2 to 50.0 %'
    """
    scale, form, unit = FORMATS[measure]
    return f"{scale * low:{sign}z{form}} to {scale * high:{sign}z{form}}{unit}"


def confusion(found: Validation) -> Table:
    """Return how often each outcome was predicted as what."""
    table = Table("", *(f"predicted {name}" for name in CLASS_NAMES), box=box.SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, row in zip(CLASS_NAMES, found.confusion, strict=False):
        total = max(sum(row), 1)
        table.add_row(f"was {name}", *(f"{count:,} ({count / total:.0%})" for count in row))
    return table


def listing(found: Sequence[tuple[Entry, str]]) -> Table:
    """Return versions and what each does, a line each; an ensemble's decisions are its own, its time all members'."""
    later = f"({LEVEL:.0%})"
    heads = ("name", "version", "role", "type", "learned from", "n", f"accuracy, % {later}", MAJORITY)
    table = Table(*heads, f"profit, bps {later}", "data/program", box=box.SIMPLE_HEAD)
    for entry, role in found:
        card, scored = entry.card, entry.validation.scores
        cards = [card] if isinstance(card, Card) else card.members
        n = cards[0].n_train if isinstance(card, Card) else entry.n_examples
        own, majority, profit = (
            scored[who][measure]
            for who, measure in ((MODEL, "accuracy"), (MAJORITY, "accuracy"), (MODEL, "profit_bps"))
        )
        unknown = _unknown(entry.validation, "profit_bps")
        table.add_row(
            card.name, card.version, role, card.config.type if isinstance(card, Card) else "ensemble",
            f"{_day(min(one.start_ns for one in cards))} to {_day(max(one.end_ns for one in cards))}",
            f"{n:,}" if n else "not known",
            f"{100 * own.value:.1f} ({100 * own.low:.1f} to {100 * own.high:.1f})", f"{100 * majority.value:.1f}",
            f"{number('profit_bps', profit.value)} ({unknown or span('profit_bps', profit)})",
            f"{card.data[:6]}/{card.code[:6]}",
        )  # fmt: skip
    return table


def _day(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%d}"


def summary_of(entry: Entry, deflated: float | None) -> dict[str, Any]:
    """Return the same for programs: what JSON takes."""
    card, found = entry.card, entry.validation
    own: dict[str, Any] = {"config": card.config, "instruments": entry.instruments}
    if isinstance(card, Card):
        own |= {name: getattr(card, name) for name in ("start_ns", "end_ns", "n_train", "prior")}
        own |= {"n_examples": entry.n_examples}
    else:
        own |= {"members": [member.version for member in card.members]}
    measures = {measure: _measure(found, measure) for measure in MEASURES}
    return {
        "name": card.name, "version": card.version, **own, "data": card.data, "code": card.code, "n": found.n,
        "flagged": found.flagged, "spread_bps": found.spread_bps, "folds": found.folds, "part": found.part,
        "measures": measures, "confusion": found.confusion, "verdict": verdict(found, card.target),
        "tried": entry.tried, "deflated": deflated,
    }  # fmt: skip


def _measure(found: Validation, measure: str) -> dict[str, Any]:
    own, by = found.scores[MODEL][measure], found.better_by[measure]
    baselines = {who: found.scores[who][measure].value for who in (MAJORITY, LAST_MOVE, NOTHING)}
    told = {"value": own.value, "low": own.low, "high": own.high, **baselines}
    return {**told, "above_majority": {"value": by.value, "low": by.low, "high": by.high}}
