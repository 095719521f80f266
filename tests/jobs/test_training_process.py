"""Work in a process of its own: its answer comes, its failures are sentences, and nothing of it is left."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.training_process import in_a_process
from quicksilver.errors import InputError
from tests.conftest import ROOT
from tests.jobs.spawned import added, broken, killed, lives, refused, slow, told, wait_until_gone


async def test_what_is_returned_comes() -> None:
    assert await in_a_process(added, 2, 3) == 5


async def test_it_steps_behind_in_a_session_of_its_own() -> None:
    pid, session, nice = await in_a_process(told)
    assert pid == session != os.getpid()
    assert nice >= 10
    assert not lives(pid)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (refused, "^the database is away$"),
        (broken, "^ZeroDivisionError: a bug$"),
        (killed, "the process that trains was killed by signal 9: is there memory enough"),
    ],
)
async def test_what_fails_is_said_in_a_sentence(work: Callable[[], None], said: str) -> None:
    with pytest.raises(InputError, match=said):
        await in_a_process(work)


async def until_there(note: Path) -> list[int]:
    async with asyncio.timeout(60):
        while not note.exists():
            await asyncio.sleep(0.02)
    return [int(one) for one in note.read_text().split()]


async def test_who_waits_no_longer_ends_it_and_all_that_it_has_started(tmp_path: Path) -> None:
    waiting = asyncio.create_task(in_a_process(slow, tmp_path / "pids"))
    pids = await until_there(tmp_path / "pids")
    assert all(map(lives, pids))
    started = time.monotonic()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert time.monotonic() - started < 50.0  # the work takes a minute
    wait_until_gone(pids)


async def test_it_ends_with_the_process_that_waits_however_that_ends(tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from tests.jobs.spawned import parent; parent(Path(sys.argv[1]))"
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "pids")], cwd=ROOT)
    try:
        pids = await until_there(tmp_path / "pids")
    finally:
        parent.kill()
        parent.wait()
    wait_until_gone(pids)
