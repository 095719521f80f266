"""When what is missing is lost, and when it is only late."""

from collections.abc import Hashable
from typing import NamedTuple

PRESSED = 10
SILENT = 300


class Wait(NamedTuple):
    """What messages that are there wait for.

    ``missing`` changes with each progress, ``repeats`` with each message that was there before. ``held`` messages wait.
    ``over``: another session has begun, so that the one that is waited for has probably ended.
    """

    missing: Hashable
    repeats: int = 0
    held: int = 0
    over: bool = False


class Patience:
    """Counts in equal spans of time (``look`` ends one) how long the same has been waited for.

    Time counts while more and more messages come to wait: after ``PRESSED`` such spans what is missing is lost. Who
    wrote it may be away, killed, or cut off by a broker that is: then nothing comes at all, for as long as that takes,
    and to wait holds nothing up; only after ``SILENT`` spans is it too long. Messages that come again say that their
    writer has begun again, and what is missing will come too.
    """

    def __init__(self) -> None:
        self._before: Wait | None = None
        self._pressed = self._spans = 0

    def look(self, now: Wait | None) -> bool:
        """Take note of what is waited for at the end of a span; returns whether to give it up."""
        before, self._before = self._before, now
        if now is None or before is None or now[:2] != before[:2]:
            self._pressed = self._spans = 0
            return False
        self._spans += 1
        self._pressed += now.over or now.held > before.held
        return self._pressed >= PRESSED or self._spans >= SILENT
