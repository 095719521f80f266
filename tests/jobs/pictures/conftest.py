"""Intervals of fewer resamples: these tests look at how they are drawn, ``test_scores.py`` at what they are."""

import pytest


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quicksilver.learning.scores.RESAMPLES", 60)
