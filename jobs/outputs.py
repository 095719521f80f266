"""What runners do with records besides publishing them: storing, timing, writing to files."""

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol
from zlib import crc32

import numpy as np

from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.ports import Store
from quicksilver.records import AnyRecord, Latency, Published
from quicksilver.topics import TOPIC_OF

BATCH = 500  # records a write
PART_BYTES = 1 << 20


class StoreWriter:
    """A bus listener that hands records to the store in batches."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._batch: list[Published] = []

    def on_record(self, topic: str, key: str, record: Published) -> None:  # noqa: ARG002 (a bus listener)
        """Keep a record for the next batch."""
        self._batch.append(record)
        if len(self._batch) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Hand over what there is."""
        if self._batch:
            self._store.write(self._batch)
            self._batch = []


class Latencies:
    """Samples of each hop's latency since the last report, in microseconds."""

    def __init__(self) -> None:
        self._samples: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, hop: str, microseconds: float) -> None:
        """Take in one sample."""
        self._samples[hop].append(microseconds)

    def report(self, now_ns: int) -> list[Latency]:
        """Return a record a hop, and begin anew."""
        records = []
        for hop, samples in sorted(self._samples.items()):
            p50, p99, largest = np.percentile(samples, [50, 99, 100]).tolist()
            records.append(Latency(hop, now_ns, len(samples), round(p50, 1), round(p99, 1), round(largest, 1)))
        self._samples.clear()
        return records


class RecordSink(Protocol):
    """Where a run's records go."""

    def write(self, record: AnyRecord) -> None:
        """Take one record."""


class Mark(NamedTuple):
    """A file's length in bytes, and the CRC-32 of what it holds so far."""

    size: int
    crc: int


def marked(folder: Path, sizes: Mapping[str, int] | None = None) -> dict[str, Mark]:
    """Return the mark of each topic's file in a folder, or of its first ``sizes`` bytes."""
    found = {}
    for topic in TOPIC_OF.values():
        path = folder / f"{topic.name}.jsonl"
        if path.is_file() and (sizes is None or topic.name in sizes):
            found[topic.name] = _mark(path, sizes[topic.name] if sizes is not None else path.stat().st_size)
    return found


def _mark(path: Path, size: int) -> Mark:
    crc, left = 0, size
    with path.open("rb") as file:
        while left and (part := file.read(min(left, PART_BYTES))):
            crc, left = crc32(part, crc), left - len(part)
    return Mark(size - left, crc)


class RecordFiles:
    """Writes records to one file a topic; files appear with their first record.

    Files that hold what is ``marked`` are gone on with from there, any others begun anew.

    Raises:
        InputError: something is marked, and the folder holds files of other records.
    """

    def __init__(self, folder: Path | None, after: Mapping[str, Mark] | None = None) -> None:
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._prepare(folder, after or {})

    def _prepare(self, folder: Path, after: Mapping[str, Mark]) -> None:
        """Remove what an earlier replay left, which would pass for this one's, but not the part before this one."""
        before = marked(folder, {name: mark.size for name, mark in after.items()})
        if after and before != after and marked(folder):
            raise InputError(f"{folder}: holds other records than those before the saved state; name an empty folder")
        for topic in TOPIC_OF.values():
            path = folder / f"{topic.name}.jsonl"
            if topic.name in before:
                os.truncate(path, before[topic.name].size)
            else:
                path.unlink(missing_ok=True)

    def write(self, record: AnyRecord) -> None:
        """Append one record as a line of JSON."""
        if self._folder is not None:
            self.append(TOPIC_OF[type(record)].name, codec.encode(record), b"\n")

    def append(self, topic: str, *parts: bytes) -> None:
        """Append bytes to a topic's file."""
        if self._folder is None:
            return
        file = self._files.get(topic)
        if file is None:
            file = self._files[topic] = (self._folder / f"{topic}.jsonl").open("ab", buffering=1 << 20)
        file.writelines(parts)

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            file.close()
