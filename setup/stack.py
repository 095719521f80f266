"""All servers together: up, status, logs, down."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from quicksilver.errors import InputError
from setup.processes import ServerProcess
from setup.services import Service
from setup.settings import ClusterSettings, require_free

READY_S = 120.0
POLL_S = 0.2


class State(NamedTuple):
    """One server, as ``status`` shows it: ``state`` is up, starting or down."""

    name: str
    state: str
    pid: int | None
    memory_mb: int
    ports: str
    log: str


class Stack:
    """The servers of one cluster, in the order in which they start."""

    def __init__(self, settings: ClusterSettings, services: Sequence[Service]) -> None:
        self.settings = settings
        self._services = services
        self._processes = {one.name: ServerProcess(one.name, settings.folder / "log") for one in services}

    def process(self, name: str) -> ServerProcess:
        """Return a server's process.

        Raises:
            InputError: there is no server of that name.
        """
        if name not in self._processes:
            raise InputError(f"no server {name!r}; there are {', '.join(self._processes)}")
        return self._processes[name]

    def up(self, say: Callable[[str], None]) -> None:
        """Start what does not run yet, and wait until all is ready.

        Raises:
            InputError: a port is taken, or a server ends or does not become ready.
        """
        down = [one for one in self._services if self._processes[one.name].pid is None]
        for service in down:  # all of them before the first starts: half a cluster helps nobody
            for setting, port in service.ports.items():
                require_free(service.name, setting, self.settings.host, port)
        for service in self._services:
            if service in down:
                service.prepare()
                self._processes[service.name].start(service.command, service.environment, self.settings.folder)
                say(f"{service.name}: starting")
            else:
                say(f"{service.name}: runs already")
        until = time.monotonic() + READY_S
        for service in self._services:
            self._wait(service, until)
            say(f"{service.name}: ready")

    def _wait(self, service: Service, until: float) -> None:
        process = self._processes[service.name]
        while not service.ready():
            if process.pid is None:
                raise InputError(f"{service.name} ended; the end of {process.log} says:\n{process.tail()}")
            if time.monotonic() > until:
                raise InputError(f"{service.name} is not ready after {READY_S:.0f} s; see {process.log}")
            time.sleep(POLL_S)

    def status(self) -> list[State]:
        """Return what each server does."""
        states = []
        for service in self._services:
            process = self._processes[service.name]
            state = "down" if process.pid is None else "up" if service.ready() else "starting"
            ports = ", ".join(map(str, service.ports.values()))
            states.append(State(service.name, state, process.pid, process.memory_mb, ports, str(process.log)))
        return states

    def down(self, say: Callable[[str], None]) -> None:
        """Stop all, last started first."""
        for service in reversed(self._services):
            stopped = self._processes[service.name].stop()
            say(f"{service.name}: {'stopped' if stopped else 'did not run'}")
