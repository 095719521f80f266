"""One write into one table, without Spark: what it is told, and what is done when it never begins."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

table_saver = pytest.importorskip("jobs.table_saver")
SPARK = SimpleNamespace(sparkContext=SimpleNamespace(statusTracker=lambda: SimpleNamespace(getActiveJobsIds=list)))


class Frame:
    """Spark's frame and its writer, as far as they are used here."""

    def __init__(self, save: Callable[[], None]) -> None:
        self.options: dict[str, str] = {}
        self.write, self.save = self, save

    def format(self, _: str) -> "Frame":
        return self

    def mode(self, _: str) -> "Frame":
        return self

    def option(self, name: str, value: str) -> "Frame":
        self.options[name] = value
        return self


def test_a_write_has_its_own_time_and_life() -> None:
    frame: Any = Frame(lambda: None)
    table_saver.TableSaver(SPARK, "k").save(frame, "candles", 17, 60)
    assert frame.options["spark.cassandra.output.timestamp"] == "17"
    assert frame.options["spark.cassandra.output.ttl"] == "60"
    assert (frame.options["keyspace"], frame.options["table"]) == ("k", "candles")


def test_a_write_that_never_begins_is_given_up_and_the_next_has_another_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table_saver, "LOOK_S", 0.01)
    ended = threading.Event()

    def wait() -> None:
        ended.wait()

    saver = table_saver.TableSaver(SPARK, "k", hung_s=0.05)
    hanging, next_one = Frame(wait), Frame(lambda: None)
    try:
        with pytest.raises(table_saver.HungError):
            saver.save(hanging, "candles", 17)
        saver.renew()
        saver.save(next_one, "candles", 17)
    finally:
        ended.set()
    name = "spark.cassandra.connection.keepAliveMS"
    assert hanging.options[name] != next_one.options[name]


def test_what_a_write_fails_with_is_raised() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        table_saver.TableSaver(SPARK, "k").save(Frame(fail), "candles", 17)
