"""REST and websocket through the real server, with honest, hostile and slow clients."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close

from api.app import create_app
from api.client import MAX_WAITING_BYTES
from api.hub import MAX_PAYLOAD, Hub, SourceInfo
from api.server import serving
from api.store_sqlite import SqliteStore
from api.streams import RING
from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.events import Trade
from quicksilver.memory import MemoryBus
from quicksilver.records import DeadLetter, Status


class Site:
    """A running server and what feeds it."""

    def __init__(self, folder: Path) -> None:
        self.bus, self.hub = MemoryBus(), Hub(SourceInfo("SIMULATED", "a test"))
        self.store = SqliteStore(folder / "x.sqlite")
        self.bus.subscribe(self.hub.on_record)
        self.app = create_app(self.hub, self.store, None)
        self.port = 0

    def publish(self, seq: int, symbol: str = "BTC-USD", reason: str = "") -> Status:
        record = Status("kraken", symbol, seq, seq, seq, "LIVE", reason)
        self.bus.publish(record)
        return record

    def client(self) -> connect:
        return connect(f"ws://127.0.0.1:{self.port}/ws", max_size=None)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    async with serving(made.app, "127.0.0.1", 0) as port:
        made.port = port
        yield made
    made.store.close()


async def ask(client: ClientConnection, **request: Any) -> None:
    await client.send(json.dumps(request))


async def answer(client: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), 60))
    return message


def narrow(client: ClientConnection) -> None:
    """Let the kernel buffer little: it may take tens of megabytes for a reader, and hide the server's own limit."""
    client.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)


