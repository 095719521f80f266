"""A server as a process of its own: started detached, known by its number and start time, stopped for certain."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

TERM_S = 20.0  # how long a server may take to close its files before it is killed
POLL_S = 0.1


def _start_ticks(pid: int) -> str:
    """The kernel's start time of a process, which a later process of the same number does not share; or nothing."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


class ServerProcess:
    """One server's process, remembered in ``NAME.pid``; its output goes to ``NAME.log`` in the same folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._note = folder / f"{name}.pid"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its number while it runs, else None."""
        try:
            number, ticks = self._note.read_text().split()
        except (OSError, ValueError):
            return None
        if _start_ticks(int(number)) == ticks:
            return int(number)
        if self._child is not None:
            self._child.wait()  # it has ended: else it would stay as a zombie
        return None

    @property
    def memory_mb(self) -> int:
        """Resident memory, megabytes; 0 when it does not run."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except OSError:
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE") >> 20

    def start(self, command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> None:
        """Start it in a session of its own, so that Ctrl-C in a terminal does not reach it."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._child = process = subprocess.Popen(
                command, env={**os.environ, **environment}, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._note.write_text(f"{process.pid} {_start_ticks(process.pid)}")

    def stop(self) -> bool:
        """Ask it to end, and kill it if it does not; False if it did not run."""
        pid = self.pid
        if pid is None:
            self._note.unlink(missing_ok=True)
            return False
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + TERM_S
        while self._running() and time.monotonic() < until:
            time.sleep(POLL_S)
        if self._running():
            os.kill(pid, signal.SIGKILL)
            while self._running():
                time.sleep(POLL_S)
        self._note.unlink(missing_ok=True)
        return True

    def _running(self) -> bool:
        return self.pid is not None

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of its log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""
