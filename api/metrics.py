"""``GET /metrics``: what this process knows of feeds, hops, clients and itself, in Prometheus' text formats.

Names and units: https://prometheus.io/docs/practices/naming/. All is read when it is asked for.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, get_args

from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from api.guard import Guard
from api.hub import Hub
from producers.metrics import BOUNDS_NS, Meter
from quicksilver import __version__, codec
from quicksilver.records import DataState, FeedStats, Latency
from quicksilver.topics import FEEDS, LATENCY

if TYPE_CHECKING:
    from api.kafka_bus import KafkaBus

FEED = ("venue", "symbol")
OF_SYMBOLS = (
    ("events", "Events made of messages."),
    ("gaps", "Losses: from each to the next snapshot the book is unknown."),
    ("resyncs", "Books that could be trusted again after a loss."),
    ("checksums_passed", "Checksums of the venue that the book met."),
    ("checksums_failed", "Checksums of the venue that the book did not meet."),
    ("crossed", "Messages after which best bid was at or above best ask."),
    ("early", "Events received before they happened: this machine's clock is behind the venue's."),
)
OF_ALL = (
    ("received_bytes", "Bytes received, before TLS; symbol empty: of messages that name none or several."),
    ("duplicates", "Messages that were there before."),
    ("skipped", "Messages without market data, or about a book that is not known yet."),
    ("rejected", "Messages that could not be read; they are in dead-letters."),
)
"""Counters of symbols, and of symbols and what names none: the field of ``FeedStats``, and what it counts."""


def add_metrics(app: FastAPI, *collectors: Collector) -> None:
    """Let the application answer ``GET /metrics`` from these collectors and the process's own numbers."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    for one in collectors:
        registry.register(one)

    @app.get("/metrics")
    def metrics(request: Request) -> Response:  # in a thread: a thousand symbols are 3 MB of text, and take 0.7 s
        """Return all metrics, in the format that is asked for."""
        encode, media_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(registry), headers={"Content-Type": media_type})


