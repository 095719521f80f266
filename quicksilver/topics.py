"""The wire contract: every topic, its type, key and partitions; declared once, read by setup, jobs, api and tests."""

import msgspec

from quicksilver import events, raw, records
from quicksilver.models.card import Deployment
from quicksilver.portfolio.config import Universe
from quicksilver.records import Published

MAX_MESSAGE = 16 << 20  # bytes that brokers take; a deployment of a forest or a large ensemble has some megabytes
CONTRACT_VERSION = 1  # rides in a header of every message; rises when old readers could not read new messages
DAY_S = 86_400


class Topic(msgspec.Struct, frozen=True):
    """One topic; a message's key is its record's (``key_of``). No message is larger than ``MAX_MESSAGE``.

    The messages of a key are numbered, without a gap, through all topics of one ``chain``: who reads them all can put
    them in order and sees what is lost. Those of a topic without a chain are not numbered: full books, of which there
    may be more or fewer from now on, are told apart by their event's number, for an event causes one at most.

    A client's fetch names all partitions, and the broker looks at each: few make it fast. The jobs are keyed, and may
    be wider than what they read.
    """

    name: str
    type: type[msgspec.Struct]
    chain: str = ""
    partitions: int = 4
    retention_s: int = 7 * DAY_S
    retention_mb: int | None = None  # of a partition, older messages go before their time; None: the broker's setting
    compacted: bool = False  # keeps the last message of each key, for ever


RAW = Topic("raw", raw.RawFrame, "raw")
PRICE = Topic("price", events.Price, "events")
TRADES = Topic("trades", events.Trade, "events")
BOOKS = Topic("books", events.BookDelta, "events")
TOPS = Topic("tops", records.BookTop, "tops")
FULL_BOOKS = Topic("full-books", records.FullBook, retention_s=DAY_S, retention_mb=2_048)
CANDLES = Topic("candles", records.Candle, "candles")
FEATURES = Topic("features", records.Features, "derived")
LABELS = Topic("labels", records.Label, "derived")
PREDICTIONS = Topic("predictions", records.Prediction, "predictions")
SCORES = Topic("scores", records.Score, "predictions")
FRONTIERS = Topic("frontiers", records.Frontier, "frontiers", partitions=1)
STATUS = Topic("status", records.Status, "derived")
AUDITS = Topic("audits", records.Audit, partitions=1)
LATENCY = Topic("latency", records.Latency, partitions=1)
FEEDS = Topic("feeds", records.FeedStats, partitions=1)
DEAD_LETTERS = Topic("dead-letters", records.DeadLetter, partitions=1, retention_s=30 * DAY_S)
DEPLOYMENTS = Topic("deployments", Deployment, compacted=True)
UNIVERSES = Topic("universes", Universe, partitions=1, compacted=True)
CONTRACT = Topic("quicksilver-contract", records.Status, partitions=1, compacted=True)


RECORD_TOPICS: tuple[Topic, ...] = (
    TOPS, FULL_BOOKS, CANDLES, FEATURES, LABELS, PREDICTIONS, SCORES, FRONTIERS, STATUS, AUDITS, LATENCY, FEEDS,
    DEAD_LETTERS,
)  # fmt: skip
TOPIC_OF: dict[type[msgspec.Struct], Topic] = {topic.type: topic for topic in (*RECORD_TOPICS, TRADES)}
EVENT_TOPIC_OF: dict[type[events.Event], Topic] = {
    events.Price: PRICE, events.Trade: TRADES, events.BookSnapshot: BOOKS, events.BookDelta: BOOKS, events.Gap: BOOKS,
}  # fmt: skip
TOPICS: dict[str, Topic] = {
    topic.name: topic for topic in (RAW, PRICE, TRADES, BOOKS, DEPLOYMENTS, UNIVERSES, *RECORD_TOPICS)
}


def key_of(record: Published | events.Event | Deployment | Universe | raw.RawFrame) -> str:
    """Return the record's topic key: ``venue:symbol``, a universe, a hop, or ``venue:connection``.

    That of a deployment is ``venue:symbol/name``, that of a universe on its way to its job ``source/name``: a compacted
    topic keeps the last message of each key.
    """
    if isinstance(record, raw.RawFrame):
        return f"{record.venue}:{record.conn}"
    if isinstance(record, records.Frontier):
        return record.universe
    if isinstance(record, records.Latency):
        return record.hop
    if isinstance(record, Deployment):
        return f"{record.venue}:{record.symbol}/{record.name}"
    if isinstance(record, Universe):
        return f"{record.source}/{record.name}"
    return f"{record.venue}:{record.symbol}"
