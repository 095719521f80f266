"""The ``quicksilver`` command as a user meets it: its help, its refusals, and how it starts and stops."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result
from websockets.sync.client import connect

from jobs import run_command
from jobs.cli import app
from jobs.settings import RunSettings
from producers.exchanges.venue import venues
from quicksilver import __version__

STOPS_S = 60.0  # on a busy machine; it takes a second, and what waited for a client or a thread would take longer
VENUES = f"{', '.join(sorted(venues()))}, and all that ccxt.pro has"
PATIENCE_S = 120.0  # for a start, which may have to compile kernels on a machine with ten at work on two cores


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the shell that runs the tests has set, these tests set for themselves."""
    for name in RunSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")


def quicksilver(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), env=environment)


def settled(**given: Any) -> RunSettings:
    return RunSettings(**given)


def refused(result: Result) -> str:
    """Return the one sentence of a command that could not be done."""
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def test_help_lists_the_commands() -> None:
    result = quicksilver("--help")
    assert result.exit_code == 0
    commands = re.findall(r"^│ ([a-z]+) +[A-Z]", result.stdout, re.MULTILINE)
    assert {"bench", "cluster", "csv", "doctor", "publish", "replay", "run", "topics", "version"} <= set(commands)
    for command in commands:
        assert quicksilver(command, "--help").exit_code == 0


def test_version_prints_the_version() -> None:
    result = quicksilver("version")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "environment", "why"),
    [
        (["--source", "nonsense"], {}, "SOURCE=nonsense: Input should be 'auto', 'live', 'sim', 'tape' or 'csv'"),
        ([], {"SOURCE": "nonsense"}, "SOURCE=nonsense: Input should be 'auto', 'live', 'sim', 'tape' or 'csv'"),
        (["--port", "99999"], {}, "PORT=99999: Input should be less than or equal to 65535"),
        ([], {"PORT": "-1"}, "PORT=-1: Input should be greater than or equal to 0"),
        ([], {"PORT": "http"}, "PORT=http: Input should be a valid integer, unable to parse string as an integer"),
        ([], {"KEEP_HOURS": "0"}, "KEEP_HOURS=0: Input should be greater than 0"),
        ([], {"SEED": "x"}, "SEED=x: Input should be a valid integer, unable to parse string as an integer"),
        (["--source", "tape"], {}, "SOURCE=tape needs TAPE=path, the file to play"),
        ([], {"SOURCE": "csv"}, "SOURCE=csv needs TAPE=path, the file to play"),
        (["--tape", "no/where.gz"], {"SOURCE": "tape"}, "no/where.gz: no such file"),
        ([], {"SOURCE": "csv", "TAPE": "no/where.csv"}, "no/where.csv: no such file"),
        (
            ["--tape", "x"],
            {"SPEED": "fast", "SOURCE": "tape"},
            "speed 'fast': give a positive number such as 0.5, 1 or 50, or max",
        ),
        ([], {"SOURCE": "live", "VENUES": "mtgox"}, f"unknown venue 'mtgox'; there are {VENUES}"),
        (
            ["--source", "live", "--venues", "kraken"],
            {"VENUE_URLS": "kraken=localhost:9001"},
            "VENUE_URLS=kraken=localhost:9001: write NAME=ws://HOST:PORT/PATH or NAME=http://HOST:PORT, with commas",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_in_one_sentence(
    arguments: list[str], environment: dict[str, str], why: str
) -> None:
    assert refused(quicksilver("run", *arguments, **environment)) == why


def test_every_setting_has_an_option_that_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[RunSettings] = []

    async def take(settings: RunSettings) -> None:
        taken.append(settings)

    monkeypatch.setattr(run_command, "_run", take)
    given: dict[str, object] = {
        "source": "sim", "tape": Path("t"), "speed": "2", "port": 1, "quicksilver_host": "::1", "symbols": "A-B",
        "venues": "v", "venue_urls": "v=ws://h",
        "audit_every_s": 7.0, "seed": 3, "data": Path("d"), "searches": Path("s"), "keep_hours": 0.5,
        "full_books_per_s": 2.0, "full_book_levels": 7, "models": Path("m"), "record": Path("r"), "record_mb": 3,
        "record_minutes": 1.5, "retrain": Path("p.toml"), "universes": Path("u.toml"),
        "bus": "memory", "store": "sqlite",
    }  # fmt: skip
    assert given.keys() == RunSettings.model_fields.keys()
    options = [one for name, value in given.items() for one in (_option(name), value)]
    assert quicksilver("run", *options).exit_code == 0
    assert quicksilver("run", **{name.upper(): str(value) for name, value in given.items()}).exit_code == 0
    assert [one.model_dump() for one in taken] == [given, given]
    shown = quicksilver("run", "--help").stdout
    assert [name for name in given if f"[{name.upper()}=" not in shown or _option(name) not in shown] == []


def _option(setting: str) -> str:
    return "--" + setting.removeprefix("quicksilver_").replace("_", "-")


def test_the_host_that_conda_exports_is_not_taken_for_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "x86_64-conda-linux-gnu")
    assert settled().quicksilver_host == "127.0.0.1"
    monkeypatch.setenv("QUICKSILVER_HOST", "0.0.0.0")
    assert settled().quicksilver_host == "0.0.0.0"


def test_an_empty_setting_is_none() -> None:
    assert refused(quicksilver("run", SOURCE="tape", TAPE="", PORT="", SPEED="")) == (
        "SOURCE=tape needs TAPE=path, the file to play"
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no such file"),
        (b"", "the file is empty"),
        (b"\x00\x01\xff\xfe" * 100, "not a tape; layouts read are "),
        (random.Random(2).randbytes(10_000), "not a tape; layouts read are "),
        (b"\x1f\x8b\x08\x00" + random.Random(3).randbytes(1000), "the file is damaged or torn from here on: "),
        (b"\x28\xb5\x2f\xfd" + random.Random(4).randbytes(1000), "the file is damaged or torn here: "),
    ],
)
@pytest.mark.parametrize("command", [["replay"], ["run", "--source", "tape", "--tape"]])
def test_a_tape_that_is_none_is_named_in_one_sentence(
    tmp_path: Path, command: list[str], content: bytes | None, why: str
) -> None:
    path = tmp_path / "kraken.tape"
    if content is not None:
        path.write_bytes(content)
    assert refused(quicksilver(*command, path)).startswith(f"{path}: {why}")


