"""Raw frames of each venue to feature vectors and to encoded rows, beside ``json.loads`` of the same frames.

Kraken's come from the simulator, so they are there on every machine; recordings are measured where there are any.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.benches.measure import Row, rate_row, seconds
from producers.exchanges.base import Parser
from producers.exchanges.bitstamp import BitstampParser
from producers.exchanges.coinbase import CoinbaseParser
from producers.exchanges.kraken import KrakenParser
from producers.frames import Frame
from producers.simulator.frames import frames
from producers.simulator.orderflow import Market
from producers.tapes import read_frames
from quicksilver import codec
from quicksilver.events import AnyEvent, BookDelta, BookSnapshot
from quicksilver.features import FeatureEngine

N = 5_000  # simulated frames
LIVE = "market-aggregator/2026-08-09-btc-usd-live.jsonl.gz"
Read = Callable[[AnyEvent, FeatureEngine], Any]


def recordings() -> Path:
    """Return the folder of recordings."""
    return Path(os.environ.get("QUICKSILVER_TAPES", Path(__file__).resolve().parents[3] / "shared" / "data"))


def sources() -> dict[str, tuple[type[Parser], list[Frame]]]:
    """Return each source's parser and frames; the frames up to the first book come first and are not timed."""
    market = Market(1, 1_700_000_000_000_000_000, ["BTC/USD"])
    made = frames(market, ["BTC/USD"], 10, N)
    found: dict[str, tuple[type[Parser], list[Frame]]] = {
        "kraken (simulated)": (KrakenParser, [Frame("kraken", "k", "recv", ts_ns, data) for ts_ns, data in made])
    }
    for venue, parser, name in (
        ("kraken", KrakenParser, "crossbook/kraken_btcusd_sample.cbcap"),
        ("coinbase", CoinbaseParser, LIVE),
        ("bitstamp", BitstampParser, LIVE),
    ):
        path = recordings() / name
        if path.exists():
            taken = [
                one for one in read_frames(path) if one.venue == venue and (one.url or "rest_snap")[:9] == "rest_snap"
            ]
            found[f"{venue} (recorded)"] = (parser, taken)
    return found


def nothing(event: AnyEvent, engine: FeatureEngine) -> None:
    """Take the event for what it is."""


def _vector(event: AnyEvent, engine: FeatureEngine) -> None:
    if type(event) is BookDelta:
        engine.delta(event)
    elif type(event) is BookSnapshot:
        engine.snapshot(event)


def _row(event: AnyEvent, engine: FeatureEngine) -> None:
    _vector(event, engine)
    if isinstance(event, BookDelta | BookSnapshot):
        codec.encode(engine.features(event))


class Pass:
    """Runs a source's frames through a fresh parser; what comes before the first book is done beforehand."""

    def __init__(self, kind: type[Parser], source: list[Frame], read: Read) -> None:
        self._kind, self._source, self._read = kind, source, read
        parser, self.start = kind("bench"), 0
        while not any(one.live for one in parser.instruments.values()):
            parser.parse(source[self.start])
            self.start += 1
        self.n = len(source) - self.start
        self._ready: list[tuple[Parser, FeatureEngine]] = []

    def prepare(self) -> None:
        """Make a parser and engine that have their first book."""
        parser, engine = self._kind("bench"), FeatureEngine()
        for frame in self._source[: self.start]:
            for event in parser.parse(frame):
                self._read(event, engine)
        self._ready.append((parser, engine))

    def __call__(self) -> None:
        """Take in all other frames."""
        parser, engine = self._ready.pop()
        parse, read = parser.parse, self._read
        for frame in self._source[self.start :]:
            for event in parse(frame):
                read(event, engine)


def rows() -> list[Row]:
    """Return the rows of all sources."""
    table = []
    for name, (kind, source) in sources().items():
        vectors, encoded = Pass(kind, source, _vector), Pass(kind, source, _row)
        payloads = [frame.payload for frame in source[vectors.start :]]
        only_parse = Pass(kind, source, nothing)
        for one in (vectors, encoded, only_parse):
            for _ in range(16):
                one.prepare()

        def loads(payloads: list[bytes] = payloads) -> None:
            """Decode the same bytes with ``json.loads`` and do nothing else."""
            for payload in payloads:
                json.loads(payload)

        times = seconds(only_parse, vectors, encoded, loads)
        parse, vector, row, peer = (vectors.n / one / 1e3 for one in times)
        table += [
            rate_row(f"{name}: frames -> events, decoded and checked", "k/s", parse, "json.loads alone", peer),
            rate_row(f"{name}: frames -> feature vectors", "k/s", vector, "json.loads alone", peer),
            rate_row(f"{name}: frames -> encoded rows", "k/s", row, "json.loads alone", peer),
        ]
    return table
