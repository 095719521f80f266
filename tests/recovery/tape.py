"""A tape of the simulated exchange, and what an uninterrupted run makes of it."""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import msgspec

from producers.exchanges.kraken import KrakenParser
from producers.frames import Frame
from producers.simulator.frames import frames
from producers.simulator.orderflow import Market
from producers.tapes.own import TapeWriter
from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.events import AnyEvent, Trade
from quicksilver.pipeline import Pipeline
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.tables import TABLES
from quicksilver.topics import CANDLES, TOPIC_OF, key_of

START_NS = 1_700_000_000_000_000_000
SYMBOLS = ["BTC/USD", "ETH/USD", "SOL/USD"]
FRAMES = 3_600  # some 45 s of event time: frontiers begin after 30

Place = tuple[str, str]
"""A topic and a key."""
Rows = dict[Place, dict[str, bytes]]
"""The JSON of each row, by its table's key, in the order in which the rows came."""


class Truth(NamedTuple):
    """What one process says of a tape: all messages, and the rows that stay, of a candle the last version."""

    events: list[AnyEvent]
    messages: dict[Place, list[bytes]]
    rows: Rows


def write_tape(path: Path, venue: str, seed: int) -> None:
    with TapeWriter(path) as writer:
        for ts, data in frames(Market(seed, START_NS, SYMBOLS), SYMBOLS, 10, FRAMES):
            writer.write(Frame(venue, "s", "recv", ts, data))


def truth_of(venue: str, seed: int) -> Truth:
    parser = KrakenParser(venue)
    raw = frames(Market(seed, START_NS, SYMBOLS), SYMBOLS, 10, FRAMES)
    events = [event for ts, data in raw for event in parser.parse(Frame(venue, "s", "recv", ts, data))]
    config = msgspec.structs.replace(PipelineConfig(), portfolios=(PortfolioConfig(universe=venue),))
    pipeline, messages, rows = Pipeline(config), defaultdict[Place, list[bytes]](list), Rows()
    for event in events:
        records = [*([event] if isinstance(event, Trade) else []), *pipeline.step(event)]
        for record in records:
            place, data = (TOPIC_OF[type(record)].name, key_of(record)), codec.encode(record)
            messages[place].append(data)
            add(rows, place, data)
    return Truth(events, dict(messages), rows)


def add(rows: Rows, place: Place, data: bytes) -> bool:
    """Take a row in; returns whether it was new. A row comes again as the same, but candles are written anew."""
    table, known = TABLES[place[0]], rows.setdefault(place, {})
    record = codec.decode(table.topic.type, data)
    name = table.row_key(record)  # type: ignore[arg-type]
    before = known.get(name)
    if before is None:
        known[name] = data
        return True
    if place[0] == CANDLES.name:
        later = record.seq >= codec.decode(table.topic.type, before).seq  # type: ignore[attr-defined]
        known[name] = data if later else before
        return later and data != before
    assert before == data, f"{place} {name} comes as two different rows"
    return False


def differences(found: Rows, truth: Rows) -> list[str]:
    """Where the first differences lie: the rows themselves are far too many to print."""
    out = []
    for place, rows in truth.items():
        mine = found.get(place, {})
        if mine == rows:
            continue
        missing, more = [name for name in rows if name not in mine], [name for name in mine if name not in rows]
        other = [name for name in rows if name in mine and mine[name] != rows[name]]
        parts = {"missing": missing, "unknown": more, "different": other}
        said = [f"{len(names)} {what}, the first {names[0]}" for what, names in parts.items() if names]
        out.append(f"{place[0]} {place[1]}: {len(mine)} of {len(rows)} rows; {'; '.join(said)}")
    return out + [f"{place[0]} {place[1]}: should not be" for place in found if place not in truth]
