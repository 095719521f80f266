"""The page over ``quicksilver serve`` and a real Kafka."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from producers.exchanges.kraken import KrakenParser
from producers.exchanges.venue import SIMULATED
from producers.frames import Frame
from producers.simulator.frames import frames
from producers.simulator.listings import LISTINGS
from producers.simulator.orderflow import Market
from quicksilver.pipeline import Pipeline
from quicksilver.streaming.message import Headers, outgoing
from tests.api.kafka_site import Publisher, needs_kafka, running_kafka, status
from tests.jobs.test_serve import Serving, serving_process
from tests.web.conftest import Open

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), *needs_kafka]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Serving, Publisher]]:
    folder: Path = tmp_path_factory.mktemp("cluster")
    with running_kafka(folder) as node, serving_process(folder, node.settings.kafka_servers) as served:
        yield served, Publisher(node.settings.kafka_servers)


def publish_market(publisher: Publisher) -> None:
    """Publish what the pipeline makes of some seconds of the simulated exchange, as of now."""
    numbers: dict[tuple[type, str], int] = {}
    pipeline, parser = Pipeline(), KrakenParser(SIMULATED)
    for ts_ns, payload in frames(Market(3, time.time_ns()), list(LISTINGS), 100, 1_500):
        for event in parser.parse(Frame(SIMULATED, "s", "recv", ts_ns, payload)):
            for record in pipeline.step(event):
                message = outgoing(record, time.time_ns() // 1_000_000, Headers())
                number = numbers[type(record), message.key] = numbers.get((type(record), message.key), 0) + 1
                publisher.record(record, "market", number, message.ts_ms)
    publisher.flush()


async def test_simulated_data_of_a_cluster_is_shown_and_said_to_be_simulated(
    cluster: tuple[Serving, Publisher], visit: Open
) -> None:
    served, publisher = cluster
    page = (await visit(served.url)).page
    await expect(page.get_by_test_id("source")).to_have_text("CLUSTER")
    await asyncio.to_thread(publish_market, publisher)
    source = page.get_by_test_id("source")
    await expect(source).to_have_text("SIMULATED")
    await expect(source).to_have_attribute("data-kind", "SIMULATED")
    await expect(page.locator("nav button")).to_have_count(len(LISTINGS))
    await expect(page.locator("#latency")).to_contain_text("publish to API")
    await expect(page.get_by_test_id("state")).to_contain_text("STALE")  # nobody publishes any more
    publisher.record(status("BTC-USD", 1), "real", 1)
    publisher.flush()
    await expect(source).to_have_text("PARTLY SIMULATED")
    await expect(source).to_have_attribute("data-kind", "SIMULATED")
