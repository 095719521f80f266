"""``quicksilver tape convert``: any layout that is read, or a span of topic ``raw``, to our own layout."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs.choices import Span
from jobs.tape_files import new_tape
from jobs.tape_letters import Letters, marked
from producers.frames import Frame
from producers.tapes import read_frames
from producers.tapes.read import of_venue
from quicksilver.errors import InputError
from quicksilver.topics import RAW

KAFKA = f"kafka:{RAW.name}"


def convert(source: str, out: Path, venue: str | None, servers: str, span: Span) -> tuple[dict[str, Any], Letters]:
    """Write all frames of ``source`` (received within ``span``) to a new tape; returns the counts and what was lost.

    Raises:
        InputError: the source cannot be read or holds no frame, or the file is there already.
    """
    letters = Letters()
    frames = (
        of_venue(_raw(servers, span, letters), venue, source)
        if source == KAFKA
        else read_frames(Path(source), venue=venue, reject=letters)
    )
    with new_tape(out, {"source": "TAPE", "detail": f"converted from {source}"}) as writer:
        for frame in marked(frames, letters):
            if span.since_ns <= frame.ts_recv_ns < span.until_ns:
                writer.write(frame)
        if not writer.frames:
            raise InputError(": ".join([f"{source}: there are no frames to convert", *letters.reasons[:1]]))
    counts = {"out": str(out), "frames": writer.frames, "bytes": out.stat().st_size}
    return {**counts, "torn": letters.torn, "unreadable": letters.count}, letters


def _raw(servers: str, span: Span, letters: Letters) -> Iterator[Frame]:
    from producers.raw_reader import read_raw  # Kafka's client, which nothing else here needs

    since = span.since_ns if span.since_ns > 0 else None
    return read_raw(servers, letters, since, span.until_ns)
