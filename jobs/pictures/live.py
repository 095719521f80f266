"""Live scores over time: each version's prequential records beside its baseline's, window by window."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jobs.pictures.drawing import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, between, sheet, signed
from jobs.pictures.score import courses_of as courses_over
from jobs.pictures.score import dates, draw, middle, on_time, windows_of
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS, FloatArray
from quicksilver.learning.datasets import Int64
from quicksilver.learning.live_outcomes import outcome_of
from quicksilver.learning.scores import block_length
from quicksilver.records import Score

COLORS, MARKERS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY), "osD^vP"
LEAST = 20  # outcomes: of fewer nothing is to be seen
HIT, LOSS, BASE_HIT, BASE_LOSS = range(4)  # as ``LiveOutcome`` has them
MEASURES = (("accuracy", HIT, BASE_HIT), ("log-loss, nats (lower is better)", LOSS, BASE_LOSS))


class LiveCourse(NamedTuple):
    """One version's outcomes at one horizon, ``n`` in order of time.

    ``parts`` ``(n, 4)`` are its hit and its log-loss, and the baseline's.
    """

    version: str
    horizon_ns: int
    instruments: tuple[str, ...]
    ts_ns: Int64
    parts: FloatArray

    @property
    def overlap(self) -> int:
        """How many outcomes in a row share a span of time, those of all instruments, where there are most of them."""
        later = np.searchsorted(self.ts_ns, self.ts_ns + self.horizon_ns)
        return int((later - np.searchsorted(self.ts_ns, self.ts_ns)).max())


def courses_of(scores: Iterable[Score]) -> list[LiveCourse]:
    """Return what each version did, from the running means in its records, which are of one model.

    Where the record before is missing (the store keeps some hours), one tells nothing by itself and is left out.
    """
    runs: dict[tuple[str, int, str], list[Score]] = defaultdict(list)
    for one in scores:
        runs[one.version, one.horizon_ns, f"{one.venue}:{one.symbol}"].append(one)
    found: dict[tuple[str, int], list[tuple[str, Int64, FloatArray]]] = defaultdict(list)
    for (version, horizon_ns, instrument), run in sorted(runs.items()):
        found[version, horizon_ns].append((instrument, *_outcomes(run)))
    courses = []
    for (version, horizon_ns), some in found.items():
        ts_ns, parts = np.concatenate([one[1] for one in some]), np.vstack([one[2] for one in some])
        order = np.argsort(ts_ns, kind="stable")
        names = tuple(one[0] for one in some)
        courses.append(LiveCourse(version, horizon_ns, names, ts_ns[order], parts[order]))
    return courses


def _outcomes(run: Sequence[Score]) -> tuple[Int64, FloatArray]:
    """The single outcomes of one version on one instrument: times ``(n,)`` and parts ``(n, 4)``."""
    run = sorted(run, key=lambda one: (one.ts_known_ns, one.n))
    known = [
        (one.ts_event_ns, outcome[: BASE_LOSS + 1])
        for before, one in zip((None, *run), run, strict=False)
        if (outcome := outcome_of(one, before)) is not None
    ]
    times, parts = np.array([one[0] for one in known], np.int64), np.array([one[1] for one in known], np.float64)
    return times, parts.reshape(-1, BASE_LOSS + 1)


def live_score(name: str, scores: Iterable[Score], roles: Mapping[str, str]) -> Figure:
    """Return the sheet of one model; ``roles`` is what its versions do, where that is known.

    Raises:
        InputError: too few outcomes are known.
    """
    every = [one for one in courses_of(scores) if len(one.ts_ns) >= LEAST]
    if not every:
        raise InputError(f"{name}: fewer than {LEAST} outcomes of any version are known: let it run for a while")
    courses = sorted(every, key=lambda one: (-int(one.ts_ns[-1]), one.version, one.horizon_ns))[: len(COLORS)]
    left_out = f" {len(every) - len(courses)} older ones are left out." if len(every) > len(courses) else ""
    labels = [_label(one, roles, len({two.horizon_ns for two in every}) > 1) for one in courses]
    instruments = sorted({name for one in courses for name in one.instruments})
    first, last = min(int(one.ts_ns[0]) for one in courses), max(int(one.ts_ns[-1]) for one in courses)
    figure = sheet(
        5.6 + 0.22 * len(courses), f"Live score over time: {name}, each version",
        f"{', '.join(instruments[:6])}{' ...' if len(instruments) > 6 else ''}, {between(first, last)}; each"
        " prediction was made before its outcome was known.\n"
        + "\n".join(_sentence(one, label) for one, label in zip(courses, labels, strict=True)),
        "Windows of outcomes, at the middle of each; bars: 95 % intervals of their mean, by resampled blocks (no bar:"
        f" too few). Dashed, in the version's colour: always the class seen most until then.{left_out}",
    )  # fmt: skip
    axes = figure.subplots(len(MEASURES), 1, sharex=True)
    for ax, (title, of, base) in zip(axes, MEASURES, strict=True):
        for place, (course, label) in enumerate(zip(courses, labels, strict=True)):
            _draw(ax, course, (of, base), label, place)
        ax.set_ylabel(title, fontsize=9.5)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8.5, frameon=False)
    on_time(axes[-1])
    return figure


def _draw(ax: Axes, course: LiveCourse, columns: tuple[int, int], label: str, place: int) -> None:
    block = block_length(course.parts[:, LOSS] - course.parts[:, BASE_LOSS], course.overlap)
    windows = windows_of(np.zeros(len(course.ts_ns), np.int64), block)
    color, (of, base) = COLORS[place], columns
    at = dates(np.array([middle(course.ts_ns[one]) for one in windows]))
    ax.plot(at, [course.parts[one, base].mean() for one in windows], color=color, linewidth=1.2, linestyle="--")
    (found,) = courses_over(course.ts_ns, course.parts, windows, [lambda mean: mean[..., of]], block, 0)
    draw(ax, found, label, color, MARKERS[place])


def _label(course: LiveCourse, roles: Mapping[str, str], several: bool) -> str:
    role = roles.get(course.version)
    ahead = f", {course.horizon_ns / SECOND_NS:g} s ahead" if several else ""
    return f"version {course.version}{ahead}" + (f" ({role})" if role else "")


def _sentence(course: LiveCourse, label: str) -> str:
    hit, loss, base_hit, base_loss = course.parts.mean(axis=0).tolist()
    return (
        f"{label}: {len(course.ts_ns):,} outcomes, accuracy {hit:.3f} against {base_hit:.3f} of always the majority"
        f" class (difference {signed(hit - base_hit, 3)}); log-loss {loss:.4f} against {base_loss:.4f}."
    )
