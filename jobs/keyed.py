"""Machines inside Flink: one a key, with state that survives whatever is killed.

A machine lives in memory. Its checkpointed state is a snapshot of it and a journal of the messages it has taken since:
to add a message costs little, where a snapshot for each would cost more than the work itself. After a restart the
journal is played again; what comes out of it went out before.
"""

import gc
import time
from collections.abc import Callable, Iterator, Sequence

from pyflink.common import Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext, TimerService
from pyflink.datastream.state import ListStateDescriptor, ValueStateDescriptor
from threadpoolctl import threadpool_limits

from quicksilver.streaming.machine import Machine
from quicksilver.streaming.message import Headers, Message, Outgoing, decode_messages, encode_outgoing, outgoing
from quicksilver.streaming.patience import Patience

JOURNAL_BYTES = 256 << 10  # a journal is folded into a snapshot when it is longer than this, and than the snapshot
SPAN_MS = 1_000  # so often it is looked at what a machine waits for
LAG_MS = 10_000  # messages this old when they come say that the job is catching up: what is missing may come yet
BEHIND_MS = 60_000  # ... for so long
GIVEN_UP = b""  # in the journal: what was waited for then was given up


class Host:
    """One key's machine, how much it has taken since its last snapshot, and when it is looked at next (0: not)."""

    __slots__ = ("journal_bytes", "look_at_ms", "machine", "patience", "snapshot_bytes")

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.patience = Patience()
        self.journal_bytes = self.snapshot_bytes = self.look_at_ms = 0

    def take(self, message: Message) -> Sequence[Outgoing]:
        """Hand over a message; one that the machine fails on is a dead letter: the job would fail on it for ever."""
        try:
            return self.machine.take(message)
        except Exception as error:
            letter = message.refused(f"{type(error).__name__}: {error}")
            return [outgoing(letter, message.ts_ms, Headers(s=message.headers.s))]


class Lags:
    """How old the last message of each partition was when it came: whether a job has caught up with its topics."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], tuple[int, int]] = {}

    def note(self, message: Message, now_ms: int) -> None:
        """Take note of a message."""
        self._seen[message.topic, message.partition] = (now_ms, now_ms - message.ts_ms)

    def catching_up(self, now_ms: int) -> bool:
        """Whether a message that is missing may lie in what is still to be read."""
        return any(lag_ms > LAG_MS and now_ms - seen_ms < BEHIND_MS for seen_ms, lag_ms in self._seen.values())


class Keyed(KeyedProcessFunction):
    """Runs a machine for each key; ``key_of`` is that of a message."""

    def __init__(self, machine: Callable[[str], Machine], key_of: Callable[[Message], str]) -> None:
        self._make = machine
        self._key_of = key_of

    def open(self, runtime_context: RuntimeContext) -> None:
        """Prepare the state; machines are made when their keys are seen."""
        threadpool_limits(1)  # for good: a product's last digits depend on how many threads share it; and as embedded
        gc.freeze()  # what is there stays: not to be walked through, for a tenth of a second, now and again
        self._hosts: dict[str, Host] = {}
        self._lags = Lags()
        self._snapshot = runtime_context.get_state(ValueStateDescriptor("snapshot", Types.PICKLED_BYTE_ARRAY()))
        self._journal = runtime_context.get_list_state(ListStateDescriptor("journal", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: bytes, ctx: KeyedProcessFunction.Context) -> Iterator[bytes]:
        """Hand messages of one key to its machine."""
        messages = decode_messages(value)
        key = self._key_of(messages[0])  # Flink knows it too, but to ask it costs as much as the features
        host = self._hosts.get(key) or self._restore(key)
        now_ms, out = time.time_ns() // 1_000_000, list[Outgoing]()
        self._lags.note(messages[-1], now_ms)
        for message in messages:
            out += host.take(message)
        self._remember(host, value)
        if not host.look_at_ms and host.machine.waits_for is not None:
            self._wait(host, ctx.timer_service())
        if out:
            yield encode_outgoing(out)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[bytes]:
        """Look at what the machine waits for, and give it up when that has gone on for too long."""
        key = ctx.get_current_key()
        host = self._hosts.get(key) or self._restore(key)
        if timestamp < host.look_at_ms:
            return  # set before the job was last started
        out: Sequence[Outgoing] = ()
        if host.patience.look(host.machine.waits_for) and not self._lags.catching_up(time.time_ns() // 1_000_000):
            out = host.machine.give_up()
            self._remember(host, GIVEN_UP)
        self._wait(host, ctx.timer_service())
        if out:
            yield encode_outgoing(out)

    def _wait(self, host: Host, timers: TimerService) -> None:
        host.look_at_ms = 0
        if host.machine.waits_for is not None:
            host.look_at_ms = timers.current_processing_time() + SPAN_MS
            timers.register_processing_time_timer(host.look_at_ms)

    def _remember(self, host: Host, entry: bytes) -> None:
        host.journal_bytes += len(entry)
        if host.journal_bytes <= max(JOURNAL_BYTES, host.snapshot_bytes):
            self._journal.add(entry)
            return
        snapshot = host.machine.dump()
        host.journal_bytes, host.snapshot_bytes = 0, len(snapshot)
        self._snapshot.update(snapshot)
        self._journal.clear()

    def _restore(self, key: str) -> Host:
        host = self._hosts[key] = Host(self._make(key))
        snapshot = self._snapshot.value()
        if snapshot is not None:
            host.snapshot_bytes = len(snapshot)
            host.machine.load(snapshot)
        for entry in self._journal.get() or ():
            host.journal_bytes += len(entry)
            if entry == GIVEN_UP:
                host.machine.give_up()
            else:
                for message in decode_messages(entry):
                    host.take(message)
        return host
