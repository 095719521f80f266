"""The websocket hub: a record is encoded once for all clients, numbered by channel and key, sent to who asked for it.

The rules that clients rely on are in ``PROTOCOL.md``.
"""

import asyncio
from contextlib import suppress

import msgspec
from msgspec.structs import replace
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.client import Client
from api.clouds import CloudStream, row_of
from api.picks import PickRow, check_threshold
from api.streams import RING, Binary, Stream
from quicksilver import __version__, codec
from quicksilver.codec import UNREADABLE
from quicksilver.records import DeadLetter, Frontier, Published, Status
from quicksilver.topics import TOPIC_OF

MADE_OF_FRONTIERS = ("picks", "clouds")
CHANNELS = (*(topic.name for topic in TOPIC_OF.values()), *MADE_OF_FRONTIERS)
MAX_PAYLOAD = 2048  # bytes of a dead letter's payload that clients get: enough to see what was refused
FLUSH_S = 0.004  # under load rows go out together so often; well below a frame of a 60 Hz screen
BURST = 8  # messages to a client that go out at once, after a pause: the rows of one event come from several topics
TRY_AGAIN_LATER = 1013
CLOSE_S = 1.0
MAX_REQUEST = 64 << 10


class Request(msgspec.Struct):
    """What a client may send."""

    op: str
    channels: list[str] = []
    keys: list[str] | None = None
    history: int = 1
    threshold: float = 0.0
    id: int | str | None = None


class SourceInfo(msgspec.Struct, frozen=True):
    """Where the data comes from, and a sentence for people.

    ``LIVE``, ``SIMULATED``, ``TAPE``, ``CSV``, or ``CLUSTER``: whatever is published there.
    """

    kind: str
    detail: str


def _for_clients(record: Published) -> Published:
    """Cut a dead letter's payload: a frame can be of 60 MB, would go to every page, and is whole in the store."""
    if not isinstance(record, DeadLetter) or len(record.payload) <= MAX_PAYLOAD:
        return record
    reason = f"{record.reason} (the payload is the first {MAX_PAYLOAD} of {len(record.payload)} bytes)"
    return replace(record, payload=record.payload[:MAX_PAYLOAD], reason=reason)


