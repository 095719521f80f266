"""A websocket reader as ``api/PROTOCOL.md`` wants it: it connects again, and drops the rows that it has."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.recovery.tape import Place, Rows, add

AGAIN_S = 0.1
MOST_ROWS = 10_000


class _Message(msgspec.Struct):
    type: str
    channel: str = ""
    key: str = ""
    seq: int = 0
    rows: list[msgspec.Raw] = []


class Reader:
    """Reads the channels and keys, in a thread; ``came`` are the times of new rows by channel."""

    def __init__(self, url: str, channels: Sequence[str], keys: Sequence[str]) -> None:
        self.rows: Rows = {}
        self.came: dict[str, list[float]] = {name: [] for name in channels}
        self.repeats = self.connections = 0
        self.failure: Exception | None = None
        self._url = url
        self._request = msgspec.json.encode(
            {"op": "subscribe", "channels": channels, "keys": keys, "history": 1000}
        ).decode()
        self._torn: set[Place] = set()  # streams whose first rows do not reach back to what is known
        self._seqs: dict[Place, int] = {}
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._thread = threading.Thread(target=self._run, name="websocket reader")

    def __enter__(self) -> "Reader":
        self._thread.start()
        assert self._connected.wait(60), "the API does not answer"
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    with connect(self._url.replace("http", "ws") + "ws", max_size=None, open_timeout=5) as socket:
                        self._read(socket)
                except (OSError, WebSocketException, EOFError):
                    self._stopping.wait(AGAIN_S)
        except Exception as error:
            self.failure = error

    def _read(self, socket: ClientConnection) -> None:
        self.connections += 1
        self._seqs.clear()
        socket.send(self._request)
        self._connected.set()
        while not self._stopping.is_set():
            try:
                data: Any = socket.recv(0.2)
            except TimeoutError:
                continue
            message = msgspec.json.decode(data, type=_Message)
            assert message.type != "error", data
            if message.type in {"snapshot", "delta"}:
                self._take(message, socket)

    def _take(self, message: _Message, socket: ClientConnection) -> None:
        place, now = (message.channel, message.key), time.monotonic()
        if message.type == "delta" and self._seqs.get(place, 0) != message.seq - len(message.rows):
            socket.send(self._request)  # a loss
        is_first = place not in self._seqs
        self._seqs[place] = message.seq
        new = [add(self.rows, place, bytes(one)) for one in message.rows]
        self.repeats += new.count(False)
        self.came[message.channel] += [now] * new.count(True)
        if is_first and self.connections > 1 and all(new):
            self._torn.add(place)

    def mend(self, url: str) -> int:
        """Ask REST for what the API did not reach back to; returns how many rows that brought."""
        found = 0
        for topic, key in self._torn:
            got = httpx.get(f"{url}api/{topic}/{key}", params={"limit": MOST_ROWS}, timeout=30.0)
            if got.status_code == httpx.codes.OK:
                rows = msgspec.json.decode(got.content, type=dict[str, msgspec.Raw])["rows"]
                raw = msgspec.json.decode(rows, type=list[msgspec.Raw])
                found += [add(self.rows, (topic, key), bytes(one)) for one in raw].count(True)
        return found
