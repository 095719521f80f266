"""Predictors of a registry at work: the same in every runner, swapped while it runs, and what is damaged left out."""

import asyncio
import os
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from api.hub import SourceInfo
from jobs import deploying
from jobs.embedded import EmbeddedRunner
from jobs.live import FeedSource
from jobs.parsers import Parsers
from jobs.recorded import TapeSource
from jobs.registry import Registry
from jobs.replay import replay_tape
from producers.exchanges.base import Reject
from producers.frames import Frame
from producers.simulator.frames import frames as simulated
from producers.simulator.orderflow import Market
from producers.tapes import TapeWriter, read_frames
from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent
from quicksilver.learning.entry import Entry
from quicksilver.learning.results import Validation
from quicksilver.memory import MemoryBus
from quicksilver.models.card import Card
from quicksilver.models.deployed import LivePredictor, built
from quicksilver.records import DeadLetter, Features, FeedStats, Latency, Prediction, Published, Score
from quicksilver.streaming.instruments import FeatureMachine
from quicksilver.streaming.message import Headers, outgoing
from quicksilver.streaming.predictions import PredictionMachine
from quicksilver.topics import TOPIC_OF, key_of
from tests.cards import FAST, MOVES, card_of, ensemble_of, histories_of
from tests.quicksilver.streaming.messages import START_MS, published, read, rows, run

START_NS = 1_790_000_000_000_000_000
NAMES = ["BTC/USD", "ETH/USD"]
SCORES = Validation(100, 8, 5, 1, 2, {}, {})
ONLINE = "softmax-online"
ELSEWHERE = {"latency", "feeds", "trades"}  # that a replay does not write


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tape") / "market.tape.zst"
    with TapeWriter(path) as writer:
        for ts_ns, data in simulated(Market(5, START_NS, NAMES), NAMES, 100, 4_000):
            writer.write(Frame("kraken", "c", "recv", ts_ns, data))
    return path


@pytest.fixture(scope="module")
def events(tape: Path) -> list[AnyEvent]:
    parsers = Parsers(lambda _: None)
    return [event for frame in read_frames(tape) for event in parsers.parse(frame)]


@pytest.fixture(scope="module")
def cards(events: list[AnyEvent]) -> list[Card]:
    histories = histories_of(events)
    return [card_of("fast", histories, FAST, code) for code in "123"] + [card_of("moves", histories, MOVES)]


@pytest.fixture
def registry(tmp_path: Path, cards: list[Card]) -> Registry:
    registry = Registry(tmp_path / "models")
    for card in cards:
        registry.add(Entry(card, SCORES))
    registry.shadow("fast", cards[1].version)
    return registry


class Taken:
    """What a bus is told, and what was said."""

    def __init__(self) -> None:
        self.records: list[Published] = []
        self.said: list[str] = []
        self.bus = MemoryBus()
        self.bus.subscribe(lambda topic, key, record: self.records.append(record))

    def of(self, *kinds: type) -> list[Any]:
        return [one for one in self.records if isinstance(one, kinds)]

    def rows(self) -> dict[tuple[str, str], list[bytes]]:
        found = defaultdict[tuple[str, str], list[bytes]](list)
        for one in self.records:
            if (topic := TOPIC_OF[type(one)].name) not in ELSEWHERE:
                found[topic, key_of(one)].append(codec.encode(one))
        return dict(found)


async def embedded(tape: Path, models: Path | None) -> Taken:
    taken = Taken()
    await EmbeddedRunner(TapeSource(tape, "max"), taken.bus, models, taken.said.append).run()
    return taken


def in_files(folder: Path) -> dict[str, list[bytes]]:
    return {path.stem: path.read_bytes().splitlines() for path in folder.iterdir()}


def by_topic(found: dict[tuple[str, str], list[bytes]]) -> dict[str, list[bytes]]:
    """The rows of each topic, whatever their order among instruments."""
    topics = defaultdict[str, list[bytes]](list)
    for (topic, _), values in found.items():
        topics[topic] += values
    return {topic: sorted(values) for topic, values in topics.items()}


