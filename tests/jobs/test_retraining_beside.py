"""What a run's retrainer is given of the run's scores, in which order, and what is kept when it ends."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from api.store_sqlite import SqliteStore
from jobs.retrainer import Retrainer
from jobs.retraining_beside import Followed
from quicksilver.errors import StateError
from quicksilver.learning.config_file import Predictors
from quicksilver.learning.retraining_config import RetrainingConfig
from quicksilver.records import Score
from quicksilver.topics import SCORES
from tests.jobs.markets import CONFIG
from tests.quicksilver.learning.live_scores import Stream

PATIENCE_S = 30.0


class Listening(Retrainer):
    """A retrainer that remembers what it was given, and fails when it is told to."""

    def __init__(self, folder: Path, fails: bool = False) -> None:
        super().__init__(Predictors({"near": CONFIG}), RetrainingConfig(drift=True), folder, "sqlite:none", print)
        self.taken: list[Score] = []
        self._fails = fails

    def take(self, scores: Sequence[Score]) -> None:
        if self._fails:
            raise StateError("these scores cannot be taken")
        self.taken += scores
        super().take(scores)


def tell(followed: Followed, *scores: Score) -> None:
    for one in scores:
        followed.on_record(SCORES.name, "kraken:BTC-USD", one)


async def test_scores_of_earlier_runs_come_first_and_none_is_lost(tmp_path: Path) -> None:
    scores = list(Stream("v1").scores([0.9] * 450))
    retrainer = Listening(tmp_path)
    with closing(SqliteStore(tmp_path / "a.sqlite")) as store:
        store.write(scores[:400])
        store.flush()
        followed = Followed(retrainer, store)
        tell(followed, *scores[400:420])
        working = asyncio.create_task(followed.work())
        async with asyncio.timeout(PATIENCE_S):
            while not retrainer.taken:
                await asyncio.sleep(0)
        tell(followed, *scores[420:430])  # in the midst of those of before, which are taken a hundred at once
        assert len(retrainer.taken) < 400
        async with asyncio.timeout(PATIENCE_S):
            while len(retrainer.taken) < 430:
                await asyncio.sleep(0)
        tell(followed, *scores[430:])
        assert [one.seq for one in retrainer.taken] == [one.seq for one in scores]
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_once_it_has_ended_no_score_is_kept_for_it(tmp_path: Path) -> None:
    """A run may go on for weeks after its retrainer has failed."""
    first, second = Stream("v1").scores([0.9, 0.9])
    with closing(SqliteStore(tmp_path / "a.sqlite")) as store:
        store.write([first])
        store.flush()
        followed = Followed(Listening(tmp_path, fails=True), store)
        with pytest.raises(StateError, match="these scores cannot be taken"):
            await followed.work()
    tell(followed, second)
    assert followed.waiting == 0
