"""The one composition that every runner calls: an event in, records out, in a defined order.

Per event: its instrument's records (status, candles, labels, features, top, full book), each followed by what the
models make of it (scores, predictions), and last the universe's frontier. Models and portfolio read records, not
events: in a cluster they are jobs of their own that see nothing else. The state goes to bytes and back (``dump``,
``load``), so a runner can be stopped at any event and go on with the same output.
"""

import msgspec

from quicksilver.config import PipelineConfig
from quicksilver.errors import StateError
from quicksilver.events import AnyEvent
from quicksilver.instrument import InstrumentStage
from quicksilver.models.stage import PredictionStage
from quicksilver.portfolio.stage import PortfolioStage
from quicksilver.records import AnyRecord

STATE_VERSION = 4


class InstrumentPipeline:
    """All stages of one instrument."""

    def __init__(self, venue: str, symbol: str, config: PipelineConfig) -> None:
        self.instrument = InstrumentStage(venue, symbol, config)
        self.predictions = PredictionStage(config.labels.horizons_ns, config.decide_every_ns)

    def step(self, event: AnyEvent) -> list[AnyRecord]:
        """Return the records that this event causes."""
        records: list[AnyRecord] = []
        for record in self.instrument.step(event):
            records.append(record)
            records += self.predictions.take(record)
        return records


class Pipeline:
    """Every instrument's pipeline and the universe's portfolio: what one process runs."""

    def __init__(self, config: PipelineConfig | None = None) -> None:
        self.config = config or PipelineConfig()
        self.instruments: dict[tuple[str, str], InstrumentPipeline] = {}
        self._portfolio = PortfolioStage(self.config.portfolio) if self.config.portfolio else None

    def step(self, event: AnyEvent) -> list[AnyRecord]:
        """Return the records that this event causes, in a defined order."""
        key = (event.venue, event.symbol)
        one = self.instruments.get(key)
        if one is None:
            one = self.instruments[key] = InstrumentPipeline(event.venue, event.symbol, self.config)
        records = one.step(event)
        if self._portfolio is not None:
            records += [frontier for record in records for frontier in self._portfolio.take(record)]
        return records

    def dump(self) -> bytes:
        """Return the whole state."""
        return msgspec.msgpack.encode(
            {
                "version": STATE_VERSION,
                "config": self.config,
                "instruments": [
                    [*key, one.instrument.dump(), one.predictions.dump()] for key, one in self.instruments.items()
                ],
                "portfolio": self._portfolio.dump() if self._portfolio else None,
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
            if self._portfolio is not None:
                self._portfolio.load(saved["portfolio"])
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
            raise StateError(f"not a saved state: {error}") from error
        self.instruments = instruments
