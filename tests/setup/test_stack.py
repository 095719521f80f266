"""The stack, with toy servers in the place of the real ones."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quicksilver.errors import InputError
from setup.processes import ServerProcess
from setup.services import Launch, Service, listens
from setup.settings import ClusterSettings, require_free
from setup.stack import MARK, Stack
from tests.killing import kill
from tests.ports import own_port

SERVER = """
import http.server, sys
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.BaseHTTPRequestHandler).serve_forever()
"""


def quiet(_: str) -> None:
    """Say nothing."""


def stack_of(
    folder: Path, command: list[str], port: int, ready: Callable[[float], bool] = lambda _: True, name: str = "web"
) -> Stack:
    service = Service(name, {"kafka_port": port}, ready, lambda: Launch(command), "64 MB")
    return Stack(ClusterSettings(folder=folder), [service])


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Stack]:
    port = own_port()
    made = stack_of(
        tmp_path / "new", [sys.executable, "-c", SERVER, str(port)], port, lambda _: listens("127.0.0.1", port)
    )
    yield made
    made.down(quiet)


def test_a_second_up_leaves_alone_what_runs_and_starts_what_was_killed(web: Stack) -> None:
    said: list[str] = []
    web.up(said.append)
    first = web.process("web").pid
    web.up(said.append)
    assert web.process("web").pid == first is not None
    kill(web.process("web"))
    assert [one.state for one in web.status()] == ["down"]
    web.up(said.append)
    assert web.process("web").pid not in {None, first}
    (state,) = web.status()
    assert (state.state, state.cap) == ("up", "64 MB")
    web.down(said.append)
    web.down(said.append)
    assert [line.partition(" after")[0] for line in said] == [
        "web: starting", "web: ready", "web: runs already", "web: starting", "web: ready", "web: stopped",
        "nothing was running",
    ]  # fmt: skip


def test_a_server_that_ends_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no disk'); raise SystemExit(3)"]
    stack = stack_of(tmp_path, command, own_port(), lambda _: False)
    with pytest.raises(InputError, match=r"web ended; the end of .*web\.log says:\nno disk$"):
        stack.up(quiet)


def test_one_that_is_never_ready_is_named_with_its_log(web: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("setup.stack.READY_S", 0.3)
    never = stack_of(web.folder, [sys.executable, "-c", "import time; time.sleep(60)"], own_port(), lambda _: False)
    with pytest.raises(InputError, match=r"web is not ready after 0 s; see .*web\.log"):
        never.up(quiet)
    assert [one.state for one in never.status()] == ["starting"]
    never.down(quiet)


def test_a_taken_port_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"web: port {port} is taken .* set CLUSTER_KAFKA_PORT"):
            stack_of(tmp_path, ["true"], port).up(quiet)
    with pytest.raises(InputError, match="no server 'kafka'; there are web"):
        stack_of(tmp_path, ["true"], port).process("kafka")


@pytest.mark.parametrize("host", ["203.0.113.9", "no.such.host.invalid"])
def test_an_address_that_is_not_here_is_not_called_taken(host: str) -> None:
    with pytest.raises(InputError, match=f"CLUSTER_HOST={host} is no address of this machine"):
        require_free("web", "kafka_port", host, own_port())


def test_two_servers_cannot_have_one_port_and_settings_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="CLUSTER_KAFKA_PORT and CLUSTER_SPARK_PAGE_PORT are both 8080"):
        ClusterSettings(kafka_port=8080).require_distinct_ports()
    monkeypatch.setenv("CLUSTER_KAFKA_PORT", "99999")
    with pytest.raises(InputError, match="CLUSTER_KAFKA_PORT=99999: Input should be less than or equal to 65535"):
        ClusterSettings.from_environment()


def test_nothing_is_started_where_the_disk_is_full_or_not_to_be_written(tmp_path: Path) -> None:
    service = Service("web", {}, lambda _: True, lambda: Launch(["true"]))
    with pytest.raises(InputError, match=r"only \d+ MB are free in .*, less than CLUSTER_DISK_MB=999999999"):
        Stack(ClusterSettings(folder=tmp_path / "a", disk_mb=999999999), [service]).up(quiet)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Stack(ClusterSettings(folder=tmp_path / "file"), [service]).up(quiet)


def test_a_full_disk_ends_up_with_the_systems_own_words(tmp_path: Path) -> None:
    def prepare() -> Launch:
        Path("/dev/full").write_text("configuration")
        return Launch(["true"])

    with pytest.raises(OSError, match="No space left on device"):
        Stack(ClusterSettings(folder=tmp_path), [Service("web", {}, lambda _: True, prepare)]).up(quiet)


def test_a_relative_folder_is_that_of_the_place_where_the_command_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    port = own_port()
    stack = stack_of(
        Path("here"), [sys.executable, "-c", SERVER, str(port)], port, lambda _: listens("127.0.0.1", port)
    )
    try:
        stack.up(quiet)
        monkeypatch.chdir("/")
        assert [one.state for one in stack.status()] == ["up"]
        assert [one.state for one in stack_of(tmp_path / "here", ["true"], port).status()] == ["up"]
    finally:
        stack.down(quiet)
    assert (tmp_path / "here" / MARK).is_file()


def test_clean_waits_for_down_and_deletes_only_a_clusters_folder(web: Stack) -> None:
    said: list[str] = []
    web.clean(said.append)
    assert said == [f"nothing to delete in {web.folder}"]
    web.up(quiet)
    (web.folder / "kafka").mkdir()
    (web.folder / "mine").touch()
    with pytest.raises(InputError, match="web still run: `quicksilver cluster down` stops them"):
        web.clean(quiet)
    web.down(quiet)
    web.clean(quiet)
    assert [one.name for one in web.folder.iterdir()] == ["mine"]


def test_a_folder_with_a_log_of_somebody_elses_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "syslog").touch()
    with pytest.raises(InputError, match="log is not the cluster's: set CLUSTER_FOLDER"):
        stack_of(tmp_path, ["true"], own_port()).up(quiet)


def test_what_other_settings_have_started_is_seen_and_stopped(web: Stack) -> None:
    web.up(quiet)
    other = stack_of(web.folder, ["true"], own_port(), name="other")
    assert [(one.name, one.state) for one in other.status()] == [("other", "down"), ("web", "unknown")]
    said: list[str] = []
    other.down(said.append)
    assert said == ["web: stopped"]
    assert web.running() == []


def test_two_commands_at_once_do_not_meet(web: Stack) -> None:
    with web._alone(), pytest.raises(InputError, match="another `quicksilver cluster` command is at work"):
        web.up(quiet)


def test_ctrl_c_while_waiting_leaves_a_known_server(web: Stack) -> None:
    slow = stack_of(web.folder, [sys.executable, "-c", "import time; time.sleep(60)"], own_port(), lambda _: False)

    def interrupt() -> None:
        while slow.process("web").pid is None:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        slow.up(quiet)
    interrupting.join()
    assert slow.running() == ["web"]
    slow.down(quiet)
    assert slow.running() == []


def test_ctrl_c_between_start_and_note_waits_for_the_note(tmp_path: Path) -> None:
    process = ServerProcess("server", tmp_path)
    waiter = f"import os, signal, time; os.kill({os.getpid()}, signal.SIGINT); time.sleep(60)"
    try:
        with pytest.raises(KeyboardInterrupt):
            process.start([sys.executable, "-c", waiter], {}, tmp_path)
            time.sleep(10)
        assert process.pid is not None
    finally:
        process.stop()


def test_a_stack_can_be_brought_up_from_a_thread(web: Stack) -> None:
    thread = threading.Thread(target=web.up, args=(quiet,))
    thread.start()
    thread.join()
    assert web.running() == ["web"]
