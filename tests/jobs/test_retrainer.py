"""Predictors trained anew while they are live: real trainings of stored rows, real versions, a market that changes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from api.store_sqlite import SqliteStore
from jobs.feature_histories import histories_of
from jobs.registry import Registry
from jobs.registry_history import Happening, History
from jobs.retrainer import Retrainer, own_shadow, past_of
from jobs.retraining_work import Job, Made, reach_ns, retrained
from jobs.score_feed import in_order, pages_of, stored_scores
from producers.exchanges.base import ignore
from quicksilver.errors import InputError, StoreError
from quicksilver.events import SECOND_NS
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.config_file import Predictors
from quicksilver.learning.datasets import MINUTE_NS, frame_of
from quicksilver.learning.ensemble_config import EnsembleConfig, Member
from quicksilver.learning.retraining import Past
from quicksilver.learning.retraining_config import RetrainingConfig
from quicksilver.learning.splits import walk_forward
from quicksilver.learning.training import digest
from quicksilver.learning.usable import FOLDS, learned_from
from quicksilver.models.card import EnsembleCard
from quicksilver.models.predictor import Predictor
from quicksilver.records import Features, Score
from tests.jobs.markets import CONFIG, START_NS, Market

DRIFT = RetrainingConfig(drift=True, at_least_apart="30s", shadow_outcomes=100)
PATIENCE_S = 60.0


async def in_a_thread(job: Job) -> Made:
    """Train here: a process of its own steps behind all else that a machine does, and takes seconds to begin."""
    return await asyncio.to_thread(retrained, job)


class Desk:
    """What a run does with a registry: it stores vectors, and lets the live version and the shadows predict."""

    def __init__(self, folder: Path, retraining: RetrainingConfig, config: PredictorConfig = CONFIG) -> None:
        self.folder, self.database = folder / "models", folder / "live.sqlite"
        self.registry, self.history = Registry(self.folder), History(self.folder)
        self.store = SqliteStore(self.database)
        self.predictors: dict[str, Predictor] = {}
        self.said: list[str] = []
        self.deployed: list[str] = []
        self.job = Job("near", Predictors({"near": config}), f"sqlite:{self.database}", self.folder)
        self.retraining = retraining
        self.retrainer = self.made()

    def made(self, **changed: Any) -> Retrainer:
        given = {"work": in_a_thread, **changed}
        return Retrainer(self.job.file, self.retraining, self.folder, self.job.source, self.said.append, **given)

    def predicted(self, rows: Iterable[Features]) -> list[Score]:
        """Store vectors, and return what is known of the predictions of who predicts now."""
        rows, scores = list(rows), []
        roles = self.registry.roles("near") if self.registry.names() else None
        versions = [roles.live, *roles.shadows] if roles else []
        self.predictors = {
            version: self.predictors.get(version) or Predictor(self.card(version), "kraken", "BTC-USD")
            for version in versions
        }
        for row in rows:
            for predictor in self.predictors.values():
                scores += [one for one in predictor.take(row) if isinstance(one, Score)]
        self.store.write([*rows, *scores])
        self.store.flush()
        return scores

    def card(self, version: str) -> Any:
        return self.registry.entry("near", version).card

    def what(self) -> list[str]:
        return [one.what for one in self.history.of("near")]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.retrainer.start()
        working = asyncio.create_task(self.retrainer.run())
        try:
            yield
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not reached():
                await asyncio.sleep(0.05)

    async def go_on(self, market: Market, push: float, most: int, *what: str) -> None:
        """Let the market go on until something is done, for so many seconds; while there is training nothing comes.

        Time is that of the events: a training of seconds would be one of hours.
        """
        seen = len(self.what())
        for _ in range(most // 10):
            self.retrainer.take(self.predicted(market.rows(10, push)))
            await asyncio.sleep(0.002)
            if len(self.what()) > seen:
                break
        await self.until(lambda: len(self.what()) >= seen + len(what))
        assert self.what()[seen:] == list(what)
        if what[-1] == "shadow":  # that is said before it is one
            await self.until(lambda: self.registry.roles("near").shadows != [])


@asynccontextmanager
async def desk(folder: Path, retraining: RetrainingConfig = DRIFT, **given: Any) -> AsyncIterator[Desk]:
    made = Desk(folder, retraining, **given)
    with closing(made.store):
        yield made


async def test_drift_is_answered_by_a_version_that_is_better(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        market = Market()
        one.predicted(market.rows(1_500, -0.7))
        first = retrained(one.job).version
        async with one.running():
            one.retrainer.take(one.predicted(market.rows(500, -0.7)))
            await one.go_on(market, 0.7, 600, "training", "shadow")
            history = one.history.of("near")
            assert "drift on kraken:BTC-USD: its log-loss " in history[0].why
            shadow = history[1].version
            roles = one.registry.roles("near")
            assert (roles.live, roles.shadows) == (first, [shadow])
            assert f"judged over 100 outcomes that do not overlap beside {first}" in history[1].why
            await one.go_on(market, 0.7, 300, "promoted")
            last = one.history.of("near")[-1]
            assert (last.version, "on the same 100 decisions" in last.why) == (shadow, True)
            roles = one.registry.roles("near")
            assert (roles.live, roles.shadows, roles.earlier) == (shadow, [], [first])
            assert one.card(shadow).end_ns > one.card(first).end_ns
        assert one.said == [f"near: {h.what}{h.version and ' ' + h.version}: {h.why}" for h in one.history.of("near")]


async def test_a_shadow_that_is_worse_is_dropped_and_the_old_one_stays(tmp_path: Path) -> None:
    """The market changes back as soon as the new version is there."""
    async with desk(tmp_path) as one:
        market = Market()
        one.predicted(market.rows(1_500, -0.7))
        first = retrained(one.job).version
        async with one.running():
            one.retrainer.take(one.predicted(market.rows(500, -0.7)))
            await one.go_on(market, 0.7, 600, "training", "shadow")
            await one.go_on(market, -0.7, 300, "dropped")
            roles = one.registry.roles("near")
            assert (roles.live, roles.shadows) == (first, [])
            assert len(one.registry.versions("near")) == 2


async def test_who_was_made_live_meanwhile_is_not_replaced_by_whom_it_was_not_held_against(tmp_path: Path) -> None:
    """A user promotes a third version in the second before the verdict: the shadow has beaten another than that."""
    async with desk(tmp_path) as one:
        market = Market()
        one.predicted(market.rows(1_500, -0.7))
        retrained(one.job)
        one.predicted(market.rows(50, -0.7))
        second = retrained(one.job).version
        async with one.running():
            one.retrainer.take(one.predicted(market.rows(450, -0.7)))
            await one.go_on(market, 0.7, 600, "training", "shadow")
            shadow = one.history.of("near")[1].version
            scores = one.predicted(market.rows(300, 0.7))  # of those two, and enough for the shadow to win
            one.registry.promote("near", second)
            one.retrainer.take(scores)
            await asyncio.sleep(1.0)
            roles = one.registry.roles("near")
            assert (roles.live, shadow in roles.shadows) == (second, True)
            assert "promoted" not in one.what()


async def test_a_schedule_without_a_version_and_too_little_data(tmp_path: Path) -> None:
    """The first training fails, is told in a sentence and tried again; what it makes then is live."""
    schedule = RetrainingConfig(every="400s", at_least_apart="200s", promote="always")
    async with desk(tmp_path, schedule) as one:
        market = Market()
        one.retrainer.take([])
        online = Score("kraken", "BTC-USD", 1, 0, 0, SECOND_NS, "online", "1", 0, 0, 0, 1, 1.0, 1.0, 1.0, 1.0)

        def heard() -> None:
            """Another model's score: until there is a version, time is known by these."""
            now_ns = START_NS + market.seq * SECOND_NS
            one.retrainer.take([msgspec.structs.replace(online, seq=market.seq, ts_known_ns=now_ns)])

        async with one.running():
            one.predicted(market.rows(100, -0.7))
            heard()
            await one.until(lambda: len(one.what()) == 2)
            one.predicted(market.rows(199, -0.7))
            heard()
            await asyncio.sleep(0.2)
            assert one.what() == ["training", "failed"]
            one.predicted(market.rows(101, -0.7))
            heard()
            await one.until(lambda: len(one.what()) == 4)
            await one.go_on(market, -0.7, 600, "training", "live")
        history = one.history.of("near")
        assert [h.what for h in history] == ["training", "failed", "training", "live", "training", "live"]
        assert "96 examples" in history[1].why
        assert history[1].why.endswith("; what was live stays")
        assert history[3].why.startswith("it is the first; walk-forward log-loss ")
        assert history[4].why == "schedule: its data end 6.67 min ago, every = 400s"
        assert history[4].ts_ns - history[2].ts_ns >= 400 * SECOND_NS
        assert one.registry.roles("near").live == history[5].version
        assert one.registry.roles("near").earlier == [history[3].version]


