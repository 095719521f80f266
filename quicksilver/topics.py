"""The wire contract: every topic, its type, key and partitions; declared once, read by setup, jobs, api and tests."""

import msgspec

from quicksilver import events, records
from quicksilver.records import Published

CONTRACT_VERSION = 1  # rides in a header of every message; rises when old readers could not read new messages
DAY_S = 86_400


class Topic(msgspec.Struct, frozen=True):
    """One topic: ``key`` is ``venue:symbol``, or the universe's name for ``frontiers``, or empty."""

    name: str
    type: type[msgspec.Struct]
    partitions: int = 12
    retention_s: int = 7 * DAY_S
    compacted: bool = False  # keeps the last message of each key, for ever


PRICE = Topic("price", events.Price)
TRADES = Topic("trades", events.Trade)
BOOKS = Topic("books", events.BookDelta)
TOPS = Topic("tops", records.BookTop)
CANDLES = Topic("candles", records.Candle)
FEATURES = Topic("features", records.Features)
LABELS = Topic("labels", records.Label)
PREDICTIONS = Topic("predictions", records.Prediction)
SCORES = Topic("scores", records.Score)
FRONTIERS = Topic("frontiers", records.Frontier, partitions=1)
STATUS = Topic("status", records.Status)
LATENCY = Topic("latency", records.Latency, partitions=1)
DEAD_LETTERS = Topic("dead-letters", records.DeadLetter, partitions=1, retention_s=30 * DAY_S)
MODELS = Topic("models", records.Model, compacted=True)
CONTRACT = Topic("quicksilver-contract", records.Status, partitions=1, compacted=True)


RECORD_TOPICS: tuple[Topic, ...] = (
    TOPS, CANDLES, FEATURES, LABELS, PREDICTIONS, SCORES, FRONTIERS, STATUS, LATENCY, DEAD_LETTERS,
)  # fmt: skip
TOPIC_OF: dict[type[msgspec.Struct], Topic] = {topic.type: topic for topic in (*RECORD_TOPICS, TRADES)}
TOPICS: dict[str, Topic] = {topic.name: topic for topic in (PRICE, TRADES, BOOKS, MODELS, *RECORD_TOPICS)}


def key_of(record: Published | events.Event | records.Model) -> str:
    """Return the record's topic key: ``venue:symbol``, a universe, or a hop."""
    if isinstance(record, records.Frontier):
        return record.universe
    if isinstance(record, records.Latency):
        return record.hop
    return f"{record.venue}:{record.symbol}"
