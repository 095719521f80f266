import os
import subprocess
import sys
from pathlib import Path

import pytest

from setup.behind import NICE, shared_by_session
from setup.services import BEHIND

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
    idle = shared_by_session(Path("/proc/self/cgroup").read_text())
    assert (nice, cores, pid) == (os.nice(0) + NICE, len(os.sched_getaffinity(0)), started)
    assert policy == (os.SCHED_IDLE if idle else os.SCHED_OTHER)


def test_a_core_is_left_for_what_is_live() -> None:
    assert run("--leave-a-core")[0][1] == max(1, len(os.sched_getaffinity(0)) - 1)


def test_in_a_session_of_others_it_is_only_nice() -> None:
    (nice, _, policy, _), _ = run(own_session=False)
    assert (nice, policy) == (os.nice(0) + NICE, os.SCHED_OTHER)


@pytest.mark.parametrize(
    ("on", "cgroups", "expected"),
    [
        ("1\n", "5:memory:/job\n1:cpu:/\n0::/\n", True),
        ("1\n", "0::/\n", True),
        ("0\n", "0::/\n", False),
        ("1\n", "3:cpu,cpuacct:/docker/1\n0::/\n", False),
        ("1\n", "0::/user.slice/user-1000.slice\n", False),
        (None, "0::/\n", False),
    ],
)
def test_idle_only_where_each_session_has_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: str | None, cgroups: str, expected: bool
) -> None:
    monkeypatch.setattr("setup.behind.AUTOGROUP", tmp_path / "enabled")
    if on is not None:
        (tmp_path / "enabled").write_text(on)
    assert shared_by_session(cgroups) is expected