async def test_a_shadow_is_the_users_to_promote_if_that_is_what_is_asked(tmp_path: Path) -> None:
    never = RetrainingConfig(every="300s", at_least_apart="1s", promote="never")
    async with desk(tmp_path, never) as one:
        market = Market()
        one.predicted(market.rows(1_000, -0.7))
        first = retrained(one.job).version
        async with one.running():
            await one.go_on(market, -0.7, 600, "training", "shadow")
            await one.go_on(market, -0.7, 600, "training", "dropped", "shadow")
            history = one.history.of("near")
            assert history[3].why == f"there is a newer one, {history[4].version}"
            roles = one.registry.roles("near")
            assert (roles.live, roles.shadows) == (first, [history[4].version])
            one.registry.promote("near", history[4].version)
            await asyncio.sleep(1.5)
            await one.go_on(market, -0.7, 600, "training", "shadow")
            assert one.registry.roles("near").live == history[4].version


async def test_an_ensemble_is_trained_anew_with_its_members(tmp_path: Path) -> None:
    lda = msgspec.structs.replace(CONFIG, type="lda")
    file = Predictors({"near": CONFIG, "lda": lda}, {"both": EnsembleConfig((Member("near"), Member("lda")))})
    schedule = RetrainingConfig(every="300s", at_least_apart="1s", promote="always")
    async with desk(tmp_path, schedule) as one:
        one.job = one.job._replace(file=file)
        one.retrainer = one.made()
        online = Score("kraken", "BTC-USD", 1, 0, 0, SECOND_NS, "online", "1", 0, 0, 0, 1, 1.0, 1.0, 1.0, 1.0)
        market, names, most = Market(), ("near", "lda", "both"), 0

        def done() -> bool:
            """Whether all have been trained as often as there was reason to; the market goes on saying what time it is.

            A predictor's training ends a moment after it is in the history, and what it is told until then is no news.
            """
            now_ns = START_NS + market.seq * SECOND_NS
            one.retrainer.take([msgspec.structs.replace(online, seq=market.seq, ts_known_ns=now_ns)])
            return all(len(one.history.of(name)) == most for name in names)

        async with one.running():
            for n in (1_000, 400):
                one.store.write(list(market.rows(n, -0.7)))
                one.store.flush()
                most += 2
                await one.until(done)
    for name in names:
        assert [happened.what for happened in one.history.of(name)] == ["training", "live"] * 2
    live = one.registry.entry("both", one.registry.roles("both").live).card
    assert isinstance(live, EnsembleCard)
    assert [member.config for member in live.members] == [CONFIG, lda]
    assert live.members[0].end_ns > START_NS + 1_300 * SECOND_NS
    assert one.registry.roles("both").earlier != []


