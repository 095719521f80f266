"""A kept version on data that came after it: did it do as its walk-forward run said that it would?"""

from collections.abc import Sequence

import msgspec
import numpy as np
from rich import box
from rich.table import Table

from jobs.choices import Span
from jobs.gathering import gathered
from jobs.registry import Entry
from jobs.reports import UNITS, number, span, times
from jobs.tape_letters import Letters
from quicksilver.errors import InputError
from quicksilver.learning.datasets import frame_of
from quicksilver.learning.held_back import later_than, outside, walked_by
from quicksilver.learning.scores import LEVEL, MEASURES
from quicksilver.learning.validation import LAST_MOVE, MAJORITY, MODEL, NOTHING
from quicksilver.learning.verdict import LOWER_IS_BETTER, TITLES
from quicksilver.models.card import Card


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
    if not isinstance(card, Card):
        raise InputError(f"{card.name} is an ensemble: its members can be scored, `quicksilver replay` shows the whole")
    config = msgspec.structs.replace(card.config, minutes_back=0.0)  # all that is later judges it
    data = gathered(sources, [config], Letters(), venue)
    later = later_than(card, frame_of(data.of(config, within or Span()), config))
    far = outside(card, later.inputs)
    try:
        walked = walked_by(card, later.rows(~far))
    except ValueError as error:
        raise InputError(str(error)) from error
    means = {who: one.parts().mean(axis=0) for who, one in walked.judged.items()}
    found = {}
    for name, measure in MEASURES.items():
        expected, value = entry.validation.scores[MODEL][name], float(measure(means[MODEL]))
        baselines = {who: float(measure(means[who])) for who in (MAJORITY, LAST_MOVE, NOTHING)}
        found[name] = Later(value, expected.low, expected.high, value in expected, baselines)
    start_ns, end_ns = int(walked.ts_ns[0]), int(walked.ts_ns[-1])
    return LaterScores(card.name, card.version, len(walked.ts_ns), int(np.count_nonzero(far)), start_ns, end_ns, found)


def later_table(entry: Entry, found: LaterScores) -> Table:
    """Return it for people."""
    flagged = (
        f"; {found.flagged:,} more were flagged: inputs far out of the range that it knows" if found.flagged else ""
    )
    title = (
        f"{found.name} {found.version} on {found.n:,} later decisions, {times(found.start_ns, found.end_ns)}{flagged}"
    )
    table = Table(
        "", "model", f"expected, {LEVEL:.0%}", "within", MAJORITY, LAST_MOVE, NOTHING, box=box.SIMPLE_HEAD,
        title=title + flagged, title_justify="left",
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
