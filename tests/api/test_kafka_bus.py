"""The API on a real Kafka: every row once and in order, whatever is repeated, refused, killed or away."""

import asyncio
import json
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from api import kafka_rows
from api.kafka_bus import BATCH, IN_FLIGHT
from api.kafka_rows import MAX_ENDED, Row
from quicksilver import codec
from quicksilver.events import Trade
from quicksilver.records import DeadLetter
from quicksilver.streaming.message import Headers, event_message
from setup.stack import Stack
from tests.api.kafka_site import (
    Api,
    Publisher,
    needs_kafka,
    quiet,
    rows_until,
    running_api,
    running_kafka,
    status,
    subscribe,
)
from tests.killing import kill
from tests.ports import own_port

pytestmark = needs_kafka


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_kafka(tmp_path_factory.mktemp("kafka")) as made:
        yield made


@pytest.fixture
def servers(node: Stack) -> str:
    return node.settings.kafka_servers


@pytest.fixture
def publisher(servers: str) -> Publisher:
    return Publisher(servers)


async def test_rows_come_once_and_in_order_however_often_they_are_published(
    servers: str, publisher: Publisher, tmp_path: Path
) -> None:
    dice = random.Random(7)
    for seq in range(1, 50):
        publisher.record(status("DUP-USD", seq), "one", seq)
    async with running_api(servers, tmp_path) as api, api.client() as client:
        await api.until(lambda: api.hub.counts["status"] == 49)
        await subscribe(client, "status", "kraken:DUP-USD", history=1000)
        for seq in range(50, 800):
            publisher.record(status("DUP-USD", seq), "one", seq)
            if dice.random() < 0.2:  # a job that was killed goes back a little and repeats the same
                for again in range(max(1, seq - dice.randrange(60)), seq + 1):
                    publisher.record(status("DUP-USD", again), "one", again)
        publisher.flush()
        rows = await rows_until(client, 799)
        assert [row["seq"] for row in rows] == list(range(1, 800))
        assert api.bus.rows.duplicates > 1000
        assert api.hub.instruments["kraken:DUP-USD"]["state"] == "LIVE"


async def test_another_session_takes_over_and_stragglers_of_ended_ones_are_dropped(
    servers: str, publisher: Publisher, tmp_path: Path
) -> None:
    async with running_api(servers, tmp_path) as api, api.client() as client:
        await subscribe(client, "status", "kraken:SES-USD", history=1000)
        for session in range(MAX_ENDED):
            for seq in (1, 2):
                publisher.record(status("SES-USD", 10 * session + seq), f"s{session}", seq)
            for ended in range(session):
                publisher.record(status("SES-USD", 999), f"s{ended}", 3)
        publisher.record(status("SES-USD", 1000), f"s{MAX_ENDED - 1}", 3)
        publisher.flush()
        rows = await rows_until(client, 1000)
        assert [row["seq"] for row in rows] == [10 * s + n for s in range(MAX_ENDED) for n in (1, 2)] + [1000]


async def test_trades_carry_their_number_themselves_and_dead_letters_are_cut(
    servers: str, publisher: Publisher, tmp_path: Path
) -> None:
    trades = [Trade("kraken", "TRD-USD", seq, seq, seq, 10.0, 1.0, "buy", str(seq)) for seq in (1, 2, 5)]
    async with running_api(servers, tmp_path) as api, api.client() as client, api.client() as other:
        await subscribe(client, "trades", "kraken:TRD-USD", history=1000)
        await subscribe(other, "dead-letters", "kraken:None")
        publisher.raw("trades", b"kraken:TRD-USD", codec.encode(trades[0]), [])  # no header at all
        for trade in trades:
            publisher.send(event_message(trade, 1, Headers()))
        publisher.record(DeadLetter(1, "here", "kraken", None, "why", b"x" * 5000), "", 0)
        publisher.flush()
        assert [row["seq"] for row in await rows_until(client, 5)] == [1, 2, 5]
        letter = await asyncio.wait_for(other.recv(), 60)
        assert "(the payload is the first 2048 of 5000 bytes)" in str(letter)