async def closing(client: ClientConnection) -> ConnectionClosed:
    """Read until the server closes; return how it did."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            await asyncio.wait_for(client.recv(), 60)
    return closed.value


async def test_welcome_snapshot_then_deltas_without_loss_or_repetition(site: Site) -> None:
    for seq in range(1, 6):
        site.publish(seq)
    async with site.client() as client:
        welcome = await answer(client)
        assert (welcome["type"], welcome["source"]) == ("welcome", "SIMULATED")
        assert welcome["instruments"] == [{"venue": "kraken", "symbol": "BTC-USD", "state": "LIVE", "reason": ""}]
        await ask(client, op="subscribe", channels=["status"], history=3)
        snapshot = await answer(client)
        assert (snapshot["type"], snapshot["seq"]) == ("snapshot", 5)
        assert [row["seq"] for row in snapshot["rows"]] == [3, 4, 5]
        last, seen = 5, []
        for seq in range(6, 400):
            site.publish(seq)
            if seq % 9 == 0:
                await asyncio.sleep(0.001)
        while last < 399:
            delta = await answer(client)
            assert (delta["type"], delta["seq"] - len(delta["rows"])) == ("delta", last)
            last = delta["seq"]
            seen += [row["seq"] for row in delta["rows"]]
        assert seen == list(range(6, 400))


async def test_keys_channels_and_unsubscribing(site: Site) -> None:
    async with site.client() as client:
        await answer(client)
        await ask(client, op="subscribe", channels=["status", "trades"], keys=["kraken:ETH-USD"])
        await ask(client, op="ping", id=7)
        assert await answer(client) == {"type": "pong", "id": 7}
        site.publish(1, "BTC-USD")
        site.publish(1, "ETH-USD")
        assert (await answer(client))["key"] == "kraken:ETH-USD"
        site.bus.publish(Trade("kraken", "ETH-USD", 2, 2, 2, 10.0, 1.0, "buy", "1"))
        trade = await answer(client)
        assert (trade["channel"], trade["rows"][0]["price"]) == ("trades", 10.0)
        await ask(client, op="unsubscribe", channels=["status"], keys=["kraken:ETH-USD"])
        await ask(client, op="ping", id=8)
        await answer(client)
        site.publish(2, "ETH-USD")
        site.bus.publish(Trade("kraken", "ETH-USD", 3, 3, 3, 11.0, 1.0, "buy", "2"))
        assert (await answer(client))["channel"] == "trades"


@pytest.mark.parametrize(
    ("junk", "why"),
    [
        ("hello", "malformed"),
        ("[]", "Expected `object`"),
        ('{"op":"dance"}', "unknown op 'dance'"),
        ('{"op":"subscribe","channels":["topz"]}', "unknown channel 'topz'; channels are tops"),
        ('{"op":"subscribe","channels":"tops"}', "Expected `array`"),
        ('{"op":"subscribe","channels":["tops"],"history":"x"}', "Expected `int`"),
        (b"\xff\x00", "malformed"),
        ("x" * 70_000, "at most"),
    ],
)
async def test_junk_from_a_client_is_answered_not_fatal(site: Site, junk: str | bytes, why: str) -> None:
    async with site.client() as client:
        await answer(client)
        await client.send(junk)
        error = await answer(client)
        assert error["type"] == "error"
        assert why in error["message"]
        await ask(client, op="ping", id=1)
        assert (await answer(client))["type"] == "pong"


async def test_a_slow_client_is_closed_and_others_lose_nothing(site: Site) -> None:
    n, text = 1200, "x" * 50_000
    async with site.client() as fast, site.client() as slow:
        narrow(slow)
        for one in (fast, slow):
            await answer(one)
            await ask(one, op="subscribe", channels=["status"])
        await ask(fast, op="ping")
        await answer(fast)
        slow.transport.pause_reading()  # it reads nothing more from its socket
        assert n * len(text) > 4 * MAX_WAITING_BYTES

        async def publish() -> None:
            for seq in range(1, n + 1):
                site.publish(seq, reason=text)
                await asyncio.sleep(0.001)

        publishing, got = asyncio.create_task(publish()), 0
        while got < n:
            delta = await answer(fast)
            assert delta["seq"] - len(delta["rows"]) == got
            got = delta["seq"]
        await publishing
        assert site.hub.n_slow == 1
        slow.transport.resume_reading()
        await closing(slow)


async def test_snapshots_larger_than_the_limit_reach_a_client_that_reads(site: Site) -> None:
    keys, text = [f"S{i}-USD" for i in range(12)], "x" * 1500
    for symbol in keys:
        for seq in range(1, RING + 1):
            site.publish(seq, symbol, text)
    assert len(keys) * RING * len(text) > 2 * MAX_WAITING_BYTES
    async with site.client() as client:
        await answer(client)
        await ask(client, op="subscribe", channels=["status"], history=RING)
        got: dict[str, list[int]] = {}
        last = RING
        while len(got) < len(keys) or any(seqs[-1] < last for seqs in got.values()):
            message = await answer(client)
            got.setdefault(message["key"], []).extend(row["seq"] for row in message["rows"])
            if len(got) < len(keys):
                last += 1
                for symbol in keys:  # what comes meanwhile is in a snapshot that waits, or a delta after it
                    site.publish(last, symbol)
    for seqs in got.values():
        assert seqs == list(range(seqs[0], last + 1))
    assert site.hub.n_slow == 0


async def test_asking_again_without_reading_leaves_one_snapshot_waiting(site: Site) -> None:
    for seq in range(1, RING + 1):
        site.publish(seq, reason="x" * 1500)
    async with site.client() as client:
        narrow(client)
        await answer(client)
        client.transport.pause_reading()
        for _ in range(500):  # of 1.5 MB each
            await ask(client, op="subscribe", channels=["status"], history=RING)
        await asyncio.sleep(0.1)
        site.publish(RING + 1, reason="last")
        client.transport.resume_reading()
        snapshots, last = 0, 0
        while last <= RING:
            message = await answer(client)
            snapshots, last = snapshots + (message["type"] == "snapshot"), message["seq"]
        assert snapshots < 50  # what the kernel took before it was full, and the one that waited
        assert site.hub.n_slow == 0


async def test_answers_that_nobody_reads_close_the_connection(site: Site) -> None:
    async with site.client() as client:
        narrow(client)
        await answer(client)
        client.transport.pause_reading()

        async def ping() -> None:
            with suppress(ConnectionClosed):
                while True:
                    await ask(client, op="ping", id="x" * 60_000)

        pinging = asyncio.create_task(ping())  # it stands still from when the server no longer reads
        async with asyncio.timeout(60):
            while site.hub.n_slow == 0:
                await asyncio.sleep(0.001)
        client.transport.resume_reading()
        reason = "too slow: more than 8 MB wait; connect again and ask for less"
        assert (await closing(client)).rcvd == Close(1013, reason)
        await pinging


async def test_a_key_can_be_left_out_of_all_and_taken_in_again(site: Site) -> None:
    async with site.client() as client:
        await answer(client)
        await ask(client, op="subscribe", channels=["status"])
        await ask(client, op="unsubscribe", channels=["status"], keys=["kraken:BTC-USD"])
        await ask(client, op="ping", id=1)
        await answer(client)
        site.publish(1, "BTC-USD")
        site.publish(1, "ETH-USD")
        assert (await answer(client))["key"] == "kraken:ETH-USD"
        await ask(client, op="subscribe", channels=["status"], keys=["kraken:BTC-USD"])
        snapshot = await answer(client)
        assert (snapshot["type"], snapshot["key"]) == ("snapshot", "kraken:BTC-USD")
        site.publish(2, "BTC-USD")
        assert (await answer(client))["seq"] == 2


async def test_pages_get_the_beginning_of_a_dead_letter_and_the_store_all_of_it(site: Site) -> None:
    site.bus.subscribe(lambda topic, key, record: site.store.write([record]))
    small = DeadLetter(1, "a:1", "kraken", None, "not JSON", b"y" * MAX_PAYLOAD)
    large = DeadLetter(2, "a:2", "kraken", None, "not JSON", b"x" * 5_000_000)
    async with site.client() as client:
        await answer(client)
        site.bus.publish(small)
        site.bus.publish(large)
        await ask(client, op="subscribe", channels=["dead-letters"], history=2)
        snapshot = await answer(client)
    cut = DeadLetter(
        2, "a:2", "kraken", None, "not JSON (the payload is the first 2048 of 5000000 bytes)", b"x" * MAX_PAYLOAD
    )
    assert snapshot["key"] == "kraken:None"
    assert [codec.decode(DeadLetter, json.dumps(row).encode()) for row in snapshot["rows"]] == [small, cut]
    site.store.flush()
    assert site.store.read("dead-letters", "kraken:None") == [small, large]


async def test_clients_that_leave_are_forgotten(site: Site) -> None:
    for _ in range(5):
        async with site.client() as client:
            await answer(client)
            await ask(client, op="subscribe", channels=["status"])
    for seq in range(100):
        site.publish(seq + 1)
        await asyncio.sleep(0.002)
    assert not site.hub._clients


async def test_rest_ranges_limits_and_errors(site: Site) -> None:
    site.store.write([Status("kraken", "BTC-USD", i, i, i, "LIVE", "") for i in range(20)])
    site.store.flush()
    site.publish(1)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{site.port}", timeout=60.0) as http:
        rows = (await http.get("/api/status/kraken:BTC-USD?start_ns=3&end_ns=9&limit=2")).json()
        assert [row["seq"] for row in rows["rows"]] == [7, 8]
        assert (await http.get("/api/status")).json() == {"topic": "status", "keys": ["kraken:BTC-USD"]}
        assert (await http.get("/api/status/no:where")).json()["rows"] == []
        assert (await http.get("/api/nothing")).status_code == 404
        assert "there are tops" in (await http.get("/api/nothing/x")).json()["detail"]
        edges = f"start_ns={-(2**63)}&end_ns={2**63 - 1}"
        assert len((await http.get(f"/api/status/kraken:BTC-USD?{edges}")).json()["rows"]) == 20
        beyond = (f"start_ns={10**20 - 1}", f"end_ns={2**63}", f"start_ns={-(2**63) - 1}")
        for bad in ("limit=0", "limit=10001", "limit=x", "start_ns=soon", *beyond):
            refused = await http.get(f"/api/status/kraken:BTC-USD?{bad}")
            assert refused.status_code == 422
            assert refused.json()["detail"].startswith(f"{bad.partition('=')[0]}: Input should be")
        health = (await http.get("/api/health")).json()
        assert (health["status"], health["source"], health["counts"]["status"]) == ("ok", "SIMULATED", 1)
        assert (await http.get("/api/instruments")).json()[0]["symbol"] == "BTC-USD"
        assert {spec["name"] for spec in (await http.get("/api/feature-specs")).json()} > {"mid", "vpin"}
        assert "make setup" in (await http.get("/")).text


async def test_the_page_is_served_with_caching_of_hashed_assets(tmp_path: Path) -> None:
    (tmp_path / "dist/assets").mkdir(parents=True)
    (tmp_path / "dist/index.html").write_text("<title>page</title>")
    (tmp_path / "dist/assets/a-123.js").write_text("1")
    site = Site(tmp_path)
    app = create_app(site.hub, site.store, tmp_path / "dist")
    async with (
        serving(app, "127.0.0.1", 0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as http,
    ):
        index, asset = await http.get("/"), await http.get("/assets/a-123.js")
        assert "<title>page" in index.text
        assert index.headers["cache-control"] == "no-cache"
        assert "immutable" in asset.headers["cache-control"]
        assert (await http.get("/../pyproject.toml")).status_code == 404
        assert (await http.get("/api/health")).json()["status"] == "ok"
    site.store.close()


async def test_a_taken_port_is_named(site: Site) -> None:
    with pytest.raises(InputError, match=f"port {site.port}.*PORT="):
        async with serving(site.app, "127.0.0.1", site.port):
            pass


async def test_the_list_of_routes_needs_nothing_from_elsewhere(site: Site) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{site.port}", timeout=60.0) as http:
        page = (await http.get("/api/docs")).text
        assert "GET /api/{topic}/{key} ? start_ns, end_ns, limit<" in page
        assert "POST /api/replay<" in page
        assert "<script" not in page
        assert "//" not in page
        assert (await http.get("/redoc")).status_code == 404
        assert (await http.get("/api/openapi.json")).json()["info"]["title"] == "Quicksilver"
