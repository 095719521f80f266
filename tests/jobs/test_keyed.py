"""Machines inside Flink, without Flink: what is checkpointed gives the machine again, and nothing stops the job."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from quicksilver import codec
from quicksilver.records import DeadLetter, Status
from quicksilver.streaming.instruments import FeatureMachine
from quicksilver.streaming.message import Message, Outgoing
from tests.quicksilver.streaming.messages import published, read, run
from tests.quicksilver.streaming.test_machines import market

keyed = pytest.importorskip("jobs.keyed", reason="apache-flink is not installed")
KEY = "sim:BTC-USD"


class State:
    """Flink's value state and list state of one key, as bytes alone can go through a checkpoint."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []

    def value(self) -> bytes | None:
        return self.entries[-1] if self.entries else None

    def update(self, value: bytes) -> None:
        self.entries = [bytes(value)]

    def add(self, value: bytes) -> None:
        self.entries.append(bytes(value))

    def get(self) -> list[bytes]:
        return self.entries

    def clear(self) -> None:
        self.entries = []


class Flink:
    """A task that can be killed: what it holds is gone, its state and timers are not."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.timers: list[int] = []
        self.now_ms = 0
        self.restart()

    def restart(self) -> None:
        self.function = keyed.Keyed(FeatureMachine, lambda message: message.key)
        self.function.open(SimpleNamespace(get_state=self._state, get_list_state=self._state))

    def _state(self, descriptor: Any) -> State:
        return self.states.setdefault(descriptor.name, State())

    def take(self, messages: list[Message]) -> list[Outgoing]:
        return self._out(self.function.process_element(msgspec.msgpack.encode(messages), self._context()))

    def tick(self) -> list[Outgoing]:
        self.now_ms += keyed.SPAN_MS
        due, self.timers = [one for one in self.timers if one <= self.now_ms], []
        return [out for one in due for out in self._out(self.function.on_timer(one, self._context()))]

    def _context(self) -> Any:
        timers = SimpleNamespace(
            current_processing_time=lambda: self.now_ms, register_processing_time_timer=self.timers.append
        )
        return SimpleNamespace(timer_service=lambda: timers, get_current_key=lambda: KEY)

    @staticmethod
    def _out(given: Iterator[bytes]) -> list[Outgoing]:
        return [msgspec.msgpack.decode(one, type=Outgoing) for all_ in given for one in msgspec.msgpack.decode(all_)]


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    return [one for one in read(published(market(6, 2_000))) if one.key == KEY]


@pytest.mark.parametrize("journal_bytes", [0, 20_000, 1 << 20])
def test_killed_between_any_two_calls_it_goes_on_as_if_nothing_had_been(
    messages: list[Message], journal_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyed, "JOURNAL_BYTES", journal_bytes)
    flink, found = Flink(), list[Outgoing]()
    for i in range(0, len(messages), 7):
        found += flink.take(messages[i : i + 7])
        if i % 13 == 0:
            flink.restart()
    assert found == run(FeatureMachine, messages)
    assert len(flink.states["journal"].entries) < len(messages) / 7 or journal_bytes == 1 << 20


def test_a_loss_is_given_up_after_ten_looks_while_more_comes_even_over_a_restart(messages: list[Message]) -> None:
    flink, found = Flink(), list[Outgoing]()
    lost = messages[300]
    flink.take(messages[:300])
    for i, message in enumerate(messages[301:330]):
        found += flink.take([message])
        found += flink.tick()
        if i == 20:
            flink.restart()  # after it was given up: the journal says so
    (gap,) = [codec.decode(Status, one.value) for one in found if one.topic == "status"]
    assert (gap.state, gap.seq) == ("GAP", int(lost.headers.n))


def test_a_message_that_the_machine_fails_on_is_dead_lettered_and_the_job_goes_on(
    messages: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    take, poison = FeatureMachine.take, messages[50]

    def fails(machine: FeatureMachine, message: Message) -> list[Outgoing]:
        if message.offset == poison.offset and message.topic == poison.topic:
            raise OverflowError("too large")
        return take(machine, message)

    monkeypatch.setattr(FeatureMachine, "take", fails)
    flink = Flink()
    found = flink.take(messages[:60])
    flink.restart()
    found += flink.take(messages[60:80])
    (letter,) = [codec.decode(DeadLetter, one.value) for one in found if one.topic == "dead-letters"]
    assert (letter.source, letter.reason) == (poison.place, "OverflowError: too large")
