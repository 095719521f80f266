"""The one composition that every runner calls: an event in, records out, in a defined order.

Per event: its instrument's records (status, candles, labels, features, top, full book), each followed by what the
models make of it (scores, predictions), and last the universes' frontiers. Models and portfolio read records, not
events: in a cluster they are jobs of their own that see nothing else. The state goes to bytes and back (``dump``,
``load``), so a runner can be stopped at any event and go on with the same output.
"""

from collections.abc import Mapping, Sequence

import msgspec

from quicksilver.config import PipelineConfig
from quicksilver.errors import StateError
from quicksilver.events import AnyEvent
from quicksilver.instrument import InstrumentStage
from quicksilver.models.card import Deployment
from quicksilver.models.deployed import LivePredictor
from quicksilver.models.stage import PredictionStage
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.running import RunningUniverses
from quicksilver.records import AnyRecord, Frontier

STATE_VERSION = 9


class InstrumentPipeline:
    """All stages of one instrument."""

    def __init__(self, venue: str, symbol: str, config: PipelineConfig) -> None:
        self.instrument = InstrumentStage(venue, symbol, config)
        self.predictions = PredictionStage(config.labels, config.decide_every_ns)

    def step(self, event: AnyEvent) -> list[AnyRecord]:
        """Return the records that this event causes."""
        records: list[AnyRecord] = []
        for record in self.instrument.step(event):
            records.append(record)
            records += self.predictions.take(record)
        return records


class Pipeline:
    """Every instrument's pipeline and every universe's portfolio: what one process runs."""

    def __init__(self, config: PipelineConfig | None = None) -> None:
        self.config = config or PipelineConfig()
        self.instruments: dict[tuple[str, str], InstrumentPipeline] = {}
        self._universes = RunningUniverses(self.config.portfolios, self.config.labels.threshold_bps)

    def step(self, event: AnyEvent) -> list[AnyRecord]:
        """Return the records that this event causes, in a defined order."""
        records = self._of(event.venue, event.symbol).step(event)
        return records + [frontier for record in records for frontier in self._universes.take(record)]

    def on_silence(self, ts_recv_ns: int) -> list[Frontier]:
        """Return what universes say where no price comes any more, by the receiver's clock; nothing else changes."""
        return self._universes.on_silence(ts_recv_ns)

    def _of(self, venue: str, symbol: str) -> InstrumentPipeline:
        one = self.instruments.get((venue, symbol))
        if one is None:
            one = self.instruments[venue, symbol] = InstrumentPipeline(venue, symbol, self.config)
        return one

    def adopt(self, deployment: Deployment, ready: Mapping[str, LivePredictor] | None = None) -> None:
        """Have an instrument predict as a deployment says from its next event on; see ``Deployed.adopt``.

        Raises:
            ValueError: a card cannot be used; then everything stays as it was.
        """
        self._of(deployment.venue, deployment.symbol).predictions.adopt(deployment, ready)

    def adopt_universes(self, universes: Sequence[PortfolioConfig]) -> list[Frontier]:
        """Compute these universes from the next event on; returns the last word of those that end or start anew.

        Those that stay go on; see ``RunningUniverses.adopt``.

        Raises:
            InputError: none of them fits the rows of a price series; then everything stays as it was.
            ValueError: two have the same name; as before.
        """
        config = self.config.of_universes(universes)
        said = self._universes.adopt(config.portfolios)
        self.config = config
        return said

    def versions(self, venue: str, symbol: str, name: str) -> list[str]:
        """Return the versions at work on an instrument under a name."""
        one = self.instruments.get((venue, symbol))
        return one.predictions.deployed.versions(name) if one is not None else []

    def dump(self) -> bytes:
        """Return the whole state."""
        return msgspec.msgpack.encode(
            {
                "version": STATE_VERSION,
                "config": self.config,
                "instruments": [
                    [*key, one.instrument.dump(), one.predictions.dump()] for key, one in self.instruments.items()
                ],
                "universes": self._universes.dump(),
            }
        )

    def load(self, data: bytes) -> None:
        """Take over a dumped state: the output goes on as if it had never stopped.

        Raises:
            StateError: it is of another version or configuration, or no state at all.
        """
        instruments: dict[tuple[str, str], InstrumentPipeline] = {}
        try:
            saved = msgspec.msgpack.decode(data)
            if saved["version"] != STATE_VERSION:
                raise StateError(f"the saved state is of version {saved['version']}, this is {STATE_VERSION}")
            if msgspec.convert(saved["config"], PipelineConfig) != self.config:
                raise StateError("the saved state is of another configuration")
            for venue, symbol, instrument, predictions in saved["instruments"]:
                one = instruments[venue, symbol] = InstrumentPipeline(venue, symbol, self.config)
                one.instrument.load(instrument)
                one.predictions.load(predictions)
            universes = RunningUniverses.loaded(saved["universes"], self.config.labels.threshold_bps)
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
            raise StateError(f"not a saved state: {error}") from error
        self.instruments, self._universes = instruments, universes
