"""The publisher on a real Kafka: kept order, a broker that is killed, away or slow, and what can never be delivered."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from producers import kafka, publishing
from producers.kafka import KafkaPublisher, client_settings
from producers.publishing import publish_all
from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.events import AnyEvent, BookSnapshot, Gap, Levels, Price, Trade
from quicksilver.records import DeadLetter
from quicksilver.streaming.message import Headers, event_message
from quicksilver.topics import EVENT_TOPIC_OF, TOPS
from tests.kafka_broker import Broker, broker, needs_java

pytestmark = needs_java
TOPICS = sorted({topic.name for topic in EVENT_TOPIC_OF.values()} | {"dead-letters"})
KEYS = [f"A{i}-USD" for i in range(5)]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with broker(tmp_path_factory.mktemp("kafka")) as made:
        yield made


def trade(i: int) -> Trade:
    """The ``i``-th event, from 1; the instruments take turns."""
    return Trade("test", KEYS[i % len(KEYS)], (i - 1) // len(KEYS) + 1, i, i, 1.5, 1.0, "buy", str(i))


@asynccontextmanager
async def publisher(servers: str, session: str, **given: int) -> AsyncIterator[tuple[KafkaPublisher, list[str]]]:
    said: list[str] = []
    made = KafkaPublisher(
        servers, session, said.append, universe="all", interval_ns=60, max_bytes=given.get("max", 10**7)
    )
    try:
        await made.connect(TOPICS)
        yield made, said
    finally:
        made.discard()


async def until(reached: Callable[[], object], look: Callable[[], None] = lambda: None) -> None:
    async with asyncio.timeout(60):
        while not reached():
            look()
            await asyncio.sleep(0.01)


def assert_all_in_order(node: Broker, session: str, n: int) -> None:
    """Every event once, each key's in the order of its numbers, as it lies in the broker."""
    found = node.read("trades", session=session)
    assert len(found) == n
    numbers: dict[str, int] = {}
    for one in found:
        numbers[one.key] = numbers.get(one.key, 0) + 1
        assert one.number == numbers[one.key]
    assert sorted(int(one.headers.g) for one in found) == list(range(1, n + 1))


async def test_messages_carry_what_the_contract_says(node: Broker) -> None:
    events: list[AnyEvent] = [trade(1), Price("csv", "A-B", 1, 5, 5, 2.0), Gap("test", "A1-USD", 2, 6, 6, "lost")]
    async with publisher(node.servers, "headers") as (made, _):
        for event in events:
            assert await made.event(event) is event
        made.letter(DeadLetter(7, "x:1", "csv", "A-B", "no", b"?"))
        await made.flush()
        assert (made.delivered, made.waiting, made.events) == (4, 0, 3)
    found = {one.topic: one for one in node.read(*TOPICS, session="headers")}
    for g, event in enumerate(events, 1):
        headers = Headers(s="headers", g=str(g), u="all", i="60" if isinstance(event, Price) else "")
        expected, one = event_message(event, 0, headers), found[EVENT_TOPIC_OF[type(event)].name]
        assert (one.key, one.headers, one.value) == (expected.key, expected.headers, expected.value)
    assert found["dead-letters"].headers == Headers(s="headers")
    assert found["dead-letters"].value == codec.encode(DeadLetter(7, "x:1", "csv", "A-B", "no", b"?"))


async def test_times_never_fall(node: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([5_000_000_000, 4_000_000_000, 6_000_000_000])
    async with publisher(node.servers, "times") as (made, _):
        monkeypatch.setattr("producers.kafka.time.time_ns", lambda: next(clock))
        for i in (1, 6, 11):  # of one instrument
            await made.event(trade(i))
        monkeypatch.undo()
        await made.flush()
    assert [one.ts_ms for one in node.read("trades", session="times")] == [5000, 5000, 6000]


def test_a_key_has_the_partition_that_java_gives_it(node: Broker) -> None:
    """The hashes are those of Kafka's own test, ``UtilsTest.testMurmur2``."""
    hashes = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536}
    client = Producer(client_settings(node.servers))
    for key in hashes:
        client.produce("tops", b"", key.encode())
    assert client.flush(30) == 0
    assert {one.key: one.partition for one in node.read("tops")} == {
        key: (value & 0x7FFFFFFF) % TOPS.partitions for key, value in hashes.items()
    }


async def test_a_broker_killed_meanwhile_loses_nothing_and_keeps_the_order(node: Broker) -> None:
    async with publisher(node.servers, "killed") as (made, said):
        for i in range(1, 40_001):
            await made.event(trade(i))
            if i == 20_000:
                await until(lambda: made.delivered > 1000, made.look)
                node.kill()
        await until(lambda: said, made.look)
        assert made.waiting > 0
        starting = asyncio.create_task(asyncio.to_thread(node.up))
        await made.flush()
        await until(lambda: len(said) == 2, made.look)
        await starting
    assert said[0].startswith(f"Kafka at {node.servers} does not answer: ")
    assert said[0].endswith(" messages wait")
    assert said[1].startswith(f"Kafka at {node.servers} is back: ")
    assert_all_in_order(node, "killed", 40_000)


async def test_an_idle_publisher_says_that_the_broker_is_away_and_back(node: Broker) -> None:
    async with publisher(node.servers, "idle") as (made, said):
        await made.event(trade(1))
        await made.flush()
        node.kill()
        await until(lambda: said, made.look)
        node.up()
        await until(lambda: len(said) == 2, made.look)
    # A report of librdkafka's that nobody has taken yet counts as a message that waits.
    assert re.fullmatch(rf"Kafka at {node.servers} does not answer: [01] messages wait", said[0])
    assert said[1] == f"Kafka at {node.servers} is back: 0 messages wait"


