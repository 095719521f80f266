"""``quicksilver retrain``, and RETRAIN= of a run: real processes, a real API, real trainings."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.server import serving
from api.store_sqlite import SqliteStore
from jobs.cli import app
from jobs.embedded import run_embedded
from jobs.live import SimulatorSource
from jobs.registry import Registry
from jobs.registry_history import History
from jobs.settings import RunSettings
from quicksilver.errors import InputError
from quicksilver.memory import MemoryStore
from quicksilver.topics import SCORES
from tests.conftest import ROOT
from tests.jobs.markets import Market
from tests.jobs.spawned import wait_until_gone
from tests.quicksilver.learning.live_scores import Stream

pytestmark = pytest.mark.timeout(600)
PATIENCE_S = 500.0  # a training steps behind whatever else the machine does

FILE = """
[predictors.near]
type = "{type}"
granularity = "1s"
fee_bps = 0.5
parameters = {parameters}

[retraining]
every = "6h"
at_least_apart = "1m"
"""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RunSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def settled(**given: Any) -> RunSettings:
    return RunSettings(**given)


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        (FILE[: FILE.index("[retraining]")], (), "p.toml: there is no table [retraining]: add one with every = "),
        (FILE.replace('"6h"', '"often"'), (), "p.toml: 'often' is no span of time"),
        (FILE, ("--api", "nowhere"), "nowhere: no address of an API such as http://127.0.0.1:8000"),
        (None, (), "p.toml: cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, text: str | None, arguments: tuple[str, ...], said: str) -> None:
    path = tmp_path / "p.toml"
    if text is not None:
        path.write_text(text.format(type="logistic", parameters="{}"))
    done = CliRunner().invoke(app, ["retrain", str(path), "--from", str(tmp_path / "a.sqlite"), *arguments])
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


class Command:
    """A ``quicksilver retrain`` at work beside an API, on a database with enough to learn from."""

    def __init__(self, folder: Path, port: int, type_: str, parameters: str = "{}") -> None:
        self.models = folder / "models"
        (folder / "p.toml").write_text(FILE.format(type=type_, parameters=parameters))
        with closing(SqliteStore(folder / "a.sqlite")) as store:
            store.write(list(Market().rows(1_500, -0.7)))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jobs.cli", "retrain", str(folder / "p.toml"), "--from", str(folder / "a.sqlite"),
             "--api", f"http://127.0.0.1:{port}", "--models", str(self.models)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def what(self) -> list[str]:
        return [one.what for one in History(self.models).of("near")]

    async def until(self, *what: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.what() != list(what):
                assert self.process.poll() is None, self.process.communicate()
                await asyncio.sleep(0.05)

    def started(self) -> list[int]:
        """The processes that it has started and that are there."""
        return list(_children(self.process.pid))

    def end(self, number: signal.Signals) -> tuple[int, list[str], float]:
        """Its exit code, what it has said, and how long it took."""
        started = time.monotonic()
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out.splitlines(), time.monotonic() - started


def _children(pid: int) -> Iterator[int]:
    for one in Path("/proc").iterdir():
        if one.name.isdigit():
            try:
                parent = int((one / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == pid:
                yield int(one.name)


@contextmanager
def commanded(*given: object) -> Iterator[Command]:
    made = Command(*given)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
        made.process.communicate()


@asynccontextmanager
async def scores_of_others(folder: Path) -> AsyncIterator[int]:
    """An API whose online model has scores, a minute apart."""
    hub, stream = Hub(SourceInfo("SIMULATED", "a test")), Stream("1", "online")

    async def publish() -> None:
        """Go on until cancelled."""
        while True:
            hub.on_record(SCORES.name, "kraken:BTC-USD", stream.score(1.0))
            await asyncio.sleep(0.2)

    app = create_app(hub, MemoryStore(), folder, ["127.0.0.1"])  # type: ignore[arg-type]  # REST is not asked
    async with serving(app, "127.0.0.1", 0) as port:
        publishing = asyncio.create_task(publish())
        yield port
        publishing.cancel()


async def test_it_trains_says_so_and_ends_at_once_when_told_to(tmp_path: Path) -> None:
    async with scores_of_others(tmp_path) as port:
        with commanded(tmp_path, port, "logistic") as one:
            await one.until("training", "live")
            code, said, _ = await asyncio.to_thread(one.end, signal.SIGINT)
    (version,) = Registry(tmp_path / "models").versions("near")
    history = History(tmp_path / "models").of("near")
    assert (code, said[-1]) == (0, "stopped")
    assert said[0] == f"retrain: following the scores of ws://127.0.0.1:{port}/ws"
    assert said[1:-1] == [
        "retrain: near: training: there is no version yet",
        f"retrain: near: live {version}: {history[1].why}",
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGKILL, -9)])
async def test_ended_while_it_trains_it_leaves_no_process_and_no_damage(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    async with scores_of_others(tmp_path) as port:
        with commanded(tmp_path, port, "gradient-boosting", "{n_estimators = 100000}") as one:
            await one.until("training")
            async with asyncio.timeout(PATIENCE_S):
                while not (pids := one.started()):
                    await asyncio.sleep(0.1)
            await asyncio.sleep(1.0)  # in the midst of its work
            found, _, seconds = await asyncio.to_thread(one.end, number)
            assert found == code
            assert seconds < 30.0  # its training would take far longer
            wait_until_gone(pids)
    assert Registry(tmp_path / "models").names() == []
    assert [path.name for path in (tmp_path / "models").rglob("*")] == ["near", "history.jsonl"]


async def test_a_run_trains_what_it_stores_itself(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(
        '[predictors.sim]\ntype = "logistic"\ngranularity = "250ms"\nfee_bps = 0\nminutes_back = 60\n'
        '[retraining]\nevery = "1h"\nat_least_apart = "5s"\n'
    )
    settings = settled(port=0, data=tmp_path, retrain=tmp_path / "p.toml", keep_hours=10)
    said: list[str] = []
    stop = asyncio.Event()
    run = asyncio.create_task(run_embedded(SimulatorSource(1, ["BTC/USD", "ETH/USD"]), settings, said.append, stop))
    history = History(tmp_path / "models")
    async with asyncio.timeout(PATIENCE_S):
        while not any(one.what == "live" for one in history.of("sim")):
            assert not run.done()
            await asyncio.sleep(0.1)
    stop.set()
    await run
    version = Registry(tmp_path / "models").roles("sim").live
    assert Registry(tmp_path / "models").entry("sim", version).card.name == "sim"
    assert any(one.startswith(f"retrain: sim: live {version}: it is the first; ") for one in said)
    failed = [one for one in said if one.startswith("retrain: sim: failed: ")]
    assert all(one.endswith("; what was live stays") for one in failed)


async def test_a_run_that_keeps_too_little_to_learn_from_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('[predictors.a]\ntype = "lda"\nminutes_back = 480\n[retraining]\ndrift = true\n')
    settings = settled(port=0, data=tmp_path, retrain=tmp_path / "p.toml")
    said = (
        "a learns from 480 minutes and is judged on 8 parts as long, 72.7 hours in all, and KEEP_HOURS=1 keeps less: "
    )
    with pytest.raises(InputError, match=said + "set KEEP_HOURS=73"):
        await run_embedded(SimulatorSource(1, ["BTC/USD"]), settings, print, asyncio.Event())
