"""What ``persist`` says of itself, without Spark and Kafka."""

import threading
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

stream_watch = pytest.importorskip("jobs.stream_watch", reason="pyspark is not installed")


def progress(**offsets: Any) -> dict[str, Any]:
    return {"batchId": 3, "sources": [{f"{name}Offset": ends for name, ends in offsets.items()}]}


@pytest.mark.parametrize(
    ("given", "behind"),
    [
        (None, "not yet known how many"),
        ({"start": {"tops": {"0": 1}}, "end": {"tops": {"0": 5}}, "latest": {"tops": {"0": 9, "1": 2}}}, "6"),
        ({"start": {"tops": {"0": 1}}, "end": {"tops": {"0": 5}}, "latest": {"tops": {"0": 3}}}, "0"),
    ],
)
def test_how_many_messages_it_is_behind(given: dict[str, Any] | None, behind: str) -> None:
    writer, said = SimpleNamespace(rows=Counter(), messages={}, refused=0, unreadable=0), list[str]()
    watch = stream_watch.StreamWatch(writer, "x", said.append, threading.Event())
    if given is not None:
        watch._note(progress(**given))
    watch._progress()
    assert f", {behind} messages behind," in said[0]
