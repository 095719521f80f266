"""A server as a process of its own: started detached, known by its number and start time, stopped for certain."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

TERM_S = 20.0  # how long a server may take to close its files before it is killed
POLL_S = 0.1
LOG_BYTES = 32 << 20  # a longer log is put aside when its server starts
TAIL_BYTES = 256 << 10


def _start_ticks(pid: int) -> str:
    """The kernel's start time of a process, which a later process of the same number does not share; or nothing."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Put a Ctrl-C off to the end of the block: a process is never started without being noted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = []

    def remember(number: int, _: FrameType | None) -> None:
        """Note Ctrl-C for later: the work is not to be broken off."""
        came.append(number)

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)


class ServerProcess:
    """One server's process, remembered in ``NAME.pid``; its output goes to ``NAME.log`` in the same folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._note = folder / f"{name}.pid"
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0  # where in the log the process begins that was started here

    @property
    def pid(self) -> int | None:
        """Its number while it runs, else None."""
        try:
            number, ticks = self._note.read_text().split()
        except (OSError, ValueError):
            if self._child is not None:
                self._child.poll()  # another command may have stopped it
            return None
        if _start_ticks(int(number)) == ticks:
            return int(number)
        if self._child is not None:
            self._child.wait()  # it has ended: else it would stay as a zombie
        return None

    @property
    def started_ms(self) -> float:
        """When it was last started, milliseconds since 1970; 0 if never."""
        try:
            return self._note.stat().st_mtime * 1000
        except OSError:
            return 0.0

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
        if self.log.is_file() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log, _no_interrupt():
            self._log_start = log.tell()
            self._child = process = subprocess.Popen(
                command, env={**os.environ, **environment}, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
            self._note.write_text(f"{process.pid} {_start_ticks(process.pid)}")

    def stop(self) -> bool:
        """Ask it to end, and kill it and what it has started if it does not; False if it did not run."""
        pid = self.pid
        if pid is None:
            self._note.unlink(missing_ok=True)
            return False
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + TERM_S
        while self._running() and time.monotonic() < until:
            time.sleep(POLL_S)
        if self._running():
            os.killpg(pid, signal.SIGKILL)
            while self._running():
                time.sleep(POLL_S)
        self._note.unlink(missing_ok=True)
        return True

    def _running(self) -> bool:
        return self.pid is not None

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of its log; only of this start, if it was started here."""
        try:
            with self.log.open("rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, end - max(TAIL_BYTES, lines * 512)))
                return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def follow(self, lines: int = 20) -> Iterator[str]:
        """Yield the last lines of its log, then what is added, as it comes; nothing ("") while nothing does."""
        place = self.log.stat().st_size if self.log.is_file() else 0
        yield f"{self.tail(lines)}\n"
        while True:
            size = self.log.stat().st_size if self.log.is_file() else 0
            place = place if place <= size else 0  # it was put aside, and begins anew
            if size == place:
                yield ""
                time.sleep(POLL_S)
                continue
            with self.log.open("rb") as log:
                log.seek(place)
                new = log.read(size - place)
            place = size
            yield new.decode(errors="replace")
