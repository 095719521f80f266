"""Universes of a file at work: the same in every runner, changed while it runs, and what is wrong refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from jobs import universe_watch
from jobs.embedded import EmbeddedRunner
from jobs.parsers import Parsers
from jobs.recorded import CsvSource, TapeSource
from jobs.universe_watch import UniverseWatch, universes_of, with_universes
from jobs.universes_command import changes_of
from producers.exchanges.base import Reject
from producers.tapes import TapeWriter, read_frames
from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent
from quicksilver.pipeline import Pipeline
from quicksilver.portfolio.config import PortfolioConfig, Universe
from quicksilver.portfolio.running import ANEW, ENDED
from quicksilver.records import DeadLetter, FeedStats, Frontier, Latency
from quicksilver.streaming.message import Headers, outgoing
from quicksilver.streaming.portfolio import PortfolioMachine
from quicksilver.topics import key_of
from tests.jobs.market_tapes import kraken
from tests.jobs.test_deploying import Taken, in_files, until
from tests.jobs.test_train_command import quicksilver
from tests.quicksilver.streaming.messages import START_MS, published, read, rows, run

SMALL = "min_observations = 5\nn_portfolios = 300\nn_cloud = 20\n"
FAST = f'[universes.fast]\nperiod = "1s"\n{SMALL}'
SLOW = f'[universes.slow]\nperiod = "2s"\nhalflife = "1m"\n{SMALL}'
PRICES = "date,BTC,ETH\n2020-01-01,1,2\n2020-01-02,1.5,2.1\n2020-01-03,1.2,2.1\n"


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tape") / "market.tape.zst"
    with TapeWriter(path) as writer:
        for frame in kraken(4):
            writer.write(frame)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "universes.toml"
    path.write_text(FAST + SLOW)
    return path


class Paced(TapeSource):
    """A tape of a file's universes, whose frames come some milliseconds apart while it is ``slow``."""

    def __init__(self, tape: Path, universes: Path, slow: bool = True) -> None:
        super().__init__(tape, "max")
        self.config = with_universes(PipelineConfig(), universes)
        self.slow = slow

    async def batches(self, reject: Reject) -> AsyncIterator[tuple[int | None, list[AnyEvent]]]:
        async for batch in super().batches(reject):
            await asyncio.sleep(0.002 if self.slow else 0.0)
            yield batch


async def embedded(tape: Path, universes: Path) -> Taken:
    taken, source = Taken(), Paced(tape, universes, slow=False)
    await EmbeddedRunner(source, taken.bus, None, taken.said.append, universes).run()
    return taken


def frontiers(taken: Taken, universe: str) -> list[Frontier]:
    return [one for one in taken.of(Frontier) if one.universe == universe]


async def test_embedded_replay_and_the_portfolio_job_compute_the_same_to_the_bit(
    tape: Path, file: Path, tmp_path: Path
) -> None:
    taken = await embedded(tape, file)
    assert taken.said == []
    done = quicksilver("replay", tape, "--out", tmp_path / "out", "--universes", file)
    assert done.exit_code == 0, done.stderr
    mine = [codec.encode(one) for one in taken.of(Frontier)]
    assert in_files(tmp_path / "out")["frontiers"] == mine
    parsers = Parsers(lambda _: None)
    events = [event for frame in read_frames(tape) for event in parsers.parse(frame)]
    told = [
        outgoing(Universe("auto", one.universe, one), START_MS, Headers(u="auto")) for one in universes_of(file)
    ]  # fmt: skip
    found = rows(run(PortfolioMachine, [*read(told), *read(published(events))], 997, lambda one: one.headers.u))
    for name in ("fast", "slow"):
        assert found["frontiers", name] == [codec.encode(one) for one in frontiers(taken, name)]
        assert len(found["frontiers", name]) > 10
    assert {key for topic, key in found if topic == "frontiers"} == {"fast", "slow"}


