"""A recording played to whoever connects: its frames in their order and pace, its REST bodies at their addresses.

Each connection hears the recording from its beginning. What clients send is not answered: the recording holds the
answers that the venue gave then. Times in it are those of the recording: a reader that refuses what is a day old plays
older ones from the file.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from producers.frames import Frame
from producers.simulator.serving import response
from producers.tapes.read import read_frames
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS

SIZES = {"limit", "len", "count", "depth"}  # how much of a book is asked for: the recording has what it has


class TapeServer:
    """A recording of one venue, ``speed`` times as fast as it was; infinite: as fast as it goes."""

    path = ""

    def __init__(self, tape: Path, venue: str, speed: float = 1.0) -> None:
        """Look through the recording.

        Raises:
            InputError: it cannot be read, holds nothing of the venue, or the speed is not above 0.
        """
        if not speed > 0.0:
            raise InputError(f"the speed must be above 0, not {speed}")
        self.url = self.rest_url = ""
        self.sent = 0  # messages
        self.requests: list[str] = []
        self._tape = tape
        self._venue = venue
        self._speed = speed
        self._bodies: dict[str, list[Frame]] = {}
        self._played_ns = 0
        received = 0
        for frame in self._frames():
            received += frame.direction == "recv"
            if frame.direction == "rest" and frame.url:
                self._bodies.setdefault(frame.url, []).append(frame)
        if not received:
            raise InputError(f"{tape}: it holds no message of {venue}")

    def _frames(self) -> Iterator[Frame]:
        return (frame for frame in read_frames(self._tape) if frame.venue == self._venue)

    def answer(self, client: ServerConnection, request: Request) -> Response | None:  # noqa: ARG002
        """Answer what is asked over HTTP; None: it is a websocket's handshake, which may go on."""
        if "Upgrade" in request.headers:
            return None
        bodies = self._asked_for(request.path)
        if not bodies:
            return response(404, b'{"error":"not in the recording"}')
        before = [frame for frame in bodies if frame.ts_recv_ns <= self._played_ns]
        return response(200, (before[-1] if before else bodies[0]).payload)

    def _asked_for(self, target: str) -> list[Frame]:
        """The recorded bodies of an address; else of one that ends so, as of an older version of the interface.

        Of any address where the recording has but one.
        """
        if len(self._bodies) == 1:
            return next(iter(self._bodies.values()))
        wanted, query = _place(target)
        same = [(url, _place(url)[0]) for url in self._bodies if _place(url)[1] == query]
        for fits in (wanted, wanted.rpartition("/")[2]):
            for url, path in same:
                if fits in {path, path.rpartition("/")[2]}:
                    return self._bodies[url]
        return []

    async def handle(self, client: ServerConnection) -> None:
        """Play the recording to one client, and stay until it goes."""
        hearing = asyncio.create_task(self._hear(client))
        try:
            await self._play(client)
            await client.wait_closed()
        except ConnectionClosed:
            return
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])

    async def _hear(self, client: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = await client.recv()
                self.requests.append(message if isinstance(message, str) else message.decode(errors="replace"))

    async def _play(self, client: ServerConnection) -> None:
        clock, started_s, first_ns = asyncio.get_running_loop().time, 0.0, None
        for frame in self._frames():
            if frame.direction != "recv":
                continue
            if first_ns is None:
                started_s, first_ns = clock(), frame.ts_recv_ns
            self._played_ns = frame.ts_recv_ns
            if math.isfinite(self._speed):
                wait_s = started_s + (frame.ts_recv_ns - first_ns) / SECOND_NS / self._speed - clock()
                if wait_s > 0.0:
                    await asyncio.sleep(wait_s)
            await client.send(frame.payload, text=True)
            self.sent += 1

    async def run(self) -> None:
        """Do nothing: connections play for themselves."""
        await asyncio.Event().wait()


def _place(url: str) -> tuple[str, list[tuple[str, list[str]]]]:
    """What an address asks for, whatever the host and the size."""
    parts = urlsplit(url)
    query = sorted((name, values) for name, values in parse_qs(parts.query).items() if name not in SIZES)
    return parts.path.rstrip("/"), query
