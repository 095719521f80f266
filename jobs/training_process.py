"""Work in a process of its own, which is killed with all that it has started when it is waited for no longer."""

import asyncio
import logging
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from quicksilver.errors import InputError, QuicksilverError
from setup.behind import step_behind

T = TypeVar("T")

log = logging.getLogger(__name__)
_spawning = get_context("spawn")  # a fork would copy the locks of threads that are not there in it


async def in_a_process(work: Callable[..., T], *given: Any) -> T:
    """Return what ``work`` returns; function, arguments and result must be such as can be pickled.

    The process steps behind what is live, and has a session of its own, so that Ctrl-C does not reach it.

    Raises:
        InputError: the work raised an error of ours, any other error, or its process was killed.
    """
    receiver, sender = _spawning.Pipe(duplex=False)
    task = pickle.dumps((work, given))  # as bytes: what it needs is imported once the process has stepped behind
    process = _spawning.Process(target=_work, args=(sender, task), name="quicksilver training")
    process.start()
    sender.close()
    try:
        failed, answer = await _answer(receiver, process)
    finally:
        _end(process)
        receiver.close()
    if failed:
        raise InputError(answer)
    result: T = answer
    return result


async def _answer(receiver: Connection, process: SpawnProcess) -> tuple[bool, Any]:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(receiver.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(receiver.fileno())
    try:
        return await asyncio.to_thread(receiver.recv)  # it may be of some megabytes
    except EOFError:
        await asyncio.to_thread(process.join)
        code = process.exitcode or 0
        why = f"was killed by signal {-code}: is there memory enough?" if code < 0 else f"ended with exit code {code}"
        return True, f"the process that trains {why}"


def _end(process: SpawnProcess) -> None:
    """Kill the process and its group, if it has come to have one; nothing of it is waited for but its end."""
    assert process.pid is not None
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()
    process.close()


def _work(sender: Connection, task: bytes) -> None:
    """What the process does."""
    os.setsid()
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
    with suppress(BrokenPipeError):
        sender.send(answer)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os.killpg(0, signal.SIGKILL)
