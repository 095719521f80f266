"""Recording beside something that must not wait: frames go to a thread, which writes and syncs them."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from producers.frames import Frame
from producers.tapes.rotating import RotatingTape
from quicksilver.errors import InputError

QUEUE_FRAMES = 200_000
QUEUE_BYTES = 256 << 20
ROOM = 4  # who can wait does so while more than one part in so many of the queue is taken
WAIT_S = 0.02  # the thread looks that often for frames: to be woken for each would cost more than to write it
JOIN_S = 30.0  # how long the end waits for a disk that has much to take yet
Restate: TypeAlias = Callable[[str, str], None]


def nobody(venue: str, conn: str) -> None:
    """Ask nobody to say again what was lost."""


class TapeRecorder:
    """Hands frames to a thread that writes them to a tape.

    ``put`` never waits and never fails: where the disk does not keep up, the frame is lost, said and counted in
    ``lost``, and the tape says so too: a ``disconnect`` in its place, for whoever replays it must not take the book
    beyond for whole. Once the disk has caught up ``put`` calls ``restate`` with venue and name of each connection of
    which frames are missing: until its books are given anew, nothing of them can be replayed. ``failure`` is why the
    disk takes nothing any more.
    """

    def __init__(
        self, tape: RotatingTape, say: Callable[[str], None], restate: Restate = nobody, *,
        queue_frames: int = QUEUE_FRAMES, queue_bytes: int = QUEUE_BYTES,
    ) -> None:  # fmt: skip
        self.lost = 0
        self.failure = ""
        self._tape, self._say, self._restate = tape, say, restate
        self._queue_frames, self._queue_bytes = queue_frames, queue_bytes
        self._lock = threading.Lock()
        self._batch: list[Frame] = []
        self._bytes = self._last_ns = 0
        self._missed: Counter[tuple[str, str]] = Counter()  # by venue and connection, since the queue was full
        self._torn: set[tuple[str, str]] = set()  # lost on the tape, and not asked for again yet
        self._writing = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tape-recorder", daemon=True)
        self._thread.start()

    def put(self, frame: Frame) -> None:
        """Take a frame, or lose it."""
        with self._lock:
            full = len(self._batch) >= self._queue_frames or self._bytes >= self._queue_bytes
            if full or self.failure:
                first, torn = not self._missed and not self.failure, []
                self._missed[frame.venue, frame.conn] += 1
                self.lost += 1
            else:
                first, torn = False, self._take(frame)
        if first:
            self._say(f"the disk does not keep up with the recording in {self._tape.folder}: frames are lost from here")
        for venue, conn in torn:
            self._restate(venue, conn)

    def _take(self, frame: Frame) -> list[tuple[str, str]]:
        """Take a frame in; returns what is to be said again, once the backlog in which frames were lost is written."""
        torn: list[tuple[str, str]] = []
        if self._missed:
            self._batch += _losses(self._missed, frame.ts_recv_ns)
            self._torn |= self._missed.keys()
            self._missed.clear()
        elif self._torn and not self._writing:
            torn = sorted(self._torn)
            self._torn.clear()
        self._batch.append(frame)
        self._bytes += len(frame.payload)
        self._last_ns = frame.ts_recv_ns
        return torn

    async def room(self) -> None:
        """Wait until the thread has caught up, for one who can wait and wants nothing lost.

        Raises:
            InputError: the disk takes nothing any more.
        """
        self.require_sound()
        while len(self._batch) * ROOM > self._queue_frames or self._bytes * ROOM > self._queue_bytes:
            await asyncio.sleep(WAIT_S)
            self.require_sound()

    def require_sound(self) -> None:
        """Make sure that the recording goes on.

        Raises:
            InputError: the disk takes nothing any more.
        """
        if self.failure:
            raise InputError(self.failure)

    def close(self) -> None:
        """Write what waits, end the tape and say if something could not be written."""
        self._ending.set()
        self._thread.join(JOIN_S)
        if self._thread.is_alive():
            self._say(f"the disk of {self._tape.folder} does not answer: the end of the recording is not written")
        if self.lost:
            self._say(f"{self.lost:,} frames could not be recorded")

    def _work(self) -> None:
        batch: list[Frame] = []
        written = 0
        try:
            while True:
                ending = self._ending.is_set()  # before the batch is taken: what comes after is nobody's any more
                with self._lock:
                    batch, self._batch, self._bytes = self._batch, [], 0
                    self._writing = bool(batch)
                    if ending and self._missed:
                        batch += _losses(self._missed, self._last_ns)
                written = self._tape.frames
                for frame in batch:
                    self._tape.write(frame)
                if ending:
                    self._tape.close()
                    return
                self._tape.sync()
                self._writing = False
                self._ending.wait(WAIT_S)
        except Exception as error:  # whatever it is: a thread that ended unseen would lose all that follows
            self._fail(error, len(batch) + written)

    def _fail(self, error: Exception, taken: int) -> None:
        """End the recording, of which ``taken`` frames were to be on the disk by now."""
        self._tape.abandon()
        reason = getattr(error, "strerror", None) or error
        why = f"{self._tape.folder}: the recording has ended, the disk does not take it: {reason}"
        with self._lock:
            self.lost += taken - self._tape.frames + len(self._batch)
            self._batch, self._bytes = [], 0
            self.failure = why
        self._say(why)


def _losses(missed: Counter[tuple[str, str]], ts_ns: int) -> list[Frame]:
    return [
        Frame(venue, conn, "disconnect", ts_ns, f"not recorded: {n} frames, the disk did not keep up".encode())
        for (venue, conn), n in missed.items()
    ]
