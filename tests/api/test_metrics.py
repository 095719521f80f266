"""``GET /metrics``: read back by Prometheus' own parser."""

import time

import httpx
import pytest
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from websockets.asyncio.client import connect

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.metrics import FeedCollector, metrics_app
from api.server import serving
from quicksilver.errors import InputError
from quicksilver.memory import MemoryBus, MemoryStore
from quicksilver.records import FeedStats, Latency
from tests.exposition import samples

S = 1_000_000_000
ROW = FeedStats(
    "kraken", "BTC-USD", 0, "LIVE", 100, 2_000, 90, 3, 2, 80, 4, 1, 5, 6, 7, 8, 9, 0.5, 12.5, 1_500.0, -20.0,
)  # fmt: skip
SYMBOL = {"venue": "kraken", "symbol": "BTC-USD"}
VENUE = {"venue": "kraken", "symbol": ""}


async def scraped(hub: Hub, **headers: str) -> httpx.Response:
    app = create_app(hub, MemoryStore(), None, collectors=[FeedCollector(hub)])  # type: ignore[arg-type]
    async with serving(app, "127.0.0.1", 0) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as http:
            return await http.get("/metrics", headers=headers)


def published(*records: FeedStats | Latency) -> Hub:
    hub, bus = Hub(SourceInfo("CLUSTER", "a test")), MemoryBus()
    bus.subscribe(hub.on_record)
    for record in records:
        bus.publish(record)
    return hub


async def test_feeds_that_others_publish_are_told_of_as_they_said_last() -> None:
    told_ns = time.time_ns() - 3 * S
    hub = published(
        ROW, replace(ROW, ts_event_ns=told_ns, messages=101), replace(ROW, symbol="", ts_event_ns=told_ns, state="GAP")
    )
    found = samples((await scraped(hub)).text)
    assert found("quicksilver_messages_total", **SYMBOL) == 101
    for name, wanted in (
        ("events", 90), ("gaps", 3), ("resyncs", 2), ("checksums_passed", 80), ("checksums_failed", 4), ("crossed", 1),
        ("early", 9), ("received_bytes", 2_000), ("duplicates", 5), ("skipped", 6), ("rejected", 7),
    ):  # fmt: skip
        assert found(f"quicksilver_{name}_total", **SYMBOL) == wanted
    assert found("quicksilver_reconnects_total", venue="kraken") == 8
    assert found("quicksilver_frames_total", venue="kraken") == 100
    assert found("quicksilver_rejected_total", **VENUE) == 7
    assert 3.5 <= found("quicksilver_last_message_age_seconds", **SYMBOL) < 30  # nobody has told of it for 3 s
    name = "quicksilver_exchange_to_receive_quantile_seconds"
    assert [found(name, **SYMBOL, quantile=quantile) for quantile in ("0.5", "0.99")] == [0.0015, -2e-05]
    states = {state: found("quicksilver_book_state", **SYMBOL, state=state) for state in STATES}
    assert states == {"SYNCING": 0, "LIVE": 1, "GAP": 0, "STALE": 0}
    assert found("quicksilver_connection_state", venue="kraken", state="GAP") == 1


STATES = ("SYNCING", "LIVE", "GAP", "STALE")


async def test_hops_rows_and_the_process_are_told_of() -> None:
    hop = Latency("2 event to records", 1, 5, 100.0, 250.0, 1_000.0)
    found = samples((await scraped(published(hop, replace(hop, p50_us=120.0), ROW))).text)
    name = "quicksilver_hop_latency_seconds"
    assert [found(name, hop=hop.hop, quantile=q) for q in ("0.5", "0.99", "1")] == [0.00012, 0.00025, 0.001]
    assert found("quicksilver_rows_total", topic="latency") == 2
    assert found("quicksilver_rows_total", topic="feeds") == 1
    assert found("quicksilver_rows_total", topic="dead-letters") == 0
    assert found("process_resident_memory_bytes") > 1e6
    assert found("process_start_time_seconds") <= time.time()
    assert found("quicksilver_clients") == 0


async def test_clients_and_what_waits_for_them_are_told_of() -> None:
    hub = published()
    async with serving(create_app(hub, MemoryStore(), None), "127.0.0.1", 0) as port:  # type: ignore[arg-type]
        async with connect(f"ws://127.0.0.1:{port}/ws") as client, httpx.AsyncClient(timeout=60.0) as http:
            await client.recv()
            found = samples((await http.get(f"http://127.0.0.1:{port}/metrics")).text)
    assert found("quicksilver_clients") == 1
    assert found("quicksilver_clients_waiting_bytes") == found("quicksilver_slowest_client_waiting_bytes") == 0
    assert found("quicksilver_slow_clients_total") == 0


async def test_prometheus_gets_the_format_that_it_asks_for() -> None:
    hub = published(ROW)
    plain = await scraped(hub)
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    modern = await scraped(hub, accept="application/openmetrics-text; version=1.0.0")
    assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = parse_openmetrics(modern.text)  # type: ignore[no-untyped-call]
    ours = {family.name for family in families if family.name.startswith("quicksilver")}
    assert ours == {family.name for family in parse(plain.text) if family.name.startswith("quicksilver")} - {
        "quicksilver_info"
    } | {"quicksilver"}
    assert all(family.documentation for family in parse(plain.text))


@pytest.mark.parametrize(
    ("hosts", "host", "status"),
    [
        ([], "evil.example", 403),
        (["10.1.2.3"], "10.1.2.3:9", 200),
        (["10.1.2.3"], "box", 403),
        (["0.0.0.0"], "box", 200),
    ],
)
async def test_metrics_are_for_who_may_read_all_else(hosts: list[str], host: str, status: int) -> None:
    async with serving(metrics_app(hosts, FeedCollector(published(ROW))), "127.0.0.1", 0) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as http:
            answer = await http.get("/metrics", headers={"Host": host})
            assert answer.status_code == status
            assert ("quicksilver_messages_total" in answer.text) == (status == 200)
            assert (await http.get("/openapi.json")).status_code == 404


async def test_a_port_that_is_taken_is_said_with_the_setting_that_chooses_it() -> None:
    app = metrics_app([])
    async with serving(app, "127.0.0.1", 0) as port:
        with pytest.raises(InputError, match=f"cannot serve on 127.0.0.1 port {port}: .*with METRICS_PORT= or"):
            async with serving(app, "127.0.0.1", port, "METRICS_PORT"):
                pass
