"""A kept version on data that came after it: did it do as its walk-forward run said that it would?"""

from collections.abc import Sequence

import msgspec
from rich import box
from rich.table import Table

from jobs.choices import Span
from jobs.gathering import gathered
from jobs.registry import Entry
from jobs.reports import UNITS, left_out, number, span, times
from jobs.tape_letters import Letters
from quicksilver.errors import InputError
from quicksilver.learning.datasets import frame_of
from quicksilver.learning.held_back import later_than, walked_by
from quicksilver.learning.scores import LEVEL, MEASURES
from quicksilver.learning.together import aligned_with, features_in, walked_together
from quicksilver.learning.validation import LAST_MOVE, MAJORITY, MODEL, NOTHING, Walk
from quicksilver.learning.verdict import LOWER_IS_BETTER, TITLES
from quicksilver.models.card import AnyCard, EnsembleCard


class Later(msgspec.Struct, frozen=True):
    """One measure of the later data: the model's and its baselines' values, and what had been expected of it."""

    value: float
    low: float
    high: float
    within: bool
    baselines: dict[str, float]


class LaterScores(msgspec.Struct, frozen=True):
    """How a version did on ``n`` later decisions; ``flagged`` more had inputs that it does not predict from."""

    name: str
    version: str
    n: int
    flagged: int
    start_ns: int
    end_ns: int
    measures: dict[str, Later]


def scored_later(
    entry: Entry, sources: Sequence[str], venue: str | None = None, within: Span | None = None
) -> LaterScores:
    """Return how a version did on what is later in some sources than what it learned from.

    Raises:
        InputError: a source cannot be read, or it holds too little that is later.
        StoreError: Cassandra does not answer.
    """
    card = entry.card
    try:
        walked = _walked(card, sources, venue, within or Span())
    except ValueError as error:
        raise InputError(str(error)) from error
    means = {who: one.parts().mean(axis=0) for who, one in walked.judged.items()}
    found = {}
    for name, measure in MEASURES.items():
        expected, value = entry.validation.scores[MODEL][name], float(measure(means[MODEL]))
        baselines = {who: float(measure(means[who])) for who in (MAJORITY, LAST_MOVE, NOTHING)}
        found[name] = Later(value, expected.low, expected.high, value in expected, baselines)
    start_ns, end_ns = int(walked.ts_ns[0]), int(walked.ts_ns[-1])
    return LaterScores(card.name, card.version, len(walked.ts_ns), walked.flagged, start_ns, end_ns, found)


def _walked(card: AnyCard, sources: Sequence[str], venue: str | None, within: Span) -> Walk:
    """What it and its baselines said of the later data; an ensemble as it would have live."""
    if isinstance(card, EnsembleCard):
        data = gathered(sources, [member.config for member in card.members], Letters(), venue)
        return walked_together(card, aligned_with(card, data.within(within, features_in(card))))
    config = msgspec.structs.replace(card.config, minutes_back=0.0)  # all that is later judges it
    data = gathered(sources, [config], Letters(), venue)
    return walked_by(card, later_than(card, frame_of(data.of(config, within), config)))


def later_table(entry: Entry, found: LaterScores) -> Table:
    """Return it for people."""
    title = f"{found.name} {found.version} on {found.n:,} later decisions, {times(found.start_ns, found.end_ns)}"
    table = Table(
        "", "model", f"expected, {LEVEL:.0%}", "within", MAJORITY, LAST_MOVE, NOTHING, box=box.SIMPLE_HEAD,
        title=title + left_out(found.flagged), title_justify="left",
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"
    for name, one in found.measures.items():
        lower = " (lower is better)" if name in LOWER_IS_BETTER else ""
        table.add_row(
            f"{TITLES[name]}{UNITS.get(name, '')}{lower}", number(name, one.value),
            span(name, entry.validation.scores[MODEL][name]), "yes" if one.within else "NO",
            *(number(name, value) for value in one.baselines.values()),
        )  # fmt: skip
    return table
