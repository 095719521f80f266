"""All servers together: up, status, logs, down, clean."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from quicksilver.errors import InputError
from setup.alone import alone
from setup.processes import ServerProcess
from setup.services import Launch, Service
from setup.settings import ClusterSettings, require_free

READY_S = 120.0
POLL_S = 0.2
PARTS = ("kafka", "cassandra", "flink", "spark", "log")  # the folders of a cluster, which `clean` deletes
MARK = ".quicksilver-cluster"
Say = Callable[[str], None]


class State(NamedTuple):
    """One server, as ``status`` shows it: ``state`` is up, starting, down or unknown (not among those set up)."""

    name: str
    state: str
    pid: int | None
    memory_mb: int
    cap: str
    ports: str


class Stack:
    """The servers of one cluster, in the order in which they start."""

    def __init__(self, settings: ClusterSettings, services: Sequence[Service]) -> None:
        self.settings = settings
        self.folder = settings.folder.absolute()
        self.services = services
        self._processes = {one.name: ServerProcess(one.name, self.folder / "log") for one in services}

    def process(self, name: str) -> ServerProcess:
        """Return a server's process.

        Raises:
            InputError: there is no server of that name.
        """
        if name not in self._processes:
            raise InputError(f"no server {name!r}; there are {', '.join(self._processes)}")
        return self._processes[name]

    def running(self) -> list[str]:
        """Return the names of the servers that run."""
        return [one.name for one in (*self._processes.values(), *self._unknown()) if one.pid]

    def up(self, say: Say) -> None:
        """Start what does not run yet, and wait until all is ready.

        Raises:
            InputError: a port is taken, something is missing, or a server ends or does not become ready.
            OSError: a file cannot be written.
        """
        with self._alone():
            down = [one for one in self.services if self._processes[one.name].pid is None]
            launches = self._prepare(down) if down else {}
            for service in self.services:
                if service.name in launches:
                    launch = launches[service.name]
                    self._processes[service.name].start(launch.command, launch.environment, self.folder)
                    say(f"{service.name}: starting")
            self._wait(set(launches), say)

    def _prepare(self, services: Sequence[Service]) -> dict[str, Launch]:
        """Make all ready for the start of the first: half a cluster helps nobody."""
        self.settings.require_distinct_ports()
        for service in services:
            for setting, port in service.ports.items():
                require_free(service.name, setting, self.settings.host, port)
        free = shutil.disk_usage(self.folder).free >> 20
        if free < self.settings.disk_mb:
            least = self.settings.disk_mb
            raise InputError(f"only {free} MB are free in {self.folder}, less than CLUSTER_DISK_MB={least}")
        return {one.name: one.prepare() for one in services}

    def _wait(self, new: set[str], say: Say) -> None:
        began, waiting = time.monotonic(), list(self.services)
        while waiting:
            for service in [one for one in waiting if self._ready(one)]:
                waiting.remove(service)
                took = f"ready after {time.monotonic() - began:.0f} s"
                say(f"{service.name}: {took if service.name in new else 'runs already'}")
            if waiting and time.monotonic() - began > READY_S:
                slow = self._processes[waiting[0].name]
                raise InputError(f"{slow.name} is not ready after {READY_S:.0f} s; see {slow.log}")
            if waiting:
                time.sleep(POLL_S)

    def _ready(self, service: Service) -> bool:
        process = self._processes[service.name]
        if process.pid is None:
            raise InputError(f"{service.name} ended; the end of {process.log} says:\n{process.tail()}")
        return service.ready(process.started_ms)

    def status(self) -> list[State]:
        """Return what each server does."""
        states = []
        for service in self.services:
            process = self._processes[service.name]
            state = "down" if process.pid is None else "up" if service.ready(process.started_ms) else "starting"
            ports = ", ".join(map(str, service.ports.values()))
            states.append(State(service.name, state, process.pid, process.memory_mb, service.cap, ports))
        unknown = [State(one.name, "unknown", one.pid, one.memory_mb, "", "") for one in self._unknown()]
        return states + unknown

    def down(self, say: Say) -> None:
        """Stop all, last started first, those too that only other settings know."""
        if not (self.folder / MARK).is_file():
            say("nothing was running")
            return
        with self._alone():
            processes = [*self._unknown(), *(self._processes[one.name] for one in reversed(self.services))]
            if not self.running():
                say("nothing was running")
            for process in processes:
                if process.stop():
                    say(f"{process.name}: stopped")

    def clean(self, say: Say) -> None:
        """Delete all that the servers have stored, their logs too.

        Raises:
            InputError: a server runs.
        """
        if not (self.folder / MARK).is_file():
            say(f"nothing to delete in {self.folder}")
            return
        with self._alone():
            if self.running():
                raise InputError(f"{', '.join(self.running())} still run: `quicksilver cluster down` stops them")
            for part in PARTS:
                if (self.folder / part).exists():
                    shutil.rmtree(self.folder / part)
            (self.folder / MARK).unlink()
            say(f"deleted all data of the cluster in {self.folder}")

    def _unknown(self) -> list[ServerProcess]:
        """Servers that were started here by other settings (more TaskManagers, say) and still run."""
        names = sorted({note.stem for note in (self.folder / "log").glob("*.pid")} - set(self._processes))
        return [one for one in (ServerProcess(name, self.folder / "log") for name in names) if one.pid]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other command change the same cluster meanwhile."""
        _claim(self.folder)
        with alone(self.folder / MARK, f"another `quicksilver cluster` command is at work in {self.folder}"):
            yield


def _claim(folder: Path) -> None:
    """Mark a folder as a cluster's, so that ``clean`` never deletes a ``log`` that is not ours."""
    if (folder / MARK).is_file():
        return
    foreign = [name for name in PARTS if (folder / name).is_dir() and any((folder / name).iterdir())]
    if foreign:
        raise InputError(f"{folder / foreign[0]} is not the cluster's: set CLUSTER_FOLDER to a folder of its own")
    folder.mkdir(parents=True, exist_ok=True)
