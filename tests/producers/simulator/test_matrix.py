"""The fault matrix: every simulated venue with every fault, read by the live feeds and parsers."""

import asyncio
import sys

import pytest

from producers.exchanges.venue import venues
from producers.simulator.faults import KINDS
from producers.simulator.matrix import Outcome, run_matrix, table
from producers.simulator.venues.registry import engines
from producers.simulator.verdicts import VERDICTS, cases


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[str, str], Outcome]:
    """All cases, side by side: most of the time of each is waiting."""
    found = asyncio.run(run_matrix(cases()))
    return {(one.venue, one.kind): one for one in found}


def test_every_venue_is_simulated_and_has_a_verdict_on_every_fault() -> None:
    assert set(engines()) == set(venues()) == set(VERDICTS)
    assert len(cases()) == len(VERDICTS) * len(KINDS)


@pytest.mark.parametrize(("venue", "kind"), cases())
def test_a_fault_is_seen_where_the_protocol_allows_it_and_mended(
    venue: str, kind: str, outcomes: dict[tuple[str, str], Outcome]
) -> None:
    outcome = outcomes[venue, kind]
    assert outcome.complaints() == []
    assert outcome.features > 3


def test_the_matrix_is_printed(outcomes: dict[tuple[str, str], Outcome], capsys: pytest.CaptureFixture[str]) -> None:
    text = table(list(outcomes.values()))
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")
    lines = text.splitlines()
    assert lines[0].split() == ["venue", *KINDS]
    assert [line.split()[0] for line in lines[1 : len(VERDICTS) + 1]] == list(VERDICTS)
    assert "FAILED" not in text


def test_an_outcome_that_is_not_as_expected_is_a_complaint() -> None:
    """The matrix can fail: each way in which a case can go wrong is said."""
    good = Outcome("kraken", "drop", ["checksum"], [], live=True, equal=True)
    assert good.complaints() == []
    spoilt = {
        "not seen": Outcome("kraken", "drop", [], [], live=True, equal=True),
        "1 features of a broken book": Outcome("kraken", "drop", ["x"], [], 1, live=True, equal=True),
        "the book is not the venue's": Outcome("kraken", "drop", ["x"], [], live=True),
        "not live again": Outcome("kraken", "drop", ["x"], []),
        "another symbol was disturbed: y": Outcome("kraken", "drop", ["x"], ["y"], live=True, equal=True),
        "a gap where nothing was lost: x": Outcome("kraken", "delay", ["x"], [], live=True, equal=True),
        "too long": Outcome("kraken", "drop", ["x"], [], live=True, equal=True, failed="too long"),
    }
    assert {why: outcome.complaints() for why, outcome in spoilt.items()} == {why: [why] for why in spoilt}
