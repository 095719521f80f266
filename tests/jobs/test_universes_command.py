"""Universes on a real Kafka: what a file that is applied tells the portfolio job, and what is listed."""

from pathlib import Path

import msgspec

from jobs.universe_watch import universes_of
from quicksilver import codec
from quicksilver.portfolio.config import Universe
from tests.jobs.test_train_command import quicksilver
from tests.jobs.test_universes import FAST, SLOW
from tests.kafka_broker import broker, needs_java

pytestmark = needs_java


def test_a_file_is_applied_to_the_topic_and_listed(tmp_path: Path) -> None:
    file = tmp_path / "universes.toml"
    file.write_text(FAST + SLOW)
    with broker(tmp_path / "kafka") as kafka:

        def told(*arguments: object) -> str:
            done = quicksilver("universes", *arguments, KAFKA_SERVERS=kafka.servers)
            assert done.exit_code == 0, done.stderr
            return done.stdout

        assert "none was applied" in told("list")
        assert told("apply", file) == '{"applied":["fast","slow"],"ended":[],"of":"auto"}\n'
        assert told("apply", file) == '{"applied":[],"ended":[],"of":"auto"}\n'
        fast, slow = universes_of(file)
        file.write_text(FAST.replace("1s", "3s"))
        assert told("apply", file) == '{"applied":["fast"],"ended":["slow"],"of":"auto"}\n'
        (changed,) = universes_of(file)
        assert "fast" in told("list")
        assert msgspec.json.decode(told("list", "--json"), type=list[Universe]) == [Universe("auto", "fast", changed)]
        messages = kafka.read("universes")
        assert [codec.decode(Universe, one.value) for one in messages] == [
            Universe("auto", "fast", fast), Universe("auto", "slow", slow), Universe("auto", "fast", changed),
            Universe("auto", "slow", None),
        ]  # fmt: skip
        assert {(one.key, one.headers.u) for one in messages} == {("auto/fast", "auto"), ("auto/slow", "auto")}
