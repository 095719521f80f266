"""The channel ``clouds``: the points of each frontier in binary, as ``PROTOCOL.md`` lays them out."""

import struct
import sys
from array import array
from collections.abc import Iterable
from itertools import chain, islice

import msgspec

from api.streams import Binary, Stream
from quicksilver import codec
from quicksilver.records import Frontier

_HEAD = struct.Struct("<qqII")  # time and number of the frontier, points of its cloud, points of its line


class Points(msgspec.Struct):
    """What of a frontier goes into a row; its fields are ``Frontier``'s."""

    ts_event_ns: int
    seq: int
    cloud: list[tuple[float, float]]
    frontier: list[tuple[float, float]]


def row_of(one: Frontier | Points) -> bytes:
    """Return a row: its head, then ``[risk_bps, mean_bps]`` as float32 of the cloud's points and of the line's."""
    points = array("f", chain.from_iterable(chain(one.cloud, one.frontier)))
    if sys.byteorder == "big":
        points.byteswap()
    return _HEAD.pack(one.ts_event_ns, one.seq, len(one.cloud), len(one.frontier)) + points.tobytes()


class CloudStream(Stream):
    """A universe's clouds, numbered as its frontiers are; a snapshot is made of those, so that none costs nothing."""

    __slots__ = ("_source",)

    def __init__(self, source: Stream) -> None:
        super().__init__("clouds", source.key)
        self._source = source

    def snapshot(self, history: int) -> bytes:
        """Return the message with the clouds of the last ``history`` frontiers."""
        rows = self._source.rows
        last = islice(rows, max(0, len(rows) - max(0, history)), None)
        return self._message(b"snapshot", [row_of(codec.decode(Points, row)) for row in last])

    def _message(self, kind: bytes, rows: Iterable[bytes]) -> bytes:
        self.seq = self._source.seq
        blocks = list(rows)
        head = msgspec.json.encode(
            {"type": kind.decode(), "channel": self.channel, "key": self.key, "seq": self.seq, "rows": len(blocks)}
        )
        head += b" " * (-(4 + len(head)) % 8)  # rows begin at a multiple of 8 bytes, as typed arrays have to
        return Binary(struct.pack("<I", len(head)) + head + b"".join(blocks))