async def test_what_is_published_is_what_has_changed_and_kafka_may_be_away(tmp_path: Path) -> None:
    async with desk(tmp_path, RetrainingConfig(every="300s", promote="always")) as one:
        calls = []

        def deploy(name: str) -> None:
            calls.append((name, one.registry.roles(name).live))
            raise StoreError("Kafka is away")

        market = Market()
        one.predicted(market.rows(1_000, -0.7))
        retrained(one.job)
        one.retrainer = one.made(deploy=deploy)
        async with one.running():
            await one.go_on(market, -0.7, 600, "training", "live")
            await one.until(lambda: bool(calls))
            assert calls == [("near", one.registry.roles("near").live)]
            await one.until(lambda: one.said[-1] == "near: not published: Kafka is away")


async def test_a_damaged_live_version_is_left_alone_until_it_is_mended(tmp_path: Path) -> None:
    async with desk(tmp_path, RetrainingConfig(every="10s", at_least_apart="1s", promote="always")) as one:
        market = Market()
        one.predicted(market.rows(1_000, -0.7))
        path = one.folder / "near" / f"{retrained(one.job).version}.json"
        scores = one.predicted(market.rows(100, -0.7))
        whole = path.read_bytes()
        path.write_bytes(whole[:100])
        async with one.running():
            one.retrainer.take(scores)
            await one.until(lambda: bool(one.said))
            await asyncio.sleep(0.5)
            assert one.what() == []
            assert len(one.said) == 1
            assert "near: not followed: " in one.said[0]
            path.write_bytes(whole)
            await asyncio.sleep(1.5)
            one.retrainer.take(one.predicted(market.rows(100, -0.7)))
            await one.until(lambda: one.what() == ["training", "live"])


