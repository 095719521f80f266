"""Server processes: started apart, known for certain, stopped for certain."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quicksilver.errors import InputError
from setup.processes import ServerProcess
from setup.services import Service
from setup.settings import ClusterSettings, require_free
from setup.stack import Stack

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


def stack_of(tmp_path: Path, command: list[str], port: int, ready: bool = True) -> Stack:
    settings = ClusterSettings(folder=tmp_path)
    settings.folder.mkdir(exist_ok=True)
    service = Service("web", command, {"kafka_port": port}, lambda: ready, lambda: None)
    return Stack(settings, [service])


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_a_second_up_leaves_alone_what_runs_and_starts_what_was_killed(tmp_path: Path) -> None:
    port = free_port()
    stack, said = stack_of(tmp_path, [sys.executable, "-c", SERVER, str(port)], port), list[str]()
    try:
        stack.up(said.append)
        first = stack.process("web").pid
        stack.up(said.append)
        assert stack.process("web").pid == first is not None
        os.kill(first, signal.SIGKILL)
        while stack.process("web").pid is not None:
            time.sleep(0.02)
        assert [one.state for one in stack.status()] == ["down"]
        stack.up(said.append)
        assert stack.process("web").pid not in {None, first}
        assert [one.state for one in stack.status()] == ["up"]
    finally:
        stack.down(said.append)
    assert said == [
        "web: starting", "web: ready", "web: runs already", "web: ready", "web: starting", "web: ready", "web: stopped",
    ]  # fmt: skip


def test_a_server_that_ends_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    stack = stack_of(
        tmp_path, [sys.executable, "-c", "print('no disk'); raise SystemExit(3)"], free_port(), ready=False
    )
    with pytest.raises(InputError, match=r"web ended; the end of .*web\.log says:\nno disk"):
        stack.up(lambda _: None)


def test_a_taken_port_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"web: port {port} is taken .* set CLUSTER_KAFKA_PORT"):
            stack_of(tmp_path, ["true"], port).up(lambda _: None)
        with pytest.raises(InputError, match="CLUSTER_X"):
            require_free("web", "x", "127.0.0.1", port)
    with pytest.raises(InputError, match="no server 'kafka'; there are web"):
        stack_of(tmp_path, ["true"], port).process("kafka")
