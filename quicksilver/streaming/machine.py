"""What a stream processor runs for each key: a machine that takes messages and gives messages, and can be saved."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import msgspec

from quicksilver.errors import StateError
from quicksilver.records import Published
from quicksilver.streaming.message import VERSION, Headers, Message, Outgoing, outgoing
from quicksilver.streaming.patience import Wait
from quicksilver.topics import TOPIC_OF


class Machine(Protocol):
    """One key's work: same messages in the same order, same output to the bit."""

    @property
    def waits_for(self) -> Wait | None:
        """What messages that are there wait for; None if none waits."""

    def take(self, message: Message) -> Sequence[Outgoing]:
        """Return what a message causes."""

    def give_up(self) -> Sequence[Outgoing]:
        """Go on without what is waited for; returns what that causes."""

    def dump(self) -> bytes:
        """Return the whole state."""

    def load(self, data: bytes) -> None:
        """Take over a dumped state.

        Raises:
            StateError: it is of another version, or none.
        """


class Numbers:
    """Numbers the messages that a key's records become, chain by chain, from 1 in each session."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}

    def wrap(self, record: Published, cause: Message) -> Outgoing:
        """Return the next message of the record's chain, with its cause's session, place and time."""
        chain = TOPIC_OF[type(record)].chain
        number = ""
        if chain:
            last = self.last[chain] = self.last.get(chain, 0) + 1
            number = str(last)
        given = cause.headers
        return outgoing(record, cause.ts_ms, Headers(VERSION, given.s, number, given.g, given.i, given.u))


DEAD = Numbers()  # dead letters have no chain, and so no numbers


class Saved(msgspec.Struct):
    """A machine's state with what it is the state of."""

    kind: str
    version: int
    state: dict[str, Any]


class Savable:
    """Saves and loads what ``_state`` and ``_restore`` say, under the machine's name and version."""

    version: ClassVar[int] = 1

    def dump(self) -> bytes:
        """Return the whole state."""
        return msgspec.msgpack.encode(Saved(type(self).__name__, self.version, self._state()))

    def load(self, data: bytes) -> None:
        """Take over a dumped state.

        Raises:
            StateError: it is of another machine or version, or no state at all.
        """
        try:
            saved = msgspec.msgpack.decode(data, type=Saved)
            if (saved.kind, saved.version) != (type(self).__name__, self.version):
                raise StateError(
                    f"saved state of {saved.kind} {saved.version} is not for {type(self).__name__} {self.version}:"
                    " start the job without it, or with the version that saved it"
                )
            self._restore(saved.state)
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
            raise StateError(f"not a saved state of {type(self).__name__}: {error}") from error

    def _state(self) -> dict[str, Any]:
        raise NotImplementedError

    def _restore(self, state: dict[str, Any]) -> None:
        raise NotImplementedError
