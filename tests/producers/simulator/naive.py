"""A reader of Kraken's book channel that shares nothing with the project: dicts of wire text, and zlib."""

import json
import zlib
from decimal import Decimal
from typing import Any


class NaiveBook:
    """Price text -> quantity text, a side each, cut to ``depth`` after each message."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}

    def apply(self, payload: str | bytes) -> bool:
        """Apply a book message; returns whether its checksum fits."""
        message = json.loads(payload, parse_float=str)
        entry = message["data"][0]
        for name, reverse in (("bids", True), ("asks", False)):
            side = {} if message["type"] == "snapshot" else dict(getattr(self, name))
            for level in entry[name]:
                if Decimal(level["qty"]):
                    side[level["price"]] = level["qty"]
                else:
                    side.pop(level["price"], None)
            best = sorted(side, key=Decimal, reverse=reverse)[: self.depth]
            setattr(self, name, {price: side[price] for price in best})
        return self.checksum() == entry["checksum"]

    def checksum(self) -> int:
        """CRC32 by Kraken's guide."""
        text = ""
        for side in (self.asks, self.bids):
            for price, quantity in list(side.items())[:10]:
                text += price.replace(".", "").lstrip("0") + quantity.replace(".", "").lstrip("0")
        return zlib.crc32(text.encode())


def channel(payload: str | bytes) -> str:
    """Return a message's channel or, for an answer, its method."""
    message: dict[str, Any] = json.loads(payload)
    return str(message.get("channel") or message.get("method"))
