"""What runs during a recovery test, and how each part is killed and started again."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from setup.processes import ServerProcess
from setup.stack import Stack
from tests.conftest import ROOT
from tests.killing import kill


class Program:
    """A program of ours in a process of its own, always started by the same command."""

    def __init__(self, name: str, folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.process = ServerProcess(name, folder)
        self._command, self._environment = [sys.executable, *command], environment

    def start(self) -> None:
        self.process.start(self._command, self._environment, ROOT)

    def kill(self) -> None:
        kill(self.process, group=True)

    def said(self) -> str:
        return self.process.log.read_text(errors="replace")

    def wait_for(self, text: str, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        while text not in self.said():
            assert self.process.pid is not None, f"{self.process.name} has ended:\n{self.process.tail()}"
            assert time.monotonic() < until, f"{self.process.name} does not say {text!r}:\n{self.process.tail()}"
            time.sleep(0.1)


class Server:
    """A server of the stack, started as ``quicksilver cluster up`` does."""

    def __init__(self, stack: Stack, name: str) -> None:
        self._stack, self._name = stack, name

    def kill(self) -> None:
        kill(self._stack.process(self._name), group=True)

    def start(self) -> None:
        self._stack.up(lambda _: None)