async def test_embedded_replay_and_the_prediction_job_say_the_same_to_the_bit(
    tape: Path, events: list[AnyEvent], registry: Registry, cards: list[Card], tmp_path: Path
) -> None:
    models, ensemble = tmp_path / "models", ensemble_of("both", histories_of(events))
    registry.add(Entry(ensemble, SCORES))
    live = await embedded(tape, models)
    replay_tape(tape, out=tmp_path / "out", models=models)
    replayed = {topic: sorted(values) for topic, values in in_files(tmp_path / "out").items()}
    assert by_topic(live.rows()) == replayed
    derived = read([one for one in run(FeatureMachine, read(published(events))) if one.topic in deriving()])
    deployed = [
        read([outgoing(one, START_MS, Headers())])[0]
        for symbol in ("BTC-USD", "ETH-USD")
        for name in registry.names()
        if (one := registry.at_work(name).on("kraken", symbol)).roles()
    ]
    job = rows(run(PredictionMachine, [*deployed, *derived], by=lambda one: one.instrument))
    assert job == {place: values for place, values in live.rows().items() if place[0] in {"predictions", "scores"}}
    scored = defaultdict[tuple[str, str, str], int](int)
    for one in live.of(Score):
        scored[one.model, one.version, one.role] += 1
    assert set(scored) == {
        (ONLINE, "1", "online"), ("fast", cards[0].version, "live"), ("fast", cards[1].version, "shadow"),
        ("moves", cards[3].version, "live"), ("both", ensemble.version, "live"),
    }  # fmt: skip
    assert min(scored.values()) > 100
    assert live.said == [  # once, though there are two instruments
        f"predictor both: {ensemble.version} live",
        f"predictor fast: {cards[0].version} live, {cards[1].version} shadow",
        f"predictor moves: {cards[3].version} live",
    ]


def deriving() -> set[str]:
    return {"features", "labels", "status"}


async def test_without_a_registry_all_else_is_the_same(tape: Path, registry: Registry, tmp_path: Path) -> None:
    full, plain = await embedded(tape, tmp_path / "models"), await embedded(tape, tmp_path / "nothing")
    assert without_deployed(full.records) == without_deployed(plain.records)
    assert {one.model for one in plain.of(Prediction)} == {ONLINE}


def without_deployed(records: Iterable[Published]) -> list[Published]:
    """All but what deployed predictors say, and reports on the run itself."""
    return [
        one
        for one in records
        if not isinstance(one, FeedStats | Latency)
        and not (isinstance(one, Prediction | Score) and one.model != ONLINE)
    ]


class Slow(TapeSource):
    """A tape that gives each frame its turn, some milliseconds apart, so that a watch can act in between."""

    slow = True

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        async for batch in super().batches(reject):
            await asyncio.sleep(0.002 if self.slow else 0.0)
            yield batch


