"""Messages of one key, read from several topics, back into the order of their chain."""

from typing import NamedTuple, TypeAlias

import msgspec

from quicksilver.streaming.message import Message
from quicksilver.streaming.patience import Wait

MAX_ENDED = 16  # ended sessions that are remembered, so that a straggler does not begin one anew
MAX_AHEAD = 200_000  # messages that are kept waiting: beyond that what they wait for is taken for lost


class Loss(NamedTuple):
    """The messages ``first`` to ``last`` of the chain never came."""

    first: int
    last: int


class Begin(NamedTuple):
    """Another session follows."""

    session: str


Ordered: TypeAlias = Message | Loss | Begin


class _Saved(msgspec.Struct):
    session: str | None
    next: int
    ahead: list[tuple[int, Message]]
    later: list[tuple[str, list[tuple[int, Message]]]]
    ended: list[str]
    dropped: int


class Sequencer:
    """One key's messages in the order of their numbers, once each, session after session.

    Topics are read apart, so a message may come before an earlier one: it waits. Nothing tells that a message will
    never come; who runs this gives it up (``give_up``) when patience has an end (see ``patience.py``). A session
    ends when another begins and nothing more of it comes for as long; what comes later is dropped, as is every number
    that was there before, and counted in ``dropped``.
    """

    def __init__(self) -> None:
        self.session: str | None = None
        self.next = 1
        self.dropped = 0
        self._ahead: dict[int, Message] = {}
        self._later: dict[str, dict[int, Message]] = {}
        self._ended: list[str] = []

    def push(self, message: Message, number: int) -> list[Ordered]:
        """Return what can be told now that this message is there."""
        session, out = message.headers.s, list[Ordered]()
        if self.session is None:
            self.session = session
            out.append(Begin(session))
        if session != self.session:
            if session in self._ended:
                self.dropped += 1
            else:
                self._later.setdefault(session, {}).setdefault(number, message)
                self._relieve(out)
            return out
        if number < self.next or number in self._ahead:
            self.dropped += 1
        elif number == self.next:
            self.next += 1
            out.append(message)
            self._drain(out)
        else:
            self._ahead[number] = message
            self._relieve(out)
        return out

    @property
    def waits_for(self) -> Wait | None:
        """The session and number that others wait for; None if none waits."""
        if not (self._ahead or self._later):
            return None
        return Wait((self.session, self.next), self.dropped, self.held, over=bool(self._later))

    @property
    def held(self) -> int:
        """How many messages wait."""
        return len(self._ahead) + sum(map(len, self._later.values()))

    def _relieve(self, out: list[Ordered]) -> None:
        """Keep no more than can be kept, however long the wait."""
        while self.held > MAX_AHEAD:
            out += self.give_up()

    def give_up(self) -> list[Ordered]:
        """Go on without the number that others wait for, and if none does, with the next session."""
        out: list[Ordered] = []
        if self._ahead:
            self._skip(out)
        elif self._later:
            self._begin(next(iter(self._later)), out)
        return out

    def _begin(self, session: str, out: list[Ordered]) -> None:
        if self.session is not None:
            self._ended = [*self._ended, self.session][-MAX_ENDED:]
        self.session, self.next = session, 1
        self._ahead = self._later.pop(session)
        out.append(Begin(session))
        self._drain(out)

    def _drain(self, out: list[Ordered]) -> None:
        while self._ahead:
            message = self._ahead.pop(self.next, None)
            if message is None:
                return
            out.append(message)
            self.next += 1

    def _skip(self, out: list[Ordered]) -> None:
        """Take the numbers before the first that is there for lost."""
        first = min(self._ahead)
        out.append(Loss(self.next, first - 1))
        self.next = first
        self._drain(out)

    def dump(self) -> bytes:
        """Return the state."""
        later = [(name, list(messages.items())) for name, messages in self._later.items()]
        return msgspec.msgpack.encode(
            _Saved(self.session, self.next, list(self._ahead.items()), later, self._ended, self.dropped)
        )

    def load(self, data: bytes) -> None:
        """Take over a dumped state."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self.session, self.next, self.dropped, self._ended = saved.session, saved.next, saved.dropped, saved.ended
        self._ahead = dict(saved.ahead)
        self._later = {name: dict(messages) for name, messages in saved.later}
