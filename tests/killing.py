"""Ending a server as a power cut would."""

import os
import signal
import time

from setup.processes import ServerProcess


def kill(process: ServerProcess) -> None:
    """End a process, not what it has started, and wait until it is gone."""
    pid = process.pid
    assert pid is not None, f"{process.name} has ended by itself:\n{process.tail()}"
    os.kill(pid, signal.SIGKILL)
    while process.pid is not None:
        time.sleep(0.01)
