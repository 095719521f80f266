"""Features, labels and data states of one instrument in, and trained models; predictions and scores out."""

from typing import Any

import msgspec

from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.errors import FrameError
from quicksilver.models.stage import PredictionStage
from quicksilver.records import AnyRecord, Model
from quicksilver.streaming.instruments import config_of
from quicksilver.streaming.machine import DEAD, Numbers, Savable
from quicksilver.streaming.message import Message, Outgoing
from quicksilver.streaming.patience import Wait
from quicksilver.streaming.sequencer import Begin, Loss, Ordered, Sequencer
from quicksilver.topics import MODELS, TOPICS


class PredictionMachine(Savable):
    """What ``jobs/flink_predict.py`` runs for each instrument.

    What was learned outlives sessions and gaps. A trained model counts from where it comes in the stream of this job,
    which is not the same place in each run: its version is in each prediction.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._sequencer = Sequencer()
        self._numbers = Numbers()
        self._config: PipelineConfig | None = None
        self._stage: PredictionStage | None = None
        self._model: Model | None = None

    @property
    def waits_for(self) -> Wait | None:
        """What messages that are there wait for; None if none waits."""
        return self._sequencer.waits_for

    def take(self, message: Message) -> list[Outgoing]:
        """Return what one message of ``features``, ``labels``, ``status`` or ``models`` causes."""
        try:
            message.require_version()
            if message.topic == MODELS.name:
                self._adopt(message)
                return []
            if not message.number:
                raise FrameError("without its number (header n): only the features job writes here")
        except FrameError as error:
            return [DEAD.wrap(message.refused(str(error)), message)]
        return self._all(self._sequencer.push(message, message.number))

    def give_up(self) -> list[Outgoing]:
        """Go on without what is waited for."""
        return self._all(self._sequencer.give_up())

    def _all(self, ordered: list[Ordered]) -> list[Outgoing]:
        return [one for item in ordered for one in self._take(item)]

    def _take(self, item: Ordered) -> list[Outgoing]:
        if isinstance(item, Begin):
            self._numbers = Numbers()
        if isinstance(item, Begin | Loss):
            if self._stage is not None:
                self._stage.gap()
            return []
        config = config_of(item.headers.i)
        if self._stage is None or self._config != config:
            self._stage, self._config = self._new_stage(config), config
        try:
            record: AnyRecord = codec.decode(TOPICS[item.topic].type, item.value)  # type: ignore[assignment]
        except FrameError as error:
            self._stage.gap()
            return [DEAD.wrap(item.refused(str(error)), item)]
        return [self._numbers.wrap(one, item) for one in self._stage.take(record)]

    def _new_stage(self, config: PipelineConfig) -> PredictionStage:
        stage = PredictionStage(config.labels.horizons_ns, config.decide_every_ns)
        if self._model is not None:
            stage.adopt(self._model)
        return stage

    def _adopt(self, message: Message) -> None:
        model = codec.decode(Model, message.value)
        try:
            PredictionStage((), 1).adopt(model)
        except ValueError as error:
            raise FrameError(str(error)) from error
        self._model = model
        if self._stage is not None:
            self._stage.adopt(model)

    def _state(self) -> dict[str, Any]:
        return {
            "sequencer": self._sequencer.dump(),
            "numbers": self._numbers.last,
            "config": self._config,
            "stage": self._stage.dump() if self._stage is not None else None,
            "model": self._model,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._sequencer.load(state["sequencer"])
        self._numbers.last = state["numbers"]
        self._config = msgspec.convert(state["config"], PipelineConfig | None)
        self._model = msgspec.convert(state["model"], Model | None)
        self._stage = None
        if self._config is not None:
            self._stage = PredictionStage(self._config.labels.horizons_ns, self._config.decide_every_ns)
            self._stage.load(state["stage"])
