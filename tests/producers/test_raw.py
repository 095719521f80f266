"""Topic ``raw`` on a real Kafka: frames come back byte for byte and in order, and what is missing is said."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from jobs.cli import app
from jobs.live import SimulatorSource
from jobs.record import record_source
from jobs.record_command import RecordSettings
from producers.exchanges.base import ignore
from producers.frames import Frame
from producers.kafka import client_settings
from producers.raw import RawPublisher
from producers.raw_reader import read_raw
from producers.tapes import read_frames
from producers.tapes.own import OwnLine, encode_line
from quicksilver import codec
from quicksilver.raw import RawFrame
from quicksilver.records import DeadLetter
from quicksilver.topics import RAW, key_of
from tests.kafka_broker import Broker, broker, needs_java
from tests.producers.test_tapes import bare

START = 1_790_000_000_000_000_000


@pytest.mark.parametrize("payload", [b"", b'{"a":"\xc3\xa9"}', b"\xff\x00"])
def test_a_line_is_the_record_of_the_topic(payload: bytes) -> None:
    frame = Frame("kraken", "kraken.1", "rest", START, payload, "https://x")
    line = OwnLine.of(frame)
    record = codec.decode(RawFrame, encode_line(line))
    assert codec.encode(record) == encode_line(line)
    assert key_of(record) == "kraken:kraken.1"
    assert bare(codec.decode(OwnLine, codec.encode(record)).frame("")) == bare(frame)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with broker(tmp_path_factory.mktemp("kafka")) as made:
        yield made


@asynccontextmanager
async def publishing(node: Broker, session: str, **given: Any) -> AsyncIterator[RawPublisher]:
    made = RawPublisher(node.servers, session, print, **given)
    try:
        await made.connect([RAW.name])
        yield made
        await made.flush()
    finally:
        made.discard()


def frame_of(i: int, start_ns: int) -> Frame:
    payload = b"%d \xff" % i * (i % 2 + 1)
    return Frame(f"v{i % 3}", f"v{i % 3}.{i % 5}", "recv", start_ns + i * 1000 - i % 7 * 5000, payload)


def frames_of(n: int, start_ns: int) -> list[Frame]:
    """Several venues and connections; receive times go back now and then, as they do between venues."""
    return [
        Frame(
            f"v{i % 3}", f"v{i % 3}.{i % 5}", "recv", start_ns + i * 1000 - i % 7 * 5000, b"%d \xff" % i * (i % 2 + 1)
        )
        for i in range(n)
    ]


class TestKafka:
    pytestmark = needs_java

    async def test_frames_come_back_in_the_order_in_which_they_were_recorded(
        self, node: Broker, tmp_path: Path
    ) -> None:
        frames = frames_of(5_000, START)
        async with publishing(node, "one") as made:
            for frame in frames:
                await made.frame(frame)
        letters: list[DeadLetter] = []
        assert [bare(one) for one in read_raw(node.servers, letters.append)] == [bare(one) for one in frames]
        assert letters == []
        out = tmp_path / "raw.zst"
        done = CliRunner().invoke(app, ["tape", "convert", "kafka:raw", str(out), "--servers", node.servers])
        assert (done.exit_code, json.loads(done.stdout)["frames"]) == (0, len(frames)), done.output
        assert [bare(one) for one in read_frames(out)] == [bare(one) for one in frames]

    async def test_a_span_of_several_sessions_is_merged_and_what_is_missing_ends_its_connection(
        self, node: Broker
    ) -> None:
        later = START + 10**12
        mine = frames_of(300, later)
        other = [Frame("w", "w.1", "recv", later + i * 7000, b"w%d" % i) for i in range(50)]
        mine[100] = Frame("v1", "v1.0", "recv", later + 100_000, b"x" * 5000)
        async with publishing(node, "two", max_bytes=2_000) as first, publishing(node, "three") as second:
            for i, frame in enumerate(mine):
                await first.frame(frame)
                if i < 50:
                    await second.frame(other[i])
        letters: list[DeadLetter] = []
        found = [bare(one) for one in read_raw(node.servers, letters.append, start_ns=later - 10**9)]
        end = next(one for one in found if one[2] == "disconnect")
        assert end[:2] == ("v1", "v1.0")
        assert [letter.reason for letter in letters] == ["message 8 of v1:v1.0 follows 6: 1 not there"]
        rest = [one for one in found if one is not end]
        assert [one for one in rest if one[0] == "w"] == [bare(one) for one in other]
        assert [one for one in rest if one[0] != "w"] == [bare(one) for one in mine if len(one.payload) < 5000]
        until = [bare(one) for one in read_raw(node.servers, ignore, later - 10**9, later + 50_000)]
        assert until == [one for one in found if one[3] < later + 50_000]  # type: ignore[operator]

    async def test_the_recorder_publishes_what_it_writes_to_the_tape(self, node: Broker, tmp_path: Path) -> None:
        before_ns, stop, said = time.time_ns(), asyncio.Event(), list[str]()
        given: dict[str, Any] = {"record": tmp_path, "raw": True, "kafka_servers": node.servers, "source": "sim"}
        settings = RecordSettings(**given)
        asyncio.get_running_loop().call_later(2.0, stop.set)
        assert await record_source(SimulatorSource(7), settings, said.append, stop) == 0
        recorded = [bare(one) for one in read_frames(tmp_path)]
        assert [bare(one) for one in read_raw(node.servers, ignore, before_ns)] == recorded
        assert json.loads(said[-1])["frames"] == len(recorded) > 50

    async def test_messages_of_others_are_dead_letters_and_numbers_may_be_missing(self, node: Broker) -> None:
        other = Producer(client_settings(node.servers))
        before_ns = time.time_ns()
        for i in range(3):
            other.produce(RAW.name, encode_line(OwnLine.of(Frame("x", "x", "recv", before_ns + i, b"%d" % i))), b"x:x")
        other.produce(RAW.name, b"junk", b"x:x")
        other.flush(10)
        letters: list[DeadLetter] = []
        assert [one.payload for one in read_raw(node.servers, letters.append, before_ns)] == [b"0", b"1", b"2"]
        ((why, payload),) = [(letter.reason[:12], letter.payload) for letter in letters]
        assert (why, payload) == ("not a frame:", b"junk")

    def test_a_kafka_without_the_topic_is_one_sentence(self, tmp_path: Path) -> None:
        done = CliRunner().invoke(
            app, ["tape", "convert", "kafka:raw", str(tmp_path / "x"), "--servers", "127.0.0.1:1"]
        )
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith("error: Kafka at 127.0.0.1:1 does not answer")
        assert not (tmp_path / "x").exists()
