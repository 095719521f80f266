"""Live scores as pictures: single outcomes out of running means, and a line for each version."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from jobs.pictures.live import courses_of, live_score
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.models.score import PrequentialScore, most_likely
from quicksilver.records import Direction, Score

START_NS, HORIZON_NS = 1_790_000_000 * SECOND_NS, 60 * SECOND_NS
CLASSES: tuple[Direction, ...] = (-1, 0, 1)


def scores(n: int, version: str = "v1", seed: int = 1, symbol: str = "BTC-USD", after: int = 0) -> list[Score]:
    """What a live predictor gives for random outcomes, of which it knows a little."""
    rng, running, found = np.random.default_rng(seed), PrequentialScore(), []
    for row in range(after, after + n):
        outcome = CLASSES[int(rng.integers(3))]
        said = rng.dirichlet([2.0, 2.0, 2.0]) * 0.8
        said[outcome + 1] += 0.2
        down, flat, up = said.tolist()
        running.update((down, flat, up), running.baseline(), outcome)
        ts_ns = START_NS + row * HORIZON_NS
        found.append(
            Score(
                "test", symbol, row + 1, ts_ns, ts_ns, HORIZON_NS, "near", version, ts_ns + HORIZON_NS,
                most_likely((down, flat, up)), outcome, running.n, running.hits / running.n, running.loss / running.n,
                running.baseline_hits / running.n, running.baseline_loss / running.n,
            )
        )  # fmt: skip
    return found


def hits(some: Sequence[Score]) -> list[int]:
    return [int(one.predicted == one.outcome) for one in some]


def test_running_means_give_the_single_outcomes() -> None:
    some = scores(500)
    (course,) = courses_of(some)
    assert course.parts[:, 0].tolist() == hits(some)
    assert course.ts_ns.tolist() == [one.ts_event_ns for one in some]
    mean = course.parts.mean(axis=0)
    last = some[-1]
    expected = (last.accuracy, last.log_loss, last.baseline_accuracy, last.baseline_log_loss)
    assert mean == pytest.approx(expected)
    assert set(course.parts[:, 2].tolist()) <= {0.0, 1.0}
    assert (course.parts[:, [1, 3]] > 0.0).all()


def test_what_has_no_record_before_it_tells_nothing() -> None:
    some = scores(300)
    (course,) = courses_of([*some[100:150], *some[180:]])
    assert course.parts[:, 0].tolist() == [*hits(some[101:150]), *hits(some[181:])]


def test_a_version_that_begins_anew_counts_from_one() -> None:
    first, second = scores(100), scores(80, seed=2, after=100)
    (course,) = courses_of([*first, *second])
    assert course.parts[:, 0].tolist() == [*hits(first), *hits(second)]
    assert course.parts[100:].mean(axis=0)[1] == pytest.approx(second[-1].log_loss)


def test_instruments_of_a_version_are_one_course_in_order_of_time() -> None:
    (course,) = courses_of([*scores(100), *scores(60, seed=2, symbol="ETH-USD")])
    assert course.instruments == ("test:BTC-USD", "test:ETH-USD")
    assert len(course.ts_ns) == 160
    assert (np.diff(course.ts_ns) >= 0).all()


def test_the_sheet_has_a_line_and_a_sentence_for_each_version() -> None:
    figure = live_score("near", [*scores(600), *scores(300, "v2", 2, after=600), *scores(10, "v3", 3)], {"v2": "live"})
    said = "\n".join(text.get_text() for text in figure.texts)
    assert "v2 (live): 300 outcomes, accuracy " in said
    assert "v1: 600 outcomes, accuracy " in said
    assert "v3" not in said, "ten outcomes show nothing"
    for ax in figure.axes:
        assert ax.get_legend_handles_labels()[1] == ["version v2 (live)", "version v1"]
    drawn: list[Any] = list(figure.axes[0].containers)
    live, earlier = (np.asarray(one.lines[0].get_ydata()) for one in drawn)
    majority = np.asarray(figure.axes[0].lines[0].get_ydata())
    assert (len(live), len(earlier)) == (6, 12)
    assert live.mean() == pytest.approx(np.mean(hits(scores(300, "v2", 2))))
    assert earlier.mean() == pytest.approx(np.mean(hits(scores(600))))
    assert not np.allclose(majority, live)


def test_outcomes_that_overlap_stay_together() -> None:
    """Of two instruments that look four decisions ahead eight outcomes in a row share a span of time."""
    some = [*scores(600), *scores(600, seed=2, symbol="ETH-USD")]
    far = [msgspec.structs.replace(one, horizon_ns=4 * HORIZON_NS) for one in some]
    assert [course.overlap for course in courses_of([*some, *far])] == [2, 8]
    (near_line,), (far_line,) = (live_score("near", these, {}).axes[0].containers for these in (some, far))
    assert len(far_line.lines[0].get_ydata()) < len(near_line.lines[0].get_ydata())  # type: ignore[attr-defined]


def test_the_newest_versions_are_shown_if_there_are_many() -> None:
    figure = live_score("near", [one for n in range(9) for one in scores(40, f"v{n}", n, after=40 * n)], {})
    assert figure.axes[0].get_legend_handles_labels()[1] == [f"version v{n}" for n in range(8, 2, -1)]
    assert "3 older ones are left out" in figure.texts[2].get_text().replace("\n", " ")


def test_too_few_outcomes_are_said() -> None:
    with pytest.raises(InputError, match="near: fewer than 20 outcomes of any version"):
        live_score("near", scores(19), {})
