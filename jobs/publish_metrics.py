"""What Prometheus may ask a publisher, which serves nothing else."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.metrics import MeterCollector, metrics_app
from api.server import serving
from producers.kafka import KafkaPublisher
from producers.metrics import Meter


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


@asynccontextmanager
async def exposing(
    meter: Meter, publisher: KafkaPublisher, place: tuple[str, int] | None, say: Callable[[str], None]
) -> AsyncIterator[None]:
    """Answer ``GET /metrics`` at ``place``, host and port, while the context lasts; without one do nothing.

    Raises:
        InputError: the port is taken, or the host is no address of this machine.
    """
    if place is None:
        yield
        return
    host, port = place
    app = metrics_app([host], MeterCollector(meter), PublisherCollector(publisher))
    async with serving(app, host, port, "METRICS_PORT") as bound:
        say(f"metrics  http://{f'[{host}]' if ':' in host else host}:{bound}/metrics")
        yield
