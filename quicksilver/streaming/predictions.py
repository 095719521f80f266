"""Features, labels and data states of one instrument in, and its deployments; predictions and scores out."""

from typing import Any

import msgspec

from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.errors import FrameError
from quicksilver.models.card import Deployment
from quicksilver.models.deployed import Deployed
from quicksilver.models.stage import PredictionStage
from quicksilver.records import AnyRecord
from quicksilver.streaming.instruments import config_of
from quicksilver.streaming.machine import DEAD, Numbers, Savable
from quicksilver.streaming.message import Message, Outgoing
from quicksilver.streaming.patience import Wait
from quicksilver.streaming.sequencer import Begin, Loss, Ordered, Sequencer
from quicksilver.topics import DEPLOYMENTS, TOPICS, key_of


class PredictionMachine(Savable):
    """What ``jobs/flink_predict.py`` runs for each instrument.

    What was learned outlives sessions and gaps. A deployment counts from where it comes in the stream of this job,
    which is not the same place in each run: the version is in each prediction. One that cannot be used is a dead
    letter, and the one before stays.
    """

    version = 2

    def __init__(self, key: str) -> None:
        self._key = key
        self._sequencer = Sequencer()
        self._numbers = Numbers()
        self._config: PipelineConfig | None = None
        self._deployed = Deployed()
        self._stage: PredictionStage | None = None

    @property
    def waits_for(self) -> Wait | None:
        """What messages that are there wait for; None if none waits."""
        return self._sequencer.waits_for

    def take(self, message: Message) -> list[Outgoing]:
        """Return what one message of ``features``, ``labels``, ``status`` or ``deployments`` causes."""
        try:
            message.require_version()
            if message.topic == DEPLOYMENTS.name:
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
        return PredictionStage(config.labels, config.decide_every_ns, self._deployed)

    def _adopt(self, message: Message) -> None:
        deployment = codec.decode(Deployment, message.value)
        if key_of(deployment) != message.key:
            raise FrameError(f"a deployment of {key_of(deployment)} under the key {message.key}")
        try:
            self._deployed.adopt(deployment)
        except ValueError as error:
            raise FrameError(str(error)) from error

    def _state(self) -> dict[str, Any]:
        return {
            "sequencer": self._sequencer.dump(),
            "numbers": self._numbers.last,
            "config": self._config,
            "stage": self._stage.dump() if self._stage is not None else None,
            "deployed": self._deployed.dump() if self._stage is None else b"",  # else it is in the stage's
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._sequencer.load(state["sequencer"])
        self._numbers.last = state["numbers"]
        self._config = msgspec.convert(state["config"], PipelineConfig | None)
        self._stage = None
        if self._config is None:
            self._deployed.load(state["deployed"])
        else:
            self._stage = self._new_stage(self._config)
            self._stage.load(state["stage"])
