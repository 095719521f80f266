"""Recording beside something that must not wait: frames go to a thread, which writes and syncs them."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable

from producers.frames import Frame
from producers.tapes.rotating import RotatingTape
from quicksilver.errors import InputError

QUEUE_FRAMES = 200_000
QUEUE_BYTES = 256 << 20
ROOM = 4  # who can wait does so while more than one part in so many of the queue is taken
WAIT_S = 0.02  # the thread looks that often for frames: to be woken for each would cost more than to write it
JOIN_S = 30.0  # how long the end waits for a disk that has much to take yet


class TapeRecorder:
    """Hands frames to a thread that writes them to a tape.

    ``put`` never waits and never fails: where the disk does not keep up, the frame is lost, said and counted in
    ``lost``, and the tape says so too: a ``disconnect`` in its place, for whoever replays it must not take the book
    beyond for whole. ``failure`` is why the disk takes nothing any more.
    """

    def __init__(
        self, tape: RotatingTape, say: Callable[[str], None], *, queue_frames: int = QUEUE_FRAMES,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:  # fmt: skip
        self.lost = 0
        self.failure = ""
        self._tape, self._say = tape, say
        self._queue_frames, self._queue_bytes = queue_frames, queue_bytes
        self._lock = threading.Lock()
        self._batch: list[Frame] = []
        self._bytes = self._last_ns = 0
        self._missed: Counter[tuple[str, str]] = Counter()  # by venue and connection, since the queue was full
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tape-recorder", daemon=True)
        self._thread.start()

    def put(self, frame: Frame) -> None:
        """Take a frame, or lose it."""
        with self._lock:
            full = len(self._batch) >= self._queue_frames or self._bytes >= self._queue_bytes
            if not full and not self.failure:
                if self._missed:
                    self._batch += _losses(self._missed, frame.ts_recv_ns)
                    self._missed.clear()
                self._batch.append(frame)
                self._bytes += len(frame.payload)
                self._last_ns = frame.ts_recv_ns
                return
            first = not self._missed
            self._missed[frame.venue, frame.conn] += 1
            self.lost += 1
        if first and not self.failure:
            self._say(f"the disk does not keep up with the recording in {self._tape.folder}: frames are lost from here")

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
                    if ending and self._missed:
                        batch += _losses(self._missed, self._last_ns)
                written = self._tape.frames
                for frame in batch:
                    self._tape.write(frame)
                if ending:
                    self._tape.close()
                    return
                self._tape.sync()
                self._ending.wait(WAIT_S)
        except Exception as error:  # whatever it is: a thread that ended unseen would lose all that follows
            self._fail(error, len(batch) + written - self._tape.frames)

    def _fail(self, error: Exception, unwritten: int) -> None:
        self._tape.abandon()
        reason = getattr(error, "strerror", None) or error
        why = f"{self._tape.folder}: the recording has ended, the disk does not take it: {reason}"
        with self._lock:
            self.lost += unwritten + len(self._batch)
            self._batch, self._bytes = [], 0
            self.failure = why
        self._say(why)


def _losses(missed: Counter[tuple[str, str]], ts_ns: int) -> list[Frame]:
    return [
        Frame(venue, conn, "disconnect", ts_ns, f"not recorded: {n} frames, the disk did not keep up".encode())
        for (venue, conn), n in missed.items()
    ]