async def test_a_file_that_changes_is_followed_between_two_events(
    tape: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(universe_watch, "LOOK_S", 0.02)
    plain, taken, source = await embedded(tape, file), Taken(), Paced(tape, file)
    running = asyncio.create_task(EmbeddedRunner(source, taken.bus, None, taken.said.append, file).run())
    await until(lambda: len(frontiers(taken, "slow")) > 2)
    file.write_text(FAST + SLOW.replace("universes.slow", "universes.new") + "[universes.new.constraints]\ncap = 0.5\n")
    await until(lambda: len(frontiers(taken, "new")) > 2)
    seen = frontiers(taken, "new")[-1].n_observations
    file.write_text(FAST + SLOW.replace("universes.slow", "universes.new") + "[universes.new.costs]\nfee_bps = 1\n")
    await until(lambda: len(taken.said) == 2 and frontiers(taken, "new")[-1].n_observations > seen)
    file.write_text(FAST + SLOW.replace("universes.slow", "universes.new").replace("1m", "2m"))
    await until(lambda: len(taken.said) == 3)
    source.slow = False
    await running
    assert taken.said == [
        f"universes of {file}: new begins, slow ends", f"universes of {file}: new has changed",
        f"universes of {file}: new has changed",
    ]  # fmt: skip
    assert frontiers(taken, "fast") == frontiers(plain, "fast")
    *before, word = frontiers(taken, "slow")
    assert before == frontiers(plain, "slow")[: len(before)]
    assert (word.state, word.reason, word.ts_computed_ns) == ("WAITING", ENDED, before[-1].ts_event_ns)
    new = frontiers(taken, "new")
    anew = next(i for i, one in enumerate(new) if one.reason == ANEW)
    assert new[anew].state == "WAITING"
    counts, later = ([one.n_observations for one in part if one.state == "LIVE"] for part in (new[:anew], new[anew:]))
    assert counts == list(range(counts[0], counts[0] + len(counts)))  # through the change of costs
    assert later[:1] in ([], [5])
    others = [
        one for one in taken.records if not isinstance(one, Frontier | FeedStats | Latency)
    ]  # fmt: skip
    assert others == [one for one in plain.records if not isinstance(one, Frontier | FeedStats | Latency)]


@pytest.mark.parametrize("broken", ["[universes.fast", None])
async def test_a_file_that_cannot_be_used_is_said_once_and_what_was_at_work_goes_on(
    tape: Path, file: Path, monkeypatch: pytest.MonkeyPatch, broken: str | None
) -> None:
    monkeypatch.setattr(universe_watch, "LOOK_S", 0.02)
    plain, taken, source = await embedded(tape, file), Taken(), Paced(tape, file)
    running = asyncio.create_task(EmbeddedRunner(source, taken.bus, None, taken.said.append, file).run())
    await until(lambda: len(frontiers(taken, "slow")) > 2)
    if broken is None:
        file.unlink()
    else:
        file.write_text(broken)
    await until(lambda: taken.of(DeadLetter) and taken.of(DeadLetter)[-1].venue == "universes")
    await asyncio.sleep(0.2)
    source.slow = False
    await running
    letters = [one for one in taken.of(DeadLetter) if one.venue == "universes"]
    assert [(one.source, key_of(one)) for one in letters] == [(str(file), "universes:None")]
    assert taken.said == [f"{letters[0].reason}; the universes at work go on"]
    assert letters[0].reason.startswith(f"{file}: ")
    assert taken.of(Frontier) == plain.of(Frontier)


async def test_a_file_that_can_be_used_again_is_said_in_one_line(file: Path) -> None:
    said, refused, good = list[str](), list[str](), file.read_text()
    pipeline = Pipeline(with_universes(PipelineConfig(), file))
    watch = UniverseWatch(file, pipeline, lambda _: None, refused.append, said.append)

    async def put(text: str | None) -> None:
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        for _ in range(3):
            await watch.look()

    for text in (good, good + "[universes.bad", None, good, good, good + "[universes.bad", good.replace("slow", "new")):
        await put(text)
    assert len(refused) == 3
    assert said == [f"universes of {file}: used again", f"universes of {file}: used again, new begins, slow ends"]


def test_of_a_price_series_those_are_computed_that_fit_its_rows(file: Path, tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text(PRICES)
    source = CsvSource(prices, "max")
    assert [one.universe for one in source.config.portfolios] == ["every-86400s"]
    with pytest.raises(InputError, match=f"{file}: the rows are 86400 s apart, and no universe's period"):
        with_universes(source.config, file)
    file.write_text(FAST + '[universes.days]\nperiod = "1d"\n')
    assert [one.universe for one in with_universes(source.config, file).portfolios] == ["days"]


@pytest.mark.parametrize("command", ["run", "replay"])
def test_a_run_does_not_begin_with_what_cannot_be_used(command: str, tape: Path, file: Path, tmp_path: Path) -> None:
    file.write_text(FAST + "caps = 3\n")
    arguments = ("--source", "sim", "--port", 0) if command == "run" else (tape,)
    done = quicksilver(command, *arguments, "--universes", file, DATA=str(tmp_path / "data"))
    assert done.exit_code == 2
    assert done.stderr == f"error: {file}: [universes.fast]: Object contains unknown field `caps`\n"


# Told to the cluster.


def universe(name: str, source: str = "auto", **given: object) -> Universe:
    return Universe(source, name, msgspec.structs.replace(PortfolioConfig(name), **given))


def test_only_what_differs_is_told_and_what_is_not_in_the_file_ends() -> None:
    known = [universe("a"), universe("b"), universe("other", "mine"), universe("c")]
    wanted = [universe("a"), universe("b", aversion=2.0), universe("d")]
    assert changes_of(wanted, known, "auto") == [*wanted[1:], Universe("auto", "c", None)]
    assert changes_of(wanted, [*wanted, known[2]], "auto") == []
    with pytest.raises(InputError, match="universe other is computed of the prices of mine: give this one another"):
        changes_of([universe("other")], known, "auto")
    with pytest.raises(InputError, match="universe auto is computed of the prices of auto: give this one another"):
        changes_of([universe("auto", "mine")], [], "mine")
