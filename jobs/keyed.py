"""Machines inside Flink: one a key, with state that survives whatever is killed.

A machine lives in memory. Its checkpointed state is a snapshot of it and a journal of the messages it has taken since:
to add a message costs little, where a snapshot for each would cost more than the work itself. After a restart the
journal is played again; what comes out of it went out before.
"""

from collections.abc import Callable, Iterator

import msgspec
from pyflink.common import Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext, TimeDomain, TimerService
from pyflink.datastream.state import ListStateDescriptor, ValueStateDescriptor

from quicksilver.streaming.machine import Machine
from quicksilver.streaming.message import Message, Outgoing, encode_outgoing

JOURNAL_BYTES = 256 << 10  # a journal is folded into a snapshot when it is longer than this, and than the snapshot
PATIENCE_MS = 5_000  # a stream in which nothing moves any more has no watermark: then this long is waited at most


class Host:
    """One key's machine, how much it has taken since its last snapshot, and what it waits for."""

    __slots__ = ("journal_bytes", "machine", "snapshot_bytes", "waits_until_ms")

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.journal_bytes = self.snapshot_bytes = 0
        self.waits_until_ms: int | None = None


class Keyed(KeyedProcessFunction):
    """Runs a machine for each key; ``decode`` turns an element into its message."""

    def __init__(self, machine: Callable[[str], Machine], decode: Callable[[bytes], Message]) -> None:
        self._make = machine
        self._decode = decode

    def open(self, runtime_context: RuntimeContext) -> None:
        """Prepare the state; machines are made when their keys are seen."""
        self._hosts: dict[str, Host] = {}
        self._snapshot = runtime_context.get_state(ValueStateDescriptor("snapshot", Types.PICKLED_BYTE_ARRAY()))
        self._journal = runtime_context.get_list_state(ListStateDescriptor("journal", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: bytes, ctx: KeyedProcessFunction.Context) -> Iterator[bytes]:
        """Hand a message to its machine."""
        message = self._decode(value)
        host = self._hosts.get(message.key) or self._restore(message.key)
        out = host.machine.take(message)
        self._remember(host, value)
        self._wait(host, ctx.timer_service())
        for one in out:
            yield encode_outgoing(one)

    def on_timer(
        self,
        timestamp: int,  # noqa: ARG002 (the watermark may be later)
        ctx: KeyedProcessFunction.OnTimerContext,
    ) -> Iterator[bytes]:
        """Tell the machine how far everything has been read."""
        key = ctx.get_current_key()
        key = key if isinstance(key, str) else key[0]
        host = self._hosts.get(key) or self._restore(key)
        timers = ctx.timer_service()
        until_ms = timers.current_watermark()
        if ctx.time_domain() == TimeDomain.PROCESSING_TIME:
            if host.waits_until_ms is None or host.machine.deadline_ms != host.waits_until_ms:
                return
            until_ms = max(until_ms, host.waits_until_ms)
        host.waits_until_ms = None
        out = host.machine.pass_time(until_ms)
        self._remember(host, msgspec.msgpack.encode(until_ms))
        self._wait(host, timers)
        for one in out:
            yield encode_outgoing(one)

    def _wait(self, host: Host, timers: TimerService) -> None:
        if host.waits_until_ms is None:
            deadline_ms = host.machine.deadline_ms
            if deadline_ms is not None:
                host.waits_until_ms = deadline_ms
                timers.register_event_time_timer(deadline_ms)
                timers.register_processing_time_timer(timers.current_processing_time() + PATIENCE_MS)

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
            if is_time(entry):
                host.machine.pass_time(msgspec.msgpack.decode(entry, type=int))
            else:
                host.machine.take(self._decode(entry))
        return host


def is_time(entry: bytes) -> bool:
    """Whether an entry of a journal is a time that has passed, not a message: those are arrays."""
    return entry[0] & 0xF0 != 0x90


def message_of(element: bytes) -> Message:
    """Return what one operator has sent to the next as the message that it is to it."""
    one = msgspec.msgpack.decode(element, type=Outgoing)
    return Message(one.topic, 0, 0, one.ts_ms, one.key, one.headers, one.value)
