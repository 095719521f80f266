"""The websocket hub: every record is encoded once, numbered per channel and key, and sent to who asked for it.

The rules that clients rely on are in ``PROTOCOL.md``.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from quicksilver import __version__, codec
from quicksilver.records import Published, Status
from quicksilver.topics import TOPIC_OF

CHANNELS = tuple(topic.name for topic in TOPIC_OF.values())
RING = 1000  # rows kept per channel and key for a new subscriber's snapshot
FLUSH_S = 0.004  # rows of one moment go out together; well below a frame of a 60 Hz screen
MAX_PENDING_BYTES = 8 << 20  # a client this far behind is closed
TRY_AGAIN_LATER = 1013
CLOSE_S = 1.0
MAX_REQUEST = 64 << 10


class Request(msgspec.Struct):
    """What a client may send."""

    op: str
    channels: list[str] = []
    keys: list[str] | None = None
    history: int = 1
    id: int | str | None = None


class SourceInfo(msgspec.Struct, frozen=True):
    """Where the data comes from: ``LIVE``, ``SIMULATED``, ``TAPE`` or ``CSV``, and a sentence for people."""

    kind: str
    detail: str


class _Stream:
    """One channel and key: the number of its last row, and its last rows."""

    __slots__ = ("rows", "seq")

    def __init__(self) -> None:
        self.seq = 0
        self.rows: deque[bytes] = deque(maxlen=RING)


class _Client:
    """One websocket: what it asked for, and what waits to be sent."""

    def __init__(self) -> None:
        self.all_of: set[str] = set()
        self.only: set[tuple[str, str]] = set()
        self.outbox: list[bytes] = []
        self.pending: dict[tuple[str, str], list[bytes]] = {}
        self.pending_bytes = 0
        self.wake = asyncio.Event()
        self.too_slow = asyncio.Event()

    def wants(self, channel: str, key: str) -> bool:
        return channel in self.all_of or (channel, key) in self.only

    def take(self, stream_id: tuple[str, str], row: bytes) -> None:
        """Let a row wait to be sent."""
        if self.pending_bytes > MAX_PENDING_BYTES:
            self.too_slow.set()
            return
        self.pending.setdefault(stream_id, []).append(row)
        self.pending_bytes += len(row)
        self.wake.set()


class Hub:
    """All clients and streams; ``on_record`` is a bus listener and runs on the event loop's thread."""

    def __init__(self, source: SourceInfo) -> None:
        self.source = source
        self.instruments: dict[str, dict[str, str]] = {}
        self.counts: dict[str, int] = dict.fromkeys(CHANNELS, 0)
        self.n_slow = 0
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._clients: set[_Client] = set()

    def on_record(self, topic: str, key: str, record: Published) -> None:
        """Number a record, keep it for new subscribers and hand it to the present ones."""
        stream_id = (topic, key)
        stream = self._streams.get(stream_id)
        if stream is None:
            stream = self._streams[stream_id] = _Stream()
        row = codec.encode(record)
        stream.seq += 1
        stream.rows.append(row)
        self.counts[topic] += 1
        if isinstance(record, Status):
            self.instruments[key] = {
                "venue": record.venue, "symbol": record.symbol, "state": record.state, "reason": record.reason,
            }  # fmt: skip
        for client in self._clients:
            if client.wants(topic, key):
                client.take(stream_id, row)

    async def serve(self, socket: WebSocket) -> None:
        """Serve one client until it leaves, or is too slow."""
        await socket.accept()
        client = _Client()
        welcome = {
            "type": "welcome", "version": __version__, "source": self.source.kind, "detail": self.source.detail,
            "instruments": list(self.instruments.values()), "channels": CHANNELS,
        }  # fmt: skip
        client.outbox.append(msgspec.json.encode(welcome))
        client.wake.set()
        self._clients.add(client)
        work = [asyncio.create_task(one) for one in (self._send(client, socket), self._receive_all(client, socket))]
        slow = asyncio.create_task(client.too_slow.wait())
        try:
            await asyncio.wait({*work, slow}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._clients.discard(client)
            for task in (*work, slow):
                task.cancel()
            results = await asyncio.gather(*work, return_exceptions=True)
        if client.too_slow.is_set():
            await self._turn_away(socket)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
                raise result

    async def _turn_away(self, socket: WebSocket) -> None:
        """Close a client that does not read: it may not even read this."""
        self.n_slow += 1
        with suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
            async with asyncio.timeout(CLOSE_S):
                await socket.close(TRY_AGAIN_LATER, "too slow: more than 8 MB wait; connect again and ask for less")

    async def _receive_all(self, client: _Client, socket: WebSocket) -> None:
        while True:
            await self._receive(client, socket)

    async def _receive(self, client: _Client, socket: WebSocket) -> None:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        data = message.get("text") or message.get("bytes") or ""
        try:
            if len(data) > MAX_REQUEST:
                raise ValueError(f"a request of {len(data)} bytes; at most {MAX_REQUEST}")
            self._handle(client, msgspec.json.decode(data, type=Request))
        except (msgspec.DecodeError, ValueError) as error:
            client.outbox.append(msgspec.json.encode({"type": "error", "message": str(error)}))
        client.wake.set()

    def _handle(self, client: _Client, request: Request) -> None:
        if request.op == "ping":
            client.outbox.append(msgspec.json.encode({"type": "pong", "id": request.id}))
            return
        if request.op not in {"subscribe", "unsubscribe"}:
            raise ValueError(f"unknown op {request.op[:40]!r}; there are subscribe, unsubscribe and ping")
        unknown = [channel for channel in request.channels if channel not in self.counts]
        if unknown:
            raise ValueError(f"unknown channel {unknown[0][:40]!r}; channels are {', '.join(CHANNELS)}")
        for channel in request.channels:
            if request.op == "subscribe":
                self._subscribe(client, channel, request.keys, request.history)
            elif request.keys is None:
                client.all_of.discard(channel)
                client.only = {one for one in client.only if one[0] != channel}
            else:
                client.only -= {(channel, key) for key in request.keys}

    def _subscribe(self, client: _Client, channel: str, keys: list[str] | None, history: int) -> None:
        """Send a snapshot of each stream; what is published from here on follows as deltas."""
        if keys is None:
            client.all_of.add(channel)
        else:
            client.only |= {(channel, key) for key in keys}
        for (name, key), stream in self._streams.items():
            if name != channel or (keys is not None and key not in keys):
                continue
            client.pending.pop((name, key), None)  # the snapshot holds them
            first = max(0, len(stream.rows) - max(0, min(history, RING)))
            rows = [stream.rows[i] for i in range(first, len(stream.rows))]
            client.outbox.append(_message(b"snapshot", name, key, stream.seq, rows))

    async def _send(self, client: _Client, socket: WebSocket) -> None:
        while True:
            await client.wake.wait()
            await asyncio.sleep(FLUSH_S)
            client.wake.clear()
            outbox, client.outbox = client.outbox, []
            for stream_id, rows in client.pending.items():
                outbox.append(_message(b"delta", *stream_id, self._streams[stream_id].seq, rows))
            client.pending, client.pending_bytes = {}, 0
            for message in outbox:
                client.pending_bytes += len(message)
            for message in outbox:
                await socket.send_text(message.decode())
                client.pending_bytes -= len(message)
                await asyncio.sleep(0)  # let a client that has left be seen


def _message(kind: bytes, channel: str, key: str, seq: int, rows: list[bytes]) -> bytes:
    """Join rows that are JSON already into one message."""
    head: Any = msgspec.json.encode({"channel": channel, "key": key, "seq": seq})
    return b'{"type":"' + kind + b'",' + head[1:-1] + b',"rows":[' + b",".join(rows) + b"]}"