POISON: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]], str]] = [
    (b"kraken:BAD-USD", b"{", [], "not a Status: Input data was truncated"),
    (b"kraken:BAD-USD", codec.encode(status("BAD-USD", 1))[:-1] + b',"z":"\xff"}', [], "invalid start byte"),
    (b"kraken:BAD-USD", b'{"venue":"kraken"}', [], "missing required field"),
    (b"kraken:BAD-USD", b"[" * 100_000, [], "not a Status"),
    (b"kraken:BAD-USD", None, [], "a message without a value"),
    (None, codec.encode(status("BAD-USD", 1)), [], "a message without a key"),
    (b"\xff", codec.encode(status("BAD-USD", 1)), [], "invalid start byte"),
    (b"kraken:ETH-USD", codec.encode(status("BAD-USD", 1)), [], "its record's 'kraken:BAD-USD'"),
    (b"kraken:BAD-USD", codec.encode(status("BAD-USD", 1)), [("n", b"9" * 5000)], "a header that is no number"),
    (b"kraken:BAD-USD", codec.encode(status("BAD-USD", 1)), [("v", b"2")], "of contract version 2, this is 1"),
]


def _refused(api: Api, number: int) -> bool:
    return api.bus.rows.rejected == number


async def test_poison_is_counted_and_said_and_never_forwarded(
    servers: str, publisher: Publisher, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_api(servers, tmp_path) as api, api.client() as client, httpx.AsyncClient(timeout=60.0) as http:
        await subscribe(client, "status", "kraken:BAD-USD")
        await api.until(lambda: api.bus.connected)
        url = f"http://127.0.0.1:{api.port}/api/health"
        for number, (key, value, headers, why) in enumerate(POISON, 1):
            assert (await http.get(url)).json()["status"] == "ok"
            publisher.raw("status", key, value, headers)
            await api.until(partial(_refused, api, number))
            health = (await http.get(url)).json()
            assert health["rejected"] == number
            assert why in health["refusal"]
            assert health["refusal"].startswith("status[")
        assert health["status"] == "degraded"  # the last was of a newer version: this program is too old
        publisher.record(status("BAD-USD", 77), "good", 1)
        assert [row["seq"] for row in await rows_until(client, 77)] == [77]
    assert len([one for one in caplog.records if "refused" in one.message]) == 1  # once a minute


async def test_a_restarted_api_leaves_a_reader_without_loss(servers: str, publisher: Publisher, tmp_path: Path) -> None:
    seen: list[int] = []

    def publish() -> None:
        for seq in range(1, 601):
            publisher.record(status("RST-USD", seq), "run", seq)
            time.sleep(0.002)
        publisher.flush()

    async def read(until: int) -> None:
        async with asyncio.timeout(60):
            while not seen or seen[-1] < until:
                try:
                    async with running.client() as client:
                        await subscribe(client, "status", "kraken:RST-USD", history=1000)
                        async for row in _rows(client):
                            if not seen or row["seq"] > seen[-1]:
                                seen.append(row["seq"])
                            if seen[-1] >= until:
                                return
                except (ConnectionClosed, OSError):
                    await asyncio.sleep(0.01)

    thread, port = threading.Thread(target=publish), own_port()
    async with running_api(servers, tmp_path, port) as running:
        thread.start()
        reading = asyncio.create_task(read(600))
        await running.until(lambda: len(seen) > 100)
    await asyncio.sleep(0.2)
    async with running_api(servers, tmp_path, port) as running:
        await reading
    thread.join()
    assert seen == list(range(1, 601))


async def _rows(client: ClientConnection) -> AsyncIterator[dict[str, Any]]:
    while True:
        for row in json.loads(await client.recv())["rows"]:
            yield row


async def test_a_broker_killed_under_load_and_started_again_costs_no_row(
    node: Stack, servers: str, publisher: Publisher, tmp_path: Path
) -> None:
    said: list[str] = []

    def publish() -> None:
        for seq in range(1, 2001):
            publisher.record(status("KIL-USD", seq), "run", seq)
            time.sleep(0.002)
        publisher.flush()

    async with running_api(servers, tmp_path) as api, api.client() as client, httpx.AsyncClient(timeout=60.0) as http:
        api.bus._say = said.append
        await subscribe(client, "status", "kraken:KIL-USD")
        publishing = asyncio.create_task(asyncio.to_thread(publish))
        await api.until(lambda: api.hub.counts["status"] and api.hub.instruments.get("kraken:KIL-USD"))
        await asyncio.to_thread(kill, node.process("kafka"))
        await api.until(lambda: not api.bus.connected)
        health = (await http.get(f"http://127.0.0.1:{api.port}/api/health")).json()
        assert (health["status"], health["bus"]) == ("degraded", f"waiting for Kafka at {servers}")
        await asyncio.to_thread(node.up, quiet)
        rows = await rows_until(client, 2000)
        await publishing
        assert [row["seq"] for row in rows] == list(range(1, 2001))
        await api.until(lambda: api.bus.connected)
    assert said[-2:] == [f"waiting for Kafka at {servers}", f"Kafka at {servers}"]


async def test_a_broker_that_is_away_at_the_start_is_waited_for(
    node: Stack, servers: str, publisher: Publisher, tmp_path: Path
) -> None:
    publisher.record(status("AWY-USD", 1), "run", 1)
    publisher.flush()
    await asyncio.to_thread(node.down, quiet)
    try:
        async with (
            running_api(servers, tmp_path) as api,
            api.client() as client,
            httpx.AsyncClient(timeout=60.0) as http,
        ):
            await subscribe(client, "status", "kraken:AWY-USD", history=1000)
            health = (await http.get(f"http://127.0.0.1:{api.port}/api/health")).json()
            assert (health["status"], health["bus"]) == ("degraded", f"waiting for Kafka at {servers}")
            await asyncio.sleep(1.5)  # it has tried more than once
            await asyncio.to_thread(node.up, quiet)
            publisher.record(status("AWY-USD", 2), "run", 2)
            assert [row["seq"] for row in await rows_until(client, 2)] == [1, 2]
            assert api.bus.connected
    finally:
        await asyncio.to_thread(node.up, quiet)


async def test_a_loop_that_cannot_follow_is_waited_for(servers: str, publisher: Publisher, tmp_path: Path) -> None:
    kept: list[int] = []
    ahead: list[int] = []

    def keep(rows: list[Row]) -> None:
        assert len(rows) <= BATCH
        kept.append(len(rows))

    for seq in range(1, 8001):
        publisher.record(status("BUS-USD", seq), "run", seq)
    publisher.flush()
    async with running_api(servers, tmp_path, keep=keep) as api:
        take: Callable[[list[Row]], None] = api.bus._take

        def slow(rows: list[Row]) -> None:
            before = len(kept)
            time.sleep(0.2)  # the loop is busy: the thread may fill what room there is, and no more
            ahead.append(len(kept) - before)
            take(rows)

        api.bus._take = slow
        await api.until(lambda: len(ahead) >= 5)
    assert max(ahead) <= IN_FLIGHT + 1


async def test_topics_that_are_missing_are_waited_for(
    tmp_path: Path, servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(kafka_rows.READ, "nowhere", kafka_rows.READ["tops"])
    async with running_api(servers, tmp_path) as api:
        await api.until(lambda: "topic" in api.bus.state)
        assert (
            api.bus.state == f"waiting for topic 'nowhere' of Kafka at {servers}: `quicksilver topics apply` makes it"
        )