async def until(reached: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not reached():
            await asyncio.sleep(0.01)


async def test_a_swap_in_the_middle_loses_no_record_and_disturbs_no_feature(
    tape: Path, registry: Registry, cards: list[Card], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploying, "LOOK_S", 0.05)
    first, second, third, moves = (card.version for card in cards)
    plain, taken, source = await embedded(tape, None), Taken(), Slow(tape, "max")
    running = asyncio.create_task(EmbeddedRunner(source, taken.bus, tmp_path / "models", taken.said.append).run())

    def saying(version: str) -> list[Prediction]:
        return [one for one in taken.of(Prediction) if one.version == version and one.symbol == "BTC-USD"]

    await until(lambda: len(saying(first)) > 20)
    registry.promote("fast", third)
    await until(lambda: len(saying(third)) > 20)
    registry.roll_back("fast")
    await until(lambda: saying(first) and saying(first)[-1].seq > saying(third)[-1].seq)
    source.slow = False
    await running
    assert without_deployed(taken.records) == without_deployed(plain.records)
    replay_tape(tape, out=tmp_path / "out", models=tmp_path / "models")
    alone = [codec.decode(Prediction, line) for line in in_files(tmp_path / "out")["predictions"]]
    for version in (second, moves):  # at work from the first event to the last, whatever else came and went
        assert [one for one in taken.of(Prediction) if one.version == version] == [
            one for one in alone if one.version == version
        ]
    fast = [one for one in taken.of(Prediction) if (one.model, one.symbol) == ("fast", "BTC-USD")]
    live = {one.seq: one.version for one in fast if one.role == "live"}
    assert list(dict.fromkeys(live.values())) == [first, third]
    assert list(live.values())[-1] == first
    judged = {one.seq for one in taken.of(Score) if (one.version, one.symbol) == (third, "BTC-USD")}
    assert judged == {one.seq for one in fast if one.version == third and not one.flag}, "who goes has its outcomes"
    silent = [one.seq for one in fast if one.version == second and one.seq not in live]
    assert 2 <= len(silent) <= 2 * FAST.datasetinputs  # each new version begins without moves, and most often in a cell


async def test_a_damaged_version_is_said_and_the_old_one_stays(
    tape: Path, registry: Registry, cards: list[Card], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploying, "LOOK_S", 0.05)
    folder = tmp_path / "models"
    taken, third, source = Taken(), cards[2].version, Slow(tape, "max")
    running = asyncio.create_task(EmbeddedRunner(source, taken.bus, folder, taken.said.append).run())
    await until(lambda: len(taken.of(Prediction)) > 50)
    registry.promote("fast", third)
    path = folder / "fast" / f"{third}.json"
    path.write_bytes(path.read_bytes()[:-100])
    await until(lambda: taken.of(DeadLetter))
    at, source.slow = len(taken.records), False
    await running
    (letter,) = taken.of(DeadLetter)
    assert letter.reason.startswith(f"{path}: cannot be used: ")
    assert (letter.source, key_of(letter)) == (f"{folder}/fast", "models:None")
    assert f"predictor fast: {letter.reason}; what was at work goes on" in taken.said
    later = {one.version for one in taken.records[at:] if isinstance(one, Prediction)}
    assert later == {"1", cards[0].version, cards[1].version, cards[3].version}


async def test_while_predictors_are_made_events_go_on(
    tape: Path, registry: Registry, cards: list[Card], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, makers, go_on = threading.get_ident(), set[int](), threading.Event()
    go_on.set()

    def slowly(*given: Any) -> dict[str, LivePredictor]:
        makers.add(threading.get_ident())
        assert go_on.wait(60)
        return built(*given)

    monkeypatch.setattr(deploying, "LOOK_S", 0.05)
    monkeypatch.setattr(deploying, "built", slowly)
    taken = Taken()
    running = asyncio.create_task(
        EmbeddedRunner(Slow(tape, "max"), taken.bus, tmp_path / "models", taken.said.append).run()
    )
    await until(lambda: len(taken.of(Features)) > 100)
    makers.clear()
    go_on.clear()
    registry.promote("fast", cards[2].version)
    await until(lambda: makers)
    before = len(taken.of(Features))
    await until(lambda: len(taken.of(Features)) > before + 10)
    assert loop not in makers
    go_on.set()
    await until(lambda: any(one.version == cards[2].version for one in taken.of(Prediction)))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_who_keeps_the_books_waiting_is_named_once_and_works_all_the_same(
    tape: Path, registry: Registry, cards: list[Card], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = await embedded(tape, tmp_path / "models")
    monkeypatch.setattr(deploying, "SLOW_S", 0.0)
    slow = await embedded(tape, tmp_path / "models")
    told = [one for one in slow.said if one not in quick.said]
    assert [one.partition(" is slow: all books wait ")[0] for one in told] == [
        f"predictor {card.name} {card.version}" for card in (cards[0], cards[1], cards[3])
    ]
    assert slow.rows() == quick.rows(), "to ask what it costs changes nothing"


async def test_live_instruments_have_their_predictors_before_their_first_event(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    class Live(FeedSource):
        def __init__(self) -> None:
            super().__init__([], SourceInfo("LIVE", "a test"))
            self.instruments = [("kraken", "BTC-USD")]

        async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
            order.append("an event")
            yield None, []

    await EmbeddedRunner(Live(), MemoryBus(), tmp_path / "models", order.append).run()
    assert [one.partition(":")[0] for one in order] == ["predictor fast", "predictor moves", "an event"]


def test_a_replay_cut_in_two_goes_on_with_its_predictors(tape: Path, registry: Registry, tmp_path: Path) -> None:
    models = tmp_path / "models"
    replay_tape(tape, out=tmp_path / "whole", models=models)
    replay_tape(tape, out=tmp_path / "first", models=models, until_event=1_500, save_state=tmp_path / "state")
    replay_tape(tape, out=tmp_path / "second", models=models, load_state=tmp_path / "state")
    replay_tape(tape, out=tmp_path / "third", load_state=tmp_path / "state")  # the state holds the cards
    first, second, third, whole = (in_files(tmp_path / name) for name in ("first", "second", "third", "whole"))
    assert {topic: first.get(topic, []) + values for topic, values in second.items()} == {
        topic: values for topic, values in whole.items() if topic in second
    }
    assert third == second


def test_a_replay_with_predictors_that_cannot_be_used_is_refused(
    tape: Path, registry: Registry, cards: list[Card], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="nothing: holds no predictors; `quicksilver train` makes some"):
        replay_tape(tape, models=tmp_path / "nothing")
    path = tmp_path / "models/fast" / f"{cards[0].version}.json"
    path.write_bytes(b"{")
    with pytest.raises(InputError, match=f"predictor fast: {path}: cannot be used"):
        replay_tape(tape, models=tmp_path / "models")


def test_the_registry_says_what_an_instrument_runs(registry: Registry, cards: list[Card], tmp_path: Path) -> None:
    fast, moves = (registry.at_work(name).on("kraken", "BTC-USD") for name in registry.names())
    assert (fast.name, fast.live, fast.shadows) == ("fast", cards[0], (cards[1],))
    assert (moves.venue, moves.symbol, moves.live, moves.shadows) == ("kraken", "BTC-USD", cards[3], ())
    before = registry.changes()
    registry.promote("fast", cards[2].version)
    after = registry.changes()
    assert set(before) == {"fast", "moves"} == set(after)
    assert before["moves"] == after["moves"]
    assert before["fast"] != after["fast"]
    path = tmp_path / "models/fast/roles.json"
    at = path.stat()
    registry.roll_back("fast")
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))
    assert registry.changes()["fast"] != after["fast"], "in the same step of the file system's clock"
