"""A kept version on data that came after it: did it do as its walk-forward run said that it would?"""

from collections.abc import Sequence

import msgspec
from rich import box
from rich.table import Table

from jobs.choices import Span
from jobs.gathering import gathered
from jobs.reports import left_out, number, spanned, times, titled
from jobs.tape_letters import Letters
from quicksilver.errors import InputError
from quicksilver.learning.datasets import frame_of
from quicksilver.learning.entry import Entry
from quicksilver.learning.held_back import later_than, walked_by
from quicksilver.learning.periods import joint_level, later_period
from quicksilver.learning.results import LAST_MOVE, MAJORITY, MODEL, NOTHING, Spread
from quicksilver.learning.scores import LEVEL, MEASURES, RANGES
from quicksilver.learning.together import aligned_with, features_in, walked_together
from quicksilver.learning.verdict import LOWER_IS_BETTER, TITLES
from quicksilver.learning.walking import Walk
from quicksilver.models.card import AnyCard, EnsembleCard

JOINT = joint_level(len(MEASURES), LEVEL)  # of each interval, so that all hold at once with LEVEL


class Later(msgspec.Struct, frozen=True):
    """One measure of the later data: the model's and its baselines' values, and what had been expected of it.

    ``low`` to ``high`` is where it lies with 95 % in a period of that length; ``least`` to ``most`` is where all
    measures lie at once with as much.
    """

    value: float
    low: float
    high: float
    within: bool
    least: float
    most: float
    baselines: dict[str, float]

    @property
    def unexpected(self) -> bool:
        """Whether it is farther out than chance explains, with so many measures looked at."""
        return not self.least <= self.value <= self.most


class LaterScores(msgspec.Struct, frozen=True):
    """How a version did on ``n`` later decisions; ``flagged`` more had inputs that it does not predict from.

    ``expected`` is whether all its measures lie where all do at once with 95 %. ``rejected`` is how much of the sources
    could not be read.
    """

    name: str
    version: str
    n: int
    flagged: int
    start_ns: int
    end_ns: int
    measures: dict[str, Later]
    expected: bool
    rejected: int


def scored_later(
    entry: Entry, sources: Sequence[str], letters: Letters, venue: str | None = None, within: Span | None = None
) -> LaterScores:
    """Return how a version did on what is later in some sources than what it learned from.

    ``letters`` is told of what cannot be read of them.

    Raises:
        InputError: a source cannot be read, it holds too little that is later, or an older program kept the version.
        StoreError: Cassandra does not answer.
    """
    card, spreads = entry.card, entry.validation.spreads
    if not spreads:
        raise InputError(
            f"{card.name} {card.version} was kept by an older program, which did not say what its scores vary by: train"
            " it again"
        )
    try:
        walked = _walked(card, sources, letters, venue, within or Span())
    except ValueError as error:
        raise InputError(str(error)) from error
    means, n = {who: one.parts().mean(axis=0) for who, one in walked.judged.items()}, len(walked.ts_ns)
    found = {}
    for name, measure in MEASURES.items():
        value = float(measure(means[MODEL]))
        (low, high), (least, most) = (_expected(spreads[name], n, name, level) for level in (LEVEL, JOINT))
        baselines = {who: float(measure(means[who])) for who in (MAJORITY, LAST_MOVE, NOTHING)}
        found[name] = Later(value, low, high, low <= value <= high, least, most, baselines)
    start_ns, end_ns = int(walked.ts_ns[0]), int(walked.ts_ns[-1])
    expected = not any(one.unexpected for one in found.values())
    return LaterScores(card.name, card.version, n, walked.flagged, start_ns, end_ns, found, expected, letters.count)


def _expected(spread: Spread, n: int, name: str, level: float) -> tuple[float, float]:
    """Where a measure of so many decisions lies, cut off where it ends."""
    least, most = RANGES[name]
    low, high = later_period(spread, n, level)
    return max(least, low), min(most, high)


def _walked(card: AnyCard, sources: Sequence[str], letters: Letters, venue: str | None, within: Span) -> Walk:
    """What it and its baselines said of the later data; an ensemble as it would have live."""
    if isinstance(card, EnsembleCard):
        data = gathered(sources, [member.config for member in card.members], letters, venue)
        return walked_together(card, aligned_with(card, data.within(within, features_in(card))))
    data = gathered(sources, [card.config], letters, venue)
    return walked_by(card, later_than(card, frame_of(data.of(card.config, within), card.config)))


def later_table(found: LaterScores) -> Table:
    """Return it for people."""
    title = f"{found.name} {found.version} on {found.n:,} later decisions, {times(found.start_ns, found.end_ns)}"
    table = Table(
        "", "model", f"expected of {found.n:,}, {LEVEL:.0%}", "within", MAJORITY, LAST_MOVE, NOTHING,
        box=box.SIMPLE_HEAD, title=title + left_out(found.flagged), title_justify="left",
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"
    for name, one in found.measures.items():
        lower = " (lower is better)" if name in LOWER_IS_BETTER else ""
        table.add_row(
            f"{titled(name)}{lower}", number(name, one.value), spanned(name, one.low, one.high),
            "yes" if one.within else "NO" if one.unexpected else "no", *_others(name, one),
        )  # fmt: skip
    return table


def _others(name: str, one: Later) -> list[str]:
    return [number(name, value) for value in one.baselines.values()]


def judgement(entry: Entry, found: LaterScores) -> str:
    """Return whether it did as the walk-forward run said that it would, as a sentence."""
    of = f"of {len(found.measures)} measures"
    each = f"their intervals of {JOINT:.2%}, which hold all at once with a probability of {LEVEL:.0%} (Sidak)"
    far = [TITLES[name] for name, one in found.measures.items() if one.unexpected]
    if far:
        said = f"Not as expected: {', '.join(far)} {'lies' if len(far) == 1 else 'lie'} outside of {each}."
    else:
        within = sum(one.within for one in found.measures.values())
        said = f"As expected: {within} {of} lie within their intervals of {LEVEL:.0%}, and all within {each}."
    lacking = " The walk had one part: what periods differ by is not in the intervals." * (entry.validation.folds < 2)
    return said + lacking
