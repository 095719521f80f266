"""What tests have done in processes of their own: light to import, for each of them imports it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from jobs.training_process import in_a_process
from quicksilver.errors import StoreError


def added(one: int, other: int) -> int:
    return one + other


def refused() -> None:
    raise StoreError("the database is away")


def broken() -> None:
    raise ZeroDivisionError("a bug")


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def told() -> tuple[int, int, int]:
    return os.getpid(), os.getsid(0), os.nice(0)


def slow(note: Path) -> None:
    """Work for a minute, with a process of its own beside; writes who they are."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    part = note.with_suffix(".part")
    part.write_text(f"{os.getpid()} {child.pid}")
    part.rename(note)
    time.sleep(60)


def parent(note: Path) -> None:
    """Wait for slow work, as the command does, until this process is killed."""
    asyncio.run(in_a_process(slow, note))


def lives(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pids: list[int], seconds: float = 40.0) -> None:
    until = time.monotonic() + seconds
    while any(map(lives, pids)):
        assert time.monotonic() < until, f"still there: {[pid for pid in pids if lives(pid)]}"
        time.sleep(0.02)