def test_replay_refuses_options_it_cannot_use(tmp_path: Path) -> None:
    tape = tmp_path / "kraken.jsonl"
    tape.write_text('{"channel":"heartbeat"}\n')
    assert refused(quicksilver("replay", tape, "--speed", "0")).startswith("speed '0': give a positive number")
    assert refused(quicksilver("replay", tape, "--venue", "mtgox")) == (f"unknown venue 'mtgox'; there are {VENUES}")
    assert refused(quicksilver("replay", tape, "--out", tape)).startswith(f"{tape}: ")
    assert refused(quicksilver("replay", tape, "--save-state", tmp_path / "no" / "s")).startswith(f"{tmp_path}/no/s: ")


class Started:
    """A ``quicksilver run`` in a process of its own."""

    def __init__(self, *arguments: str, code: str = "import jobs.cli; jobs.cli.app()") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "run", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []

    def until_said(self, start: str) -> str:
        """Read what it prints up to a line that starts so."""
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), True)
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))
            if line.startswith(start):
                return self.said[-1]
        raise AssertionError(f"it ended: {self.process.communicate(timeout=10)}")

    def end(self, number: signal.Signals) -> tuple[int, list[str], str, float]:
        """Send a signal; returns the exit code, what was printed on both streams and how long it took."""
        started = time.monotonic()
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, self.said + out.splitlines(), err, time.monotonic() - started


@contextmanager
def start(*arguments: str, **given: str) -> Iterator[Started]:
    """Start it, and leave none behind."""
    one = Started(*arguments, **given)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.mark.timeout(4 * PATIENCE_S)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_serves_and_ends_when_it_is_told_to(number: signal.Signals) -> None:
    with start("--source", "sim", "--port", "0") as run:
        url = run.until_said("page").split()[1]
        health = httpx.get(f"{url}api/health", timeout=PATIENCE_S).json()
        assert (health["status"], health["version"], health["source"]) == ("ok", __version__, "SIMULATED")
        if number == signal.SIGINT:
            _a_second_run_is_refused(url.rsplit(":", 1)[1].strip("/"))
        with connect(url.replace("http", "ws") + "ws", open_timeout=PATIENCE_S) as page:
            assert json.loads(page.recv(timeout=PATIENCE_S))["type"] == "welcome"
            page.send('{"op":"subscribe","channels":["features"]}')
            while json.loads(page.recv(timeout=PATIENCE_S))["type"] != "delta":
                pass
            code, said, errors, took_s = run.end(number)
    assert (code, errors) == (0, "")
    assert said == [
        "Quicksilver [SIMULATED] built-in exchange simulator, seed 7: no real prices",
        f"page  {url}    API  {url}api/docs    Ctrl-C stops",
        "stopped",
    ]
    assert took_s < STOPS_S


def _a_second_run_is_refused(port: str) -> None:
    with start("--source", "sim", "--port", port) as second:
        out, err = second.process.communicate(timeout=PATIENCE_S)
    remedy = "choose another with PORT= or QUICKSILVER_HOST="
    assert (second.process.returncode, out) == (2, "")
    assert err == f"error: cannot serve on 127.0.0.1 port {port}: Address already in use; {remedy}\n"


PREPARING = """
import time, jobs.cli, jobs.run_command

def prepare(settings):
    print("preparing", flush=True)
    time.sleep(600)

jobs.run_command._prepare = prepare
jobs.cli.app()
"""

INTERRUPTED = """
import sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "jobs.settings":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
import jobs.cli
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_still_preparing_ends_at_once_when_it_is_told_to(number: signal.Signals) -> None:
    """It probes and compiles in a thread, which cannot be stopped."""
    with start(code=PREPARING) as run:
        run.until_said("preparing")
        code, said, errors, took_s = run.end(number)
    assert (code, said, errors) == (0, ["preparing", "stopped"], "")
    assert took_s < STOPS_S


def test_an_interrupt_during_the_imports_leaves_no_traceback() -> None:
    with start(code=INTERRUPTED) as run:
        out, err = run.process.communicate(timeout=PATIENCE_S)
    assert (run.process.returncode, out, err) == (130, "", "")
