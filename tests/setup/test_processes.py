"""Server processes: started apart, known for certain, stopped for certain."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from setup.processes import ServerProcess

SERVER = """
import http.server, sys
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.BaseHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ServerProcess]:
    made = ServerProcess("server", tmp_path)
    yield made
    made.stop()


def sleeper(process: ServerProcess, tmp_path: Path, ignore_term: bool = False) -> None:
    first = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if ignore_term else ""
    process.start(
        [sys.executable, "-c", f"{first}print('here', flush=True); import time; time.sleep(60)"], {}, tmp_path
    )
    while "here" not in process.tail():
        time.sleep(0.02)


def test_it_runs_until_it_is_stopped_and_its_log_is_kept(process: ServerProcess, tmp_path: Path) -> None:
    assert process.pid is None
    assert process.stop() is False
    sleeper(process, tmp_path)
    assert ServerProcess("server", tmp_path).pid == process.pid  # another command finds it
    assert process.memory_mb > 0
    assert process.stop() is True
    assert process.pid is None
    assert process.tail() == "here"


def test_one_that_will_not_end_is_killed(
    process: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("setup.processes.TERM_S", 0.3)
    sleeper(process, tmp_path, ignore_term=True)
    assert process.stop() is True
    assert process.pid is None


def test_the_number_of_a_process_that_is_gone_is_never_taken_for_it(process: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "server.pid").write_text(f"{os.getpid()} 1")  # this process, but not of that start time
    assert process.pid is None
    assert process.stop() is False  # and lives on


def test_what_was_said_by_an_earlier_start_is_not_told_again(process: ServerProcess, tmp_path: Path) -> None:
    for text in ("first", "second"):
        process.start([sys.executable, "-c", f"print('{text}')"], {}, tmp_path)
        while process.pid is not None:
            time.sleep(0.02)
        assert process.tail() == text
    assert ServerProcess("server", tmp_path).tail() == "first\nsecond"


def test_a_long_log_is_put_aside_at_the_next_start(
    process: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("setup.processes.LOG_BYTES", 10)
    process.log.write_text("0123456789 old\n")
    sleeper(process, tmp_path)
    assert process.tail() == "here"
    assert (tmp_path / "server.log.1").read_text() == "0123456789 old\n"


def test_a_log_is_followed_also_when_it_begins_anew(process: ServerProcess) -> None:
    process.log.write_text("one\ntwo\n")
    following = process.follow(1)
    assert next(following) == "two\n"
    assert next(following) == ""
    with process.log.open("a") as log:
        log.write("three\n")
    assert next(following) == "three\n"
    process.log.write_text("new\n")
    assert next(following) == "new\n"
