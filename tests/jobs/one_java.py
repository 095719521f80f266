"""Commands in one process that stays: their Spark sessions share its Java, whose start takes longer than their work.

Each command's session is its own, and so are its workers. That a command also works in a process of its own is for
the tests to show that do without this one.
"""

import io
import os
import selectors
import subprocess
import sys
import traceback
from collections.abc import Mapping
from typing import NamedTuple, TextIO

import msgspec

from tests.conftest import ROOT


class Asked(NamedTuple):
    """A command's arguments, and variables that are set while it runs."""

    arguments: list[str]
    environment: dict[str, str]


class Done(NamedTuple):
    """What came of it, under the names that ``subprocess.CompletedProcess`` has for them."""

    returncode: int
    stdout: str
    stderr: str


class OneJava:
    """Runs ``quicksilver`` commands one after the other; started by the first, and anew after one that did not end."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: object, environment: Mapping[str, str] | None = None, timeout_s: float = 300.0) -> Done:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = Asked([*map(str, arguments)], dict(environment or {}))
        try:
            self._process.stdin.write(msgspec.json.encode(asked) + b"\n")
            self._process.stdin.flush()
            with selectors.DefaultSelector() as waiting:
                waiting.register(self._process.stdout, selectors.EVENT_READ)
                assert waiting.select(timeout_s), f"{asked.arguments} has not ended after {timeout_s} s"
            return msgspec.json.decode(self._process.stdout.readline(), type=Done)
        except BaseException:  # a test's own time limit too: its answer must not be taken for the next command's
            self.close()
            raise

    def close(self) -> None:
        """End the process, whatever it does; its Java ends with it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def answer(asked: Asked) -> Done:
    """Run one command in this process."""
    from typer.testing import CliRunner

    from jobs.cli import app

    said = CliRunner(env=asked.environment).invoke(app, asked.arguments)
    trace = io.StringIO()
    if said.exc_info is not None and not isinstance(said.exception, SystemExit):
        traceback.print_exception(said.exception, file=trace)
    return Done(said.exit_code, said.stdout, said.stderr + trace.getvalue())


def serve(lines: TextIO, answers: TextIO) -> None:
    """Answer each line, until there are no more."""
    for line in lines:
        answers.write(msgspec.json.encode(answer(msgspec.json.decode(line, type=Asked))).decode() + "\n")
        answers.flush()


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as to_test:
        os.dup2(2, 1)  # what Java prints is no answer
        serve(sys.stdin, to_test)
