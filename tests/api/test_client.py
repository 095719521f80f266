"""What waits for one websocket: in what order it goes, what is counted, what is let go."""

import json
from typing import Any

import pytest

from api.client import MAX_KEY_CHARS, MAX_WAITING_BYTES, Client
from api.streams import RING, RING_BYTES, Stream


def stream(key: str, n: int = 0) -> Stream:
    made = Stream("tops", key)
    for i in range(1, n + 1):
        made.append(b"%d" % i)
    return made


def publish(client: Client, to: Stream) -> None:
    to.append(b"%d" % (to.seq + 1))
    client.take(to, to.rows[-1])


def message(kind: str, key: str, seq: int, rows: list[int]) -> dict[str, Any]:
    return {"type": kind, "channel": "tops", "key": key, "seq": seq, "rows": rows}


def due(client: Client) -> list[dict[str, Any]]:
    return [json.loads(one) for one in client.due()]


def test_answers_go_first_then_a_snapshot_a_round_then_all_deltas() -> None:
    client, a, b, c = Client(), stream("a", 3), stream("b", 2), stream("c")
    client.owe_snapshot(a, 2)
    client.owe_snapshot(b, RING)
    for one in (c, a, b, c):
        publish(client, one)
    client.answer(b'{"type":"pong"}')
    first = [{"type": "pong"}, message("snapshot", "a", 4, [3, 4]), message("delta", "c", 2, [1, 2])]
    assert due(client) == first
    publish(client, a)
    publish(client, b)
    assert due(client) == [message("snapshot", "b", 4, [1, 2, 3, 4]), message("delta", "a", 5, [5])]
    assert (due(client), client.waiting_bytes) == ([], 0)


def test_rows_between_two_messages_follow_without_loss() -> None:
    client, a, b = Client(), stream("a", 1), stream("b")
    client.owe_snapshot(a, 1)
    publish(client, b)
    going = client.due()
    assert json.loads(next(going)) == message("snapshot", "a", 1, [1])
    publish(client, a)
    publish(client, b)
    assert [json.loads(one) for one in going] == [message("delta", "b", 2, [1, 2]), message("delta", "a", 2, [2])]


def test_a_snapshot_takes_the_place_of_what_waits_of_its_stream() -> None:
    client, a = Client(), stream("a")
    publish(client, a)
    for history in (1, RING, -5, 2):
        client.owe_snapshot(a, history)
        publish(client, a)
    assert client.waiting_bytes == 0
    assert due(client) == [message("snapshot", "a", 5, [4, 5])]


def test_a_subscription_may_be_all_but_some_keys() -> None:
    client = Client()

    def wanted() -> list[str]:
        return [key for key in "abc" if client.wants("tops", key)]

    steps: list[tuple[Any, list[str] | None, list[str]]] = [
        (client.unsubscribe, ["a"], []),
        (client.subscribe, ["a"], ["a"]),
        (client.subscribe, None, ["a", "b", "c"]),
        (client.unsubscribe, ["a", "b"], ["c"]),
        (client.subscribe, ["b"], ["b", "c"]),
        (client.subscribe, None, ["a", "b", "c"]),
        (client.unsubscribe, None, []),
        (client.subscribe, ["b"], ["b"]),
    ]
    for work, keys, after in steps:
        work("tops", keys)
        assert wanted() == after
    assert not client.wants("trades", "b")


def test_what_is_unsubscribed_waits_no_longer() -> None:
    client, a, b, c = Client(), stream("a"), stream("b", 1), stream("c")
    client.subscribe("tops", None)
    client.owe_snapshot(b, 1)
    publish(client, a)
    publish(client, c)
    client.unsubscribe("tops", ["a", "b"])
    assert due(client) == [message("delta", "c", 1, [1])]
    assert client.waiting_bytes == 0


@pytest.mark.parametrize("kind", ["answers", "rows"])
def test_all_that_waits_is_counted_also_what_is_on_its_way(kind: str) -> None:
    client, a, part = Client(), stream("a"), b"x" * (MAX_WAITING_BYTES // 4)

    def add() -> None:
        if kind == "answers":
            client.answer(part)
        else:
            client.take(a, part)

    add()
    on_its_way = client.due()
    next(on_its_way)
    for _ in range(3):
        add()
    assert (client.waiting_bytes, client.too_slow.is_set()) == (MAX_WAITING_BYTES, False)
    add()
    assert (client.waiting_bytes, client.too_slow.is_set()) == (MAX_WAITING_BYTES, True)


def test_the_keys_that_a_client_names_are_bounded() -> None:
    client = Client()
    client.subscribe("tops", ["x" * MAX_KEY_CHARS])
    with pytest.raises(ValueError, match="more than 262144 characters"):
        client.subscribe("trades", ["y"])
    client.unsubscribe("tops", None)
    client.subscribe("trades", None)
    with pytest.raises(ValueError, match="more than 262144 characters"):
        client.unsubscribe("trades", ["x" * MAX_KEY_CHARS, "y"])


def test_a_stream_of_large_rows_keeps_fewer_and_always_the_last() -> None:
    one = Stream("full-books", "k")
    rows = [b'"%d%s"' % (i, b"x" * (RING_BYTES // 4)) for i in range(6)]
    for row in rows:
        one.append(row)
    assert list(one.rows) == rows[-3:]
    assert (one.bytes, one.seq) == (sum(map(len, rows[-3:])), 6)
    huge = b'"%s"' % (b"y" * 2 * RING_BYTES)
    one.append(huge)
    assert (list(one.rows), one.bytes) == ([huge], len(huge))
