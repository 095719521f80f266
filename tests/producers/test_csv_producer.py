"""The CSV producer as a user meets it: to a real Kafka's topic ``price``, or to standard output."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from producers.csv_prices import CsvFile
from producers.sessions import csv_session
from quicksilver import codec
from quicksilver.events import Price
from quicksilver.records import DeadLetter
from quicksilver.streaming.message import Headers
from tests.kafka_broker import Broker, broker, needs_java

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "producers/csv_producer.py"
NOON = 1_600_000_000


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def produce(*arguments: str, servers: str = "", **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, SCRIPT, *arguments]
    environment = os.environ | {"KAFKA_SERVERS": servers}
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False, env=environment, **options)  # type: ignore[call-overload]


@contextmanager
def script(node: Broker, path: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The script at work, which is not left behind."""
    process = subprocess.Popen(
        [sys.executable, SCRIPT, str(path), *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"KAFKA_SERVERS": node.servers},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_the_script_prints_events_and_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "btcusd.csv", f"time,price\n{NOON},5\nx,y\n{NOON + 60},6\n{NOON + 60},6\n")
    done = produce(str(path), "--loop", "2", "--out", "-")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(event["seq"], event["price"]) for event in events] == [(1, 5.0), (2, 6.0), (3, 5.0), (4, 6.0)]
    assert [event["ts_event_ns"] // 10**9 - NOON for event in events] == [0, 60, 120, 180]
    assert b":3: " in done.stderr
    assert json.loads(done.stderr.splitlines()[-1])["published"] == 4
    assert done.returncode == 0


def test_the_script_paces_steps_and_ends_quietly(tmp_path: Path) -> None:
    path = write(tmp_path / "btcusd.csv", "time,price\n" + "".join(f"{NOON + i},{5 + i}\n" for i in range(3000)))
    stepped = produce(str(path), "--step", "--loop", "1", "--out", "-", input=b"\n" * 3000)
    assert len(stepped.stdout.splitlines()) == 3000
    endless = subprocess.Popen(
        [sys.executable, SCRIPT, str(path), "--speed", "1", "--loop", "0", "--out", "-"], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert endless.stdout is not None
        assert b'"price":5.0' in endless.stdout.readline()
        assert b'"price":6.0' in endless.stdout.readline()
        endless.send_signal(signal.SIGINT)
        assert endless.wait(10) == 130
        assert endless.stderr is not None
        assert b"Traceback" not in endless.stderr.read()
    finally:
        endless.kill()
        endless.communicate()


def test_the_script_survives_a_reader_that_leaves(tmp_path: Path) -> None:
    path = write(tmp_path / "btcusd.csv", "time,price\n" + "".join(f"{NOON + i},{5 + i}\n" for i in range(50_000)))
    command = f"{sys.executable} {SCRIPT} {path} --out - | head -1"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, capture_output=True, timeout=60, check=True)
    assert b"Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["/nowhere.csv"], ["README.md"], ["pyproject.toml", "--speed", "fast"], ["x", "--out", "y"]]
)
def test_the_script_exits_2_with_a_sentence(arguments: list[str]) -> None:
    done = produce(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: ")


# Kafka


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with broker(tmp_path_factory.mktemp("kafka")) as made:
        yield made


@needs_java[0]
@needs_java[1]
def test_missing_topics_are_named_with_their_remedy(tmp_path: Path) -> None:
    path = write(tmp_path / "btcusd.csv", f"time,price\n{NOON},5\n")
    with broker(tmp_path, topics=False) as bare:
        done = produce(str(path), servers=bare.servers)
    why = (
        f"Kafka at {bare.servers} has no topic dead-letters, price: `quicksilver topics apply` creates what is missing"
    )
    assert (done.returncode, done.stderr.decode()) == (2, f"error: {why}\n")


@needs_java[0]
@needs_java[1]
def test_the_script_publishes_with_no_more_than_its_file(node: Broker, tmp_path: Path) -> None:
    path = write(tmp_path / "btcusd.csv", f"time,price\n{NOON},5\nx,y\n{NOON + 60},6\n{NOON + 60},6\n")
    done = produce(str(path), servers=node.servers)
    assert (done.returncode, done.stdout) == (0, b"")
    session = csv_session(CsvFile(path))
    assert json.loads(done.stderr.splitlines()[-1]) == {
        "session": session, "published": 2, "duplicates": 1, "rejected": 1, "topics": {"dead-letters": 1, "price": 2},
        "undelivered": 0,
    }  # fmt: skip
    found = node.read("price", session=session)
    assert [one.headers for one in found] == [
        Headers(s=session, n=str(n), g=str(n), i="60000000000", u="every-60s") for n in (1, 2)
    ]
    assert [codec.decode(Price, one.value).price for one in found] == [5.0, 6.0]
    assert {one.key for one in found} == {"csv:BTC-USD"}
    (letter,) = node.read("dead-letters", session=session)
    assert codec.decode(DeadLetter, letter.value).source == f"{path}:3"
    again = produce(str(path), "--session", "anew", servers=node.servers)
    assert again.returncode == 0
    assert [one.value for one in node.read("price", session="anew")] == [one.value for one in found]


@needs_java[0]
@needs_java[1]
def test_the_script_killed_and_started_again_repeats_the_same_messages(node: Broker, tmp_path: Path) -> None:
    path = write(tmp_path / "ethusd.csv", "time,price\n" + "".join(f"{NOON + i},{5 + i}\n" for i in range(2_000)))
    session = csv_session(CsvFile(path))
    with script(node, path, "--speed", "200") as process:
        before = node.end("price")
        while node.end("price") < before + 300:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    assert produce(str(path), servers=node.servers).returncode == 0
    found = node.read("price", session=session)
    same = {(one.number, one.value, one.headers) for one in found}
    assert (len(same), len(found) >= 2_300) == (2_000, True)


@needs_java[0]
@needs_java[1]
def test_the_script_interrupted_delivers_what_it_has(node: Broker, tmp_path: Path) -> None:
    path = write(tmp_path / "solusd.csv", "time,price\n" + "".join(f"{NOON + i},{5 + i}\n" for i in range(2_000)))
    with script(node, path, "--speed", "max", "--loop", "0") as process:
        before = node.end("price")
        while node.end("price") < before + 3_000:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    counts = json.loads(err.splitlines()[-1])
    found = node.read("price", session=csv_session(CsvFile(path), None))
    assert (counts["published"], counts["undelivered"]) == (len(found), 0)
    assert [one.number for one in found] == list(range(1, len(found) + 1))
