"""What Prometheus may ask a publisher or a recorder, which serve nothing else."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.metrics import MeterCollector, metrics_app
from api.server import serving
from producers.kafka import KafkaPublisher
from producers.metrics import Meter
from producers.tapes.recorder import TapeRecorder
from producers.tapes.rotating import RotatingTape


class PublisherCollector(Collector):
    """What a publisher has handed to Kafka."""

    def __init__(self, publisher: KafkaPublisher) -> None:
        self._publisher = publisher

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as of now."""
        says = "Messages handed to Kafka's client; dead-letters: refused input."
        published = CounterMetricFamily("quicksilver_published", says, labels=["topic"])
        for topic, n in sorted(self._publisher.counts.items()):
            published.add_metric([topic], n)
        yield published
        says = "Messages that Kafka has not confirmed yet."
        yield GaugeMetricFamily("quicksilver_unconfirmed_messages", says, self._publisher.waiting)


class RecorderCollector(Collector):
    """What a recorder has written to its tape."""

    def __init__(self, tape: RotatingTape, recorder: TapeRecorder) -> None:
        self._tape, self._recorder = tape, recorder

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as of now."""
        yield CounterMetricFamily("quicksilver_recorded_frames", "Frames written to tapes.", self._tape.frames)
        yield CounterMetricFamily("quicksilver_recorded_files", "Files of tapes begun.", len(self._tape.files))
        says = "Frames that the disk did not take in time."
        yield CounterMetricFamily("quicksilver_unrecorded_frames", says, self._recorder.lost)


@asynccontextmanager
async def exposing(
    meter: Meter, place: tuple[str, int] | None, say: Callable[[str], None], *collectors: Collector
) -> AsyncIterator[None]:
    """Answer ``GET /metrics`` at ``place``, host and port, while the context lasts; without one do nothing.

    The meter's numbers are told, and those of ``collectors``.

    Raises:
        InputError: the port is taken, or the host is no address of this machine.
    """
    if place is None:
        yield
        return
    host, port = place
    app = metrics_app([host], MeterCollector(meter), *collectors)
    async with serving(app, host, port, "METRICS_PORT") as bound:
        say(f"metrics  http://{f'[{host}]' if ':' in host else host}:{bound}/metrics")
        yield
