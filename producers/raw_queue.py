"""Frames on their way to topic ``raw``, beside a tape that must not wait for Kafka."""

import asyncio
from collections import deque

from producers.frames import Frame
from producers.kafka import Say
from producers.publishing import STOP_S, publish_all
from producers.raw import RawPublisher
from producers.tapes.recorder import QUEUE_BYTES, QUEUE_FRAMES
from quicksilver.errors import InputError
from quicksilver.topics import DEAD_LETTERS, RAW


class RawQueue:
    """Hands frames to Kafka as it takes them.

    ``put`` never waits and never fails: where Kafka is away for long, or refuses what it is sent, frames do not come
    to the topic, which is said, counted in ``left`` and seen by readers, whose numbers then have a hole.
    """

    def __init__(
        self, publisher: RawPublisher, say: Say, *, queue_frames: int = QUEUE_FRAMES, queue_bytes: int = QUEUE_BYTES
    ) -> None:
        self._publisher, self._say = publisher, say
        self._queue_frames, self._queue_bytes = queue_frames, queue_bytes
        self._queue: deque[tuple[int, Frame]] = deque()
        self._bytes = self._lost = 0
        self._full = self._failed = False
        self._news, self._ended, self._stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @property
    def left(self) -> int:
        """How many frames have not been handed to Kafka."""
        return self._lost + len(self._queue)

    def put(self, frame: Frame) -> None:
        """Take a frame, or leave it to the tape alone."""
        number = self._publisher.number(frame)
        full = len(self._queue) >= self._queue_frames or self._bytes >= self._queue_bytes
        if full or self._failed:
            self._lost += 1
        else:
            self._queue.append((number, frame))
            self._bytes += len(frame.payload)
            self._news.set()
        if full and not self._full:
            self._say(f"Kafka at {self._publisher.servers} does not keep up: frames from here are on the tape alone")
        self._full = full

    async def run(self) -> int:
        """Publish what is put until ``end``; returns how many frames are not in the topic."""
        unconfirmed = 0
        try:
            unconfirmed = await publish_all(self._publisher, self._work(), self._stop, self._say)
        except InputError as error:
            self._failed = True
            self._say(f"{error}; frames from here are on the tape alone")
        return self.left + unconfirmed

    def end(self) -> None:
        """Have ``run`` end once Kafka has all, or after a while; at once where there was none all along."""
        self._ended.set()
        self._news.set()
        asyncio.get_running_loop().call_later(STOP_S, self._stop.set)

    async def _work(self) -> None:
        if not await self._connected():
            return
        while self._queue or not self._ended.is_set():
            while self._queue:
                number, frame = self._queue[0]
                await self._publisher.send(frame, number)
                self._queue.popleft()
                self._bytes -= len(frame.payload)
            self._news.clear()
            if not self._ended.is_set():
                await self._news.wait()

    async def _connected(self) -> bool:
        """Wait for Kafka; False if the end came first."""
        connecting = asyncio.create_task(self._publisher.connect([RAW.name, DEAD_LETTERS.name]))
        ending = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({connecting, ending}, return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                connecting.result()  # raises what went wrong
            return connecting.done()
        finally:
            for task in (connecting, ending):
                task.cancel()
            await asyncio.gather(connecting, ending, return_exceptions=True)
