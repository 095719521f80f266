"""Work in a process of its own, which is killed with all that it has started when it is waited for no longer.

``python -m jobs.training_process`` is what the process runs: a task comes on its standard input, which stays open for
as long as somebody waits, and the answer goes to its standard output.
"""

import asyncio
import logging
import os
import pickle
import signal
import sys
import threading
import traceback
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from quicksilver.errors import InputError, QuicksilverError
from setup.behind import step_behind

T = TypeVar("T")

LENGTH = 8  # bytes before a task: how long it is

log = logging.getLogger(__name__)


async def in_a_process(work: Callable[..., T], *given: Any) -> T:
    """Return what ``work`` returns; function, arguments and result must be such as can be pickled.

    The process steps behind what is live, and has a session of its own, so that Ctrl-C does not reach it.

    Raises:
        InputError: the work raised an error of ours, any other error, or its process was killed.
    """
    task = pickle.dumps((work, given))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "jobs.training_process", stdin=PIPE, stdout=PIPE, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    try:
        failed, answer = await _answer(process, task)
    finally:
        await _end(process)
    if failed:
        raise InputError(answer)
    result: T = answer
    return result


async def _answer(process: Process, task: bytes) -> tuple[bool, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(len(task).to_bytes(LENGTH, "little") + task)
    answer = await process.stdout.read()
    if answer:
        found: tuple[bool, Any] = pickle.loads(answer)
        return found
    code = await process.wait()
    why = f"was killed by signal {-code}: is there memory enough?" if code < 0 else f"ended with exit code {code}"
    return True, f"the process that trains {why}"


async def _end(process: Process) -> None:
    """Kill the process, unless it has ended, and all of its session."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _main() -> None:
    """What the process does."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    task = sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(LENGTH), "little"))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    step_behind(leave_a_core=True)
    try:
        work, given = pickle.loads(task)
        answer = False, work(*given)
    except QuicksilverError as error:
        answer = True, str(error)
    except Exception as error:
        log.error("%s", traceback.format_exc())
        answer = True, f"{type(error).__name__}: {error}"
    with answers:
        pickle.dump(answer, answers)


def _end_with_parent() -> None:
    """Wait for the end of who waits, however that ends: then nobody needs what is done here."""
    os.read(sys.stdin.fileno(), 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    _main()