async def test_where_none_is_live_any_more_a_new_version_is(tmp_path: Path) -> None:
    """As a file of roles says that somebody has emptied: the next training mends it."""
    async with desk(tmp_path, RetrainingConfig(every="10s", at_least_apart="1s", promote="never")) as one:
        market = Market()
        one.predicted(market.rows(1_000, -0.7))
        retrained(one.job)
        one.predicted(market.rows(100, -0.7))
        (one.folder / "near" / "roles.json").write_text("{}")
        now_ns = START_NS + market.seq * SECOND_NS
        online = Score("kraken", "BTC-USD", 1, 0, 0, SECOND_NS, "online", "1", now_ns, 0, 0, 1, 1.0, 1.0, 1.0, 1.0)
        async with one.running():
            one.retrainer.take([online])
            await one.until(lambda: one.what() == ["training", "live"])
        assert one.said[0] == "near: training: there is no version yet"
        assert one.registry.live("near") == one.history.of("near")[-1].version


async def test_what_ends_in_the_middle_of_a_training_damages_nothing(tmp_path: Path) -> None:
    """The registry is what it was, and the training is begun again."""
    schedule = RetrainingConfig(every="10s", at_least_apart="1s", promote="always")
    async with desk(tmp_path, schedule) as one:
        market = Market()
        one.predicted(market.rows(1_000, -0.7))
        first = retrained(one.job).version

        async def never(job: Job) -> Made:
            """A training that is not over when all ends."""
            await asyncio.sleep(3_600)
            return await in_a_thread(job)

        one.retrainer = one.made(work=never)
        async with one.running():
            await one.go_on(market, -0.7, 100, "training")
        assert (one.registry.versions("near"), one.registry.roles("near").live) == ([first], first)
        one.retrainer = one.made()
        async with one.running():
            await one.go_on(market, -0.7, 100, "training", "live")
        assert one.registry.roles("near").earlier == [first]


async def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    """In the middle of a trial: the scores that are stored are its outcomes until then."""
    async with desk(tmp_path) as one:
        market = Market()
        one.predicted(market.rows(1_500, -0.7))
        retrained(one.job)
        async with one.running():
            one.retrainer.take(one.predicted(market.rows(500, -0.7)))
            await one.go_on(market, 0.7, 600, "training", "shadow")
            one.retrainer.take(one.predicted(market.rows(60, 0.7)))
        one.retrainer = one.made()
        async with one.running():
            one.retrainer.take(await asyncio.to_thread(stored_scores, one.job.source, ["near"]))
            await one.go_on(market, 0.7, 60, "promoted")


