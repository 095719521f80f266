import os
import subprocess
import sys
from pathlib import Path

import pytest

from setup import behind
from setup.behind import NICE, shared_by_session
from setup.services import BEHIND

NICEST = min(19, os.nice(0) + NICE)
SAY = "import os; print(os.nice(0), len(os.sched_getaffinity(0)), os.sched_getscheduler(0), os.getpid())"


def run(*arguments: str, own_session: bool = True) -> tuple[list[int], int]:
    """What a command behind others says of itself, and the process's number."""
    process = subprocess.Popen(
        [*BEHIND, *arguments, sys.executable, "-c", SAY], stdout=subprocess.PIPE, start_new_session=own_session
    )
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    return [int(word) for word in said.split()], process.pid


def test_a_command_goes_behind_and_is_the_same_process() -> None:
    (nice, cores, policy, pid), started = run()
    assert (nice, cores, pid) == (NICEST, len(os.sched_getaffinity(0)), started)
    assert policy == (os.SCHED_IDLE if shared_by_session() else os.SCHED_OTHER)


def test_a_core_is_left_for_what_is_live() -> None:
    assert run("--leave-a-core")[0][1] == max(1, len(os.sched_getaffinity(0)) - 1)


def test_in_a_session_of_others_it_is_only_nice() -> None:
    (nice, _, policy, _), _ = run(own_session=False)
    assert (nice, policy) == (NICEST, os.SCHED_OTHER)


NO_CONTAINER, CONTAINER = "cgroup:[4026531835]", "cgroup:[4026532000]"


@pytest.mark.parametrize(
    ("on", "cgroups", "namespace", "expected"),
    [
        ("1\n", "5:memory:/job\n1:cpu:/\n0::/\n", NO_CONTAINER, True),
        ("1\n", "0::/\n", NO_CONTAINER, True),
        ("1\n", "0::/\n", CONTAINER, False),
        ("0\n", "0::/\n", NO_CONTAINER, False),
        ("1\n", "3:cpu,cpuacct:/docker/1\n0::/\n", NO_CONTAINER, False),
        ("1\n", "0::/user.slice/user-1000.slice\n", NO_CONTAINER, False),
        (None, "0::/\n", NO_CONTAINER, False),
    ],
)
def test_idle_only_where_each_session_has_its_share(
    tmp_path: Path, on: str | None, cgroups: str, namespace: str, expected: bool
) -> None:
    for folder in ("sys/kernel", "self/ns"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "self/cgroup").write_text(cgroups)
    (tmp_path / "self/ns/cgroup").symlink_to(namespace)
    if on is not None:
        (tmp_path / "sys/kernel/sched_autogroup_enabled").write_text(on)
    assert shared_by_session(tmp_path) is expected


def test_the_session_gets_less_also_where_linux_asks_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "self").mkdir()
    refusals, write = iter([True, True, False]), Path.write_text

    def busy(path: Path, text: str) -> int:
        if next(refusals):
            raise BlockingIOError
        return write(path, text)

    monkeypatch.setattr(behind, "PROC", tmp_path)
    monkeypatch.setattr(behind, "TRY_S", 0.0)
    monkeypatch.setattr(Path, "write_text", busy)
    behind._share_less()
    assert (tmp_path / "self/autogroup").read_text() == str(NICE)