class Hub:
    """All clients and streams; ``on_record`` is a bus listener and runs on the event loop's thread."""

    def __init__(self, source: SourceInfo) -> None:
        self.source = source
        self.instruments: dict[str, dict[str, str]] = {}
        self.counts: dict[str, int] = {topic.name: 0 for topic in TOPIC_OF.values()}
        self.n_slow = 0
        self._streams: dict[tuple[str, str], Stream] = {}
        self._clouds: dict[str, CloudStream] = {}
        self._clients: set[Client] = set()

    def on_record(self, topic: str, key: str, record: Published) -> None:
        """Number a record, keep it for new subscribers and hand it to the present ones."""
        self.on_row(topic, key, record, codec.encode(record))

    def on_row(self, topic: str, key: str, record: Published, row: bytes) -> None:
        """Do the same with a record whose JSON ``row`` is there already."""
        stream = self._stream(topic, key)
        shown = _for_clients(record)
        if shown is not record:
            row = codec.encode(shown)
        stream.append(row)
        self.counts[topic] += 1
        if isinstance(record, Status):
            self.instruments[key] = {
                "venue": record.venue, "symbol": record.symbol, "state": record.state, "reason": record.reason,
            }  # fmt: skip
        for client in self._clients:
            if client.wants(topic, key):
                client.take(stream, row)
        if isinstance(record, Frontier):
            self._derive(stream, record)

    def _stream(self, topic: str, key: str) -> Stream:
        stream = self._streams.get((topic, key))
        if stream is None:
            stream = self._streams[topic, key] = Stream(topic, key)
        return stream

    def _derive(self, stream: Stream, frontier: Frontier) -> None:
        """Hand on what is made of frontiers, to who asked for it: the cloud, and each client's changed picks."""
        clouds = [client for client in self._clients if client.wants("clouds", stream.key)]
        if clouds:
            cloud, points = self._cloud(stream), row_of(frontier)
            for client in clouds:
                client.take(cloud, points)
        followers = [client for client in self._clients if client.wants("picks", stream.key)]
        if followers:
            whole = PickRow.of(frontier)
            for client in followers:
                picks = client.followed.stream(stream)
                if not client.awaits_snapshot(picks):  # it would hold this row by itself
                    for row in picks.changed(whole):
                        client.take(picks, row)

    def _cloud(self, frontiers: Stream) -> CloudStream:
        return self._clouds.setdefault(frontiers.key, CloudStream(frontiers))

    def keys(self, topic: str) -> list[str]:
        """Return the keys of a topic that have had rows."""
        return [key for name, key in list(self._streams) if name == topic]

    def last_row(self, topic: str, key: str) -> bytes | None:
        """Return the last row of a topic's key as JSON; None if there was none."""
        stream = self._streams.get((topic, key))
        return stream.rows[-1] if stream else None

    def last_rows(self, topic: str) -> list[bytes]:
        """Return the last row of each of the topic's keys, as JSON."""
        return [stream.rows[-1] for (name, _), stream in list(self._streams.items()) if name == topic]

    def waiting_bytes(self) -> list[int]:
        """Return how many bytes wait for each client."""
        return [client.waiting_bytes for client in list(self._clients)]

    async def serve(self, socket: WebSocket) -> None:
        """Serve one client until it leaves, or is too slow."""
        await socket.accept()
        client = Client()
        welcome = {
            "type": "welcome", "version": __version__, "source": self.source.kind, "detail": self.source.detail,
            "instruments": list(self.instruments.values()), "channels": CHANNELS,
        }  # fmt: skip
        client.answer(msgspec.json.encode(welcome))
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

    async def _receive_all(self, client: Client, socket: WebSocket) -> None:
        while True:
            await self._receive(client, socket)

    async def _receive(self, client: Client, socket: WebSocket) -> None:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        data = message.get("text") or message.get("bytes") or ""
        try:
            if len(data) > MAX_REQUEST:
                raise ValueError(f"a request of {len(data)} bytes; at most {MAX_REQUEST}")
            self._handle(client, msgspec.json.decode(data, type=Request))
        except (*UNREADABLE, ValueError) as error:
            client.answer(msgspec.json.encode({"type": "error", "message": str(error)}))

    def _handle(self, client: Client, request: Request) -> None:
        if request.op == "ping":
            client.answer(msgspec.json.encode({"type": "pong", "id": request.id}))
            return
        if request.op not in {"subscribe", "unsubscribe"}:
            raise ValueError(f"unknown op {request.op[:40]!r}; there are subscribe, unsubscribe and ping")
        unknown = [channel for channel in request.channels if channel not in CHANNELS]
        if unknown:
            raise ValueError(f"unknown channel {unknown[0][:40]!r}; channels are {', '.join(CHANNELS)}")
        check_threshold(request.threshold)
        for channel in request.channels:
            if request.op == "subscribe":
                self._subscribe(client, channel, request)
            else:
                client.unsubscribe(channel, request.keys)

    def _subscribe(self, client: Client, channel: str, request: Request) -> None:
        """Owe a snapshot of each stream; what is published after it follows as deltas."""
        if channel == "picks":
            client.followed.set_threshold(request.keys, request.threshold)
        client.subscribe(channel, request.keys)
        source = "frontiers" if channel in MADE_OF_FRONTIERS else channel
        named = None if request.keys is None else set(request.keys)
        for (name, key), stream in self._streams.items():
            if name == source and (named is None or key in named):
                client.owe_snapshot(self._as_asked(client, channel, stream), min(request.history, RING))

    def _as_asked(self, client: Client, channel: str, stream: Stream) -> Stream:
        """Return what a channel makes of a stream."""
        if channel == "picks":
            return client.followed.stream(stream)
        return self._cloud(stream) if channel == "clouds" else stream

    async def _send(self, client: Client, socket: WebSocket) -> None:
        now = asyncio.get_running_loop().time
        due = 0.0  # time of the next sending, were all spaced by FLUSH_S; it may be BURST of them early
        while True:
            await client.wake.wait()
            if not client.owes_snapshots:
                due = max(due, now() - BURST * FLUSH_S) + FLUSH_S
                if (early := due - now()) > 0.0:
                    await asyncio.sleep(early)
            client.wake.clear()
            for message in client.due():
                if isinstance(message, Binary):
                    await socket.send_bytes(message)
                else:
                    await socket.send_text(message.decode())
                await asyncio.sleep(0)  # let a client that has left be seen
            if client.owes_snapshots:
                client.wake.set()