def metrics_app(hosts: Sequence[str], *collectors: Collector) -> FastAPI:
    """Return an application that answers ``GET /metrics`` alone, to whom ``api.guard`` lets in."""
    app = FastAPI(title="Quicksilver", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    add_metrics(app, *collectors)
    app.add_middleware(Guard, hosts=hosts)
    return app


def feed_families(found: Iterable[FeedStats], now_ns: int) -> Iterator[Metric]:
    """Yield the metrics of these counts; ages are as of ``now_ns``."""
    rows = list(found)
    symbols, venues = [one for one in rows if one.symbol], [one for one in rows if not one.symbol]
    yield _counter("messages", "Messages received about the symbol.", FEED, symbols, "messages")
    yield _counter("frames", "Messages received, whatever they are about.", ("venue",), venues, "messages")
    yield _counter("reconnects", "Connections opened after one was lost.", ("venue",), venues, "reconnects")
    for name, says in OF_SYMBOLS:
        yield _counter(name, says, FEED, symbols, name)
    for name, says in OF_ALL:
        yield _counter(name, says, FEED, rows, name)
    yield _ages(rows, now_ns)
    yield _states("book_state", "1 for the state that the symbol's book is in, 0 for the others.", FEED, symbols)
    says = "1 for the state that the venue's connections are in, 0 for the others; GAP: none is left."
    yield _states("connection_state", says, ("venue",), venues)


def _counter(name: str, says: str, labels: Sequence[str], rows: Iterable[FeedStats], field: str) -> Metric:
    family = CounterMetricFamily(f"quicksilver_{name}", says, labels=labels)
    for one in rows:
        family.add_metric([getattr(one, label) for label in labels], getattr(one, field))
    return family


def _ages(rows: Iterable[FeedStats], now_ns: int) -> Metric:
    says = "Since the last message; symbol empty: of the venue. Staleness: it grows until a message comes."
    family = GaugeMetricFamily("quicksilver_last_message_age_seconds", says, labels=FEED)
    for one in rows:
        since_s = max(0.0, (now_ns - one.ts_event_ns) / 1e9)  # of counts that another process has published
        family.add_metric([one.venue, one.symbol], round(one.age_s + since_s, 3))
    return family


def _states(name: str, says: str, labels: Sequence[str], rows: Iterable[FeedStats]) -> Metric:
    family = GaugeMetricFamily(f"quicksilver_{name}", says, labels=[*labels, "state"])
    for one in rows:
        for state in get_args(DataState):
            family.add_metric([*(getattr(one, label) for label in labels), state], float(one.state == state))
    return family


class MeterCollector(Collector):
    """The feeds of this process, read from their meter."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as of now."""
        now_ns = time.time_ns()
        yield from feed_families(self._meter.read(now_ns), now_ns)
        says = "From the venue's clock to ours, for each trade and change of a book; see early for negative ones."
        family = HistogramMetricFamily("quicksilver_exchange_to_receive_seconds", says, labels=FEED)
        for one in self._meter.histograms():
            so_far, buckets = 0, []
            for bound, n in zip(_BOUNDS, one.buckets, strict=True):
                so_far += n
                buckets.append((bound, so_far))
            family.add_metric([one.venue, one.symbol], buckets, one.sum_s)
        yield family
        untold = GaugeMetricFamily("quicksilver_symbols_untold", "Symbols left out: too many.", labels=["venue"])
        for venue, n in self._meter.untold().items():
            untold.add_metric([venue], n)
        yield untold


_BOUNDS = [*(f"{bound / 1e9:g}" for bound in BOUNDS_NS), "+Inf"]


class FeedCollector(Collector):
    """The feeds of other processes: what they published of them last."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, with ages as of now."""
        rows = sorted(
            (codec.decode(FeedStats, row) for row in self._hub.last_rows(FEEDS.name)),
            key=lambda one: (one.venue, one.symbol),
        )
        yield from feed_families(rows, time.time_ns())
        says = "From the venue's clock to the producer's, in the last second; absent while nothing comes."
        family = GaugeMetricFamily("quicksilver_exchange_to_receive_quantile_seconds", says, labels=[*FEED, "quantile"])
        for one in rows:
            for quantile, latency_us in (("0.5", one.latency_p50_us), ("0.99", one.latency_p99_us)):
                if latency_us is not None:
                    family.add_metric([one.venue, one.symbol, quantile], latency_us / 1e6)
        yield family


class HubCollector(Collector):
    """What this process publishes, how late each hop is, and who listens."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as of now."""
        hub, waiting = self._hub, self._hub.waiting_bytes()
        yield InfoMetricFamily("quicksilver", "This server.", {"version": __version__, "source": hub.source.kind})
        rows = CounterMetricFamily("quicksilver_rows", "Rows published; dead-letters: refused input.", labels=["topic"])
        for topic, n in hub.counts.items():
            rows.add_metric([topic], n)
        yield rows
        yield GaugeMetricFamily("quicksilver_clients", "Websockets that are open.", len(waiting))
        yield GaugeMetricFamily("quicksilver_clients_waiting_bytes", "Bytes that wait for clients.", sum(waiting))
        says = "Bytes that wait for the slowest client; at 8 MB it is closed."
        yield GaugeMetricFamily("quicksilver_slowest_client_waiting_bytes", says, max(waiting, default=0))
        yield CounterMetricFamily("quicksilver_slow_clients", "Clients closed for they read too slowly.", hub.n_slow)
        yield self._hops()

    def _hops(self) -> Metric:
        says = "Latency of a hop in the last second in which it was measured."
        family = GaugeMetricFamily("quicksilver_hop_latency_seconds", says, labels=["hop", "quantile"])
        for row in sorted(self._hub.last_rows(LATENCY.name)):
            one = codec.decode(Latency, row)
            for quantile, latency_us in (("0.5", one.p50_us), ("0.99", one.p99_us), ("1", one.max_us)):
                family.add_metric([one.hop, quantile], latency_us / 1e6)
        return family


class BusCollector(Collector):
    """The reader of Kafka."""

    def __init__(self, bus: "KafkaBus") -> None:
        self._bus = bus

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as of now."""
        rows = self._bus.rows
        yield GaugeMetricFamily("quicksilver_bus_connected", "1 if Kafka answers.", float(self._bus.connected))
        yield CounterMetricFamily("quicksilver_bus_rejected", "Messages that are no records.", rows.rejected)
        yield CounterMetricFamily("quicksilver_bus_duplicates", "Messages that were there before.", rows.duplicates)
