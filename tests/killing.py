"""Ending a server by ``kill -9``."""

import os
import signal
import time

from setup.processes import ServerProcess


def kill(process: ServerProcess, *, group: bool = False) -> None:
    """End a process, with ``group`` all that it has started too, and wait until it is gone."""
    pid = process.pid
    assert pid is not None, f"{process.name} has ended by itself:\n{process.tail()}"
    (os.killpg if group else os.kill)(pid, signal.SIGKILL)
    while process.pid is not None:
        time.sleep(0.01)