async def test_a_broker_that_is_not_there_yet_is_waited_for(node: Broker) -> None:
    node.kill()
    said: list[str] = []
    made = KafkaPublisher(node.servers, "early", said.append)
    connecting = asyncio.create_task(made.connect(TOPICS))
    await until(lambda: said)
    made.look()
    assert len(said) == 1  # nothing came back
    node.up()
    await connecting
    await made.event(trade(1))
    await made.flush()
    assert said[0].startswith(f"no Kafka at {node.servers} (")
    assert said[0].endswith("waiting for it; `quicksilver cluster up` starts one")
    assert said[1:] == [f"Kafka at {node.servers} is there"]
    assert_all_in_order(node, "early", 1)


async def test_a_broker_that_takes_nothing_slows_the_source(node: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "QUEUE_MESSAGES", 1_000)
    monkeypatch.setattr(kafka, "STALLED_S", 1.0)
    async with publisher(node.servers, "paused") as (made, said):
        turns = 0

        async def source() -> None:
            for i in range(1, 5_001):
                await made.event(trade(i))

        node.signal(signal.SIGSTOP)
        try:
            working = asyncio.create_task(source())
            while not said:
                await asyncio.sleep(0.01)
                turns += 1  # nothing blocks the event loop
            assert made.counts["trades"] == made.waiting == 1_000
            assert not working.done()
            assert turns > 20
        finally:
            node.signal(signal.SIGCONT)
        await working
        await made.flush()
    assert said[0] == f"Kafka at {node.servers} does not answer: 1,000 messages wait"
    assert_all_in_order(node, "paused", 5_000)


async def test_too_many_dead_letters_hold_up_their_source(node: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "QUEUE_MESSAGES", 100)
    monkeypatch.setattr(kafka, "MAX_LETTERS", 100)
    async with publisher(node.servers, "letters") as (made, _):
        for i in range(2_000):
            made.letter(DeadLetter(i, f"x:{i}", "csv", None, "no", b""))
            assert made.waiting < 250  # both queues, and the client's own reports
        await made.flush()
    found = node.read("dead-letters", session="letters")
    assert [codec.decode(DeadLetter, one.value).ts_recv_ns for one in found] == list(range(2_000))


async def test_what_is_too_large_becomes_a_gap_and_a_dead_letter(node: Broker) -> None:
    async with publisher(node.servers, "large", max=10_000) as (made, _):
        book = BookSnapshot("test", "A1-USD", 2, 5, 6, Levels.of([(i + 0.5, 1.0) for i in range(5_000)]), Levels.of([]))
        await made.event(trade(1))
        sent = await made.event(book)
        await made.event(trade(6))
        await made.flush()
    size = len(codec.encode(book))
    assert sent == Gap("test", "A1-USD", 2, 5, 6, f"an event of {size:,} bytes: Kafka takes 10,000")
    (gap,) = node.read("books", session="large")
    assert (gap.number, gap.headers.g, gap.value) == (2, "2", codec.encode(sent))
    (found,) = node.read("dead-letters", session="large")
    letter = codec.decode(DeadLetter, found.value)
    assert (letter.symbol, letter.payload) == ("A1-USD", codec.encode(book)[:5_000])
    assert letter.reason == f"{sent.reason} (the first 5,000 of {size:,} bytes)"


async def test_a_whole_book_of_15_mb_goes_through(node: Broker) -> None:
    levels = Levels.of([(100_000 + i / 7, 0.123456789 * i) for i in range(205_000)])
    book = BookSnapshot("test", "BIG-USD", 1, 5, 6, levels, levels)
    async with publisher(node.servers, "book", max=kafka.MAX_BYTES) as (made, _):
        assert await made.event(book) is book
        await made.flush()
    (found,) = node.read("books", session="book")
    assert found.value == codec.encode(book)
    assert 14_000_000 < len(found.value) < kafka.MAX_BYTES


async def test_a_missing_topic_is_named_with_its_remedy(node: Broker) -> None:
    made = KafkaPublisher(node.servers, "x", print)
    remedy = "`quicksilver topics apply` creates what is missing"
    with pytest.raises(InputError, match=f"has no topic nowhere: {remedy}"):
        await made.connect(["trades", "nowhere"])


async def test_what_can_never_be_delivered_ends_the_run(node: Broker) -> None:
    client = AdminClient({"bootstrap.servers": node.servers})
    async with publisher(node.servers, "gone") as (made, _):
        await made.event(trade(1))
        await made.flush()
        client.delete_topics(["trades"])["trades"].result(30)
        with pytest.raises(InputError, match="has no topic trades: `quicksilver topics apply` creates"):
            async with asyncio.timeout(100):
                for i in range(2, 100_000):
                    await made.event(trade(i))
                    await asyncio.sleep(0.01)
    node.apply_topics()


async def test_who_is_told_to_stop_while_the_broker_is_away_says_what_is_lost(
    node: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "STOP_S", 0.5)
    said: list[str] = []
    made, stop = KafkaPublisher(node.servers, "stopped", said.append), asyncio.Event()

    async def work() -> None:
        await made.connect(TOPICS)
        node.signal(signal.SIGSTOP)
        for i in range(1, 8):
            await made.event(trade(i))
        stop.set()

    try:
        assert await publish_all(made, work(), stop, said.append) == 7
    finally:
        node.signal(signal.SIGCONT)
    assert said == [
        "stopping: 7 messages are to be delivered yet",
        f"7 messages were not delivered: Kafka at {node.servers} has not confirmed them",
    ]