def test_scores_are_found_among_those_of_other_models(tmp_path: Path) -> None:
    def score(model: str, symbol: str, seq: int) -> Score:
        return Score("kraken", symbol, seq, seq, seq, 5, model, "v", seq + 5, 0, 0, seq, 1.0, 1.0, 1.0, 1.0)

    with closing(SqliteStore(tmp_path / "a.sqlite")) as store:
        every = [
            score(model, symbol, seq)
            for seq in range(1, 12_000)
            for model, symbol in (("near", "BTC-USD"), ("nearer", "BTC-USD"), ("near", "ETH-USD"))
        ]
        store.write(every)
        store.flush()
        found = in_order(pages_of(store, ["near"]))
        assert found == stored_scores(str(tmp_path / "a.sqlite"), ["near"])
    assert len(found) == len(set(map(msgspec.json.encode, found))) == 2 * 11_999
    assert found == sorted(found, key=lambda one: (one.ts_known_ns, one.symbol))
    assert stored_scores(str(tmp_path / "none.sqlite"), ["near"]) == []
    assert stored_scores("tape:x", ["near"]) == []


@pytest.mark.parametrize("minutes", [0.0, 3.0, 20.0])
def test_what_is_read_of_a_long_history_gives_the_same_data(tmp_path: Path, minutes: float) -> None:
    config = msgspec.structs.replace(CONFIG, minutes_back=minutes, granularity="2s", horizon="7s")
    rows = [row for row in Market().rows(3_000, -0.7) if row.seq % 13 and row.seq // 4 % 20]  # small silences
    with closing(SqliteStore(tmp_path / "a.sqlite")) as store:
        store.write(rows)
        store.flush()
    (whole,) = histories_of(str(tmp_path / "a.sqlite"), (), ignore)
    (part,) = histories_of(str(tmp_path / "a.sqlite"), (), ignore, back_ns=reach_ns([config]))
    assert len(part.mid) == len(rows) if not minutes else len(part.mid) <= len(whole.mid)
    assert minutes != 3.0 or len(part.mid) < 0.7 * len(whole.mid)
    read, every = frame_of([part], config), frame_of([whole], config)
    assert digest(learned_from(read, config)) == digest(learned_from(every, config))
    past, _ = next(walk_forward(read, FOLDS, config.horizon_ns, 1))
    kept_ns = every.ts_ns[-1] - every.ts_ns[0] if minutes != 3.0 else (FOLDS + 1) * minutes * MINUTE_NS
    assert np.ptp(read.ts_ns[past]) == pytest.approx(kept_ns / (FOLDS + 1), rel=0.1), "the first part that is judged"


def test_a_source_without_the_predictors_instrument_is_told(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "a.sqlite")) as store:
        store.write(list(Market().rows(3, 0.0)))
    config = msgspec.structs.replace(CONFIG, symbols=("ETH-USD",))
    with pytest.raises(InputError, match="no instrument of symbols ETH-USD; there is kraken:BTC-USD"):
        retrained(Job("near", Predictors({"near": config}), str(tmp_path / "a.sqlite"), tmp_path / "models"))
    assert not (tmp_path / "models").exists()


def test_what_the_history_says_of_the_past() -> None:
    lines = [Happening(1, "training", ""), Happening(2, "failed", ""), Happening(5, "training", "")]
    assert past_of([]) == Past()
    assert past_of(lines) == Past(5, None)
    lines += [a := Happening(6, "shadow", "", "a"), Happening(9, "training", "")]
    assert (past_of(lines), own_shadow(lines)) == (Past(9, 5), a)
    lines += [
        Happening(10, "dropped", "", "a"), b := Happening(10, "shadow", "", "b"), Happening(11, "dropped", "", "a"),
    ]  # fmt: skip
    assert (past_of(lines), own_shadow(lines)) == (Past(9, 9), b)
    assert own_shadow([*lines, Happening(12, "promoted", "", "b")]) is None
