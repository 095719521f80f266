"""``python -m setup.behind COMMAND ...``: let what is live go first, where all share one machine.

What stores and what counts gets little while others want the cores, never nothing, and one core stays for what is live:
a message passes ten threads on its way to a bot, and to wait at each of them for one that stores would add up.
https://man7.org/linux/man-pages/man7/sched.7.html ("SCHED_IDLE", "The autogroup feature").
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

NICE = 10
AUTOGROUP = Path("/proc/sys/kernel/sched_autogroup_enabled")


def shared_by_session(cgroups: str) -> bool:
    """Whether Linux shares the cores by session, given the text of ``/proc/self/cgroup``: only in the root does it.

    >>> shared_by_session("1:cpu,cpuacct:/user.slice"), shared_by_session("0::/system.slice/docker.service")
    (False, False)
    """
    groups = [line.split(":", 2) for line in cgroups.splitlines()]
    root = all(path == "/" for _, kinds, path in groups if not kinds or "cpu" in kinds.split(","))
    return root and AUTOGROUP.is_file() and AUTOGROUP.read_text().strip() == "1"


def step_behind(*, leave_a_core: bool) -> None:
    """Let the others go first: this process, and all that it starts; on one core less with ``leave_a_core``."""
    os.nice(NICE)
    cores = sorted(os.sched_getaffinity(0))
    if leave_a_core and len(cores) > 1:
        os.sched_setaffinity(0, cores[1:])
    if os.getsid(0) != os.getpid():
        return  # the session is a terminal's, and not ours alone
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICE))
        if shared_by_session(Path("/proc/self/cgroup").read_text()):
            # The session has its share whatever its threads are. That they are idle ones lets Linux run others at once.
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    leave = sys.argv[1] == "--leave-a-core"
    command = sys.argv[1 + leave :]
    step_behind(leave_a_core=leave)
    os.execvp(command[0], command)
