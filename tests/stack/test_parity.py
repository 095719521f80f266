"""One tape through Flink and through one process: equal rows to the bit."""

import re
import time
from collections import defaultdict
from collections.abc import Iterable
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from jobs.publishing import publish as publish_record
from producers.exchanges.kraken import KrakenParser
from producers.frames import Frame
from producers.simulator.frames import frames
from producers.simulator.orderflow import Market
from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.events import SECOND_NS, AnyEvent, Price
from quicksilver.models.card import Deployment
from quicksilver.pipeline import Pipeline
from quicksilver.portfolio.config import PortfolioConfig, Universe
from quicksilver.records import DeadLetter
from quicksilver.streaming.message import Message, Outgoing
from quicksilver.topics import TOPIC_OF, key_of
from tests.stack.kafka import FULL_BOOKS, distinct, messages_of, place_of, publish, read_until

if TYPE_CHECKING:
    from setup.flink.jobs import Jobs

START = 1_700_000_000_000_000_000
COMPUTED = ["features", "labels", "status", "tops", "full-books", "candles", "predictions", "scores", "frontiers"]

Rows = dict[tuple[str, str], list[bytes]]


def market(venue: str, seed: int, seconds: int) -> list[AnyEvent]:
    """Simulated events of a venue of its own, so that tests share a cluster and no rows."""
    parser, symbols = KrakenParser(venue), ["BTC/USD", "ETH/USD", "SOL/USD"]
    raw = frames(Market(seed, START, symbols), symbols, 10, seconds * 100)
    return [event for ts, data in raw for event in parser.parse(Frame(venue, "s", "recv", ts, data))]


def in_one_process(events: Iterable[AnyEvent], config: PipelineConfig, deployments: Iterable[Deployment] = ()) -> Rows:
    pipeline, found = Pipeline(config), defaultdict[tuple[str, str], list[bytes]](list)
    for one in deployments:
        pipeline.adopt(one)
    for event in events:
        for record in pipeline.step(event):
            found[TOPIC_OF[type(record)].name, key_of(record)].append(codec.encode(record))
    return dict(found)


def computed(servers: str, truth: Rows) -> Rows:
    """What the cluster has computed of the same keys, once there is as much of it."""
    expected = sum(map(len, truth.values()))

    def mine(found: Iterable[Message]) -> list[Message]:
        return [one for one in found if (one.topic, one.key) in truth]

    def enough(found: list[Message]) -> bool:
        return len({(one.topic, one.key, *place_of(one)) for one in mine(found)}) >= expected

    return distinct(mine(read_until(servers, COMPUTED, enough)))


def differences(found: Rows, truth: Rows) -> list[str]:
    """Where the first differences lie: the rows themselves are far too many to print."""
    out = []
    for (topic, key), rows in truth.items():
        mine = found.get((topic, key), [])
        if mine != rows:
            first = next((i for i, pair in enumerate(zip(mine, rows, strict=False)) if pair[0] != pair[1]), None)
            out.append(f"{topic} {key}: {len(mine)} of {len(rows)} rows, the first different is {first}")
    return out


def universe_of(config: PipelineConfig, name: str) -> PipelineConfig:
    return replace(config, portfolios=tuple(replace(one, universe=name) for one in config.portfolios))


def test_flink_gives_what_one_process_gives(servers: str, jobs: "Jobs") -> None:
    assert jobs.options("features") == FULL_BOOKS.environment()  # what `jobs restart` submits it with again
    events = market("parity", 11, 60)
    truth = in_one_process(events, universe_of(FULL_BOOKS.of(PipelineConfig()), "parity"))
    publish(servers, messages_of(events, "s", "parity"))
    assert differences(computed(servers, truth), truth) == []
    assert {topic for topic, _ in truth} == set(COMPUTED)


@pytest.mark.usefixtures("jobs")
def test_flink_gives_the_universes_that_it_is_told(servers: str) -> None:
    near = PortfolioConfig("told-near", ("BTC-USD", "ETH-USD", "SOL-USD"), min_observations=10, n_portfolios=2_000)
    calm = replace(near, universe="told-calm", period_ns=2 * SECOND_NS, aversion=20.0, min_observations=5)
    for one in (near, calm, replace(near, universe="told-badly", halflife=-1.0)):
        publish_record(Universe("told", one.universe, one), servers)

    def refused(found: Iterable[Message]) -> bool:
        return any(one.topic == "dead-letters" and b"told-badly: halflife = -1" in one.value for one in found)

    read_until(servers, ["dead-letters"], refused)  # what lies before it in its topic is at work
    events = market("told", 13, 60)
    truth = in_one_process(events, FULL_BOOKS.of(PipelineConfig()).of_universes([near, calm]))
    publish(servers, messages_of(events, "s", "told"))
    assert differences(computed(servers, truth), truth) == []
    assert {key for topic, key in truth if topic == "frontiers"} == {"told-near", "told-calm"}


@pytest.mark.usefixtures("jobs")
def test_flink_keeps_the_clock_of_price_series(servers: str) -> None:
    interval = 60_000_000_000
    events: list[AnyEvent] = [
        Price("parity", symbol, i, i * interval, i * interval, 100.0 + (i * k) % 7, 1.0)
        for i in range(1, 300)
        for k, symbol in ((3, "A-USD"), (5, "B-USD"))
    ]
    truth = in_one_process(events, universe_of(PipelineConfig.for_rows(interval), "parity-rows"))
    publish(servers, messages_of(events, "s", "parity-rows", str(interval)))
    assert differences(computed(servers, truth), truth) == []
    assert ("frontiers", "parity-rows") in truth


@pytest.mark.usefixtures("jobs")
def test_what_cannot_be_read_is_dead_lettered_with_its_place_and_what_is_lost_becomes_a_gap(servers: str) -> None:
    sent = messages_of(market("hurt", 12, 40), "s", "hurt")

    def books(symbol: str) -> list[Outgoing]:
        return [one for one in sent if one.key == f"hurt:{symbol}" and one.topic == "books"]

    poison, (lost, *later) = books("BTC-USD")[100], books("ETH-USD")[200:]
    spoilt, held_back = replace(poison, value=b"{" + poison.value[:9]), {id(one) for one in (lost, *later)}
    publish(servers, [spoilt if one is poison else one for one in sent if id(one) not in held_back])
    reason = f"events {lost.headers.n} to {lost.headers.n} were lost on the way here".encode()

    def letters(found: Iterable[Message]) -> list[Message]:
        return [one for one in found if one.key == poison.key and one.topic == "dead-letters"]

    def gaps(found: Iterable[Message]) -> list[Message]:
        return [one for one in found if one.key == lost.key and one.topic == "status" and reason in one.value]

    def trickle() -> None:
        for one in later[:60]:
            publish(servers, [one])
            time.sleep(0.3)

    writer = Thread(target=trickle)
    writer.start()
    found = read_until(servers, ["dead-letters", "status"], lambda found: bool(letters(found) and gaps(found)))
    writer.join()
    letter = codec.decode(DeadLetter, letters(found)[0].value)
    assert re.fullmatch(r"books\[\d+\]@\d+", letter.source)
    assert letter.payload == spoilt.value
    assert len(letters(found)) == 1
