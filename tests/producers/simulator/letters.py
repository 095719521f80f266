"""The letter of messages: which fields they have, in which order, and how each value is written."""

import json
import re
from collections import defaultdict
from typing import Any

TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
DECIMAL = re.compile(r"-?\d+(\.\d+)?")
HEX = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


class Letters:
    """Everything seen of some messages: kinds of values by path, and orders of keys by path."""

    def __init__(self) -> None:
        self.kinds: defaultdict[str, set[str]] = defaultdict(set)
        self.orders: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)

    def add(self, text: str | bytes) -> None:
        self._walk("", json.loads(text))

    def _walk(self, path: str, value: Any) -> None:
        if isinstance(value, dict):
            self.orders[path].add(tuple(value))
            for key, inner in value.items():
                self._walk(f"{path}.{key}", inner)
        elif isinstance(value, list):
            for inner in value:
                self._walk(f"{path}[]", inner)
        else:
            self.kinds[path].add(kind_of(value))


def kind_of(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    if isinstance(value, str):
        for name, pattern in (("hex", HEX), ("time", TIME), ("decimal", DECIMAL)):
            if pattern.match(value) if name != "decimal" else pattern.fullmatch(value):
                return name
        return "text"
    return "number"


def strange(simulated: Letters, real: Letters) -> list[str]:
    """Return what is in simulated messages and in no real one."""
    found = [f"{path}: {kind}" for path, kinds in simulated.kinds.items() for kind in sorted(kinds - real.kinds[path])]
    return found + [
        f"{path or 'message'}: {order}"
        for path, orders in simulated.orders.items()
        for order in sorted(orders - real.orders[path])
    ]
