"""The channels that are made of frontiers: changed picks by each client's threshold, and clouds in binary."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Close

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.picks import MOST_NAMED, Followed, PickRow, PickStream
from api.server import serving
from api.store_sqlite import SqliteStore
from api.streams import Stream
from quicksilver import codec
from quicksilver.memory import MemoryBus
from quicksilver.portfolio.costs import Costs
from quicksilver.records import Frontier, Pick
from tests.api.test_serving import closing, narrow
from tests.frontiers import SECOND_NS, frontier, waiting


class Site:
    def __init__(self, folder: Path) -> None:
        self.bus, self.hub = MemoryBus(), Hub(SourceInfo("LIVE", "a test"))
        self.store = SqliteStore(folder / "x.sqlite")
        self.bus.subscribe(self.hub.on_record)
        self.app, self.port = create_app(self.hub, self.store, None), 0

    def client(self) -> connect:
        return connect(f"ws://127.0.0.1:{self.port}/ws", max_size=None)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    async with serving(made.app, "127.0.0.1", 0) as made.port:
        yield made
    made.store.close()


async def ask(client: ClientConnection, **request: Any) -> None:
    await client.send(json.dumps(request))
    await client.send(json.dumps({"op": "ping", "id": 0}))


async def told(client: ClientConnection) -> list[Any]:
    """Return what came until the next pong and, for a snapshot may come after that, until the one that is asked for."""
    messages = []
    await client.send(json.dumps({"op": "ping", "id": "last"}))
    while True:
        message = await asyncio.wait_for(client.recv(), 60)
        if isinstance(message, bytes):
            messages.append(message)
            continue
        said = json.loads(message)
        if said == {"type": "pong", "id": "last"}:
            return messages
        if said["type"] not in {"pong", "welcome"}:
            messages.append(said)


async def settled(client: ClientConnection) -> list[Any]:
    """Return all that waits: deltas follow answers, so what two pongs enclose is all of it."""
    first = await told(client)
    await asyncio.sleep(0.05)
    return first + await told(client)


def of(seq: int, weights: list[float], **more: Any) -> Frontier:
    """Return a frontier of two assets and one pick."""
    pick = Pick(weights, 1.0, 2.0, 0.5)
    fields: dict[str, Any] = {"picks": {"max_sharpe": pick}, "absent": {}, "prices": [], "ages_ns": [], "held": []}
    return frontier(seq, seq * SECOND_NS, assets=["A-USD", "B-USD"], **(fields | more))


def weights_of(rows: list[Any]) -> list[list[float]]:
    return [row["picks"]["max_sharpe"]["weights"] for row in rows]


async def test_each_client_gets_the_picks_that_moved_beyond_its_own_threshold(site: Site) -> None:
    site.bus.publish(of(1, [0.5, 0.5]))
    async with site.client() as fine, site.client() as coarse:
        await ask(fine, op="subscribe", channels=["picks"])
        await ask(coarse, op="subscribe", channels=["picks"], threshold=0.1)
        for client in (fine, coarse):
            (snapshot,) = await settled(client)
            assert (snapshot["type"], snapshot["key"], snapshot["seq"]) == ("snapshot", "majors", 1)
            assert weights_of(snapshot["rows"]) == [[0.5, 0.5]]
            assert not {"cloud", "frontier", "frontier_weights", "correlation"} & set(snapshot["rows"][0])
        path = [[0.48, 0.52], [0.46, 0.54], [0.46, 0.54], [0.44, 0.56], [0.45, 0.55]]
        for seq, weights in enumerate(path, 2):
            site.bus.publish(of(seq, weights))
        fine_rows = [row for message in await settled(fine) for row in message["rows"]]
        assert weights_of(fine_rows) == [path[0], path[1], path[3], path[4]]
        (delta,) = await settled(coarse)
        assert (delta["type"], delta["seq"], weights_of(delta["rows"])) == ("delta", 2, [[0.44, 0.56]])


async def test_numbers_have_no_hole_and_begin_anew_with_a_snapshot(site: Site) -> None:
    async with site.client() as client:
        await ask(client, op="subscribe", channels=["picks"], keys=["majors"], threshold=0.05)
        assert await settled(client) == []
        for seq in range(1, 40):
            site.bus.publish(of(seq, [seq / 100, 1 - seq / 100]))
            await asyncio.sleep(0)
        last = 0
        for message in await settled(client):
            assert message["seq"] - len(message["rows"]) == last
            last = message["seq"]
        assert last == 13  # each third is 0.06 from the one before
        await ask(client, op="subscribe", channels=["picks"], keys=["majors"], threshold=0.05, history=1000)
        (snapshot,) = await settled(client)
        assert [row["seq"] for row in snapshot["rows"]] == list(range(1, 40, 3))
        site.bus.publish(of(40, [0.5, 0.5]))
        (delta,) = await settled(client)
        assert delta["seq"] - 1 == snapshot["seq"]
        await ask(client, op="unsubscribe", channels=["picks"], keys=["majors"])
        await settled(client)
        site.bus.publish(of(41, [0.0, 1.0]))
        assert await settled(client) == []


async def test_states_and_other_assets_are_told_whatever_the_threshold(site: Site) -> None:
    first = of(1, [0.5, 0.5])
    site.bus.publish(first)
    async with site.client() as client:
        await ask(client, op="subscribe", channels=["picks"], threshold=2)
        await settled(client)
        site.bus.publish(waiting(first, 2 * SECOND_NS, "A-USD has had no price for 9 s"))
        site.bus.publish(waiting(first, 3 * SECOND_NS, "A-USD has had no price for 9 s"))
        fallback = Pick([0.5, 0.5], 1.0, 2.0, 0.5, note="no mean is above cash")
        site.bus.publish(of(3, [0.5, 0.5], picks={"max_sharpe_fallback": fallback}))
        three = Pick([0.5, 0.5, 0.0], 1.0, 2.0, 0.5)
        more: dict[str, Any] = {"picks": {"max_sharpe_fallback": three}, "absent": {}}
        site.bus.publish(frontier(4, 4 * SECOND_NS, assets=["A-USD", "B-USD", "C-USD"], **more))
        rows = [row for message in await settled(client) for row in message["rows"]]
        assert [(row["state"], list(row["picks"]), row["gone"]) for row in rows] == [
            ("WAITING", [], []),
            ("LIVE", ["max_sharpe_fallback"], ["max_sharpe"]),
            ("LIVE", ["max_sharpe_fallback"], []),
        ]
        assert rows[-1]["assets"] == ["A-USD", "B-USD", "C-USD"]


async def test_another_configuration_is_told_whatever_the_threshold(site: Site) -> None:
    async with site.client() as client:
        site.bus.publish(of(1, [0.5, 0.5]))
        await ask(client, op="subscribe", channels=["picks"], threshold=2)
        await settled(client)
        site.bus.publish(of(2, [0.5, 0.5], sources=["bitstamp:A-USD", "kraken:B-USD"]))  # no news: a price stands in
        site.bus.publish(of(3, [0.5, 0.5], costs=Costs(1.0, 0.0, 0.0)))
        site.bus.publish(of(4, [0.5, 0.5], costs=Costs(1.0, 0.0, 0.0)))
        (row,) = (row for message in await settled(client) for row in message["rows"])
        assert (row["costs"]["fee_bps"], row["hold"], row["window"], row["picks"]) == (1.0, 3600, 600, {})


@pytest.mark.parametrize("threshold", [-0.1, 2.5])
async def test_a_threshold_that_is_none_is_refused(site: Site, threshold: float) -> None:
    async with site.client() as client:
        await ask(client, op="subscribe", channels=["picks"], threshold=threshold)
        (error,) = await settled(client)
        said = f"threshold {threshold:g}: give the total change of weights, from 0 to 2"
        assert error == {"type": "error", "message": said}


async def test_who_names_too_many_universes_follows_none_of_them(site: Site) -> None:
    async with site.client() as client:
        names = [str(i) for i in range(MOST_NAMED + 1)]
        await ask(client, op="subscribe", channels=["picks"], keys=[*names, of(1, []).universe])
        (error,) = await settled(client)
        assert error["message"].startswith(f"thresholds of {MOST_NAMED + 2} universes")
        site.bus.publish(of(1, [0.5, 0.5]))
        assert await settled(client) == []


def test_thresholds_of_universes_that_may_not_exist_are_bounded() -> None:
    followed = Followed()
    followed.set_threshold([str(i) for i in range(MOST_NAMED)], 0.5)
    with pytest.raises(ValueError, match="thresholds of 1001 universes, at most 1000"):
        followed.set_threshold(["one more"], 0.5)
    followed.set_threshold(None, 0.25)
    assert followed.stream(Stream("frontiers", "7")).threshold == 0.25


def test_what_is_sent_is_measured_from_what_was_sent_last_not_from_the_row_before() -> None:
    stream = PickStream(Stream("frontiers", "majors"), 0.1)
    sent = [stream.changed(PickRow.of(of(i, [0.5 + i / 64, 0.5 - i / 64]))) for i in range(12)]
    assert [i for i, rows in enumerate(sent) if rows] == [0, 4, 8]


def decoded(message: bytes) -> tuple[dict[str, Any], list[tuple[int, int, np.ndarray[Any, Any], np.ndarray[Any, Any]]]]:
    """Read a binary message as PROTOCOL.md describes it."""
    (length,) = struct.unpack_from("<I", message)
    head, at, rows = json.loads(message[4 : 4 + length]), 4 + length, []
    assert at % 8 == 0
    while at < len(message):
        ts_ns, seq, n_cloud, n_line = struct.unpack_from("<qqII", message, at)
        points = np.frombuffer(message, "<f4", 2 * (n_cloud + n_line), at + 24).reshape(-1, 2)
        rows.append((ts_ns, seq, points[:n_cloud], points[n_cloud:]))
        at += 24 + points.nbytes
    return head, rows


async def test_clouds_come_whole_in_binary_and_numbered(site: Site) -> None:
    records = [frontier(seq, seq * SECOND_NS) for seq in range(1, 5)]
    site.bus.publish(records[0])
    site.bus.publish(records[1])
    async with site.client() as client:
        await ask(client, op="subscribe", channels=["clouds"], history=2)
        (snapshot,) = await settled(client)
        site.bus.publish(records[2])
        site.bus.publish(records[3])
        (delta,) = await settled(client)
        for message, kind, seq, expected in ((snapshot, "snapshot", 2, records[:2]), (delta, "delta", 4, records[2:])):
            head, rows = decoded(message)
            assert head == {"type": kind, "channel": "clouds", "key": "majors", "seq": seq, "rows": 2}
            for row, record in zip(rows, expected, strict=True):
                assert row[:2] == (record.ts_event_ns, record.seq)
                np.testing.assert_array_equal(row[2], np.array(record.cloud, "<f4"))
                np.testing.assert_array_equal(row[3], np.array(record.frontier, "<f4"))


async def test_a_universe_that_waits_from_the_start_has_an_empty_cloud_and_no_picks(site: Site) -> None:
    site.bus.publish(Frontier("new", 1, 5, 5, SECOND_NS, [], 0, 0, [], {}, [], [], [], "WAITING", "1 asset, needs 2"))
    async with site.client() as client:
        await ask(client, op="subscribe", channels=["clouds", "picks"])
        cloud, picks = await settled(client)
        ((*head, points, line),) = decoded(cloud)[1]
        assert (head, len(points), len(line)) == ([5, 1], 0, 0)
        assert (picks["rows"][0]["picks"], picks["rows"][0]["reason"]) == ({}, "1 asset, needs 2")


async def test_who_follows_a_universe_and_reads_nothing_is_closed_and_others_lose_nothing(site: Site) -> None:
    points = [(float(i), 1.0) for i in range(20_000)]  # 160 kB in binary
    large, most = msgspec.structs.replace(frontier(1, SECOND_NS), cloud=points), 1000
    async with site.client() as slow, site.client() as other:
        narrow(slow)
        await ask(slow, op="subscribe", channels=["clouds", "picks"])
        await ask(other, op="subscribe", channels=["picks"])
        assert await settled(slow) + await settled(other) == []
        slow.transport.pause_reading()
        seq = 0
        while site.hub.n_slow == 0 and seq < most:
            seq += 1
            site.bus.publish(msgspec.structs.replace(large, seq=seq, ts_event_ns=seq * SECOND_NS))
            await asyncio.sleep(0.001)
        assert site.hub.n_slow == 1
        slow.transport.resume_reading()
        reason = "too slow: more than 8 MB wait; connect again and ask for less"
        assert (await closing(slow)).rcvd == Close(1013, reason)
        assert [row["seq"] for message in await settled(other) for row in message["rows"]] == [1]  # no weight moved


async def test_other_channels_have_the_same_rows_as_before(site: Site) -> None:
    record = frontier(1, SECOND_NS)
    async with site.client() as client:
        await ask(client, op="subscribe", channels=["frontiers"])
        await settled(client)
        site.bus.publish(record)
        (delta,) = await settled(client)
        assert delta["rows"] == [msgspec.json.decode(codec.encode(record))]


async def test_how_long_an_asset_is_absent_is_no_news(site: Site) -> None:
    site.bus.publish(of(1, [0.5, 0.5], absent={"C-USD": "no price for 61 s"}))
    async with site.client() as client:
        await ask(client, op="subscribe", channels=["picks"], threshold=2)
        await settled(client)
        site.bus.publish(of(2, [0.4, 0.6], absent={"C-USD": "no price for 62 s"}))
        assert await settled(client) == []
        site.bus.publish(of(3, [0.4, 0.6], absent={}))
        (delta,) = await settled(client)
        assert delta["rows"][0]["seq"] == 3
