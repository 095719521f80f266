"""Events of one instrument in, as messages; its records out. The order is that of the events' numbers."""

from functools import lru_cache
from typing import Any

import msgspec

from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.errors import FrameError
from quicksilver.events import AnyEvent, Gap
from quicksilver.instrument import InstrumentStage
from quicksilver.records import AnyRecord
from quicksilver.streaming.machine import DEAD, Numbers, Savable
from quicksilver.streaming.message import DIGITS, Message, Outgoing
from quicksilver.streaming.patience import Wait
from quicksilver.streaming.sequencer import Begin, Loss, Ordered, Sequencer
from quicksilver.topics import key_of

_of_rows = lru_cache(PipelineConfig.for_rows)


def config_of(interval: str, market: PipelineConfig = PipelineConfig()) -> PipelineConfig:  # noqa: B008 (immutable)
    """Return the configuration of a session by its header ``i``: price series have a clock of their own."""
    known = interval.isdecimal() and len(interval) < DIGITS and int(interval)
    return _of_rows(int(interval)) if known else market


class FeatureMachine(Savable):
    """What ``jobs/flink_features.py`` runs for each instrument: events in order to all records but predictions.

    What is lost becomes a ``Gap``. Each session starts cold: what lies between two is not known. ``config`` is that of
    market data; it may have other full books than when the state was saved.
    """

    def __init__(self, key: str, config: PipelineConfig = PipelineConfig()) -> None:  # noqa: B008 (immutable)
        self.venue, _, self.symbol = key.partition(":")
        self._key, self._config = key, config
        self._sequencer = Sequencer()
        self._stage: InstrumentStage | None = None
        self._loss: Loss | None = None
        self._interval = ""
        self._numbers = Numbers()

    @property
    def waits_for(self) -> Wait | None:
        """What messages that are there wait for; None if none waits."""
        return self._sequencer.waits_for

    def take(self, message: Message) -> list[Outgoing]:
        """Return what one message of ``books``, ``trades`` or ``price`` causes."""
        try:
            message.require_version()
            number = message.number or self._read(message).seq
        except FrameError as error:
            return [DEAD.wrap(message.refused(str(error)), message)]
        return self._all(self._sequencer.push(message, number))

    def give_up(self) -> list[Outgoing]:
        """Go on without what is waited for."""
        return self._all(self._sequencer.give_up())

    def _all(self, ordered: list[Ordered]) -> list[Outgoing]:
        out: list[Outgoing] = []
        for item in ordered:
            out += self._take(item)
        return out

    def _take(self, item: Ordered) -> list[Outgoing]:
        if isinstance(item, Begin):
            self._stage, self._loss, self._numbers = None, None, Numbers()
            return []
        if isinstance(item, Loss):
            self._loss = item
            return []
        if self._stage is None:
            self._stage = InstrumentStage(self.venue, self.symbol, config_of(item.headers.i, self._config))
            self._interval = item.headers.i
        return self._step(self._stage, item)

    def _step(self, stage: InstrumentStage, message: Message) -> list[Outgoing]:
        try:
            event = self._read(message)
        except FrameError as error:
            self._loss = self._loss or Loss(message.number, message.number)
            return [DEAD.wrap(message.refused(str(error)), message)]
        out: list[Outgoing] = []
        if self._loss is not None:
            first, last = self._loss
            self._loss = None
            reason = f"events {first} to {last} were lost on the way here"
            gap = Gap(event.venue, event.symbol, first, event.ts_event_ns, event.ts_recv_ns, reason)
            out += self._wrap(stage.step(gap), message)
        try:
            return out + self._wrap(stage.step(event), message)
        except Exception as error:  # else the messages that waited for this one would be lost with it
            why = f"{type(error).__name__}: {error}"
            gap = Gap(event.venue, event.symbol, event.seq, event.ts_event_ns, event.ts_recv_ns, why)
            return [*out, DEAD.wrap(message.refused(why), message), *self._wrap(stage.step(gap), message)]

    def _read(self, message: Message) -> AnyEvent:
        event = codec.decode_event(message.value)
        if event.symbol != self.symbol or event.venue != self.venue:
            raise FrameError(f"an event of {key_of(event)} under the key {self._key}")
        return event

    def _wrap(self, records: list[AnyRecord], cause: Message) -> list[Outgoing]:
        return [self._numbers.wrap(record, cause) for record in records]

    def _state(self) -> dict[str, Any]:
        return {
            "sequencer": self._sequencer.dump(),
            "stage": self._stage.dump() if self._stage is not None else None,
            "interval": self._interval,
            "loss": self._loss,
            "numbers": self._numbers.last,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._sequencer.load(state["sequencer"])
        self._interval = state["interval"]
        self._loss = msgspec.convert(state["loss"], Loss | None)
        self._numbers.last = state["numbers"]
        self._stage = None
        if state["stage"] is not None:
            self._stage = InstrumentStage(self.venue, self.symbol, config_of(self._interval, self._config))
            self._stage.load(state["stage"])
