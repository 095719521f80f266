"""``python -m setup.behind COMMAND ...``: let what is live go first, where all share one machine.

What stores and what counts gets little while others want the cores, never nothing, and one core stays for what is live:
a message passes ten threads on its way to a bot, and to wait at each of them for one that stores would add up.
https://man7.org/linux/man-pages/man7/sched.7.html ("SCHED_IDLE", "The autogroup feature").
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

NICE = 10
TRIES, TRY_S = 50, 0.1  # Linux lets one process of a user do it each tenth of a second: servers start together
PROC = Path("/proc")
NO_CONTAINER = "cgroup:[4026531835]"  # PROC_CGROUP_INIT_INO: in a container its own cgroup looks like the root


def shared_by_session(proc: Path = PROC) -> bool:
    """Whether Linux shares the cores by session: it does in the root cgroup alone."""
    try:
        on = (proc / "sys/kernel/sched_autogroup_enabled").read_text().strip() == "1"
        groups = [line.split(":", 2) for line in (proc / "self/cgroup").read_text().splitlines()]
        outside = str((proc / "self/ns/cgroup").readlink()) == NO_CONTAINER
    except OSError:
        return False
    return on and outside and all(path == "/" for _, kinds, path in groups if not kinds or "cpu" in kinds.split(","))


def step_behind(*, leave_a_core: bool) -> None:
    """Let the others go first: this process, and all that it starts; on one core less with ``leave_a_core``."""
    os.nice(NICE)
    cores = sorted(os.sched_getaffinity(0))
    if leave_a_core and len(cores) > 1:
        os.sched_setaffinity(0, cores[1:])
    if os.getsid(0) != os.getpid():
        return  # the session is a terminal's, and not ours alone
    with suppress(OSError):
        _share_less()
        if shared_by_session():
            # The session has its share whatever its threads are. That they are idle ones lets Linux run others at once.
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _share_less() -> None:
    for left in reversed(range(TRIES)):
        try:
            (PROC / "self/autogroup").write_text(str(NICE))
        except BlockingIOError:
            if not left:
                raise
            time.sleep(TRY_S)
        else:
            return


if __name__ == "__main__":
    leave = sys.argv[1] == "--leave-a-core"
    command = sys.argv[1 + leave :]
    step_behind(leave_a_core=leave)
    os.execvp(command[0], command)
