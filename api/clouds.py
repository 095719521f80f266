"""The channel ``clouds``: the points of each frontier in binary, as ``PROTOCOL.md`` lays them out."""

import struct
from collections.abc import Iterable

import msgspec
import numpy as np

from api.streams import Binary, Stream
from quicksilver.records import Frontier

_HEAD = struct.Struct("<qqII")  # time and number of the frontier, points of its cloud, points of its line


def row_of(frontier: Frontier) -> bytes:
    """Return a row: its head, then ``[risk_bps, mean_bps]`` as float32 of the cloud's points and of the line's."""
    head = _HEAD.pack(frontier.ts_event_ns, frontier.seq, len(frontier.cloud), len(frontier.frontier))
    return head + np.array([*frontier.cloud, *frontier.frontier], dtype="<f4").tobytes()


class CloudStream(Stream):
    """A universe's clouds; its rows are those of ``row_of``."""

    __slots__ = ()

    def __init__(self, key: str) -> None:
        super().__init__("clouds", key)

    def _message(self, kind: bytes, rows: Iterable[bytes]) -> bytes:
        blocks = list(rows)
        head = msgspec.json.encode(
            {"type": kind.decode(), "channel": self.channel, "key": self.key, "seq": self.seq, "rows": len(blocks)}
        )
        head += b" " * (-(4 + len(head)) % 8)  # rows begin at a multiple of 8 bytes, as typed arrays have to
        return Binary(struct.pack("<I", len(head)) + head + b"".join(blocks))
